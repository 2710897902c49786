//! Faults in a row: each scene is one where a certain rule of the protocol is all that stands between two owners of a
//! unit. Chance alone plays them too seldom: each mutation is noticed in one seed of a hundred at the least.

use super::Fault;
use crate::{
    links::Cut,
    sim::{Sim, To, What},
};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// The leader dies, and units are being revoked when the next one is elected.
    RevokingAtElection,
    /// A worker hears one replica only, and that one cannot reach the store: nothing it says makes a lease.
    Cornered { worker: usize, replica: usize },
    /// What a replica was told of ended grants arrives when the units have been granted again.
    LateEnds { replica: usize },
    /// A worker is given units with its first session and is stopped before any heartbeat is acknowledged.
    StoppedAtFirstGrant { worker: usize },
    /// The store is restored from the last backup; perhaps the replicas, which saw more of it, start anew too. Then only
    /// workers that both the backup and they themselves know of tell of it in time: others are ended before, as users are
    /// told to.
    Restore { anew: bool },
    /// All of a worker's connections are reset, and for less than its lease it reaches nobody: it is suspect, and alive.
    Reset { worker: usize },
    /// The store comes back after longer than a lease, and a worker that was told HOLD until then is not heard.
    BackWithoutAWorker { worker: usize },
}

impl Sim {
    /// Any of them.
    pub(super) fn any_scene(&mut self) -> Scene {
        let (worker, replica) = (self.rng.index(self.workers.len()), self.rng.index(self.replicas.len()));
        match self.rng.below(13) {
            0 | 1 => Scene::RevokingAtElection,
            2 => Scene::Cornered { worker, replica },
            3..=5 => Scene::LateEnds { replica },
            6 | 7 => Scene::StoppedAtFirstGrant { worker },
            8 | 9 => Scene::Restore { anew: self.rng.chance(40) },
            10 | 11 => Scene::Reset { worker },
            _ => Scene::BackWithoutAWorker { worker },
        }
    }

    /// It begins.
    pub(super) fn play(&mut self, scene: Scene) {
        self.trace.count("scenes");
        match scene {
            Scene::RevokingAtElection => self.revoking_at_election(),
            Scene::Cornered { worker, replica } => {
                let over = self.rng.between(2200, 4000);
                self.cut_for(Cut::Etcd(replica), 0, over);
                for other in (0..self.replicas.len()).filter(|other| *other != replica) {
                    self.cut_for(Cut::Between(worker, other), 0, over);
                }
            }
            Scene::LateEnds { replica } => self.late_ends(replica),
            Scene::StoppedAtFirstGrant { worker } => self.stopped_at_first_grant(worker),
            Scene::Restore { anew } => self.restore_a_backup(anew),
            Scene::Reset { worker } => {
                let over = self.rng.between(700, 1250);
                for replica in 0..self.replicas.len() {
                    self.cut_for(Cut::Between(worker, replica), 0, over);
                }
                self.reset_links(worker);
            }
            Scene::BackWithoutAWorker { worker } => {
                let (begin, away) = (self.rng.between(0, 200), self.rng.between(1800, 4000));
                self.soon(begin, Fault::EtcdAway);
                self.soon(begin + away, Fault::EtcdBack);
                for replica in 0..self.replicas.len() {
                    self.cut_for(Cut::Between(worker, replica), begin + away - 250, begin + away + 1500);
                }
            }
        }
    }

    fn revoking_at_election(&mut self) {
        let leading = self.replicas.iter().position(|replica| replica.leads() && !replica.is_paused);
        let Some(index) = leading else { return };
        self.crash_replica(index);
        // The dead leader's session lasts for at most 3 s, and for a renewal's pause less.
        for step in 0..12 {
            let delay = 2150 + 75 * step + self.rng.between(0, 40);
            self.after(delay, To::World, What::RestartAll);
        }
        // Some do not hear of it in time, and work on under a lease that holds.
        for worker in 0..self.workers.len() {
            if self.rng.chance(50) {
                let (delay, stall) = (self.rng.between(2150, 2700), self.rng.between(500, 1100));
                self.soon(delay, Fault::StallWorker(worker, stall));
            }
        }
        let back = self.rng.between(4500, 9000);
        self.soon(back, Fault::StartReplica(index));
    }

    fn restore_a_backup(&mut self, anew: bool) {
        if self.backup.is_none() {
            return self.soon(0, Fault::EtcdBackup);
        }
        let (begin, away) = (self.rng.between(0, 200), self.rng.between(200, 4000));
        self.soon(begin, Fault::EtcdAway);
        let is_snapshot = self.rng.chance(50);
        self.soon(begin + away, Fault::EtcdRestored { is_snapshot, anew });
        self.soon(begin + away + 1, Fault::EtcdBack);
        if anew {
            for replica in 0..self.replicas.len() {
                self.soon(begin, Fault::CrashReplica(replica, false));
                let later = self.rng.between(1, 1500);
                self.soon(begin + away + later, Fault::StartReplica(replica));
            }
        }
    }

    fn late_ends(&mut self, replica: usize) {
        self.after(0, To::World, What::RestartAll);
        let (begin, over) = (self.rng.between(12, 45), self.rng.between(2150, 3200));
        for worker in 0..self.workers.len() {
            self.cut_for(Cut::Between(worker, replica), begin, over);
            if self.rng.chance(50) {
                let (delay, stall) = (self.rng.between(0, 30), self.rng.between(200, 900));
                self.soon(over - 20 + delay, Fault::StallWorker(worker, stall));
            }
        }
    }

    fn stopped_at_first_grant(&mut self, first: usize) {
        let start = self.rng.between(2000, 2600);
        for worker in 0..self.workers.len() {
            self.soon(0, Fault::CrashWorker(worker));
            let later = if worker == first { 0 } else { self.rng.between(150, 600) };
            self.soon(start + later, Fault::StartWorker(worker));
        }
        let (stop, go_on) = (self.rng.between(15, 70), self.rng.between(2200, 4500));
        self.soon(start + stop, Fault::PauseWorker(first));
        self.soon(start + stop + go_on, Fault::ResumeWorker(first));
    }

    fn cut_for(&mut self, cut: Cut, from: u64, to: u64) {
        self.soon(from, Fault::Cut(cut));
        self.soon(to, Fault::Heal(cut));
    }

    fn soon(&mut self, delay: u64, fault: Fault) {
        self.after(delay, To::World, What::Fault(fault));
    }
}
