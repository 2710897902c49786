//! A worker's process: its lease, what it holds, its sessions; as `data-plane-worker`'s supervisor does it.

mod dialling;
mod runner;
mod units;

use crate::{
    messages::{EpochSeen, Report, ToReplica, ToWorker, Work, core_epoch, unit_of},
    mutation::Mutation,
    say,
    sim::{Sim, To, What},
};
use control_plane_core::ids::{Unit, WorkerId};
use data_plane_core::{
    assignment::{Epoch, Holdings, Order, Target, UnitName},
    lease::Lease,
    report::Reports,
    time::Monotonic,
};
pub use dialling::Name;
pub use runner::{Landing, read_offset};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
    time::Duration,
};
use units::Held;

/// A unit under a grant.
pub type RunnerKey = (UnitName, Epoch);

/// How often timers are looked at, in ms.
const TICK: u64 = 50;
/// The guard's thread looks at least this often.
const LOOK: u64 = 50;
/// How often heartbeats are sent.
const HEARTBEAT: u64 = 300;
/// Pause between two tries to connect.
const RETRY: u64 = 150;
/// How long an orderly end may take.
const END_PATIENCE: u64 = 12_000;
/// What of it is kept for stopping everything at once.
const END_GRACE: u64 = 3000;
/// How long the control plane may take to take the next units back.
const DRAIN_PATIENCE: u64 = 2000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    State,
    Ended,
    TaskSet,
    KnownReplicas,
    EpochSeen,
}

/// What a report is about; a later one replaces an earlier one of the same.
type Subject = (Topic, Option<RunnerKey>);

/// The process was asked to end.
struct Ending {
    by: u64,
    moved: u64,
    is_stopped: bool,
}

struct Session {
    link: u64,
    /// The replica's address as it lists itself; after Welcome.
    listed_as: String,
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
    reports: Reports<Subject, Report>,
    /// The replicas that it said it counts on.
    told_known: BTreeSet<String>,
    /// By dialled name.
    sessions: BTreeMap<Name, Session>,
    configured: BTreeSet<Name>,
    dialling: BTreeSet<Name>,
    /// The addresses that replicas list themselves under, by dialled name.
    aliases: BTreeMap<Name, String>,
    /// The store's, in its first Welcome.
    store_incarnation: u32,
    /// The replica that acknowledged last.
    acknowledging: Option<String>,
    next_heartbeat: u64,
    is_urgent: bool,
    ending: Option<Ending>,
    /// Of the guard, on the worker's clock; None: no lease yet.
    guard_deadline: Option<u64>,
    /// How often the guard has closed gates, and how many of these times were noticed.
    cuts: (u64, u64),
    /// What the kernel holds was left to it at this moment; another one after the process went on.
    kernel: u64,
    held: BTreeMap<RunnerKey, Held>,
    ended: VecDeque<RunnerKey>,
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
            told_known: BTreeSet::new(),
            sessions: BTreeMap::new(),
            configured: BTreeSet::new(),
            dialling: BTreeSet::new(),
            aliases: BTreeMap::new(),
            store_incarnation: 0,
            acknowledging: None,
            next_heartbeat: 0,
            is_urgent: false,
            ending: None,
            guard_deadline: None,
            cuts: (0, 0),
            kernel: 0,
            held: BTreeMap::new(),
            ended: VecDeque::new(),
        }
    }

    /// What was said may have been lost with a store that was restored meanwhile.
    fn say_again(&mut self) {
        self.held.values_mut().for_each(Held::say_again);
        let sets = self.held.iter().filter_map(|(key, held)| Some((key.clone(), held.task_set.clone()?)));
        for (key, set) in sets.collect::<Vec<_>>() {
            self.reports.push((Topic::TaskSet, Some(key)), set);
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
        let configured = self.any_configuration();
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
        for name in dialling {
            self.workers[index].lease.know(name.address());
            let delay = self.rng.between(1, 30);
            self.after(delay, threads, What::Dial { name });
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

    /// SIGCONT. The guard's sleep is long over: it looks soon, and not always first.
    pub fn resume_worker(&mut self, index: usize) {
        say!(self, "w{index} goes on");
        self.workers[index].is_paused = false;
        self.workers[index].kernel = self.number();
        let (delay, threads) = (self.rng.between(0, 20), self.workers[index].to_threads());
        self.after(delay, threads, What::Guard);
        for (to, what) in std::mem::take(&mut self.workers[index].deferred) {
            self.after(0, to, what);
        }
        self.pump_all();
        self.check_owners();
    }

    /// CLOCK_BOOTTIME goes on while a machine is suspended.
    pub fn jump_clock(&mut self, index: usize, time: u64) {
        let worker = &mut self.workers[index];
        worker.clock_offset += time;
        if worker.is_up {
            let threads = worker.to_threads();
            self.after(LOOK, threads, What::Guard);
        }
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
            What::Dial { name } => return self.dial(index, name),
            What::Guard => return self.guard(index),
            What::Step { key, serial } => return self.step(index, key, serial),
            What::Deliver { key, serial } => return self.deliver(index, key, serial),
            What::DialRefused { name, tried_at } => {
                self.notice_the_end_of_the_lease(index);
                let worker = &mut self.workers[index];
                let listed_as = worker.aliases.get(&name).cloned().unwrap_or_else(|| name.address());
                worker.lease.refused(&listed_as, Monotonic(tried_at));
                self.set_deadline(index);
            }
            What::Tick => self.timers(index),
            What::RunnerEnded { key, serial } => {
                self.runner_ended(index, key, serial);
                self.carry_out(index, Vec::new());
            }
            _ => {}
        }
        self.flush_worker(index);
    }

    /// A message of a replica, or the end of its link.
    pub fn worker_message(&mut self, index: usize, link: u64, message: ToWorker) {
        let now = self.now;
        let session = self.workers[index].sessions.iter_mut().find(|(_, session)| session.link == link);
        let Some((name, session)) = session.map(|(name, session)| (*name, session)) else {
            self.close_by_worker(link);
            return;
        };
        session.heard = now;
        match message {
            ToWorker::Welcome { address, lease_ms, replicas, incarnation } => {
                let is_first = !self.workers[index].is_connected();
                let worker = &mut self.workers[index];
                if worker.aliases.is_empty() {
                    worker.store_incarnation = incarnation;
                }
                if let Some(session) = worker.sessions.get_mut(&name) {
                    session.is_welcome = true;
                    session.listed_as.clone_from(&address);
                }
                if is_first {
                    worker.say_again();
                }
                worker.lease.set_length(Duration::from_millis(lease_ms));
                worker.lease.renamed(&name.address(), &address);
                worker.aliases.insert(name, address);
                worker.is_urgent = true;
                self.listed(index, replicas);
                if self.workers[index].ending.is_some() {
                    self.send_to_one(index, ToReplica::DrainMe);
                }
            }
            ToWorker::Ack { number, hold } => {
                let listed_as = session.listed_as.clone();
                self.notice_the_end_of_the_lease(index);
                let worker = &mut self.workers[index];
                if hold {
                    worker.lease.held(&listed_as, number);
                    self.set_deadline(index);
                } else {
                    worker.lease.acknowledged(&listed_as, number);
                    worker.acknowledging = Some(listed_as);
                    let acknowledged = worker.lease.acknowledged_number();
                    self.set_deadline(index);
                    let orders = self.workers[index].holdings.acknowledged(acknowledged);
                    self.carry_out(index, orders);
                }
            }
            ToWorker::Document(document) => {
                let worker = &mut self.workers[index];
                let next = worker.lease.next_number();
                let orders = worker.holdings.document(document, next);
                self.carry_out(index, orders);
            }
            ToWorker::Replicas(list) => self.listed(index, list),
            ToWorker::ReportAck(sequence) => drop(self.workers[index].reports.answered(sequence)),
            ToWorker::Expired => return self.expired(index),
            ToWorker::Fin => {
                let worker = &mut self.workers[index];
                if worker.sessions.remove(&name).is_some_and(|session| session.is_welcome) {
                    worker.reports.lost_session();
                }
                self.close_by_worker(link);
                let to = self.workers[index].to_threads();
                self.after(RETRY, to, What::Dial { name });
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

    /// The deadline that gates and guard know has passed.
    fn is_past_deadline(&self, index: usize) -> bool {
        let local = self.local(index).0;
        let is_over = self.workers[index].guard_deadline.is_some_and(|deadline| local >= deadline);
        is_over && self.mutation != Some(Mutation::SkipSelfFence)
    }

    /// The last line: past the deadline, every gate is closed.
    fn guard(&mut self, index: usize) {
        if self.is_past_deadline(index) {
            let mut closed = 0;
            for held in self.workers[index].held.values_mut().filter(|held| !held.outlives_lease) {
                closed += usize::from(held.close_gate());
            }
            if closed > 0 {
                self.workers[index].cuts.0 += 1;
                say!(self, "w{index}: the deadline has passed, {closed} gates close");
                self.trace.count("self-fences");
                self.check_self_fence(index);
            }
        }
    }

    fn timers(&mut self, index: usize) {
        let now = self.local(index);
        let main = self.workers[index].to_loop();
        self.after(TICK, main, What::Tick);
        self.notice_the_end_of_the_lease(index);
        if self.mutation == Some(Mutation::ExtendOnSilence) {
            let (at, worker) = (self.now, &mut self.workers[index]);
            let silent = worker.sessions.iter().filter(|(_, session)| at > session.heard + 600);
            silent.for_each(|(_, session)| worker.lease.refused(&session.listed_as, now));
            self.set_deadline(index);
        }
        for (unit, epoch) in self.overdue(index) {
            self.trace.count("hung stops cut off");
            let worker = &mut self.workers[index];
            let orders = worker.holdings.overdue(&unit, epoch, worker.lease.next_number());
            self.carry_out(index, orders);
        }
        self.restart_due(index);
        self.go_on_ending(index);
        self.report_states(index);
    }

    /// Seen before anything extends the lease: what the guard has cut off, or would, does not come back by a late word.
    fn notice_the_end_of_the_lease(&mut self, index: usize) {
        let now = self.local(index);
        let worker = &mut self.workers[index];
        let is_over = worker.lease.deadline().is_some_and(|deadline| now >= deadline);
        let is_cut = worker.cuts.0 != worker.cuts.1;
        if (is_over || is_cut) && self.mutation != Some(Mutation::SkipSelfFence) {
            worker.cuts.1 = worker.cuts.0;
            let orders = worker.holdings.lease_over();
            if !orders.is_empty() {
                say!(self, "w{index}: its lease has ended");
                self.trace.count("leases ended");
            }
            self.carry_out(index, orders);
        }
    }

    /// Carries orders out, and those that follow from units which had no runner to end.
    fn carry_out(&mut self, index: usize, orders: Vec<Order<Rc<Work>>>) {
        let mut orders = VecDeque::from(orders);
        loop {
            while let Some(order) = orders.pop_front() {
                self.carry_out_one(index, order);
            }
            let worker = &mut self.workers[index];
            let Some((unit, epoch)) = worker.ended.pop_front() else { break };
            orders.extend(worker.holdings.ended(&unit, epoch, worker.lease.next_number()));
        }
        self.report_states(index);
    }

    fn carry_out_one(&mut self, index: usize, order: Order<Rc<Work>>) {
        match order {
            Order::Start(assigned) => {
                self.workers[index].is_urgent = true;
                self.start_unit(index, assigned);
            }
            Order::Confirm(unit, epoch) => self.confirm_unit(index, (unit, epoch)),
            Order::SetTarget(unit, epoch, target) => {
                let key = (unit, epoch);
                self.set_unit_target(index, &key, target);
                // Stopping has emptied the stored task set, and the planner may not even have seen the stop.
                if let (Target::Running, Some(set)) = (target, self.planned_set(index, &key)) {
                    self.workers[index].reports.push((Topic::TaskSet, Some(key)), set);
                }
            }
            Order::Stop(unit, epoch) => self.end_unit(index, (unit, epoch), false),
            Order::Sever(unit, epoch) => self.end_unit(index, (unit, epoch), true),
            Order::ReportLater(unit, epoch, seen) => {
                let (granted, later) = (core_epoch(epoch), core_epoch(seen));
                let seen = EpochSeen { unit: unit_of(&unit), granted, later, is_stored: false };
                self.workers[index].reports.push((Topic::EpochSeen, Some((unit, epoch))), Report::EpochSeen(seen));
            }
            Order::ReportEnded(unit, epoch, _) => {
                self.forget_unit(index, &(unit.clone(), epoch));
                let report = Report::Ended(unit_of(&unit), core_epoch(epoch));
                self.workers[index].reports.push((Topic::Ended, Some((unit, epoch))), report);
            }
        }
    }

    fn report_states(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        for (key, held) in &mut worker.held {
            if let Some((change, state)) = held.take_report() {
                let report = Report::State(unit_of(&key.0), core_epoch(key.1), change, state);
                worker.reports.push((Topic::State, Some(key.clone())), report);
            }
        }
    }

    /// Sends what is due, and ends where that was asked and is done.
    fn flush_worker(&mut self, index: usize) {
        self.send_due(index);
        let worker = &self.workers[index];
        let Some(by) = worker.ending.as_ref().map(|ending| ending.by) else { return };
        let has_ended = worker.holdings.held().is_empty() && (worker.reports.is_empty() || !worker.is_connected());
        if has_ended || self.now >= by {
            self.leave(index);
        }
    }

    fn send_due(&mut self, index: usize) {
        let local = self.local(index);
        let worker = &mut self.workers[index];
        let open: Vec<u64> =
            worker.sessions.values().filter(|session| session.is_welcome).map(|session| session.link).collect();
        let Some(preferred) = worker.preferred_link() else { return };
        if self.now >= worker.next_heartbeat || worker.is_urgent {
            worker.is_urgent = false;
            worker.next_heartbeat = self.now + HEARTBEAT;
            let number = worker.lease.send(local);
            open.iter().for_each(|link| self.send_to_replica(*link, ToReplica::Heartbeat(number)));
        }
        for (sequence, report) in self.workers[index].reports.due(local, 256) {
            self.send_to_replica(preferred, ToReplica::Report(sequence, report));
        }
    }

    /// SIGTERM.
    pub fn end_worker(&mut self, index: usize) {
        say!(self, "w{index} is asked to end");
        let now = self.now;
        self.workers[index].ending.get_or_insert(Ending { by: now + END_PATIENCE, moved: now, is_stopped: false });
        self.workers[index].holdings.close();
        self.send_to_one(index, ToReplica::DrainMe);
        self.go_on_ending(index);
        self.flush_worker(index);
    }

    fn go_on_ending(&mut self, index: usize) {
        let now = self.now;
        let worker = &mut self.workers[index];
        let (is_moving, is_connected) = (worker.holdings.is_stopping(), worker.is_connected());
        let Some(ending) = worker.ending.as_mut().filter(|ending| !ending.is_stopped) else { return };
        if is_moving {
            ending.moved = now;
        }
        if !is_connected || now + END_GRACE >= ending.by || now >= ending.moved + DRAIN_PATIENCE {
            ending.is_stopped = true;
            let orders = worker.holdings.stop_all();
            self.carry_out(index, orders);
        }
    }

    fn send_to_one(&mut self, index: usize, message: ToReplica) {
        if let Some(link) = self.workers[index].preferred_link() {
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

    /// A unit's grant is confirmed, and the lease holds.
    pub fn may_start(&self, index: usize, key: &RunnerKey) -> bool {
        let is_confirmed = self.workers[index].held.get(key).is_some_and(|held| held.confirmed);
        is_confirmed && !self.is_past_deadline(index)
    }

    /// The unit runs there under a later grant than this one.
    pub fn holds_later(&self, index: usize, unit: Unit, epoch: control_plane_core::ids::Epoch) -> bool {
        self.active_units(index).into_iter().any(|(_, active, under)| active == unit && under > epoch)
    }

    /// The unit copies there under this grant.
    pub fn is_at_work(&self, index: usize, unit: &UnitName, epoch: control_plane_core::ids::Epoch) -> bool {
        let worker = &self.workers[index];
        let key = (unit.clone(), Epoch { incarnation: epoch.incarnation, counter: epoch.counter });
        worker.is_up
            && !worker.is_paused
            && worker.held.get(&key).is_some_and(|held| held.confirmed && held.is_at_work())
    }

    /// The units that may hand something over now.
    pub fn active_units(&self, index: usize) -> Vec<(String, Unit, control_plane_core::ids::Epoch)> {
        self.units_where(index, |key, held| held.is_taken(key, &self.kafka))
    }

    /// The units that do what they should: those that copy are not refused.
    pub fn running_units(&self, index: usize) -> Vec<(String, Unit, control_plane_core::ids::Epoch)> {
        self.units_where(index, |key, held| !held.is_at_work() || held.is_taken(key, &self.kafka))
    }

    fn units_where(
        &self,
        index: usize,
        is_meant: impl Fn(&RunnerKey, &Held) -> bool,
    ) -> Vec<(String, Unit, control_plane_core::ids::Epoch)> {
        let worker = &self.workers[index];
        if !worker.is_up || worker.is_paused {
            return Vec::new();
        }
        let is_past_deadline = self.is_past_deadline(index);
        let units = worker.held.iter().filter(|(key, held)| {
            (held.outlives_lease || !is_past_deadline) && held.is_active() && is_meant(key, held)
        });
        units.map(|(key, held)| (held.work.connector.clone(), unit_of(&key.0), core_epoch(key.1))).collect()
    }
}
