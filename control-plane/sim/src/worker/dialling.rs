//! Which replicas a worker connects to, how that fares, and which of them count for its lease.

use super::{RETRY, Session};
use crate::{
    links::Cut,
    messages::ToReplica,
    replica::address,
    sim::{Sim, What},
};
use std::collections::BTreeSet;

/// A proposal to the worker and to the lease, which do not do so yet: every replica's address counts, listed at the moment
/// or not. Without it a worker that hears HOLD from all replicas that it was told of runs on, while one that it was not
/// told of (it came back meanwhile) leads, sees it silent, and gives its units away.
pub(super) const UNLISTED_REPLICAS_COUNT: bool = true;
/// How long a connection may take, and the Welcome.
const PATIENCE: u64 = 3000;

impl Sim {
    pub(super) fn dial(&mut self, index: usize, replica: usize) {
        let (to, tried_at) = (self.workers[index].to_threads(), self.local(index).0);
        let worker = &mut self.workers[index];
        if !worker.dialling.contains(&replica) {
            return;
        }
        if let Some(session) = worker.sessions.get(&replica) {
            if session.is_welcome || self.now < session.since + PATIENCE {
                return;
            }
            let link = session.link;
            worker.sessions.remove(&replica);
            self.close_by_worker(link);
        }
        let delay = self.rng.between(1, 3);
        if self.cuts.contains(&Cut::Between(index, replica)) {
            self.after(PATIENCE + RETRY, to, What::Dial { replica });
            return;
        }
        if !self.replicas[replica].is_up || !self.replicas[replica].is_listening {
            self.trace.count("connections refused");
            let main = self.workers[index].to_loop();
            self.after(delay, main, What::DialRefused { replica, tried_at });
            self.after(delay + RETRY, to, What::Dial { replica });
            return;
        }
        let link = self.open_link(index, replica);
        let worker = &mut self.workers[index];
        worker.sessions.insert(replica, Session { link, since: self.now, is_welcome: false, heard: self.now });
        let hello = ToReplica::Hello { worker: worker.id, holds: !worker.holdings.held().is_empty() };
        self.send_to_replica(link, hello);
        self.after(PATIENCE, to, What::Dial { replica });
    }

    pub(super) fn listed(&mut self, index: usize, addresses: Vec<String>) {
        if addresses.is_empty() {
            return;
        }
        let listed: BTreeSet<usize> =
            addresses.iter().filter_map(|address| address.strip_prefix("http://r")?.parse().ok()).collect();
        let worker = &mut self.workers[index];
        let unlisted = worker.configured.iter().filter(|_| UNLISTED_REPLICAS_COUNT).map(|replica| address(*replica));
        worker.lease.listed(addresses.into_iter().chain(unlisted).collect::<BTreeSet<String>>());
        let (configured, sessions) = (worker.configured.clone(), &worker.sessions);
        worker.dialling.retain(|replica| {
            configured.contains(replica) || listed.contains(replica) || sessions.contains_key(replica)
        });
        let to = worker.to_threads();
        for replica in listed {
            if self.workers[index].dialling.insert(replica) {
                self.after(1, to, What::Dial { replica });
            }
        }
    }
}
