//! Heartbeats of a replica's sessions: gathered into a document, stored, and answered HOLD where that does not succeed.

use super::Waiting;
use crate::{
    etcd::Request,
    messages::ToWorker,
    mutation::Mutation,
    sim::{Sim, To, What},
};
use control_plane_core::{
    ids::WorkerId,
    keys::{Key, encode},
    txn::Txn,
};

/// A heartbeat document that is not stored within this time is answered HOLD, in ms.
const HOLD_AFTER: u64 = 600;

impl Sim {
    pub(super) fn flush_soon(&mut self, index: usize) {
        let replica = &mut self.replicas[index];
        let pause = (3 * replica.sessions.len() as u64).min(200);
        replica.flush_due.get_or_insert(self.now + pause);
        let to = To::Replica(index, replica.incarnation);
        self.after(pause, to, What::HubTimer);
    }

    pub(super) fn hub_timer(&mut self, index: usize) {
        let replica = &mut self.replicas[index];
        if replica.flushing_since.is_some_and(|since| self.now >= since + HOLD_AFTER) {
            replica.flushing_since = Some(self.now);
            let to = To::Replica(index, replica.incarnation);
            self.after(HOLD_AFTER, to, What::HubTimer);
            self.hold(index);
        }
        let replica = &self.replicas[index];
        let is_due = replica.flush_due.is_some_and(|at| self.now >= at);
        if is_due && replica.is_live && replica.flushing_since.is_none() {
            self.flush(index);
        }
    }

    fn flush(&mut self, index: usize) {
        let replica = &mut self.replicas[index];
        replica.flush_due = None;
        if !replica.beats.is_dirty() {
            return;
        }
        let document = replica.beats.flush();
        replica.flushing_since = Some(self.now);
        let to = To::Replica(index, replica.incarnation);
        let txn = Txn::new().put(Key::Replica(document.id), encode(&document));
        let request = Request::Commit(txn, replica.session);
        self.call(index, request, Waiting::Flush);
        self.after(HOLD_AFTER, to, What::HubTimer);
    }

    pub(super) fn flush_done(&mut self, index: usize, is_stored: bool) {
        let replica = &mut self.replicas[index];
        replica.flushing_since = None;
        if !is_stored {
            replica.beats.unflushed();
            self.hold(index);
        }
        if self.replicas[index].beats.is_dirty() {
            self.flush_soon(index);
        }
    }

    /// The store is away: whose heartbeat comes is told so.
    pub(super) fn hold_one(&mut self, index: usize, worker: WorkerId, number: u64) {
        self.note_hold(index);
        self.tell(index, worker, ToWorker::Ack { number, hold: true });
    }

    /// The store does not take heartbeats: the workers are told so.
    pub(super) fn hold(&mut self, index: usize) {
        let held = self.replicas[index].beats.held();
        if held.is_empty() {
            return;
        }
        self.note_hold(index);
        for (worker, number) in held {
            self.tell(index, worker, ToWorker::Ack { number, hold: true });
        }
    }

    /// Nobody is expired before a lease from now on is over.
    fn note_hold(&mut self, index: usize) {
        let now = self.monotonic(index);
        if self.mutation != Some(Mutation::SkipSettling) {
            self.replicas[index].world.held(now);
        }
        self.trace.count("holds");
    }
}
