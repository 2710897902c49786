//! A store that was restored from a backup, or emptied, has forgotten grants that were made: epochs would be given twice.
//!
//! It is noticed by a replica whose view was newer; by a leader that finds another store than the one that was written to;
//! or by a worker that holds, or finds in Kafka, an epoch above the store's. Then the incarnation is raised: every epoch
//! granted from then on is above all those before. Workers of an older incarnation are void; nothing is freed or granted
//! before all of them have stopped. It is raised once: what was seen under an older incarnation tells nothing new.

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

/// What it means that a unit found a later epoch than its grant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaterEpoch {
    /// The grant is not the unit's present one, or is void.
    IsNothing,
    /// The store has forgotten grants.
    IsForgotten,
    /// The store has come past it since. Another task of the connector may have had what the unit has now; or the store was
    /// emptied. What the unit writes would be taken for old: it is to be granted anew.
    IsPassed,
}

/// Incarnations above this one are nobody's: a store that is restored every hour gets there in a hundred years. Whoever can
/// write to the offsets topic must not be able to use all of them up.
const INCARNATION_LIMIT: u32 = 1_000_000;

impl World {
    /// Whether a grant that a worker holds is unknown here: later than all that were given, or than the unit's. One of an
    /// older incarnation is void, and all that are given from now on are later.
    pub fn has_forgotten(&self, unit: Unit, held: Epoch) -> bool {
        let is_older = self.owners.get(&unit).is_some_and(|owner| owner.value.epoch < held);
        held.incarnation >= self.incarnation() && (self.is_behind(held) || is_older)
    }

    /// Whether this epoch is later than all that were given.
    pub fn is_behind(&self, epoch: Epoch) -> bool {
        self.epoch.as_ref().is_none_or(|stored| stored.value < epoch)
    }

    /// What it means that a unit found `later` where it stores its offsets (`is_stored`), or that its worker held it.
    pub fn what_of_later(&self, unit: Unit, granted: Epoch, later: Epoch, is_stored: bool) -> LaterEpoch {
        let stands = self.owners.get(&unit).is_some_and(|owner| owner.value.epoch == granted);
        match stands && granted.incarnation == self.incarnation() && granted < later {
            false => LaterEpoch::IsNothing,
            true if is_stored && !self.is_behind(later) => LaterEpoch::IsPassed,
            true => LaterEpoch::IsForgotten,
        }
    }

    /// A worker showed what has been forgotten, under this incarnation at the latest, and this view was up to date after
    /// that. False: that tells nothing new, or cannot be.
    pub fn saw_forgotten(&mut self, incarnation: u32) -> bool {
        let is_news = (self.incarnation()..INCARNATION_LIMIT).contains(&incarnation);
        if is_news {
            self.went_back_from = self.went_back_from.max(Some(incarnation));
        }
        is_news
    }

    /// Epochs were granted that the store does not know of: nothing may be decided before the incarnation is raised.
    pub fn is_rewound(&self) -> bool {
        self.went_back_from.is_some_and(|from| self.incarnation() <= from)
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
        let incarnation = self.incarnation().max(self.went_back_from.unwrap_or_default()).saturating_add(1);
        Txn::new().when(guard).put(Key::Epoch, encode(&Epoch { incarnation, counter: 0 }))
    }
}
