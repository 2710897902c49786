//! The one loop: virtual time, a queue of events, and who gets them when.
//!
//! A process that is stopped gets what was meant for it when it goes on; one that has died never does.

use crate::{
    etcd::{Answer, Backup, Etcd, Request},
    faults::Fault,
    invariants::{Invariants, SlowDisk, Violation},
    kafka::Kafka,
    links::{Cut, Link},
    mutation::Mutation,
    replica::Replica,
    rng::Rng,
    trace::Trace,
    users::Users,
    worker::{Landing, Name, RunnerKey, Worker},
};
use control_plane_core::ids::{ConnectorUid, Revision, WorkerId};
use std::collections::{BTreeMap, BTreeSet};

/// Faults and users' changes are made until then, in ms.
pub const CALM_AT: u64 = 30_000;
/// The longest that a message or a call is held up once calm has come: several in a row end no lease.
const CALM_SLOWNESS: u64 = 150;
/// By then everything that should run does.
pub const CONVERGED_BY: u64 = CALM_AT + 20_000;
/// Records must have moved between convergence and then.
pub const END: u64 = CONVERGED_BY + 2_000;

/// Whom an event is for; with the process's incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The world around.
    World,
    /// A replica.
    Replica(usize, u64),
    /// A worker's threads.
    Worker(usize, u64),
    /// A worker's loop, which may be held up while its threads run on.
    WorkerLoop(usize, u64),
}

/// An event.
#[derive(Debug, Clone)]
pub enum What {
    /// A call reaches etcd.
    Call { replica: usize, incarnation: u64, call: u64, request: Request },
    /// Sessions in etcd may have ended.
    SessionsEnd,
    /// An answer of etcd.
    Answered { call: u64, answer: Answer },
    /// A call has waited long enough.
    CallTimeout { call: u64 },
    /// Changes up to a revision reach a replica.
    Watched { stream: u64, upto: Revision },
    /// A replica notices that its stream is dead.
    StreamBroken { stream: u64, certain: bool },
    /// A replica reads everything again.
    Follow,
    /// A replica's session in etcd is to be renewed.
    Keep,
    /// A replica's hub looks at its timers.
    HubTimer,
    /// It learns of a session.
    Opened { worker: WorkerId, link: u64 },
    /// The leader's loop wakes.
    LeaderWake { token: u64 },
    /// A job has waited long enough for its view.
    JobTimeout { job: u64 },
    /// Messages of a link may be due.
    Pump { link: u64, to_worker: bool },
    /// One end of a link looks whether the other answers.
    Probe { link: u64, by_worker: bool },
    /// A worker dials.
    Dial { name: Name },
    /// Nobody listened where the worker dialled.
    DialRefused { name: Name, tried_at: u64 },
    /// The worker's timers.
    Tick,
    /// The worker's guard looks at the deadline.
    Guard,
    /// A runner works.
    Step { key: RunnerKey, serial: u64 },
    /// A producer's queue moves.
    Deliver { key: RunnerKey, serial: u64 },
    /// A runner has ended.
    RunnerEnded { key: RunnerKey, serial: u64 },
    /// What the kernel of a stopped or dead process sent gets to Kafka.
    Land { worker: (usize, u64), kernel: u64, key: RunnerKey, landing: Box<Landing> },
    /// Something breaks or heals.
    Fault(Fault),
    /// A user acts.
    User,
    /// Users restart all connectors.
    RestartAll,
    /// The invariants of rest are looked at.
    Rest,
}

/// One run.
pub struct Sim {
    /// Virtual ms.
    pub now: u64,
    /// Chance.
    pub rng: Rng,
    /// What happened.
    pub trace: Trace,
    /// The rule left out, if any.
    pub mutation: Option<Mutation>,
    /// The store.
    pub etcd: Etcd,
    /// The last backup of it.
    pub backup: Option<Backup>,
    /// Until then a restored backup may go unnoticed, and nobody who saw more is to be lost.
    pub unnoticed_until: u64,
    /// The cluster that is written to.
    pub kafka: Kafka,
    /// Control planes, by address.
    pub replicas: Vec<Replica>,
    /// Worker processes.
    pub workers: Vec<Worker>,
    /// Connections.
    pub links: BTreeMap<u64, Link>,
    /// Who cannot reach whom.
    pub cuts: BTreeSet<Cut>,
    /// Who changes connectors.
    pub users: Users,
    /// The disk under the store is slow, and nothing breaks but one worker.
    pub slow_disk: Option<SlowDisk>,
    /// Connectors whose source has grown: their planners make one task more.
    pub grown: BTreeSet<ConnectorUid>,
    /// What must hold.
    pub invariants: Invariants,
    /// What did not.
    pub violation: Option<Violation>,
    queue: BTreeMap<(u64, u64), (To, What)>,
    sequence: u64,
    numbers: u64,
}

impl Sim {
    /// A run's beginning.
    pub fn new(seed: u64, mutation: Option<Mutation>, keep_all: bool) -> Sim {
        let mut sim = Sim {
            now: 0,
            rng: Rng::new(seed),
            trace: Trace::new(keep_all),
            mutation,
            etcd: Etcd::default(),
            backup: None,
            unnoticed_until: 0,
            kafka: Kafka::default(),
            replicas: Vec::new(),
            workers: Vec::new(),
            links: BTreeMap::new(),
            cuts: BTreeSet::new(),
            users: Users::default(),
            slow_disk: None,
            grown: BTreeSet::new(),
            invariants: Invariants::default(),
            violation: None,
            queue: BTreeMap::new(),
            sequence: 0,
            numbers: 0,
        };
        sim.populate();
        sim
    }

    fn populate(&mut self) {
        let replicas = self.rng.between(1, 3) as usize;
        let workers = self.rng.between(2, 4) as usize;
        crate::say!(self, "{replicas} replicas, {workers} workers");
        for index in 0..replicas {
            self.replicas.push(Replica::down());
            self.start_replica(index);
        }
        for index in 0..workers {
            self.workers.push(Worker::down(index));
            self.start_worker(index);
        }
        self.schedule_users();
        self.schedule_faults();
        self.after(CONVERGED_BY, To::World, What::Rest);
        self.after(END, To::World, What::Rest);
    }

    /// Runs to the end, or to the first thing that must not be.
    pub fn run(&mut self) {
        while self.violation.is_none() {
            let Some(((at, _), (to, what))) = self.queue.pop_first() else { return };
            if at > END {
                return;
            }
            self.now = self.now.max(at);
            self.dispatch(to, what);
        }
    }

    /// Does not hold: ends the run.
    pub fn violate(&mut self, invariant: &'static str, text: String) {
        crate::say!(self, "VIOLATED {invariant}: {text}");
        self.violation.get_or_insert(Violation { invariant, text });
    }

    /// Queues an event.
    pub fn after(&mut self, delay: u64, to: To, what: What) {
        self.sequence += 1;
        self.queue.insert((self.now + delay, self.sequence), (to, what));
    }

    /// Now and then something takes longer; once calm has come, a little longer.
    pub fn slowness(&mut self, in_a_thousand: u64, low: u64, high: u64) -> u64 {
        let high = if self.now < CALM_AT && self.slow_disk.is_none() { high } else { high.min(CALM_SLOWNESS) };
        if self.rng.below(1000) < in_a_thousand { self.rng.between(low, high) } else { 0 }
    }

    /// A number never given before in this run.
    pub fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// A UUID never given before in this run; `kind` makes it readable.
    pub fn uuid(&mut self, kind: u8) -> uuid::Uuid {
        let number = self.number();
        // Spread, so that ids are not in the order of their making.
        let spread = (number.wrapping_mul(0x9E37) & 0xFFFF) as u128;
        uuid::Uuid::from_u128((spread << 112) | (u128::from(kind) << 104) | u128::from(number))
    }

    fn dispatch(&mut self, to: To, what: What) {
        match to {
            To::World => self.happen(what),
            To::Replica(index, incarnation) => {
                let replica = &mut self.replicas[index];
                if replica.incarnation != incarnation || !replica.is_up {
                    return;
                }
                match replica.is_paused {
                    true => replica.deferred.push(what),
                    false => self.replica_event(index, what),
                }
            }
            To::Worker(index, incarnation) | To::WorkerLoop(index, incarnation) => {
                let worker = &mut self.workers[index];
                if worker.incarnation != incarnation || !worker.is_up {
                    return;
                }
                if worker.is_paused {
                    worker.deferred.push((to, what));
                    return;
                }
                let stalled = worker.stalled_until.saturating_sub(self.now);
                match to {
                    To::WorkerLoop(..) if stalled > 0 => self.after(stalled, to, what),
                    _ => self.worker_event(index, what),
                }
            }
        }
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Call { replica, incarnation, call, request } => self.serve(replica, incarnation, call, request),
            What::SessionsEnd => self.end_sessions(),
            What::Pump { link, to_worker } => self.pump(link, to_worker),
            What::Probe { link, by_worker } => self.probe(link, by_worker),
            What::Land { worker, kernel, key, landing } => self.land_late(worker, kernel, key, *landing),
            What::Fault(fault) => self.fault(fault),
            What::User => self.user_acts(),
            What::RestartAll => self.restart_all(),
            What::Rest => self.check_rest(),
            _ => {}
        }
    }

    fn serve(&mut self, replica: usize, incarnation: u64, call: u64, request: Request) {
        let stalled = self.etcd.stalled_until.saturating_sub(self.now);
        if stalled > 0 {
            let what = What::Call { replica, incarnation, call, request };
            self.after(stalled, To::World, what);
            return;
        }
        if self.cuts.contains(&Cut::Etcd(replica)) {
            return;
        }
        let back = self.rng.between(1, 4);
        if self.etcd.is_away {
            self.after(back, To::Replica(replica, incarnation), What::Answered { call, answer: Answer::Failed });
            return;
        }
        let before = self.etcd.revision();
        let answer = self.etcd.serve(request, self.now);
        if let Answer::Granted(_) | Answer::Alive(true) = answer {
            self.after(crate::etcd::SESSION_TTL_MS, To::World, What::SessionsEnd);
        }
        self.stored(before);
        let slow = self.slowness(10, 50, 800);
        if self.rng.below(1000) < 2 && self.now < CALM_AT && self.slow_disk.is_none() {
            self.trace.count("answers of etcd lost");
            return;
        }
        self.after(back + slow, To::Replica(replica, incarnation), What::Answered { call, answer });
    }

    fn end_sessions(&mut self) {
        let stalled = self.etcd.stalled_until.saturating_sub(self.now);
        if stalled > 0 {
            // Renewals that waited are served first.
            self.after(stalled + 1, To::World, What::SessionsEnd);
            return;
        }
        let before = self.etcd.revision();
        if self.etcd.expire(self.now) {
            self.trace.count("sessions in etcd ended");
            crate::say!(self, "etcd: a session ended");
            self.stored(before);
        }
    }

    /// What etcd stored since `before` is checked, and on its way to everybody who watches.
    fn stored(&mut self, before: Revision) {
        let upto = self.etcd.revision();
        if upto == before {
            return;
        }
        for change in self.etcd.changes(before, upto) {
            self.check_stored(&change);
        }
        for index in 0..self.replicas.len() {
            let slow = self.slowness(20, 20, 400);
            let delay = self.rng.between(1, 5) + slow;
            let replica = &self.replicas[index];
            let (to, stream) = (To::Replica(index, replica.incarnation), replica.stream);
            self.after(delay, to, What::Watched { stream, upto });
        }
    }
}

/// Adds a line to the trace.
#[macro_export]
macro_rules! say {
    ($sim:expr, $($text:tt)*) => { $sim.trace.line($sim.now, format_args!($($text)*)) };
}
