//! Which replicas there are, were and are dialled.

use super::{ReportKey, Supervisor, ToReplica, wire};
use crate::session;

/// Sessions to replicas at the most.
pub(super) const REPLICAS_LIMIT: usize = 16;

impl Supervisor {
    pub(super) fn dial(&mut self, address: String) {
        let known = self.dialling.contains_key(&address) || self.aliases.values().any(|listed| *listed == address);
        if known {
            return;
        }
        if self.dialling.len() >= REPLICAS_LIMIT {
            self.give_up_one_that_is_away();
        }
        if self.dialling.len() < REPLICAS_LIMIT {
            let task =
                tokio::spawn(session::keep(address.clone(), self.hello.subscribe(), self.session_sender.clone()));
            self.dialling.insert(address, task);
        }
    }

    /// Replicas that come and go under ever new addresses must not use up all places: one that is neither configured, nor
    /// listed, nor connected is dialled no more. It stays known: only an acknowledgement counts from then on.
    fn give_up_one_that_is_away(&mut self) {
        let is_needed = |address: &String| {
            let listed_as = self.aliases.get(address).unwrap_or(address);
            self.sessions.contains_key(address)
                || self.identity.control_planes.contains(address)
                || self.listed.contains(listed_as)
        };
        let away = self.dialling.keys().find(|address| !is_needed(address)).cloned();
        if let Some(task) = away.as_ref().and_then(|address| self.dialling.remove(address)) {
            task.abort();
        }
        self.aliases.retain(|address, _| Some(address) != away.as_ref());
    }

    pub(super) fn listed(&mut self, list: wire::ReplicaList) {
        self.listed = list.addresses.iter().cloned().collect();
        // One that is not listed any more is dialled on: it may come back, and must be heard before a HOLD counts.
        for address in list.addresses {
            self.lease.know(address.clone());
            self.dial(address);
        }
        self.tell_known_replicas();
    }

    /// Told before it is needed: a leader that this worker does not count on must not expire it.
    fn tell_known_replicas(&mut self) {
        let addresses: Vec<String> = self.lease.known().map(str::to_owned).collect();
        if self.hello.borrow().known_replicas != addresses {
            self.hello.send_modify(|hello| hello.known_replicas.clone_from(&addresses));
            self.reports.push(
                ReportKey::KnownReplicas,
                ToReplica::KnownReplicas(wire::KnownReplicas { sequence: 0, addresses }),
            );
        }
    }
}
