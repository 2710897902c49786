//! A replica's bookkeeping of heartbeats: they are acknowledged only once they are stored, and only after everything
//! that was stored before them has been seen.
//!
//! `received` → `flush` (the document to store) → `observed` (the replica's own watch delivered that document, so an
//! expiry stored before it would have been seen too) → acknowledgements. Where the store is slow or does not answer, `hold`
//! gives the heartbeats that are to be answered HOLD.

use crate::{
    ids::{ReplicaId, WorkerId},
    time::Monotonic,
    worker::Replica,
};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// Heartbeats of a worker whose arrivals are told apart.
const WAITING_LIMIT: usize = 16;

/// Heartbeats of one replica's sessions.
#[derive(Debug, Clone)]
pub struct Beats {
    id: ReplicaId,
    address: String,
    heard: BTreeMap<WorkerId, Heard>,
    dirty: bool,
}

/// Heartbeats of one worker. They count from 1.
#[derive(Debug, Clone, Default)]
struct Heard {
    received: u64,
    acknowledged: u64,
    /// Answered HOLD up to here.
    held: u64,
    /// Not acknowledged, with their arrivals.
    waiting: VecDeque<(u64, Monotonic)>,
}

impl Beats {
    /// None yet.
    pub fn new(id: ReplicaId, address: String) -> Beats {
        Beats { id, address, heard: BTreeMap::new(), dirty: true }
    }

    /// A heartbeat came.
    pub fn received(&mut self, worker: WorkerId, number: u64, now: Monotonic) {
        let heard = self.heard.entry(worker).or_default();
        if number > heard.received {
            heard.received = number;
            let is_full = heard.waiting.len() >= WAITING_LIMIT;
            match heard.waiting.back_mut().filter(|_| is_full) {
                // As if it had come with the one before it: how long the first one waits must not be forgotten.
                Some((last, _)) => *last = number,
                None => heard.waiting.push_back((number, now)),
            }
            self.dirty = true;
        }
    }

    /// The worker has no session here any more; its number leaves the document.
    pub fn left(&mut self, worker: WorkerId) {
        self.dirty |= self.heard.remove(&worker).is_some();
    }

    /// Whether the document has changed since the last flush.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// The document to store now.
    pub fn flush(&mut self) -> Replica {
        self.dirty = false;
        let beats = self.heard.iter().map(|(worker, heard)| (*worker, heard.received)).collect();
        Replica { id: self.id, address: self.address.clone(), beats }
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
            if let Some(heard) = self.heard.get_mut(worker).filter(|heard| heard.acknowledged < *number) {
                heard.acknowledged = *number;
                heard.waiting.retain(|(waiting, _)| waiting > number);
                acknowledged.push((*worker, *number));
            }
        }
        acknowledged
    }

    /// The last heartbeats of workers that have waited so long for an acknowledgement: to be answered HOLD, once. They may
    /// still be acknowledged later.
    pub fn hold(&mut self, waited: Duration, now: Monotonic) -> Vec<(WorkerId, u64)> {
        let mut held = Vec::new();
        for (worker, heard) in &mut self.heard {
            let is_overdue = heard.waiting.front().is_some_and(|(_, arrived)| now.since(*arrived) >= waited);
            if is_overdue && heard.held < heard.received {
                heard.held = heard.received;
                held.push((*worker, heard.received));
            }
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const WORKER: WorkerId = WorkerId(Uuid::from_u128(1));

    #[test]
    fn a_heartbeat_is_acknowledged_when_its_document_was_seen() {
        let mut beats = Beats::new(ReplicaId(Uuid::from_u128(2)), String::new());
        beats.received(WORKER, 4, Monotonic(0));
        let first = beats.flush();
        assert!(!beats.is_dirty());
        beats.received(WORKER, 5, Monotonic(300));
        assert_eq!(beats.observed(&first), [(WORKER, 4)], "5 is not stored yet");
        assert_eq!(beats.observed(&first), [], "once is enough");
        let second = beats.flush();
        assert_eq!(beats.observed(&second), [(WORKER, 5)]);
        assert_eq!(beats.hold(Duration::ZERO, Monotonic(9999)), [], "none waits");
        beats.left(WORKER);
        assert!(beats.is_dirty(), "the number leaves the document");
        assert_eq!(beats.observed(&second), [], "nobody is there to answer");
    }

    #[test]
    fn hold_answers_the_last_heartbeat_of_who_waits_too_long() {
        const LONG: Duration = Duration::from_millis(500);
        let mut beats = Beats::new(ReplicaId(Uuid::from_u128(2)), String::new());
        beats.received(WORKER, 1, Monotonic(0));
        let document = beats.flush();
        beats.received(WORKER, 2, Monotonic(300));
        assert_eq!(beats.hold(LONG, Monotonic(499)), []);
        assert_eq!(beats.hold(LONG, Monotonic(500)), [(WORKER, 2)], "1 has waited, and 2 is what is newest");
        assert_eq!(beats.hold(LONG, Monotonic(550)), [], "once is enough");
        beats.received(WORKER, 3, Monotonic(600));
        assert_eq!(beats.observed(&document), [(WORKER, 1)]);
        assert_eq!(beats.hold(LONG, Monotonic(799)), [], "2 has not waited so long");
        assert_eq!(beats.hold(LONG, Monotonic(800)), [(WORKER, 3)]);
    }
}
