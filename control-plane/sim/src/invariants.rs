//! What must hold, one file each.

mod converges;
mod epochs_grow;
mod no_false_takeover;
mod no_loss;
mod nobody_disturbed;
mod offsets_forward;
mod one_owner;
mod planning;

pub use no_false_takeover::SlowDisk;

use crate::{
    etcd::Change,
    kafka::{Kafka, TaskKey},
    sim::Sim,
};
use control_plane_core::{
    keys::{Entry, Key},
    lease::GrantState,
    worker::WorkerState,
};

/// What did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: &'static str,
    /// What was seen.
    pub text: String,
}

/// What the invariants remember.
#[derive(Debug, Default)]
pub struct Invariants {
    epochs: epochs_grow::Seen,
    floors: offsets_forward::Floors,
    rest: converges::Rest,
}

impl Invariants {
    /// An offset record was appended; late: its writer may not write any more.
    pub fn landed(&mut self, key: &TaskKey, kafka: &Kafka, is_late: bool) {
        self.floors.landed(key, kafka, is_late);
    }
}

impl Sim {
    /// After the store was restored from a backup.
    pub fn check_restored(&mut self) {
        let owners = self.etcd.entries().filter_map(|(key, entry)| match (key, entry) {
            (Key::Owner(unit), Entry::Owner(owner)) => Some((*unit, owner.clone())),
            _ => None,
        });
        self.invariants.epochs.restored(owners.collect());
    }

    /// After each change of the store.
    pub fn check_stored(&mut self, change: &Change) {
        if let Err(text) = self.invariants.epochs.stored(change) {
            self.violate("epochs only grow, and a grant begins and ends in order", text);
        }
        if let (Key::Worker(id), Some(Entry::Worker(worker))) = (&change.key, &change.entry)
            && worker.state == WorkerState::Expired
        {
            self.check_expiry(*id);
        }
        if let (Key::Owner(unit), Some(Entry::Owner(owner))) = (&change.key, &change.entry)
            && owner.state == GrantState::Granted
        {
            let later = (0..self.workers.len()).find(|index| self.holds_later(*index, *unit, owner.epoch));
            if let Some(index) = later {
                let text = format!("{unit} is granted under {}, and w{index} holds it under a later one", owner.epoch);
                self.violate("epochs only grow, and a grant begins and ends in order", text);
            }
        }
    }

    /// After something was appended for a task.
    pub fn check_offsets(&mut self, key: &TaskKey) {
        if let Some(text) = no_loss::check(&self.kafka, key) {
            self.violate("no acknowledged record is lost", text);
        }
        if let Some(text) = self.invariants.floors.check(&self.kafka, key, self.mutation) {
            self.violate("a stored offset never moves back", text);
        }
    }
}
