//! A store that was restored from a backup, or emptied, has forgotten grants that were made: epochs would be given twice.
//!
//! It is noticed by a replica whose view was newer, or by a worker that holds, or finds in Kafka, an epoch above the
//! store's. Then the incarnation is raised: every epoch granted from then on is above all those before. Workers of an
//! older incarnation are void; nothing is freed or granted before all of them have stopped.

use crate::{
    ids::Epoch,
    keys::{Key, encode},
    txn::{Compare, Txn},
    world::World,
};

/// What one replica knows of its store being older than it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rewound {
    /// The store's revision went back.
    pub went_back: bool,
    /// The highest epoch that a worker showed.
    pub seen: Epoch,
}

impl World {
    /// A worker showed an epoch, and this view was up to date after that.
    pub fn saw_epoch(&mut self, epoch: Epoch) {
        self.rewound.seen = self.rewound.seen.max(epoch);
    }

    /// Epochs were granted that the store does not know of: nothing may be decided before the incarnation is raised.
    pub fn is_rewound(&self) -> bool {
        let granted = self.epoch.as_ref().map_or(Epoch::default(), |stored| stored.value);
        self.rewound.went_back || self.rewound.seen > granted
    }

    /// The transaction that raises the incarnation, where it must be.
    pub fn raise_incarnation(&self) -> Option<Txn> {
        if !self.is_rewound() {
            return None;
        }
        let guard = match &self.epoch {
            Some(stored) => Compare::Unchanged(Key::Epoch, stored.revision),
            None => Compare::Absent(Key::Epoch),
        };
        let incarnation = self.incarnation().max(self.rewound.seen.incarnation).saturating_add(1);
        Some(Txn::new().when(guard).put(Key::Epoch, encode(&Epoch { incarnation, counter: 0 })))
    }
}
