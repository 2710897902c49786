//! A worker's process: its lease, what it holds, its sessions; as `data-plane-worker`'s supervisor does it.

mod dialling;
mod runner;
mod units;

use crate::{
    messages::{Report, ToReplica, ToWorker, Work, core_epoch, unit_of},
    mutation::Mutation,
    replica::address,
    say,
    sim::{Sim, To, What},
};
use control_plane_core::ids::{Generation, Unit, WorkerId};
use data_plane_core::{
    assignment::{Epoch, Holdings, Order, UnitName},
    lease::Lease,
    report::Reports,
    time::Monotonic,
};
pub use runner::{Landing, read_offset};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};
use units::Held;

/// A unit under a grant.
pub type RunnerKey = (UnitName, Epoch);

/// A proposal to the worker, too: a planner makes its tasks again whenever the target's generation has moved. Without it a stop and a resume that
/// it does not see (it hangs, or hears of both at once) leave the connector without tasks.
const PLANNERS_SEE_EVERY_RESUME: bool = true;
/// How often timers are looked at, in ms.
const TICK: u64 = 50;
/// How often heartbeats are sent.
const HEARTBEAT: u64 = 300;
/// Pause between two tries to connect.
const RETRY: u64 = 150;
/// How long an orderly end may take.
const END_PATIENCE: u64 = 12_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    State,
    Ended,
    TaskSet,
}

struct Session {
    link: u64,
    since: u64,
    is_welcome: bool,
    heard: u64,
}

/// A worker's process.
pub struct Worker {
    index: usize,
    /// New at each start of the process, and of a life under a new id.
    pub incarnation: u64,
    /// The process exists.
    pub is_up: bool,
    /// It is stopped by a signal.
    pub is_paused: bool,
    /// Its loop does not get to run until then; its threads do.
    pub stalled_until: u64,
    /// What it will get when it goes on.
    pub deferred: Vec<(To, What)>,
    /// Its present id.
    pub id: WorkerId,
    clock_offset: u64,
    lease: Lease,
    holdings: Holdings<Rc<Work>>,
    reports: Reports<(Topic, RunnerKey), Report>,
    sessions: BTreeMap<usize, Session>,
    configured: BTreeSet<usize>,
    dialling: BTreeSet<usize>,
    next_heartbeat: u64,
    is_urgent: bool,
    ending: Option<u64>,
    /// Of the guard, on the worker's clock; None: no lease yet.
    guard_deadline: Option<u64>,
    /// What the kernel holds was left to it at this moment; another one after the process went on.
    kernel: u64,
    held: BTreeMap<RunnerKey, Held>,
    ended: Vec<RunnerKey>,
}

impl Worker {
    /// A process that was not started yet.
    pub fn down(index: usize) -> Worker {
        Worker {
            index,
            incarnation: 0,
            is_up: false,
            is_paused: false,
            stalled_until: 0,
            deferred: Vec::new(),
            id: WorkerId(uuid::Uuid::nil()),
            clock_offset: 0,
            lease: Lease::new(Duration::from_secs(1)),
            holdings: Holdings::default(),
            reports: Reports::new(Duration::from_secs(2)),
            sessions: BTreeMap::new(),
            configured: BTreeSet::new(),
            dialling: BTreeSet::new(),
            next_heartbeat: 0,
            is_urgent: false,
            ending: None,
            guard_deadline: None,
            kernel: 0,
            held: BTreeMap::new(),
            ended: Vec::new(),
        }
    }

    /// It was asked to end, and has not yet.
    pub fn is_ending(&self) -> bool {
        self.is_up && self.ending.is_some()
    }

    fn to_loop(&self) -> To {
        To::WorkerLoop(self.index, self.incarnation)
    }

    fn to_threads(&self) -> To {
        To::Worker(self.index, self.incarnation)
    }
}

impl Sim {
    /// A new process, under a new id.
    pub fn start_worker(&mut self, index: usize) {
        let clock_offset = self.rng.below(1_000_000);
        let all: BTreeSet<usize> = (0..self.replicas.len()).collect();
        let configured = match self.rng.chance(50) || dialling::UNLISTED_REPLICAS_COUNT {
            true => all,
            false => BTreeSet::from([self.rng.index(self.replicas.len())]),
        };
        let fresh = Worker { clock_offset, configured, ..Worker::down(index) };
        self.begin_life(index, fresh);
    }

    fn begin_life(&mut self, index: usize, fresh: Worker) {
        let (id, incarnation) = (WorkerId(self.uuid(0xA0)), self.number());
        say!(self, "w{index} starts as {id}");
        let (dialling, kernel) = (fresh.configured.clone(), self.workers[index].kernel);
        self.workers[index] = Worker { id, incarnation, is_up: true, kernel, dialling: dialling.clone(), ..fresh };
        let (threads, main) = (self.workers[index].to_threads(), self.workers[index].to_loop());
        self.after(TICK, main, What::Tick);
        for replica in dialling {
            let delay = self.rng.between(1, 30);
            self.after(delay, threads, What::Dial { replica });
        }
    }

    /// kill -9.
    pub fn crash_worker(&mut self, index: usize) {
        say!(self, "w{index} dies");
        self.leave_to_kernel(index);
        self.close_all(index);
        self.workers[index].is_up = false;
    }

    /// SIGSTOP. What the kernel and the client hold may still go out.
    pub fn pause_worker(&mut self, index: usize) {
        say!(self, "w{index} is stopped");
        self.workers[index].is_paused = true;
        self.leave_to_kernel(index);
    }

    /// SIGCONT. The guard's sleep is long over: it looks first.
    pub fn resume_worker(&mut self, index: usize) {
        say!(self, "w{index} goes on");
        self.workers[index].is_paused = false;
        self.workers[index].kernel = self.number();
        self.guard(index);
        for (to, what) in std::mem::take(&mut self.workers[index].deferred) {
            self.after(0, to, what);
        }
        self.pump_all();
        self.check_owners();
    }

    fn close_all(&mut self, index: usize) {
        let links: Vec<u64> = self.workers[index].sessions.values().map(|session| session.link).collect();
        links.into_iter().for_each(|link| self.close_by_worker(link));
        self.workers[index].sessions.clear();
    }

    fn local(&self, index: usize) -> Monotonic {
        Monotonic(self.now + self.workers[index].clock_offset)
    }

    /// Something for the process.
    pub fn worker_event(&mut self, index: usize, what: What) {
        match what {
            What::Dial { replica } => return self.dial(index, replica),
            What::Guard => return self.guard(index),
            What::Step { key, serial } => return self.step(index, key, serial),
            What::Deliver { key, serial } => return self.deliver(index, key, serial),
            What::DialRefused { replica, tried_at } => {
                self.workers[index].lease.refused(&address(replica), Monotonic(tried_at));
                self.set_deadline(index);
            }
            What::Tick => self.timers(index),
            What::RunnerEnded { key, serial } => {
                self.runner_ended(index, key, serial);
                self.report_states(index);
                self.finish_ended(index);
            }
            _ => {}
        }
        self.flush_worker(index);
    }

    /// A message of a replica, or the end of its link.
    pub fn worker_message(&mut self, index: usize, link: u64, message: ToWorker) {
        let now = self.now;
        let session = self.workers[index].sessions.iter_mut().find(|(_, session)| session.link == link);
        let Some((replica, session)) = session.map(|(replica, session)| (*replica, session)) else {
            self.close_by_worker(link);
            return;
        };
        session.heard = now;
        match message {
            ToWorker::Welcome { address, lease_ms, replicas } => {
                session.is_welcome = true;
                self.workers[index].lease.set_length(Duration::from_millis(lease_ms));
                self.workers[index].is_urgent = true;
                debug_assert!(!address.is_empty());
                self.listed(index, replicas);
            }
            ToWorker::Ack { number, hold } => {
                let worker = &mut self.workers[index];
                if hold {
                    worker.lease.held(&address(replica), number);
                    self.set_deadline(index);
                } else {
                    worker.lease.acknowledged(&address(replica), number);
                    let acknowledged = worker.lease.acknowledged_number();
                    self.set_deadline(index);
                    let orders = self.workers[index].holdings.acknowledged(acknowledged);
                    self.carry_out(index, orders);
                }
            }
            ToWorker::Document(document) => {
                let worker = &mut self.workers[index];
                let next = worker.lease.next_number();
                let generations: Vec<(RunnerKey, Generation)> = document
                    .assigned
                    .iter()
                    .filter(|_| PLANNERS_SEE_EVERY_RESUME)
                    .map(|assigned| ((assigned.unit.clone(), assigned.epoch), assigned.work.target_generation))
                    .collect();
                let orders = worker.holdings.document(document, next);
                self.carry_out(index, orders);
                for (key, generation) in generations {
                    if let Some(held) = self.workers[index].held.get_mut(&key) {
                        held.target_generation = held.target_generation.max(generation);
                    }
                }
            }
            ToWorker::Replicas(list) => self.listed(index, list),
            ToWorker::ReportAck(sequence) => drop(self.workers[index].reports.answered(sequence)),
            ToWorker::Expired => return self.expired(index),
            ToWorker::Fin => {
                self.workers[index].sessions.remove(&replica);
                self.workers[index].reports.lost_session();
                self.close_by_worker(link);
                let to = self.workers[index].to_threads();
                self.after(RETRY, to, What::Dial { replica });
            }
        }
        self.flush_worker(index);
    }

    /// The id is void: everything is cut off, and the process starts over under a new one.
    fn expired(&mut self, index: usize) {
        say!(self, "w{index}: its id is void");
        self.trace.count("workers told that they are expired");
        let orders = self.workers[index].holdings.lost();
        self.carry_out(index, orders);
        self.leave_to_kernel(index);
        self.close_all(index);
        let worker = &mut self.workers[index];
        let fresh = Worker {
            clock_offset: worker.clock_offset,
            configured: std::mem::take(&mut worker.configured),
            guard_deadline: worker.guard_deadline,
            stalled_until: worker.stalled_until,
            ..Worker::down(index)
        };
        self.begin_life(index, fresh);
    }

    fn set_deadline(&mut self, index: usize) {
        let local = self.local(index);
        let worker = &mut self.workers[index];
        if let Some(deadline) = worker.lease.deadline()
            && worker.guard_deadline != Some(deadline.0)
        {
            worker.guard_deadline = Some(deadline.0);
            let to = worker.to_threads();
            self.after(deadline.0.saturating_sub(local.0), to, What::Guard);
        }
    }

    /// The last line: past the deadline, every gate is closed.
    fn guard(&mut self, index: usize) {
        let local = self.local(index).0;
        let is_over = self.workers[index].guard_deadline.is_some_and(|deadline| local >= deadline);
        if is_over && self.mutation != Some(Mutation::SkipSelfFence) {
            let mut closed = 0;
            for held in self.workers[index].held.values_mut() {
                closed += usize::from(held.close_gate());
            }
            if closed > 0 {
                say!(self, "w{index}: the deadline has passed, {closed} gates close");
                self.trace.count("self-fences");
            }
        }
    }

    fn timers(&mut self, index: usize) {
        let now = self.local(index);
        let main = self.workers[index].to_loop();
        self.after(TICK, main, What::Tick);
        if self.mutation == Some(Mutation::ExtendOnSilence) {
            let (at, worker) = (self.now, &mut self.workers[index]);
            let silent = worker.sessions.iter().filter(|(_, session)| at > session.heard + 600);
            silent.for_each(|(replica, _)| worker.lease.refused(&address(*replica), now));
            self.set_deadline(index);
        }
        let is_over = self.workers[index].lease.deadline().is_some_and(|deadline| now >= deadline);
        if is_over && self.mutation != Some(Mutation::SkipSelfFence) {
            let orders = self.workers[index].holdings.lost();
            if !orders.is_empty() {
                say!(self, "w{index}: its lease has ended");
            }
            self.carry_out(index, orders);
        }
        for (unit, epoch) in self.overdue(index) {
            self.trace.count("hung stops cut off");
            let worker = &mut self.workers[index];
            let orders = worker.holdings.overdue(&unit, epoch, worker.lease.next_number());
            self.carry_out(index, orders);
        }
        self.restart_due(index);
        self.report_states(index);
        if let Some(by) = self.workers[index].ending {
            let worker = &self.workers[index];
            let has_ended =
                worker.holdings.held().is_empty() && (worker.reports.is_empty() || worker.sessions.is_empty());
            if has_ended || self.now >= by {
                self.leave(index);
            }
        }
    }

    fn carry_out(&mut self, index: usize, orders: Vec<Order<Rc<Work>>>) {
        for order in orders {
            match order {
                Order::Start(assigned) => {
                    self.workers[index].is_urgent = true;
                    self.start_unit(index, assigned);
                }
                Order::Confirm(unit, epoch) => self.confirm_unit(index, (unit, epoch)),
                Order::SetTarget(unit, epoch, target) => self.set_unit_target(index, (unit, epoch), target),
                Order::Stop(unit, epoch) => self.end_unit(index, (unit, epoch), false),
                Order::Sever(unit, epoch) => self.end_unit(index, (unit, epoch), true),
                Order::ReportEnded(unit, epoch, _) => {
                    self.forget_unit(index, &(unit.clone(), epoch));
                    let report = Report::Ended(unit_of(&unit), core_epoch(epoch));
                    self.workers[index].reports.push((Topic::Ended, (unit, epoch)), report);
                }
            }
        }
        self.report_states(index);
        self.finish_ended(index);
    }

    fn finish_ended(&mut self, index: usize) {
        while let Some((unit, epoch)) = self.workers[index].ended.pop() {
            let worker = &mut self.workers[index];
            let orders = worker.holdings.ended(&unit, epoch, worker.lease.next_number());
            self.carry_out(index, orders);
        }
    }

    fn report_states(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        for (key, held) in &mut worker.held {
            if let Some(state) = held.take_report() {
                let report = Report::State(unit_of(&key.0), core_epoch(key.1), state);
                worker.reports.push((Topic::State, key.clone()), report);
            }
        }
    }

    /// Sends what is due.
    fn flush_worker(&mut self, index: usize) {
        let local = self.local(index);
        let worker = &mut self.workers[index];
        let open: Vec<u64> =
            worker.sessions.values().filter(|session| session.is_welcome).map(|session| session.link).collect();
        let Some(first) = open.first().copied() else { return };
        if self.now >= worker.next_heartbeat || worker.is_urgent {
            worker.is_urgent = false;
            worker.next_heartbeat = self.now + HEARTBEAT;
            let number = worker.lease.send(local);
            open.iter().for_each(|link| self.send_to_replica(*link, ToReplica::Heartbeat(number)));
        }
        for (sequence, report) in self.workers[index].reports.due(local, 256) {
            self.send_to_replica(first, ToReplica::Report(sequence, report));
        }
    }

    /// SIGTERM.
    pub fn end_worker(&mut self, index: usize) {
        say!(self, "w{index} is asked to end");
        self.workers[index].ending.get_or_insert(self.now + END_PATIENCE);
        self.send_to_one(index, ToReplica::DrainMe);
        let orders = self.workers[index].holdings.stop_all();
        self.carry_out(index, orders);
    }

    fn send_to_one(&mut self, index: usize, message: ToReplica) {
        let first = self.workers[index].sessions.values().find(|session| session.is_welcome);
        if let Some(link) = first.map(|session| session.link) {
            self.send_to_replica(link, message);
        }
    }

    fn leave(&mut self, index: usize) {
        if self.workers[index].holdings.held().is_empty() {
            self.send_to_one(index, ToReplica::Goodbye);
            self.trace.count("goodbyes");
        }
        say!(self, "w{index} has ended");
        self.leave_to_kernel(index);
        self.close_all(index);
        self.workers[index].is_up = false;
    }

    /// The units that may hand something over now.
    pub fn active_units(&self, index: usize) -> Vec<(String, Unit, control_plane_core::ids::Epoch)> {
        let worker = &self.workers[index];
        if !worker.is_up || worker.is_paused {
            return Vec::new();
        }
        let active = worker.held.iter().filter(|(_, held)| held.is_active());
        active.map(|(key, held)| (held.work.connector.clone(), unit_of(&key.0), core_epoch(key.1))).collect()
    }
}
