//! A store that was restored from a backup, or emptied, has forgotten grants that were made: epochs would be given twice.
//!
//! It is noticed by a replica whose view was newer; by a leader that finds another store than the one that was written to;
//! or by a worker that holds, or finds in Kafka, an epoch above the store's. Then the incarnation is raised: every epoch granted from then on is above all those before. Workers of an
//! older incarnation are void; nothing is freed or granted before all of them have stopped.

use crate::{
    ids::{Epoch, Unit},
    keys::{Key, encode},
    txn::{Compare, Txn},
    world::World,
};
use serde::{Deserialize, Serialize};

/// Key `identity`: which store this is, as its own heads tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StoreIdentity {
    /// Of the etcd cluster. A snapshot is restored into a cluster of its own, unless the old one's names are used.
    pub cluster: u64,
    /// How often that cluster has elected a leader: it begins anew when a snapshot is restored.
    pub term: u64,
}

impl StoreIdentity {
    /// The same store, later.
    fn may_follow(self, earlier: StoreIdentity) -> bool {
        self.cluster == earlier.cluster && self.term >= earlier.term
    }
}

/// What one replica knows of its store being older than it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rewound {
    /// It was noticed, and the incarnation is still to be raised.
    pub went_back: bool,
    /// The highest epoch that a worker showed.
    pub seen: Epoch,
}

impl World {
    /// Whether a grant that a worker holds is unknown here: later than all that were given, or than the unit's.
    pub fn has_forgotten(&self, unit: Unit, held: Epoch) -> bool {
        let is_ahead = self.epoch.as_ref().is_none_or(|stored| stored.value < held);
        is_ahead || self.owners.get(&unit).is_some_and(|owner| owner.value.epoch < held)
    }

    /// A worker showed a grant that has been forgotten, and this view was up to date after that.
    pub fn saw_epoch(&mut self, epoch: Epoch) {
        self.rewound.went_back = true;
        self.rewound.seen = self.rewound.seen.max(epoch);
    }

    /// Epochs were granted that the store does not know of: nothing may be decided before the incarnation is raised.
    pub fn is_rewound(&self) -> bool {
        self.rewound.went_back
    }

    /// The transaction that raises the incarnation, where it must be.
    pub fn raise_incarnation(&self) -> Option<Txn> {
        self.is_rewound().then(|| self.raise())
    }

    /// The transaction that writes down which store this is, before anything is granted in it; it raises the incarnation
    /// where that is another store than the last leader's. None: it is known.
    pub fn identify(&self, present: StoreIdentity) -> Option<Txn> {
        let txn = match &self.identity {
            Some(known) if known.value == present => return None,
            Some(known) if present.may_follow(known.value) => {
                Txn::new().when(Compare::Unchanged(Key::Identity, known.revision))
            }
            Some(known) => self.raise().when(Compare::Unchanged(Key::Identity, known.revision)),
            None => Txn::new().when(Compare::Absent(Key::Identity)),
        };
        Some(txn.put(Key::Identity, encode(&present)))
    }

    fn raise(&self) -> Txn {
        let guard = match &self.epoch {
            Some(stored) => Compare::Unchanged(Key::Epoch, stored.revision),
            None => Compare::Absent(Key::Epoch),
        };
        let incarnation = self.incarnation().max(self.rewound.seen.incarnation).saturating_add(1);
        Txn::new().when(guard).put(Key::Epoch, encode(&Epoch { incarnation, counter: 0 }))
    }
}
