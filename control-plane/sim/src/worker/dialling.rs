//! Which replicas a worker connects to, how that fares, and which of them count for its lease.

use super::{RETRY, Session, Topic, Worker};
use crate::{
    links::Cut,
    messages::{Hello, Report, ToReplica, core_epoch, unit_of},
    replica::address,
    sim::{Sim, What},
};
use std::collections::BTreeSet;

/// How long a connection may take, and the Welcome.
const PATIENCE: u64 = 3000;

/// What a worker dials: the address that a replica lists itself under, or another one that leads there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Where it leads.
    pub replica: usize,
    /// Not as the replica lists itself.
    pub is_alias: bool,
}

impl Name {
    /// As it is dialled.
    pub fn address(self) -> String {
        match self.is_alias {
            true => format!("http://alias-of-r{}", self.replica),
            false => address(self.replica),
        }
    }
}

impl Worker {
    pub(super) fn is_connected(&self) -> bool {
        self.sessions.values().any(|session| session.is_welcome)
    }

    /// Where reports go: to the replica that acknowledged last, for it can reach the store.
    pub(super) fn preferred_link(&self) -> Option<u64> {
        let mut open = self.sessions.values().filter(|session| session.is_welcome);
        let acknowledging = open.clone().find(|session| Some(&session.listed_as) == self.acknowledging.as_ref());
        acknowledging.or_else(|| open.next()).map(|session| session.link)
    }
}

impl Sim {
    /// All replicas, or one of which the worker learns the others.
    pub(super) fn any_configuration(&mut self) -> BTreeSet<Name> {
        let is_alias = self.rng.chance(20);
        let all: BTreeSet<Name> = (0..self.replicas.len()).map(|replica| Name { replica, is_alias }).collect();
        match self.rng.chance(70) {
            true => all,
            false => BTreeSet::from([Name { replica: self.rng.index(self.replicas.len()), is_alias }]),
        }
    }

    pub(super) fn dial(&mut self, index: usize, name: Name) {
        let Name { replica, .. } = name;
        let (to, tried_at) = (self.workers[index].to_threads(), self.local(index).0);
        let worker = &mut self.workers[index];
        if let Some(session) = worker.sessions.get(&name) {
            if session.is_welcome || self.now < session.since + PATIENCE {
                return;
            }
            let link = session.link;
            worker.sessions.remove(&name);
            self.close_by_worker(link);
        }
        let delay = self.rng.between(1, 3);
        if self.cuts.contains(&Cut::Between(index, replica)) {
            self.after(PATIENCE + RETRY, to, What::Dial { name });
            return;
        }
        if !self.replicas[replica].is_up || !self.replicas[replica].is_listening {
            self.trace.count("connections refused");
            let main = self.workers[index].to_loop();
            self.after(delay, main, What::DialRefused { name, tried_at });
            self.after(delay + RETRY, to, What::Dial { name });
            return;
        }
        let link = self.open_link(index, replica);
        let worker = &mut self.workers[index];
        let session = Session { link, listed_as: name.address(), since: self.now, is_welcome: false, heard: self.now };
        worker.sessions.insert(name, session);
        let hello = Hello {
            worker: worker.id,
            is_registered: !worker.aliases.is_empty(),
            held: worker.holdings.held().into_iter().map(|(unit, epoch)| (unit_of(&unit), core_epoch(epoch))).collect(),
            revision: worker.holdings.seen(),
            incarnation: worker.store_incarnation,
            known: worker.lease.known().map(str::to_owned).collect(),
        };
        self.send_to_replica(link, ToReplica::Hello(hello));
        self.after(PATIENCE, to, What::Dial { name });
    }

    /// One that is not listed any more is dialled on: it may come back, and must be heard before a HOLD counts.
    pub(super) fn listed(&mut self, index: usize, addresses: Vec<String>) {
        for address in addresses {
            let Some(replica) = address.strip_prefix("http://r").and_then(|number| number.parse().ok()) else {
                continue;
            };
            let (worker, name) = (&mut self.workers[index], Name { replica, is_alias: false });
            let is_known = worker.aliases.values().any(|listed| *listed == address);
            worker.lease.know(address);
            if !is_known && worker.dialling.insert(name) {
                let to = worker.to_threads();
                self.after(1, to, What::Dial { name });
            }
        }
        self.tell_known_replicas(index);
    }

    /// Told before it is needed: a leader that this worker does not count on must not expire it.
    fn tell_known_replicas(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        let known: BTreeSet<String> = worker.lease.known().map(str::to_owned).collect();
        if worker.told_known != known {
            worker.told_known.clone_from(&known);
            worker.reports.push((Topic::KnownReplicas, None), Report::KnownReplicas(known));
        }
    }
}
