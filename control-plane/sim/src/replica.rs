//! A control-plane replica: its process, its calls to etcd, and its hub; as `control-plane-server`'s hub does it.

mod documents;
mod heartbeats;
mod jobs;
mod leading;

use crate::{
    etcd::{Answer, Change, Outcome, Request},
    links::Cut,
    messages::{ToReplica, ToWorker},
    mutation::Mutation,
    say,
    sim::{Sim, To, What},
};
use control_plane_core::{
    beats::Beats,
    ids::{ReplicaId, Revision, Unit, WorkerId},
    keys::{Entry, Key},
    lease::Owner,
    time::Monotonic,
    worker::{Replica as Document, WorkerState},
    world::World,
};
pub use jobs::{CLASS, UserChange};
use jobs::{Job, Queue};
use leading::Leading;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Longest wait for an answer of etcd.
const CALL_TIMEOUT: u64 = 2000;
/// Pause before etcd is tried again.
const RETRY: u64 = 200;

/// What an answer is for.
#[derive(Debug, Clone)]
enum Waiting {
    Flush,
    Lead,
    Job(u64),
    Everything,
    Session,
    KeepAlive,
}

/// A replica's process.
pub struct Replica {
    /// New at each start.
    pub incarnation: u64,
    /// The process exists.
    pub is_up: bool,
    /// It is stopped by a signal.
    pub is_paused: bool,
    /// What it will get when it goes on.
    pub deferred: Vec<What>,
    /// Which watch stream is the present one.
    pub stream: u64,
    /// It has read everything, and workers may connect.
    pub is_listening: bool,
    /// Its view.
    pub world: World,
    /// The store answers.
    pub is_live: bool,
    id: ReplicaId,
    clock_offset: u64,
    is_following: bool,
    session: Option<u64>,
    beats: Beats,
    flush_due: Option<u64>,
    is_flushing: bool,
    /// By worker, the link.
    sessions: BTreeMap<WorkerId, u64>,
    /// By link: what was reported is stored, also after the session's end.
    queues: BTreeMap<u64, Queue>,
    calls: BTreeMap<u64, Waiting>,
    jobs: BTreeMap<u64, Job>,
    leading: Leading,
}

/// Where workers reach a replica.
pub fn address(index: usize) -> String {
    format!("http://r{index}")
}

impl Replica {
    /// A process that was not started yet.
    pub fn down() -> Replica {
        let id = ReplicaId(uuid::Uuid::nil());
        Replica {
            incarnation: 0,
            is_up: false,
            is_paused: false,
            deferred: Vec::new(),
            stream: 0,
            is_listening: false,
            world: World::default(),
            is_live: false,
            id,
            clock_offset: 0,
            is_following: false,
            session: None,
            beats: Beats::new(id, String::new()),
            flush_due: None,
            is_flushing: false,
            sessions: BTreeMap::new(),
            queues: BTreeMap::new(),
            calls: BTreeMap::new(),
            jobs: BTreeMap::new(),
            leading: Leading::default(),
        }
    }

    /// Whether it believes to lead.
    pub fn leads(&self) -> bool {
        self.is_up && self.world.leader.as_ref().is_some_and(|leader| leader.value.replica == self.id)
    }
}

impl Sim {
    /// A new process, under a new id, at the same address.
    pub fn start_replica(&mut self, index: usize) {
        let id = ReplicaId(self.uuid(0xC0));
        let incarnation = self.number();
        let stream = self.number();
        let clock_offset = self.rng.below(1_000_000);
        self.replicas[index] = Replica {
            id,
            incarnation,
            is_up: true,
            stream,
            clock_offset,
            beats: Beats::new(id, address(index)),
            ..Replica::down()
        };
        say!(self, "r{index} starts as {id}");
        let to = To::Replica(index, incarnation);
        let delay = self.rng.between(5, 60);
        self.after(delay, to, What::Keep);
        self.after(delay, to, What::Follow);
    }

    /// kill -9.
    pub fn crash_replica(&mut self, index: usize) {
        say!(self, "r{index} dies");
        let replica = &mut self.replicas[index];
        replica.is_up = false;
        replica.is_listening = false;
        let incarnation = replica.incarnation;
        let links: Vec<u64> =
            self.links.iter().filter(|(_, link)| link.replica == (index, incarnation)).map(|(id, _)| *id).collect();
        links.into_iter().for_each(|link| self.close_by_replica(link));
    }

    /// SIGCONT.
    pub fn resume_replica(&mut self, index: usize) {
        self.replicas[index].is_paused = false;
        let to = To::Replica(index, self.replicas[index].incarnation);
        for what in std::mem::take(&mut self.replicas[index].deferred) {
            self.after(0, to, what);
        }
        self.pump_all();
    }

    fn monotonic(&self, index: usize) -> Monotonic {
        Monotonic(self.now + self.replicas[index].clock_offset)
    }

    fn call(&mut self, index: usize, request: Request, waiting: Waiting) {
        let call = self.number();
        let replica = &mut self.replicas[index];
        replica.calls.insert(call, waiting);
        let incarnation = replica.incarnation;
        let slow = self.slowness(10, 50, 800);
        let delay = self.rng.between(1, 3) + slow;
        self.after(delay, To::World, What::Call { replica: index, incarnation, call, request });
        self.after(CALL_TIMEOUT, To::Replica(index, incarnation), What::CallTimeout { call });
    }

    /// Something for the process.
    pub fn replica_event(&mut self, index: usize, what: What) {
        let to = To::Replica(index, self.replicas[index].incarnation);
        match what {
            What::Answered { call, answer } => {
                if let Some(waiting) = self.replicas[index].calls.remove(&call) {
                    self.answered(index, waiting, answer);
                }
            }
            What::CallTimeout { call } => {
                if let Some(waiting) = self.replicas[index].calls.remove(&call) {
                    self.answered(index, waiting, Answer::Failed);
                }
            }
            What::Keep => match self.replicas[index].session {
                Some(session) => self.call(index, Request::KeepAlive(session), Waiting::KeepAlive),
                None => self.call(index, Request::Grant, Waiting::Session),
            },
            What::Follow => self.call(index, Request::ReadAll, Waiting::Everything),
            What::Watched { stream, upto } => self.watched(index, stream, upto),
            What::StreamBroken { stream, certain } => {
                let cut = self.cuts.contains(&Cut::Etcd(index)) || self.etcd.is_away;
                let replica = &self.replicas[index];
                if replica.stream == stream && replica.is_following && (certain || cut) {
                    self.away(index);
                    self.after(RETRY, to, What::Follow);
                }
            }
            What::HubTimer => self.hub_timer(index),
            What::Opened { worker, link } if self.replicas[index].sessions.get(&worker) == Some(&link) => {
                self.tell_everything(index, worker);
            }
            What::LeaderWake { token } => self.leader_wakes(index, token),
            What::JobTimeout { job } => self.job_timeout(index, job),
            _ => {}
        }
    }

    fn answered(&mut self, index: usize, waiting: Waiting, answer: Answer) {
        let to = To::Replica(index, self.replicas[index].incarnation);
        match (waiting, answer) {
            (Waiting::Flush, answer) => self.flush_done(index, matches!(answer, Answer::Outcome(_))),
            (Waiting::Lead, answer) => self.leader_answered(index, answer),
            (Waiting::Job(job), answer) => self.job_answered(index, job, answer),
            (Waiting::Everything, Answer::All(entries, revision)) => self.reset(index, entries, revision),
            (Waiting::Everything, _) => {
                self.away(index);
                self.after(RETRY, to, What::Follow);
            }
            (Waiting::Session, Answer::Granted(session)) => {
                self.replicas[index].session = Some(session);
                self.after(750, to, What::Keep);
            }
            (Waiting::KeepAlive, Answer::Alive(true)) => self.after(750, to, What::Keep),
            (Waiting::KeepAlive, Answer::Alive(false)) => {
                self.replicas[index].session = None;
                self.after(RETRY, to, What::Keep);
            }
            (Waiting::Session | Waiting::KeepAlive, _) => self.after(RETRY, to, What::Keep),
        }
    }

    fn away(&mut self, index: usize) {
        let stream = self.number();
        let replica = &mut self.replicas[index];
        if replica.is_live {
            say!(self, "r{index}: the store is away");
        }
        let replica = &mut self.replicas[index];
        replica.stream = stream;
        replica.is_following = false;
        replica.is_live = false;
        self.hold(index, 0);
        self.leader_progress(index);
    }

    fn reset(&mut self, index: usize, entries: Vec<(Key, Entry, Revision)>, revision: Revision) {
        let now = self.monotonic(index);
        let stream = self.number();
        let documents: Vec<Document> = entries
            .iter()
            .filter_map(|(_, entry, _)| match entry {
                Entry::Replica(document) => Some(document.clone()),
                _ => None,
            })
            .collect();
        say!(self, "r{index}: reads everything as of {}", revision.0);
        self.trace.count("resets of a view");
        let replica = &mut self.replicas[index];
        let (timers, beats) = (replica.world.timers_since, std::mem::take(&mut replica.world.beats));
        replica.world.reset(entries, revision, now);
        if self.mutation == Some(Mutation::SkipSettling) {
            replica.world.timers_since = timers;
            let known = |worker: &WorkerId, number| beats.get(worker).filter(|beat| beat.number == number);
            for (worker, beat) in &mut replica.world.beats {
                beat.since = known(worker, beat.number).map_or(beat.since, |known| known.since);
            }
        }
        replica.stream = stream;
        replica.is_following = true;
        replica.is_live = true;
        replica.is_listening = true;
        let (incarnation, workers) = (replica.incarnation, replica.sessions.keys().copied().collect::<Vec<_>>());
        workers.into_iter().for_each(|worker| self.tell_everything(index, worker));
        documents.iter().for_each(|document| self.acknowledge(index, document));
        self.replicas[index].beats.unflushed();
        self.flush_soon(index);
        // The watch begins at the next revision: what was stored meanwhile is on its way.
        let upto = self.etcd.revision();
        self.after(2, To::Replica(index, incarnation), What::Watched { stream, upto });
        self.progressed(index);
    }

    fn watched(&mut self, index: usize, stream: u64, upto: Revision) {
        let replica = &self.replicas[index];
        if replica.stream != stream || !replica.is_following {
            return;
        }
        let stalled = self.etcd.stalled_until.saturating_sub(self.now);
        if self.cuts.contains(&Cut::Etcd(index)) || self.etcd.is_away || stalled > 0 {
            // Comes when it is over, unless the stream is given up before.
            let to = To::Replica(index, replica.incarnation);
            self.after(stalled.max(20), to, What::Watched { stream, upto });
            return;
        }
        let changes = self.etcd.changes(replica.world.revision, upto);
        self.changes(index, changes, upto);
    }

    fn changes(&mut self, index: usize, changes: Vec<Change>, revision: Revision) {
        let now = self.monotonic(index);
        let mut touched: BTreeSet<Unit> = BTreeSet::new();
        let mut before: Vec<(Unit, Owner)> = Vec::new();
        let mut expired: Vec<WorkerId> = Vec::new();
        let mut replica_documents: Vec<Document> = Vec::new();
        let mut replicas_changed = false;
        let world = &mut self.replicas[index].world;
        for Change { revision: at, key, entry } in changes {
            match (&key, &entry) {
                (Key::Owner(unit), _) => {
                    if let Some(old) = world.owners.get(unit) {
                        before.push((*unit, old.value.clone()));
                    }
                    touched.insert(*unit);
                }
                (Key::Connector(namespace, name), entry) => {
                    let old = world.connector(namespace, name).map(|stored| stored.value.uid);
                    let new = match entry {
                        Some(Entry::Connector(connector)) => Some(connector.uid),
                        _ => None,
                    };
                    for uid in old.into_iter().chain(new) {
                        touched.extend(world.owned_units(uid).map(|(unit, _)| *unit));
                    }
                }
                (Key::TaskSet(uid), _) => touched.extend(world.owned_units(*uid).map(|(unit, _)| *unit)),
                (Key::Worker(id), Some(Entry::Worker(worker))) if worker.state == WorkerState::Expired => {
                    expired.push(*id);
                }
                (Key::Worker(id), None) => expired.push(*id),
                (Key::Replica(id), Some(Entry::Replica(document))) => {
                    replicas_changed |= !world.replicas.contains_key(id);
                    replica_documents.push(document.clone());
                }
                (Key::Replica(_), None) => replicas_changed = true,
                _ => {}
            }
            match entry {
                Some(entry) => world.apply(key, entry, at, now),
                None => world.delete(&key, at),
            }
        }
        world.revision = world.revision.max(revision);
        self.tell_changes(index, &touched, &before, replicas_changed);
        for worker in expired {
            self.tell(index, worker, ToWorker::Expired);
        }
        replica_documents.iter().for_each(|document| self.acknowledge(index, document));
        self.progressed(index);
    }

    fn tell_changes(&mut self, index: usize, touched: &BTreeSet<Unit>, before: &[(Unit, Owner)], replicas: bool) {
        let world = &self.replicas[index].world;
        let mut concerned: BTreeSet<WorkerId> = before.iter().map(|(_, owner)| owner.worker).collect();
        concerned.extend(touched.iter().filter_map(|unit| world.owners.get(unit)).map(|owner| owner.value.worker));
        for worker in self.replicas[index].sessions.keys().copied().collect::<Vec<_>>() {
            if replicas {
                let list = self.replica_list(index);
                self.tell(index, worker, ToWorker::Replicas(list));
            }
            if concerned.contains(&worker) {
                let document = documents::changes(&self.replicas[index].world, worker, touched, before);
                if !document.assigned.is_empty() || !document.removed.is_empty() {
                    self.tell(index, worker, ToWorker::Document(document));
                }
            }
        }
    }

    /// The view has moved: whoever waits for it looks again.
    fn progressed(&mut self, index: usize) {
        self.jobs_progress(index);
        self.leader_progress(index);
    }

    fn replica_list(&self, index: usize) -> Vec<String> {
        let world = &self.replicas[index].world;
        let addresses: BTreeSet<String> = world.replicas.values().map(|stored| stored.value.address.clone()).collect();
        addresses.into_iter().collect()
    }

    fn tell(&mut self, index: usize, worker: WorkerId, message: ToWorker) {
        if let Some(link) = self.replicas[index].sessions.get(&worker).copied() {
            self.send_to_worker(link, message);
        }
    }

    /// What a worker must know, whole: at the beginning of its session, and after a gap. Or that it is none any more.
    fn tell_everything(&mut self, index: usize, worker: WorkerId) {
        let world = &self.replicas[index].world;
        let state = world.workers.get(&worker).map(|stored| stored.value.state);
        if matches!(state, None | Some(WorkerState::Expired)) {
            self.tell(index, worker, ToWorker::Expired);
            return;
        }
        let (list, document) = (self.replica_list(index), documents::whole(world, worker));
        self.tell(index, worker, ToWorker::Replicas(list));
        self.tell(index, worker, ToWorker::Document(document));
    }

    fn acknowledge(&mut self, index: usize, document: &Document) {
        for (worker, number) in self.replicas[index].beats.observed(document) {
            self.tell(index, worker, ToWorker::Ack { number, hold: false });
        }
    }

    /// A message of a worker, or the end of its link.
    pub fn replica_message(&mut self, index: usize, link: u64, message: ToReplica) {
        let known = self.replicas[index].sessions.iter().find(|(_, known)| **known == link).map(|(worker, _)| *worker);
        match (message, known) {
            (ToReplica::Hello(hello), _) => self.begin_register(index, link, hello),
            (ToReplica::Fin, known) => {
                if let Some(worker) = known {
                    self.session_ended(index, worker);
                }
                self.close_by_replica(link);
            }
            (ToReplica::Heartbeat(number), Some(worker)) => self.heartbeat(index, worker, number),
            (report, Some(worker)) => self.queue_report(index, link, worker, report),
            (_, None) => {}
        }
    }

    fn heartbeat(&mut self, index: usize, worker: WorkerId, number: u64) {
        let now = self.monotonic(index);
        self.replicas[index].beats.received(worker, number, now);
        if self.mutation == Some(Mutation::AckBeforeCommit) {
            self.tell(index, worker, ToWorker::Ack { number, hold: false });
        }
        match self.replicas[index].is_live {
            true => {
                self.flush_soon(index);
                self.hold_soon(index);
            }
            false => self.hold(index, 0),
        }
    }

    /// A registered worker's session is open; the hub, a moment later, tells it everything.
    fn opened(&mut self, index: usize, link: u64, worker: WorkerId) {
        if !self.links.get(&link).is_some_and(|open| open.replica_open) {
            return;
        }
        let (replicas, incarnation) = (self.replica_list(index), self.replicas[index].world.incarnation());
        let welcome = ToWorker::Welcome { address: address(index), lease_ms: 1300, replicas, incarnation };
        self.send_to_worker(link, welcome);
        if let Some(old) = self.replicas[index].sessions.insert(worker, link) {
            self.close_by_replica(old);
            self.trace.count("sessions replaced");
        }
        let (to, delay) = (To::Replica(index, self.replicas[index].incarnation), self.rng.between(0, 2));
        self.after(delay, to, What::Opened { worker, link });
        self.trace.count("sessions opened");
    }

    fn session_ended(&mut self, index: usize, worker: WorkerId) {
        self.replicas[index].sessions.remove(&worker);
        self.replicas[index].beats.left(worker);
        self.flush_soon(index);
    }
}

/// The revision of a committed transaction.
fn committed(answer: &Answer) -> Option<Revision> {
    match answer {
        Answer::Outcome(Outcome::Committed(revision)) => Some(*revision),
        _ => None,
    }
}

/// A time to live as the planner is told it.
fn ms(duration: u64) -> Duration {
    Duration::from_millis(duration)
}
