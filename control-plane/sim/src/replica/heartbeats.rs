//! Heartbeats of a replica's sessions: gathered into a document, stored, and answered HOLD where that does not succeed.

use super::Waiting;
use crate::{
    etcd::Request,
    messages::ToWorker,
    mutation::Mutation,
    sim::{Sim, To, What},
};
use control_plane_core::{
    keys::{Key, encode},
    txn::Txn,
};
use std::time::Duration;

/// A heartbeat that is not acknowledged within this time, in ms, is answered HOLD.
const HOLD_AFTER: u64 = 500;
/// How often it is looked for such heartbeats, in ms.
const HOLD_PAUSE: u64 = 50;

impl Sim {
    pub(super) fn flush_soon(&mut self, index: usize) {
        let replica = &mut self.replicas[index];
        let pause = (3 * replica.sessions.len() as u64).min(200);
        replica.flush_due.get_or_insert(self.now + pause);
        let to = To::Replica(index, replica.incarnation);
        self.after(pause, to, What::HubTimer);
    }

    pub(super) fn hub_timer(&mut self, index: usize) {
        if self.mutation != Some(Mutation::WaitForTheStore) {
            self.hold(index, HOLD_AFTER);
        }
        let replica = &self.replicas[index];
        let is_due = replica.flush_due.is_some_and(|at| self.now >= at);
        if is_due && replica.is_live && !replica.is_flushing {
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
        replica.is_flushing = true;
        let txn = Txn::new().put(Key::Replica(document.id), encode(&document));
        let request = Request::Commit(txn, replica.session);
        self.call(index, request, Waiting::Flush);
    }

    pub(super) fn flush_done(&mut self, index: usize, is_stored: bool) {
        let replica = &mut self.replicas[index];
        replica.is_flushing = false;
        if !is_stored {
            replica.beats.unflushed();
            self.hold(index, 0);
        }
        if self.replicas[index].beats.is_dirty() {
            self.flush_soon(index);
        }
    }

    /// One came: where none is acknowledged, it will be looked for it.
    pub(super) fn hold_soon(&mut self, index: usize) {
        let to = To::Replica(index, self.replicas[index].incarnation);
        for pause in [HOLD_PAUSE, HOLD_AFTER] {
            self.after(pause, to, What::HubTimer);
        }
    }

    /// The store does not take heartbeats, or has not for so many ms: the workers that wait are told so, and none of them
    /// is expired before a lease from now on is over.
    pub(super) fn hold(&mut self, index: usize, waited: u64) {
        let now = self.monotonic(index);
        let held = self.replicas[index].beats.hold(Duration::from_millis(waited), now);
        if held.is_empty() {
            return;
        }
        self.trace.count("holds");
        if self.mutation != Some(Mutation::SkipSettling) {
            self.replicas[index].world.held(held.iter().map(|(worker, _)| *worker), now);
        }
        for (worker, number) in held {
            self.tell(index, worker, ToWorker::Ack { number, hold: true });
        }
    }
}
