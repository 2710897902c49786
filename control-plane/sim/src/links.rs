//! Connections between workers and replicas: in order, slow, held up while a side is cut off or stopped, closed by
//! whoever loses patience.

use crate::{
    messages::{ToReplica, ToWorker},
    sim::{Sim, To, What},
};
use std::collections::VecDeque;

/// Two that cannot reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// A replica and etcd.
    Etcd(usize),
    /// A worker and a replica.
    Between(usize, usize),
}

/// A connection.
#[derive(Debug)]
pub struct Link {
    /// Whose, and in which incarnation.
    pub worker: (usize, u64),
    /// To whom, in which incarnation.
    pub replica: (usize, u64),
    /// The worker has not closed it, nor learnt of its end.
    pub worker_open: bool,
    /// The same of the replica.
    pub replica_open: bool,
    to_worker: VecDeque<(u64, ToWorker)>,
    to_replica: VecDeque<(u64, ToReplica)>,
}

impl Sim {
    /// A connection was accepted by the replica's machine.
    pub fn open_link(&mut self, worker: usize, replica: usize) -> u64 {
        let id = self.number();
        let link = Link {
            worker: (worker, self.workers[worker].incarnation),
            replica: (replica, self.replicas[replica].incarnation),
            worker_open: true,
            replica_open: true,
            to_worker: VecDeque::new(),
            to_replica: VecDeque::new(),
        };
        self.links.insert(id, link);
        id
    }

    /// Sends towards the replica.
    pub fn send_to_replica(&mut self, link: u64, message: ToReplica) {
        let delay = self.delay();
        let Some(open) = self.links.get_mut(&link).filter(|open| open.worker_open) else { return };
        let at = (self.now + delay).max(open.to_replica.back().map_or(0, |(at, _)| *at));
        open.to_replica.push_back((at, message));
        self.after(at - self.now, To::World, What::Pump { link, to_worker: false });
    }

    /// Sends towards the worker.
    pub fn send_to_worker(&mut self, link: u64, message: ToWorker) {
        let delay = self.delay();
        let Some(open) = self.links.get_mut(&link).filter(|open| open.replica_open) else { return };
        let at = (self.now + delay).max(open.to_worker.back().map_or(0, |(at, _)| *at));
        open.to_worker.push_back((at, message));
        self.after(at - self.now, To::World, What::Pump { link, to_worker: true });
    }

    fn delay(&mut self) -> u64 {
        let slow = self.slowness(8, 50, 700);
        self.rng.between(1, 4) + slow
    }

    /// The worker closes; the replica learns of it if the news gets through.
    pub fn close_by_worker(&mut self, link: u64) {
        self.send_to_replica(link, ToReplica::Fin);
        if let Some(open) = self.links.get_mut(&link) {
            open.worker_open = false;
            open.to_worker.clear();
        }
        self.drop_closed(link);
    }

    /// The replica closes.
    pub fn close_by_replica(&mut self, link: u64) {
        self.send_to_worker(link, ToWorker::Fin);
        if let Some(open) = self.links.get_mut(&link) {
            open.replica_open = false;
            open.to_replica.clear();
        }
        self.drop_closed(link);
    }

    fn drop_closed(&mut self, link: u64) {
        if self.links.get(&link).is_some_and(|open| !open.worker_open && !open.replica_open) {
            self.links.remove(&link);
        }
    }

    /// Delivers what is due in one direction, if it gets through now.
    pub fn pump(&mut self, id: u64, to_worker: bool) {
        loop {
            let Some(link) = self.links.get_mut(&id) else { return };
            if self.cuts.contains(&Cut::Between(link.worker.0, link.replica.0)) {
                return;
            }
            if to_worker {
                let (index, incarnation) = link.worker;
                let worker = &self.workers[index];
                let stalled = worker.stalled_until.saturating_sub(self.now);
                if worker.is_paused || stalled > 0 {
                    if stalled > 0 && !worker.is_paused {
                        self.after(stalled, To::World, What::Pump { link: id, to_worker });
                    }
                    return;
                }
                if link.to_worker.front().is_none_or(|(at, _)| *at > self.now) {
                    return;
                }
                let Some((_, message)) = link.to_worker.pop_front() else { return };
                if link.worker_open && worker.is_up && worker.incarnation == incarnation {
                    self.worker_message(index, id, message);
                }
            } else {
                let (index, incarnation) = link.replica;
                let replica = &self.replicas[index];
                if replica.is_paused || link.to_replica.front().is_none_or(|(at, _)| *at > self.now) {
                    return;
                }
                let Some((_, message)) = link.to_replica.pop_front() else { return };
                if link.replica_open && replica.is_up && replica.incarnation == incarnation {
                    self.replica_message(index, id, message);
                }
            }
        }
    }

    /// One end asks the other, and closes if nothing comes back.
    pub fn probe(&mut self, id: u64, by_worker: bool) {
        let Some(link) = self.links.get(&id) else { return };
        let cut = self.cuts.contains(&Cut::Between(link.worker.0, link.replica.0));
        let (worker, replica) = (&self.workers[link.worker.0], &self.replicas[link.replica.0]);
        if by_worker && link.worker_open && !worker.is_paused && (cut || replica.is_paused) {
            let index = link.worker.0;
            self.worker_message(index, id, ToWorker::Fin);
        } else if !by_worker && link.replica_open && !replica.is_paused && (cut || worker.is_paused) {
            let index = link.replica.0;
            self.replica_message(index, id, ToReplica::Fin);
        }
    }

    /// Both ends of all of a worker's links are told that they are closed.
    pub fn reset_links(&mut self, worker: usize) {
        let of_worker = |link: &Link| link.worker.0 == worker;
        let links: Vec<(u64, usize)> =
            self.links.iter().filter(|(_, link)| of_worker(link)).map(|(id, link)| (*id, link.replica.0)).collect();
        for (id, replica) in links {
            let is_there = |link: &Link| (link.worker_open, link.replica_open);
            let (at_worker, at_replica) = self.links.get(&id).map_or((false, false), is_there);
            if at_replica && self.replicas[replica].is_up && !self.replicas[replica].is_paused {
                self.replica_message(replica, id, ToReplica::Fin);
            }
            if at_worker && self.workers[worker].is_up && !self.workers[worker].is_paused {
                self.worker_message(worker, id, ToWorker::Fin);
            }
        }
    }

    /// Both ends of the links that a fault concerns will probe each other in their own time.
    pub fn probe_soon(&mut self, concerned: impl Fn(&Link) -> bool) {
        let links: Vec<u64> = self.links.iter().filter(|(_, link)| concerned(link)).map(|(id, _)| *id).collect();
        for link in links {
            let (worker, replica) = (self.rng.between(2000, 4000), self.rng.between(5000, 10_000));
            self.after(worker, To::World, What::Probe { link, by_worker: true });
            self.after(replica, To::World, What::Probe { link, by_worker: false });
        }
    }

    /// What was held up may get through now.
    pub fn pump_all(&mut self) {
        let links: Vec<u64> = self.links.keys().copied().collect();
        for link in links {
            self.after(0, To::World, What::Pump { link, to_worker: true });
            self.after(0, To::World, What::Pump { link, to_worker: false });
        }
    }
}
