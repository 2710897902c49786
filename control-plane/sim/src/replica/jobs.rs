//! What a replica does for one message: registrations, reports, users' changes; each a decision on the view, a guarded
//! transaction, and another look where the view was behind. As the server's session, reports and control do it.

use super::{Waiting, address};
use crate::{
    etcd::{Answer, Outcome, Request},
    messages::{Hello, Report, ToReplica, ToWorker},
    mutation::Mutation,
    say,
    sim::{Sim, To, What},
};
use control_plane_core::{
    connector::{Config, Connector, DeletedConnector, Settings, TargetState},
    ids::{ConnectorUid, Generation, Revision, SettingsId, Unit, UnitKind, WorkerId},
    incarnation::LaterEpoch,
    keys::{Key, encode},
    lease::{GrantState, Owner},
    report as core,
    status::UnitStatus,
    task::TaskSet,
    time::Wall,
    txn::{Compare, Txn},
    worker::{Worker, WorkerState},
    world::{Stored, World},
};
use std::collections::{BTreeSet, VecDeque};

/// Tries against a store that keeps changing.
const TRIES: u32 = 10;
/// Longest wait for the view to catch up, in ms.
const CATCH_UP: u64 = 5000;

/// The class of all simulated connectors.
pub const CLASS: &str = "Source";

/// Reports of a session, stored one after another.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<(WorkerId, ToReplica)>,
    is_busy: bool,
}

/// A change that a user makes.
#[derive(Debug, Clone)]
pub enum UserChange {
    /// A new connector, or another config for the one of that name.
    Put(Box<Connector>),
    /// Deletes.
    Delete(Connector),
    /// Runs, pauses, stops.
    Target(Connector, TargetState),
    /// Takes all units back so that they start anew.
    Restart(Connector),
    /// Gives the replicas other worker properties: everything starts anew.
    Settings,
}

#[derive(Debug, Clone)]
enum Kind {
    Register { link: u64, hello: Hello, at: String },
    Report { link: u64, worker: WorkerId, sequence: u64, report: Report },
    WorkerState { link: u64, worker: WorkerId, state: WorkerState },
    User(UserChange),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Committing,
    AskingHead,
    /// The view is to reach this; whether the transaction is done.
    Reaching(Revision, bool),
}

/// One of them.
pub(super) struct Job {
    kind: Kind,
    stage: Stage,
    tries: u32,
    /// The view was up to date since the last transaction.
    is_fresh: bool,
}

enum Step {
    Store(Txn),
    Done,
    Behind,
}

impl Sim {
    pub(super) fn begin_register(&mut self, index: usize, link: u64, hello: Hello) {
        self.begin(index, Kind::Register { link, hello, at: address(index) });
    }

    /// Through any replica.
    pub fn begin_user_change(&mut self, index: usize, change: UserChange) {
        self.begin(index, Kind::User(change));
    }

    pub(super) fn queue_report(&mut self, index: usize, link: u64, worker: WorkerId, message: ToReplica) {
        self.replicas[index].queues.entry(link).or_default().waiting.push_back((worker, message));
        self.next_report(index, link);
    }

    fn next_report(&mut self, index: usize, link: u64) {
        let Some(queue) = self.replicas[index].queues.get_mut(&link).filter(|queue| !queue.is_busy) else { return };
        let Some((worker, message)) = queue.waiting.pop_front() else {
            self.replicas[index].queues.remove(&link);
            return;
        };
        queue.is_busy = true;
        let kind = match message {
            ToReplica::Report(sequence, report) => Kind::Report { link, worker, sequence, report },
            ToReplica::Goodbye => Kind::WorkerState { link, worker, state: WorkerState::Expired },
            _ => Kind::WorkerState { link, worker, state: WorkerState::Leaving },
        };
        self.begin(index, kind);
    }

    fn begin(&mut self, index: usize, kind: Kind) {
        let id = self.number();
        let job = Job { kind, stage: Stage::Committing, tries: 0, is_fresh: false };
        self.replicas[index].jobs.insert(id, job);
        self.proceed(index, id);
    }

    /// Looks at the view and decides.
    fn proceed(&mut self, index: usize, id: u64) {
        let Some(mut job) = self.replicas[index].jobs.remove(&id) else { return };
        job.tries += 1;
        if job.tries > TRIES {
            self.job_failed(index, job);
            return;
        }
        let uid = ConnectorUid(self.uuid(0xD0));
        if let Some(forgotten) = forgotten(&self.replicas[index].world, &job.kind, self.etcd.revision().0) {
            if !job.is_fresh {
                return self.catch_up(index, id, job);
            }
            if self.replicas[index].world.saw_forgotten(forgotten) {
                say!(self, "r{index}: a later store of incarnation {forgotten} was shown");
                self.leader_progress(index);
            }
        }
        let step = decide(&self.replicas[index].world, &job, self.mutation, self.now, uid);
        match step {
            Step::Done => self.job_done(index, job),
            Step::Store(txn) => {
                job.stage = Stage::Committing;
                self.replicas[index].jobs.insert(id, job);
                let session = self.replicas[index].session;
                self.call(index, Request::Commit(txn, session), Waiting::Job(id));
            }
            Step::Behind => self.catch_up(index, id, job),
        }
    }

    fn catch_up(&mut self, index: usize, id: u64, mut job: Job) {
        if !self.replicas[index].is_live {
            self.job_failed(index, job);
            return;
        }
        job.stage = Stage::AskingHead;
        self.replicas[index].jobs.insert(id, job);
        self.call(index, Request::Head, Waiting::Job(id));
    }

    pub(super) fn job_answered(&mut self, index: usize, id: u64, answer: Answer) {
        let Some(mut job) = self.replicas[index].jobs.remove(&id) else { return };
        let to = To::Replica(index, self.replicas[index].incarnation);
        match answer {
            Answer::Outcome(Outcome::Refused) => self.catch_up(index, id, job),
            Answer::Outcome(Outcome::Committed(revision)) => {
                job.stage = Stage::Reaching(revision, true);
                self.replicas[index].jobs.insert(id, job);
                self.after(CATCH_UP, to, What::JobTimeout { job: id });
                self.jobs_progress(index);
            }
            Answer::Head(revision) => {
                job.stage = Stage::Reaching(revision, false);
                self.replicas[index].jobs.insert(id, job);
                self.after(CATCH_UP, to, What::JobTimeout { job: id });
                self.jobs_progress(index);
            }
            _ => self.job_failed(index, job),
        }
    }

    pub(super) fn jobs_progress(&mut self, index: usize) {
        let replica = &mut self.replicas[index];
        let seen = replica.world.revision;
        let ready: Vec<u64> = replica
            .jobs
            .iter()
            .filter(|(_, job)| matches!(job.stage, Stage::Reaching(revision, _) if revision <= seen))
            .map(|(id, _)| *id)
            .collect();
        for id in ready {
            let Some(job) = self.replicas[index].jobs.get_mut(&id) else { continue };
            let is_stored = matches!(job.stage, Stage::Reaching(_, true));
            job.is_fresh = !is_stored;
            job.stage = Stage::Committing;
            match (&job.kind, is_stored) {
                (Kind::Register { .. }, _) | (_, false) => self.proceed(index, id),
                (_, true) => {
                    if let Some(job) = self.replicas[index].jobs.remove(&id) {
                        self.job_done(index, job);
                    }
                }
            }
        }
    }

    pub(super) fn job_timeout(&mut self, index: usize, id: u64) {
        let is_reaching =
            self.replicas[index].jobs.get(&id).is_some_and(|job| matches!(job.stage, Stage::Reaching(..)));
        if is_reaching && let Some(job) = self.replicas[index].jobs.remove(&id) {
            match job.stage {
                // It is stored; only the view lags behind.
                Stage::Reaching(_, true) if !matches!(job.kind, Kind::Register { .. }) => self.job_done(index, job),
                _ => self.job_failed(index, job),
            }
        }
    }

    fn job_done(&mut self, index: usize, job: Job) {
        match job.kind {
            Kind::Register { link, hello: Hello { worker, .. }, .. } => {
                let state = self.replicas[index].world.workers.get(&worker).map(|stored| stored.value.state);
                match state {
                    Some(state) if state != WorkerState::Expired => self.opened(index, link, worker),
                    _ => {
                        self.send_to_worker(link, ToWorker::Expired);
                        self.close_by_replica(link);
                    }
                }
            }
            Kind::Report { link, worker, sequence, report } => {
                say!(self, "r{index}: {} report {sequence} is answered: {report}", short(worker));
                self.tell(index, worker, ToWorker::ReportAck(sequence));
                self.report_over(index, link);
            }
            Kind::WorkerState { link, worker, state } => {
                say!(self, "r{index}: {worker} is {state:?}");
                self.report_over(index, link);
            }
            Kind::User(change) => say!(self, "r{index}: done: {}", describe(&change)),
        }
    }

    fn job_failed(&mut self, index: usize, job: Job) {
        match job.kind {
            Kind::Register { link, .. } => self.close_by_replica(link),
            Kind::Report { link, .. } | Kind::WorkerState { link, .. } => self.report_over(index, link),
            Kind::User(change) => say!(self, "r{index}: failed: {}", describe(&change)),
        }
    }

    fn report_over(&mut self, index: usize, link: u64) {
        if let Some(queue) = self.replicas[index].queues.get_mut(&link) {
            queue.is_busy = false;
        }
        self.next_report(index, link);
    }
}

/// The incarnation of what the message tells of, and the view does not know.
fn forgotten(world: &World, kind: &Kind, present: i64) -> Option<u32> {
    match kind {
        Kind::Register { hello, .. } => {
            let is_behind = present < hello.revision && hello.incarnation >= world.incarnation();
            let unknown = hello.held.iter().filter(|(unit, epoch)| world.has_forgotten(*unit, *epoch));
            unknown.map(|(_, epoch)| epoch.incarnation).max().max(is_behind.then_some(hello.incarnation))
        }
        Kind::Report { report: Report::EpochSeen(seen), .. } => {
            let meaning = world.what_of_later(seen.unit, seen.granted, seen.later, seen.is_stored);
            (meaning == LaterEpoch::IsForgotten).then_some(seen.later.incarnation)
        }
        _ => None,
    }
}

/// The part of an id that tells workers of a run apart.
fn short(worker: WorkerId) -> String {
    worker.to_string()[..4].to_owned()
}

fn describe(change: &UserChange) -> String {
    match change {
        UserChange::Put(connector) => format!("put {} {:?}", connector.name, connector.config),
        UserChange::Delete(connector) => format!("delete {}", connector.name),
        UserChange::Target(connector, target) => format!("{} to be {target:?}", connector.name),
        UserChange::Restart(connector) => format!("restart {}", connector.name),
        UserChange::Settings => "other settings".to_owned(),
    }
}

fn decide(world: &World, job: &Job, mutation: Option<Mutation>, now: u64, uid: ConnectorUid) -> Step {
    match &job.kind {
        Kind::Register { hello, at, .. } => register(world, job.is_fresh, hello, at),
        Kind::Report { worker, report, .. } => report_step(world, *worker, report, job.is_fresh, mutation, now),
        Kind::WorkerState { worker, state, .. } => match world.workers.get(worker) {
            Some(Stored { value, revision }) if value.state.may_become(*state) => {
                let key = Key::Worker(*worker);
                let changed = Worker { state: *state, ..value.clone() };
                Step::Store(Txn::new().when(Compare::Unchanged(key.clone(), *revision)).put(key, encode(&changed)))
            }
            _ => Step::Done,
        },
        Kind::User(_) if !job.is_fresh => Step::Behind,
        Kind::User(change) => user_step(world, change, mutation, uid),
    }
}

fn register(world: &World, is_fresh: bool, hello: &Hello, at: &str) -> Step {
    let worker = hello.worker;
    let known_replicas: BTreeSet<String> = hello.known.iter().cloned().chain([at.to_owned()]).collect();
    if world.workers.contains_key(&worker) {
        return known_replicas_step(world, worker, &known_replicas);
    }
    match (is_fresh, hello.is_registered || !hello.held.is_empty()) {
        (false, _) => Step::Behind,
        // It was known once, and is no more: what it holds is not its own, and an id never comes back.
        (true, true) => Step::Done,
        (true, false) => {
            let entry = Worker {
                connectors: BTreeSet::from([CLASS.to_owned()]),
                incarnation: world.incarnation(),
                known_replicas,
                ..Worker::new(worker, String::new(), Wall(0))
            };
            Step::Store(Txn::new().when(Compare::Absent(Key::Worker(worker))).put(Key::Worker(worker), encode(&entry)))
        }
    }
}

fn known_replicas_step(world: &World, worker: WorkerId, known_replicas: &BTreeSet<String>) -> Step {
    let key = Key::Worker(worker);
    match world.workers.get(&worker) {
        Some(Stored { value, revision })
            if value.known_replicas != *known_replicas && value.state != WorkerState::Expired =>
        {
            let changed = Worker { known_replicas: known_replicas.clone(), ..value.clone() };
            Step::Store(Txn::new().when(Compare::Unchanged(key.clone(), *revision)).put(key, encode(&changed)))
        }
        _ => Step::Done,
    }
}

fn report_step(
    world: &World,
    worker: WorkerId,
    report: &Report,
    is_up_to_date: bool,
    mutation: Option<Mutation>,
    now: u64,
) -> Step {
    let number = |change| if mutation == Some(Mutation::IgnoreOrderOfReports) { now } else { change };
    let (unit, epoch, reported) = match report {
        Report::State(unit, epoch, change, state) => {
            let status = UnitStatus {
                state: *state,
                worker,
                epoch: *epoch,
                since: Wall(now as i64),
                error: None,
                restarts: 0,
                next_attempt: None,
                version: String::new(),
                change: number(*change),
                recent_failures: Vec::new(),
                stalled: None,
                stop_blocked: None,
            };
            (*unit, *epoch, core::Report::Status(Box::new(status)))
        }
        Report::Ended(unit, epoch) => (*unit, *epoch, core::Report::Ended),
        Report::TaskSet(uid, epoch, change, tasks) => {
            let planner = Unit { connector: *uid, kind: UnitKind::Planner };
            (planner, *epoch, core::Report::TaskSet { change: number(*change), tasks: tasks.clone() })
        }
        Report::KnownReplicas(known) => return known_replicas_step(world, worker, known),
        Report::EpochSeen(_) if !is_up_to_date => return Step::Behind,
        // Where the store has forgotten it, that was noted when the view had caught up.
        Report::EpochSeen(seen) => match world.what_of_later(seen.unit, seen.granted, seen.later, seen.is_stored) {
            LaterEpoch::IsPassed => (seen.unit, seen.granted, core::Report::TakeBack),
            _ => return Step::Done,
        },
    };
    if mutation == Some(Mutation::IgnoreEpochOfEnds)
        && let (Report::Ended(..), Some(owner)) = (report, world.owners.get(&unit))
    {
        return Step::Store(core::release(unit, owner));
    }
    let circumstances = core::Circumstances { is_up_to_date, takes_statuses: true };
    match core::decide(world, core::Grant { worker, unit, epoch }, &reported, circumstances) {
        core::Step::Store(txn, _) => Step::Store(txn),
        core::Step::Done(_) => Step::Done,
        core::Step::Behind => Step::Behind,
    }
}

fn user_step(world: &World, change: &UserChange, mutation: Option<Mutation>, uid: ConnectorUid) -> Step {
    let named = match change {
        UserChange::Delete(named) | UserChange::Target(named, _) | UserChange::Restart(named) => named,
        UserChange::Put(wanted) => return put_connector(world, wanted, uid),
        UserChange::Settings => return put_settings(world),
    };
    let Some(stored) = world.connector(&named.namespace, &named.name) else { return Step::Done };
    let (connector, key) = (&stored.value, Key::Connector(named.namespace.clone(), named.name.clone()));
    let txn = Txn::new().when(Compare::Unchanged(key.clone(), stored.revision));
    match change {
        UserChange::Delete(_) => {
            let deleted = DeletedConnector {
                namespace: connector.namespace.clone(),
                name: connector.name.clone(),
                settings: connector.settings.clone(),
                config_generation: connector.config_generation,
            };
            match mutation {
                Some(Mutation::ForgetDeleted) => Step::Store(txn.delete(key)),
                _ => Step::Store(txn.delete(key).put(Key::Deleted(connector.uid), encode(&deleted))),
            }
        }
        UserChange::Target(_, target) if connector.target != *target => {
            let mut txn = txn;
            if *target == TargetState::Stopped
                && let Some(set) = world.task_sets.get(&connector.uid)
            {
                let key = Key::TaskSet(connector.uid);
                let empty = TaskSet { number: set.value.number.next(), tasks: Vec::new(), ..set.value.clone() };
                txn = txn.when(Compare::Unchanged(key.clone(), set.revision)).put(key, encode(&empty));
            }
            let changed = Connector {
                target: *target,
                target_generation: connector.target_generation.next(),
                ..connector.clone()
            };
            Step::Store(txn.put(key, encode(&changed)))
        }
        UserChange::Restart(_) => {
            let granted =
                world.owned_units(connector.uid).filter(|(_, owner)| owner.value.state == GrantState::Granted);
            let txn = granted.fold(Txn::new(), |txn, (unit, owner)| {
                let revoking = Owner { state: GrantState::Revoking, ..owner.value.clone() };
                let key = Key::Owner(*unit);
                txn.when(Compare::Unchanged(key.clone(), owner.revision)).put(key, encode(&revoking))
            });
            if txn.writes.is_empty() { Step::Done } else { Step::Store(txn) }
        }
        _ => Step::Done,
    }
}

fn put_settings(world: &World) -> Step {
    let id = SettingsId::default();
    let key = Key::Settings(id.clone());
    let (generation, guard) = match world.settings.get(&id) {
        Some(stored) => (stored.value.generation.next(), Compare::Unchanged(key.clone(), stored.revision)),
        None => (Generation::FIRST, Compare::Absent(key.clone())),
    };
    let settings = Settings { generation, properties: Config::new() };
    Step::Store(Txn::new().when(guard).put(key, encode(&settings)))
}

fn put_connector(world: &World, wanted: &Connector, uid: ConnectorUid) -> Step {
    let key = Key::Connector(wanted.namespace.clone(), wanted.name.clone());
    match world.connector(&wanted.namespace, &wanted.name) {
        None => {
            let connector = Connector { uid, ..wanted.clone() };
            Step::Store(Txn::new().when(Compare::Absent(key.clone())).put(key, encode(&connector)))
        }
        Some(stored) if stored.value.config != wanted.config => {
            let connector = Connector {
                config: wanted.config.clone(),
                config_generation: stored.value.config_generation.next(),
                ..stored.value.clone()
            };
            Step::Store(Txn::new().when(Compare::Unchanged(key.clone(), stored.revision)).put(key, encode(&connector)))
        }
        Some(_) => Step::Done,
    }
}
