//! A planner, and a source task: reads its offset, polls, hands records to its producer, commits what is acknowledged.
//!
//! The producer is librdkafka's shape: a bounded queue that delivers later, also after the gate was closed, until it is
//! purged; records and offset records overtake each other; and the kernel may send what a stopped process left.

use super::RunnerKey;
use crate::{
    kafka::{OffsetRecord, TaskKey},
    messages::{EpochSeen, Report, core_epoch, unit_of},
    mutation::Mutation,
    sim::{CALM_AT, Sim, To, What},
    users::task_count,
    worker::{Topic, units::Held},
};
use control_plane_core::{connector::Config, status::RunState};
use data_plane_core::{
    acks::{Acks, PartitionId, Ticket},
    assignment::Target,
};
use std::collections::{BTreeMap, VecDeque};

/// Records that a producer holds at most.
const QUEUE: usize = 40;
/// Between two steps, in ms.
const STEP: u64 = 20;
/// Between two commits of offsets.
const COMMIT: u64 = 200;

/// What a producer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Record(u64, Ticket),
    Offset(u64),
}

/// Something that lands in Kafka.
#[derive(Debug, Clone)]
pub struct Landing {
    key: TaskKey,
    item: Item,
    epoch: control_plane_core::ids::Epoch,
    /// Of a transactional producer.
    producer: Option<u64>,
}

enum Phase {
    Waiting,
    /// Offsets are read up to the end that was fetched; they are there at that time.
    Reading(usize, u64),
    Running,
}

/// A run of a unit.
pub(super) struct Runner {
    pub(super) serial: u64,
    pub(super) started: u64,
    /// The gate.
    pub(super) is_open: bool,
    pub(super) is_stopping: bool,
    phase: Phase,
    pub(super) hangs_until: u64,
    next: u64,
    acks: Acks<u64>,
    partition: Option<PartitionId>,
    records: VecDeque<Item>,
    offsets: VecDeque<Item>,
    /// Sent by the kernel already; the client will learn of it.
    landed: Vec<Item>,
    commit_due: u64,
    is_delivering: bool,
    /// Kafka takes nothing from it any more: another producer has initialised.
    pub(super) is_refused: bool,
    /// Of the mutation: it has initialised before its grant was confirmed.
    has_warmed_up: bool,
    /// It was started: a target reached it while it was confirmed.
    is_started: bool,
}

impl Runner {
    pub(super) fn new(serial: u64, started: u64) -> Runner {
        let mut acks = Acks::new();
        let partition = acks.add_partition().ok();
        Runner {
            serial,
            started,
            is_open: true,
            is_stopping: false,
            phase: Phase::Waiting,
            hangs_until: 0,
            next: 0,
            acks,
            partition,
            records: VecDeque::new(),
            offsets: VecDeque::new(),
            landed: Vec::new(),
            commit_due: 0,
            is_delivering: false,
            is_refused: false,
            has_warmed_up: false,
            is_started: false,
        }
    }

    fn poll(&mut self, records: u64) {
        let Some(partition) = self.partition else { return };
        for _ in 0..records {
            if self.records.len() >= QUEUE {
                return;
            }
            let ticket = self.acks.send(partition, Some(self.next + 1));
            self.records.push_back(Item::Record(self.next, ticket));
            self.next += 1;
        }
    }

    fn commit(&mut self, ignores_acks: bool) {
        if !self.offsets.is_empty() {
            return;
        }
        let advanced = self.acks.take_advanced().into_iter().map(|(_, position)| position);
        let position = if ignores_acks { Some(self.next).filter(|next| *next > 0) } else { advanced.max() };
        self.offsets.extend(position.map(Item::Offset));
    }

    fn is_drained(&self) -> bool {
        self.records.is_empty() && self.offsets.is_empty() && !self.acks.has_advanced()
    }
}

impl Held {
    /// The unit's producer is a transactional one.
    fn is_transactional(&self, key: &RunnerKey) -> bool {
        self.outlives_lease && key.0.task.is_some()
    }

    /// Kafka takes what it hands over.
    pub(super) fn is_taken(&self, key: &RunnerKey, kafka: &crate::kafka::Kafka) -> bool {
        let task_key = (self.work.connector.clone(), key.0.task.unwrap_or_default());
        let producer = self.runner.as_ref().filter(|_| self.is_transactional(key)).map(|runner| runner.serial);
        kafka.takes(&task_key, producer)
    }

    /// It copies, or is about to.
    pub(super) fn is_at_work(&self) -> bool {
        self.runner.as_ref().is_some_and(|runner| matches!(runner.phase, Phase::Reading(..) | Phase::Running))
    }
}

impl Sim {
    /// A step of a runner's thread.
    pub(super) fn step(&mut self, index: usize, key: RunnerKey, serial: u64) {
        let (threads, main, now) = (self.workers[index].to_threads(), self.workers[index].to_loop(), self.now);
        // Its gate lets nothing pass, and is about to be closed.
        let is_past_deadline = self.is_past_deadline(index);
        let Some(held) = self.workers[index].held.get_mut(&key) else { return };
        let is_fenced = is_past_deadline && !held.outlives_lease;
        let Some(runner) = held.runner.as_mut().filter(|runner| runner.serial == serial) else { return };
        let hangs = runner.hangs_until > now && runner.is_open;
        let fails = now < CALM_AT && self.rng.below(4000) == 0;
        let is_stopped = runner.is_stopping && !hangs && (key.0.task.is_none() || runner.is_drained());
        if !runner.is_open || is_stopped || fails || runner.is_refused {
            // Its end drops the producer, which purges what is in it.
            let delay = self.rng.between(1, 30);
            self.after(delay, main, What::RunnerEnded { key, serial });
            return;
        }
        if now < CALM_AT && self.rng.below(3000) == 0 {
            runner.hangs_until = now + 6000;
        }
        if !hangs && !is_fenced {
            match key.0.task {
                None => self.step_planner(index, &key),
                Some(task) => self.step_task(index, &key, task),
            }
        }
        self.after(STEP, threads, What::Step { key: key.clone(), serial });
        self.deliver_soon(index, &key, serial);
    }

    fn step_planner(&mut self, index: usize, key: &RunnerKey) {
        let worker = &mut self.workers[index];
        let Some(held) = worker.held.get_mut(key) else { return };
        let Some(runner) = held.runner.as_mut() else { return };
        if held.target == Target::Running && !held.confirmed && !runner.is_started {
            return;
        }
        let uid = unit_of(&key.0).connector;
        if held.target == Target::Running {
            // What it watches may change: KIP-63's `requestTaskReconfiguration`.
            if self.now < CALM_AT && self.rng.below(1500) == 0 && !self.grown.remove(&uid) {
                self.grown.insert(uid);
            }
            let tasks = task_configs(&held.work.connector_config, self.grown.contains(&uid));
            let (change, is_same) = match &held.task_set {
                Some(Report::TaskSet(_, _, before, told)) => (before + 1, *told == tasks),
                _ => (1, false),
            };
            // When they are first known, it tells them in any case: a resumed planner finds that they have not changed.
            if !std::mem::replace(&mut runner.is_started, true) || !is_same {
                let report = Report::TaskSet(uid, core_epoch(key.1), change, tasks);
                held.task_set = Some(report.clone());
                worker.reports.push((Topic::TaskSet, Some(key.clone())), report);
                self.trace.count("task sets made");
            }
        }
        held.enter(state_of(held.target));
    }

    fn step_task(&mut self, index: usize, key: &RunnerKey, task: u32) {
        let now = self.now;
        let reads = self.rng.between(5, 120);
        let polls = self.rng.between(0, 6);
        let mutation = self.mutation;
        let is_past_deadline = self.is_past_deadline(index);
        let Some(held) = self.workers[index].held.get_mut(key) else { return };
        let task_key = (held.work.connector.clone(), task);
        let (target, confirmed, is_transactional) = (held.target, held.confirmed, held.is_transactional(key));
        let Some(runner) = held.runner.as_mut() else { return };
        let joins_early =
            mutation == Some(Mutation::WarmUpJoins) && !std::mem::replace(&mut runner.has_warmed_up, true);
        if joins_early && is_transactional {
            let producer = runner.serial;
            self.join(index, key, &task_key, producer);
            return;
        }
        match runner.phase {
            // A late one without a lease would fence its successor.
            Phase::Waiting if is_transactional && is_past_deadline => {}
            Phase::Waiting if confirmed && !runner.is_stopping && target == Target::Running => {
                if is_transactional {
                    let producer = runner.serial;
                    runner.phase = Phase::Reading(self.kafka.end(&task_key), now + reads);
                    self.join(index, key, &task_key, producer);
                    return;
                }
                runner.phase = Phase::Reading(self.kafka.end(&task_key), now + reads);
            }
            Phase::Waiting => {
                if target != Target::Running {
                    held.enter(state_of(target));
                }
            }
            Phase::Reading(end, at) if now >= at => {
                let log = self.kafka.tasks.get(&task_key);
                let seen = log.and_then(|log| log.stored(end)).map(|record| record.epoch);
                if let Some(seen) = seen.filter(|seen| *seen > core_epoch(key.1)) {
                    // What it would write, readers would not take for the newest.
                    runner.is_refused = true;
                    let (unit, granted) = (unit_of(&key.0), core_epoch(key.1));
                    let found = EpochSeen { unit, granted, later: seen, is_stored: true };
                    self.workers[index].reports.push((Topic::EpochSeen, Some(key.clone())), Report::EpochSeen(found));
                    self.trace.count("later epochs found");
                    return;
                }
                runner.next = log.map_or(0, |log| read_offset(log, end, mutation));
                runner.phase = Phase::Running;
                runner.commit_due = now + COMMIT;
                held.enter(RunState::Running);
            }
            Phase::Reading(..) => {}
            Phase::Running => {
                if target == Target::Running && !runner.is_stopping {
                    runner.poll(polls);
                }
                if now >= runner.commit_due || runner.is_stopping {
                    runner.commit_due = now + COMMIT;
                    runner.commit(mutation == Some(Mutation::CommitUnacknowledged));
                }
                held.enter(state_of(target));
            }
        }
    }

    /// A transactional producer initialises.
    fn join(&mut self, index: usize, key: &RunnerKey, task_key: &TaskKey, producer: u64) {
        self.check_joining(index, key, task_key);
        self.trace.count("producers initialised");
        self.kafka.initialise(task_key, producer);
        self.check_owners();
    }

    fn deliver_soon(&mut self, index: usize, key: &RunnerKey, serial: u64) {
        let threads = self.workers[index].to_threads();
        let is_slow = self.now < CALM_AT && self.rng.below(1000) < 5;
        let slow = if is_slow { self.rng.between(50, 1500) } else { 0 };
        let delay = self.rng.between(1, 10) + slow;
        let held = self.workers[index].held.get_mut(key);
        let Some(runner) = held.and_then(|held| held.runner.as_mut()) else { return };
        let has_items = !runner.records.is_empty() || !runner.offsets.is_empty();
        if has_items && !runner.is_delivering {
            runner.is_delivering = true;
            self.after(delay, threads, What::Deliver { key: key.clone(), serial });
        }
    }

    /// The producer's thread: some of its queue gets to Kafka, whatever the gate.
    pub(super) fn deliver(&mut self, index: usize, key: RunnerKey, serial: u64) {
        let stalled = self.kafka.stalled_until.saturating_sub(self.now);
        if stalled > 0 {
            let threads = self.workers[index].to_threads();
            self.after(stalled, threads, What::Deliver { key, serial });
            return;
        }
        let is_past_deadline = self.is_past_deadline(index);
        let some = self.rng.between(1, 12);
        let offset_first = self.rng.chance(50);
        let Some(held) = self.workers[index].held.get_mut(&key) else { return };
        let task_key = (held.work.connector.clone(), key.0.task.unwrap_or_default());
        let is_transactional = held.is_transactional(&key);
        let Some(runner) = held.runner.as_mut().filter(|runner| runner.serial == serial) else { return };
        runner.is_delivering = false;
        let mut items: Vec<Item> = Vec::new();
        if offset_first || runner.records.is_empty() {
            items.extend(runner.offsets.pop_front());
        }
        for _ in 0..some {
            items.extend(runner.records.pop_front());
        }
        let producer = is_transactional.then_some(serial);
        let is_open = runner.is_open && (is_transactional || !is_past_deadline);
        for item in items {
            if !self.kafka.takes(&task_key, producer) {
                runner.is_refused = true;
                runner.records.clear();
                runner.offsets.clear();
                break;
            }
            if let Item::Record(_, ticket) = item {
                runner.acks.finish(ticket);
            }
            let known = runner.landed.iter().position(|landed| *landed == item);
            if let Some(known) = known {
                runner.landed.swap_remove(known);
                continue;
            }
            let landing = Landing { key: task_key.clone(), item, epoch: core_epoch(key.1), producer };
            land(&mut self.kafka, &landing);
            if let Item::Offset(_) = item {
                self.trace.count(if is_open { "offsets committed" } else { "offsets landed late" });
                self.invariants.landed(&landing.key, &self.kafka, !is_open);
            }
        }
        self.trace.count("deliveries");
        self.check_offsets(&task_key);
        self.deliver_soon(index, &key, serial);
    }
}

impl Sim {
    /// A process stops or ends: its kernel may still send a little of what each producer holds.
    pub(super) fn leave_to_kernel(&mut self, index: usize) {
        let kernel = self.number();
        self.workers[index].kernel = kernel;
        let worker = &self.workers[index];
        let incarnation = worker.incarnation;
        let mut landings = Vec::new();
        for (key, held) in &worker.held {
            let Some(runner) = &held.runner else { continue };
            let task_key = (held.work.connector.clone(), key.0.task.unwrap_or_default());
            let producer = held.is_transactional(key).then_some(runner.serial);
            for item in runner.offsets.iter().chain(runner.records.iter().take(3)) {
                let landing = Landing { key: task_key.clone(), item: *item, epoch: core_epoch(key.1), producer };
                landings.push((key.clone(), landing));
            }
        }
        for (key, landing) in landings {
            if self.rng.chance(50) {
                let delay = self.rng.between(1, 6000);
                let what = What::Land { worker: (index, incarnation), kernel, key, landing: Box::new(landing) };
                self.after(delay, To::World, what);
            }
        }
    }

    /// What a kernel sent arrives. Of a process that goes on meanwhile, the client sends it itself.
    pub(crate) fn land_late(
        &mut self,
        (index, incarnation): (usize, u64),
        kernel: u64,
        key: RunnerKey,
        landing: Landing,
    ) {
        let local = self.local(index).0;
        let worker = &mut self.workers[index];
        let is_same = worker.incarnation == incarnation;
        if worker.kernel != kernel || !self.kafka.takes(&landing.key, landing.producer) {
            return;
        }
        let is_leased = is_same && worker.guard_deadline.is_some_and(|deadline| local < deadline);
        let mut is_late = true;
        if let Some(runner) = worker.held.get_mut(&key).filter(|_| is_same).and_then(|held| held.runner.as_mut()) {
            runner.landed.push(landing.item);
            is_late = !(is_leased || landing.producer.is_some()) || !runner.is_open;
        }
        land(&mut self.kafka, &landing);
        if let Item::Offset(_) = landing.item {
            self.trace.count(if is_late { "offsets landed late" } else { "offsets landed by the kernel" });
            self.invariants.landed(&landing.key, &self.kafka, is_late);
        }
        self.check_offsets(&landing.key);
    }
}

/// What a starting task goes on from.
pub fn read_offset(log: &crate::kafka::TaskLog, end: usize, mutation: Option<Mutation>) -> u64 {
    let record = match mutation {
        Some(Mutation::IgnoreEpochOfOffsets) => log.offsets[..end].last().copied(),
        _ => log.stored(end),
    };
    record.map_or(0, |record| record.position)
}

fn land(kafka: &mut crate::kafka::Kafka, landing: &Landing) {
    match landing.item {
        Item::Record(position, _) => kafka.append(&landing.key, position),
        Item::Offset(position) => {
            kafka.append_offset(&landing.key, OffsetRecord { epoch: landing.epoch, position });
        }
    }
}

fn state_of(target: Target) -> RunState {
    match target {
        Target::Running => RunState::Running,
        Target::Paused => RunState::Paused,
        Target::Stopped => RunState::Stopped,
    }
}

/// A change of `v` changes every other task's config, a change of `n` their number.
fn task_configs(config: &Config, has_grown: bool) -> Vec<Config> {
    let count = task_count(config) + u32::from(has_grown);
    let flavour = config.get("v").cloned().unwrap_or_default();
    (0..count)
        .map(|n| BTreeMap::from([("t".to_owned(), if n % 2 == 0 { flavour.clone() } else { n.to_string() })]))
        .collect()
}
