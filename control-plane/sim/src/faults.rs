//! What breaks, when, and for how long; chosen by the seed.

mod scenes;

use crate::{
    invariants::SlowDisk,
    links::Cut,
    say,
    sim::{CALM_AT, Sim, To, What},
};

use scenes::Scene;

/// A restored backup is noticed by a replica that saw more within this time.
const UNNOTICED: u64 = 5000;

/// Something breaks or heals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// kill -9 of a replica; of the leader where there is one.
    CrashReplica(usize, bool),
    /// Several in a row.
    Scene(Scene),
    /// A new process.
    StartReplica(usize),
    /// SIGSTOP of a replica; of the leader where there is one.
    PauseReplica(usize, bool),
    /// SIGCONT.
    ResumeReplica(usize),
    /// kill -9.
    CrashWorker(usize),
    /// A new process.
    StartWorker(usize),
    /// SIGSTOP.
    PauseWorker(usize),
    /// SIGCONT.
    ResumeWorker(usize),
    /// The worker's loop does not get to run for so long.
    StallWorker(usize, u64),
    /// SIGTERM.
    EndWorker(usize),
    /// Two cannot reach each other.
    Cut(Cut),
    /// They can again.
    Heal(Cut),
    /// etcd is down.
    EtcdAway,
    /// It is back, with its data.
    EtcdBack,
    /// Somebody backs etcd up.
    EtcdBackup,
    /// The last backup is restored, while etcd is down.
    EtcdRestored { is_snapshot: bool, anew: bool },
    /// A worker's clock jumps ahead by so much, as after a suspension.
    ClockJump(usize, u64),
    /// etcd's disk does not answer for so long.
    EtcdStall(u64),
    /// Kafka takes nothing for so long.
    KafkaStall(u64),
    /// Everything heals.
    Calm,
}

impl Sim {
    /// Faults and what heals them.
    pub fn schedule_faults(&mut self) {
        if self.rng.chance(10) {
            self.trace.count("slow disks");
            self.slow_disk = Some(SlowDisk::default());
            self.schedule_stalls();
            return;
        }
        // A few runs are quiet, most are not.
        let pause = [u64::MAX, 6000, 3000, 1500, 800][self.rng.index(5)];
        let mut at = 2000;
        while pause < u64::MAX && at < CALM_AT {
            at += self.rng.between(50, 2 * pause);
            let (fault, healing) = self.any_fault();
            self.after(at, To::World, What::Fault(fault));
            // What has not healed by then does when calm comes.
            if let Some((delay, healing)) = healing {
                self.after(at + delay, To::World, What::Fault(healing));
            }
        }
        self.after(CALM_AT + 1, To::World, What::Fault(Fault::Calm));
    }

    /// Fsyncs of half a second, one after another or with pauses; and one worker dies.
    fn schedule_stalls(&mut self) {
        let pause = [50, 400, 2000][self.rng.index(3)];
        let mut at = 2000;
        while at < CALM_AT {
            let stall = self.rng.between(400, 600);
            self.after(at, To::World, What::Fault(Fault::EtcdStall(stall)));
            at += stall + self.rng.between(10, pause);
        }
        let (worker, at) = (self.rng.index(self.workers.len()), self.rng.between(8000, 20_000));
        self.after(at, To::World, What::Fault(Fault::CrashWorker(worker)));
        self.after(CALM_AT + 1, To::World, What::Fault(Fault::Calm));
    }

    fn any_fault(&mut self) -> (Fault, Option<(u64, Fault)>) {
        let replica = self.rng.index(self.replicas.len());
        let worker = self.rng.index(self.workers.len());
        let leader = self.rng.chance(50);
        let short = self.rng.between(100, 1500);
        let long = self.rng.between(500, 9000);
        match self.rng.below(26) {
            0 | 1 => (Fault::CrashReplica(replica, leader), Some((long, Fault::StartReplica(replica)))),
            2 => (Fault::PauseReplica(replica, leader), Some((long, Fault::ResumeReplica(replica)))),
            3 => (Fault::CrashWorker(worker), Some((long, Fault::StartWorker(worker)))),
            4 | 5 => (Fault::PauseWorker(worker), Some((long, Fault::ResumeWorker(worker)))),
            6 => (Fault::StallWorker(worker, short), None),
            7 => (Fault::EndWorker(worker), Some((long, Fault::StartWorker(worker)))),
            8 | 9 => {
                let cut = Cut::Between(worker, replica);
                (Fault::Cut(cut), Some((long, Fault::Heal(cut))))
            }
            10 | 11 => {
                let cut = Cut::Etcd(replica);
                (Fault::Cut(cut), Some((long, Fault::Heal(cut))))
            }
            12 => (Fault::EtcdAway, Some((long, Fault::EtcdBack))),
            13 | 14 => (Fault::EtcdStall(short), None),
            15..=22 => (Fault::Scene(self.any_scene()), None),
            23 => (Fault::EtcdBackup, None),
            24 => (Fault::ClockJump(worker, long), None),
            _ => (Fault::KafkaStall(short), None),
        }
    }

    /// It happens.
    pub fn fault(&mut self, fault: Fault) {
        // Calm itself comes when everything that was to break by then has: only it, and what it mends, may be later.
        if self.now > CALM_AT && !matches!(fault, Fault::Calm | Fault::Heal(_) | Fault::EtcdBack) {
            return;
        }
        let loses_a_witness = matches!(
            fault,
            Fault::CrashReplica(..)
                | Fault::PauseReplica(..)
                | Fault::Cut(Cut::Etcd(_))
                | Fault::Scene(Scene::RevokingAtElection)
        );
        if loses_a_witness && self.now < self.unnoticed_until {
            return;
        }
        match fault {
            Fault::CrashReplica(index, leader) => {
                let index = self.leading_or(index, leader);
                if self.replicas[index].is_up {
                    self.trace.count("replicas killed");
                    self.crash_replica(index);
                }
            }
            Fault::Scene(scene) => self.play(scene),
            // Also of one that was killed in its place: whoever is down comes back.
            Fault::StartReplica(_) => {
                if let Some(index) = (0..self.replicas.len()).find(|index| !self.replicas[*index].is_up) {
                    self.start_replica(index);
                }
            }
            Fault::PauseReplica(index, leader) => {
                let index = self.leading_or(index, leader);
                if self.replicas[index].is_up && !self.replicas[index].is_paused {
                    say!(self, "r{index} is stopped");
                    self.trace.count("replicas stopped");
                    self.replicas[index].is_paused = true;
                    self.probe_soon(|link| link.replica.0 == index);
                }
            }
            Fault::ResumeReplica(_) => {
                if let Some(index) = (0..self.replicas.len()).find(|index| self.replicas[*index].is_paused) {
                    say!(self, "r{index} goes on");
                    self.resume_replica(index);
                }
            }
            Fault::CrashWorker(index) if self.workers[index].is_up => {
                self.trace.count("workers killed");
                self.note_death(index);
                self.crash_worker(index);
            }
            Fault::StartWorker(index) if !self.workers[index].is_up => self.start_worker(index),
            Fault::PauseWorker(index) if self.workers[index].is_up && !self.workers[index].is_paused => {
                self.trace.count("workers stopped");
                self.pause_worker(index);
                self.probe_soon(|link| link.worker.0 == index);
            }
            Fault::ResumeWorker(index) if self.workers[index].is_up && self.workers[index].is_paused => {
                self.resume_worker(index);
            }
            Fault::StallWorker(index, time) => {
                self.trace.count("workers held up");
                self.workers[index].stalled_until = self.now + time;
            }
            Fault::EndWorker(index) if self.workers[index].is_up && !self.workers[index].is_paused => {
                self.end_worker(index);
            }
            Fault::Cut(cut) => {
                say!(self, "cut: {cut:?}");
                self.trace.count("partitions");
                self.cuts.insert(cut);
                match cut {
                    Cut::Between(worker, replica) => {
                        self.probe_soon(|link| (link.worker.0, link.replica.0) == (worker, replica));
                    }
                    Cut::Etcd(replica) => self.stream_breaks(replica, 2000, 4000, false),
                }
            }
            Fault::Heal(cut) if self.cuts.remove(&cut) => {
                say!(self, "healed: {cut:?}");
                self.pump_all();
            }
            Fault::EtcdAway if !self.etcd.is_away => {
                say!(self, "etcd is down");
                self.trace.count("etcd down");
                self.etcd.is_away = true;
                (0..self.replicas.len()).for_each(|replica| self.stream_breaks(replica, 1, 40, true));
            }
            Fault::EtcdBack if self.etcd.is_away => {
                say!(self, "etcd is back");
                self.etcd.back(self.now);
                self.after(crate::etcd::SESSION_TTL_MS, To::World, What::SessionsEnd);
            }
            Fault::EtcdBackup => {
                say!(self, "etcd is backed up as of {}", self.etcd.revision().0);
                self.backup = Some(self.etcd.backup());
            }
            Fault::EtcdRestored { is_snapshot, anew } if self.etcd.is_away => {
                if let Some(backup) = self.backup.take() {
                    let has_witness = !anew && self.replicas.iter().any(|replica| backup.is_older_than(replica));
                    self.unnoticed_until = if has_witness { self.now + UNNOTICED } else { 0 };
                    for index in (0..self.workers.len()).filter(|_| !has_witness) {
                        if self.workers[index].is_up && !backup.knows(self.workers[index].id) {
                            self.crash_worker(index);
                        }
                    }
                    self.etcd.restore(backup, is_snapshot);
                    say!(self, "etcd is restored as of {}", self.etcd.revision().0);
                    self.trace.count("backups restored");
                    self.check_restored();
                }
            }
            Fault::ClockJump(index, time) => {
                say!(self, "w{index}: its clock jumps ahead by {time} ms");
                self.trace.count("clock jumps");
                self.jump_clock(index, time);
            }
            Fault::EtcdStall(time) => {
                say!(self, "etcd stalls for {time} ms");
                self.trace.count("etcd stalls");
                self.etcd.stalled_until = self.now + time;
            }
            Fault::KafkaStall(time) => self.kafka.stalled_until = self.now + time,
            Fault::Calm => self.calm(),
            _ => {}
        }
    }

    fn leading_or(&self, index: usize, leader: bool) -> usize {
        self.replicas.iter().position(|replica| leader && replica.leads()).unwrap_or(index)
    }

    fn stream_breaks(&mut self, replica: usize, low: u64, high: u64, certain: bool) {
        let delay = self.rng.between(low, high);
        let to = To::Replica(replica, self.replicas[replica].incarnation);
        let stream = self.replicas[replica].stream;
        self.after(delay, to, What::StreamBroken { stream, certain });
    }

    fn calm(&mut self) {
        say!(self, "calm");
        for cut in self.cuts.clone() {
            self.fault(Fault::Heal(cut));
        }
        self.fault(Fault::EtcdBack);
        for index in 0..self.replicas.len() {
            match (self.replicas[index].is_up, self.replicas[index].is_paused) {
                (false, _) => self.start_replica(index),
                (true, true) => self.resume_replica(index),
                (true, false) => {}
            }
        }
        for index in 0..self.workers.len() {
            if self.workers[index].is_up && self.workers[index].is_paused {
                self.resume_worker(index);
            }
            if self.workers[index].is_ending() {
                self.crash_worker(index);
            }
            if !self.workers[index].is_up {
                self.start_worker(index);
            }
        }
    }
}
