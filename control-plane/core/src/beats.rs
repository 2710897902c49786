//! A replica's bookkeeping of heartbeats: they are acknowledged only once they are stored, and only after everything
//! that was stored before them has been seen.
//!
//! `received` → `flush` (the document to store) → `observed` (the replica's own watch delivered that document, so an
//! expiry stored before it would have been seen too) → acknowledgements. Where the store does not answer, `held` gives
//! the heartbeats that are to be answered HOLD.

use crate::{
    ids::{ReplicaId, WorkerId},
    worker::Replica,
};
use std::collections::BTreeMap;

/// Heartbeats of one replica's sessions.
#[derive(Debug, Clone)]
pub struct Beats {
    id: ReplicaId,
    address: String,
    received: BTreeMap<WorkerId, u64>,
    answered: BTreeMap<WorkerId, u64>,
    dirty: bool,
}

impl Beats {
    /// None yet.
    pub fn new(id: ReplicaId, address: String) -> Beats {
        Beats { id, address, received: BTreeMap::new(), answered: BTreeMap::new(), dirty: true }
    }

    /// A heartbeat came.
    pub fn received(&mut self, worker: WorkerId, number: u64) {
        let known = self.received.entry(worker).or_insert(0);
        if number > *known {
            *known = number;
            self.dirty = true;
        }
    }

    /// The worker has no session here any more; its number leaves the document.
    pub fn left(&mut self, worker: WorkerId) {
        self.answered.remove(&worker);
        self.dirty |= self.received.remove(&worker).is_some();
    }

    /// Whether the document has changed since the last flush.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// The document to store now.
    pub fn flush(&mut self) -> Replica {
        self.dirty = false;
        Replica { id: self.id, address: self.address.clone(), beats: self.received.clone() }
    }

    /// The store refused or did not answer: the document is to be stored again.
    pub fn unflushed(&mut self) {
        self.dirty = true;
    }

    /// The replica's watch delivered `document`, its own: these heartbeats are to be acknowledged.
    pub fn observed(&mut self, document: &Replica) -> Vec<(WorkerId, u64)> {
        if document.id != self.id {
            return Vec::new();
        }
        let mut acknowledged = Vec::new();
        for (worker, number) in &document.beats {
            if self.received.contains_key(worker) && self.answered.get(worker).is_none_or(|known| known < number) {
                self.answered.insert(*worker, *number);
                acknowledged.push((*worker, *number));
            }
        }
        acknowledged
    }

    /// The heartbeats that cannot be stored now: to be answered HOLD. They may still be acknowledged later.
    pub fn held(&self) -> Vec<(WorkerId, u64)> {
        self.received
            .iter()
            .filter(|(worker, number)| self.answered.get(*worker).is_none_or(|known| known < *number))
            .map(|(worker, number)| (*worker, *number))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_heartbeat_is_acknowledged_when_its_document_was_seen() {
        let worker = WorkerId(Uuid::from_u128(1));
        let mut beats = Beats::new(ReplicaId(Uuid::from_u128(2)), String::new());
        beats.received(worker, 4);
        let first = beats.flush();
        assert!(!beats.is_dirty());
        beats.received(worker, 5);
        assert_eq!(beats.held(), [(worker, 5)]);
        assert_eq!(beats.observed(&first), [(worker, 4)], "5 is not stored yet");
        assert_eq!(beats.observed(&first), [], "once is enough");
        let second = beats.flush();
        assert_eq!(beats.observed(&second), [(worker, 5)]);
        assert_eq!(beats.held(), []);
        beats.left(worker);
        assert!(beats.is_dirty(), "the number leaves the document");
        assert_eq!(beats.observed(&second), [], "nobody is there to answer");
    }
}
