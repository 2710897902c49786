//! The one loop that owns this replica's view of the store, its sessions and its heartbeats.
//!
//! Everything that must be in order passes here: a change of the store is applied, told to the workers that it touches,
//! and only then are the heartbeats that were stored before it acknowledged.

use crate::{
    cache::{Cache, Change, Progress},
    clock::Clock,
    documents,
    progress::ProgressTable,
    sessions::Sessions,
};
use control_plane_core::{
    audit::Audit,
    beats::Beats,
    ids::{ReplicaId, Revision, SettingsId, Unit, WorkerId},
    keys::{Entry, Key, encode},
    lease::Owner,
    txn::Txn,
    worker::WorkerState,
};
use control_plane_store::{Followed, Outcome, Store, StoreError};
use futures::{StreamExt, stream::BoxStream};
use proto::worker_v1 as wire;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};

/// A message to the hub.
#[derive(Debug)]
pub enum ToHub {
    /// A registered worker's session is open; it is told everything first.
    Opened(WorkerId, u64),
    /// A heartbeat came.
    Heartbeat(WorkerId, u64),
    /// The session has ended.
    Closed(WorkerId, u64),
}

/// Messages that may wait for the hub.
pub const INBOX: usize = 4096;
/// A heartbeat that is not acknowledged within this time is answered HOLD. Its worker's lease (1.3 s) counts from the last
/// one before it (0.3 s): what is left is for the ways there and back on a busy machine.
const HOLD_AFTER: Duration = Duration::from_millis(500);
/// How often it is looked for such heartbeats.
const HOLD_PAUSE: Duration = Duration::from_millis(50);
/// Pause between two heartbeat documents, per session: one session is answered at once, many are gathered.
const FLUSH_PAUSE_PER_SESSION: Duration = Duration::from_millis(3);
/// Pause between two heartbeat documents at most.
const FLUSH_PAUSE_MAX: Duration = Duration::from_millis(200);

/// The loop's parts.
pub struct Hub {
    store: Arc<dyn Store>,
    cache: Cache,
    clock: Clock,
    sessions: Sessions,
    progress: ProgressTable,
    beats: Beats,
    audit: Audit,
    live: bool,
    flush_due: Option<Instant>,
    is_flushing: bool,
    flush_sender: mpsc::Sender<Result<(), StoreError>>,
    flushed: mpsc::Receiver<Result<(), StoreError>>,
}

impl Hub {
    /// `address` is where workers reach this replica.
    pub fn new(
        store: Arc<dyn Store>,
        cache: Cache,
        clock: Clock,
        sessions: Sessions,
        progress: ProgressTable,
        replica: ReplicaId,
        address: String,
    ) -> Hub {
        let (flush_sender, flushed) = mpsc::channel(1);
        Hub {
            store,
            cache,
            clock,
            sessions,
            progress,
            beats: Beats::new(replica, address),
            audit: Audit::default(),
            live: false,
            flush_due: None,
            is_flushing: false,
            flush_sender,
            flushed,
        }
    }

    /// Runs until the store's stream ends for good; gives the reason.
    pub async fn run(mut self, mut inbox: mpsc::Receiver<ToHub>) -> StoreError {
        let mut followed: BoxStream<'static, Followed> = self.store.follow();
        let mut hold_ticks = interval(HOLD_PAUSE);
        hold_ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let flush_at = self.flush_due.filter(|_| self.live && !self.is_flushing);
            tokio::select! {
                biased;
                step = followed.next() => match step {
                    Some(Followed::Broken(error)) => return error,
                    Some(Followed::Listing(listing)) => {
                        let lost = self.audit.listed(listing, &self.cache.world());
                        if let Some(key) = lost {
                            tracing::error!(%key, "the store's watch has lost a change: everything is read again");
                            self.audit = Audit::default();
                            followed = self.store.follow();
                        }
                    }
                    Some(step) => self.followed(step),
                    None => return StoreError::Unavailable("the store's stream ended".to_owned()),
                },
                Some(result) = self.flushed.recv() => self.flush_done(result),
                message = inbox.recv() => match message {
                    Some(message) => self.message(message),
                    None => return StoreError::Unavailable("the server ends".to_owned()),
                },
                () = at(flush_at) => self.flush(),
                _ = hold_ticks.tick() => self.hold(HOLD_AFTER),
            }
        }
    }

    fn message(&mut self, message: ToHub) {
        match message {
            ToHub::Opened(worker, session) => {
                if self.sessions.is_current(worker, session) {
                    self.tell_everything(worker);
                }
            }
            ToHub::Heartbeat(worker, number) => {
                self.beats.received(worker, number, self.clock.now());
                match self.live {
                    true => self.flush_soon(),
                    false => self.hold(Duration::ZERO),
                }
            }
            ToHub::Closed(worker, session) => {
                self.sessions.remove(worker, session);
                if !self.sessions.contains(worker) {
                    self.beats.left(worker);
                    self.flush_soon();
                }
            }
        }
    }

    fn flush_soon(&mut self) {
        let pause = (FLUSH_PAUSE_PER_SESSION * self.sessions.len() as u32).min(FLUSH_PAUSE_MAX);
        self.flush_due.get_or_insert_with(|| Instant::now() + pause);
    }

    fn flush(&mut self) {
        self.flush_due = None;
        if !self.beats.is_dirty() {
            return;
        }
        let document = self.beats.flush();
        self.is_flushing = true;
        let (store, done) = (self.store.clone(), self.flush_sender.clone());
        tokio::spawn(async move {
            let txn = Txn::new().put(Key::Replica(document.id), encode(&document));
            let result = match store.commit(txn).await {
                Ok(Outcome::Committed(_) | Outcome::Refused) => Ok(()),
                Err(error) => Err(error),
            };
            let _ = done.send(result).await;
        });
    }

    fn flush_done(&mut self, result: Result<(), StoreError>) {
        self.is_flushing = false;
        if let Err(error) = result {
            tracing::warn!(%error, "heartbeats could not be stored");
            self.beats.unflushed();
            self.hold(Duration::ZERO);
        }
        if self.beats.is_dirty() {
            self.flush_soon();
        }
    }

    /// The store does not take heartbeats, or has not for so long: the workers that wait are told so, and nobody's silence
    /// counts from before now.
    fn hold(&mut self, waited: Duration) {
        let now = self.clock.now();
        let held = self.beats.hold(waited, now);
        if held.is_empty() {
            return;
        }
        self.cache.write().world().held(held.iter().map(|(worker, _)| *worker), now);
        for (worker, number) in held {
            let ack = wire::HeartbeatAck { number, hold: true };
            self.sessions.send(worker, wire::session_response::Message::HeartbeatAck(ack));
        }
    }

    fn followed(&mut self, step: Followed) {
        match step {
            Followed::Reset { entries, revision } => self.reset(entries, revision),
            Followed::Changes { changes, revision } => self.changes(changes, revision),
            Followed::Away(error) => {
                if self.live {
                    tracing::warn!(%error, "the store does not answer");
                }
                self.live = false;
                self.cache.advanced(Progress { live: false, ..self.cache.progress() });
                self.hold(Duration::ZERO);
            }
            // Handled by the caller.
            Followed::Broken(_) | Followed::Listing(_) => {}
        }
    }

    fn reset(&mut self, entries: Vec<(Key, Entry, Revision)>, revision: Revision) {
        let own: Vec<_> = entries
            .iter()
            .filter_map(|(_, entry, _)| match entry {
                Entry::Replica(document) => Some(document.clone()),
                _ => None,
            })
            .collect();
        {
            let mut guard = self.cache.write();
            guard.world().reset(entries, revision, self.clock.now());
            guard.forget_changes(revision);
        }
        self.live = true;
        self.cache.advanced(Progress { revision, live: true });
        for worker in self.sessions.workers() {
            self.tell_everything(worker);
        }
        for document in own {
            self.acknowledge(&document);
        }
        // The document may have been lost with the store's session.
        self.beats.unflushed();
        self.flush_soon();
    }

    fn changes(&mut self, changes: Vec<(Key, Option<Entry>, Revision)>, revision: Revision) {
        let now = self.clock.now();
        let mut touched: BTreeSet<Unit> = BTreeSet::new();
        let mut before: Vec<(Unit, Owner)> = Vec::new();
        let mut expired: Vec<WorkerId> = Vec::new();
        let mut own_documents = Vec::new();
        let (mut settings_changed, mut replicas_changed) = (false, false);
        {
            let mut guard = self.cache.write();
            for (key, entry, at) in changes {
                match (&key, &entry) {
                    (Key::Owner(unit), entry) => {
                        if let Some(old) = guard.world().owners.get(unit) {
                            before.push((*unit, old.value.clone()));
                        }
                        if entry.is_none() {
                            self.progress.forget(unit);
                        }
                        touched.insert(*unit);
                        guard.changed(Change { revision: at, connector: unit.connector, deleted: None });
                    }
                    (Key::Status(unit), _) => {
                        guard.changed(Change { revision: at, connector: unit.connector, deleted: None });
                    }
                    (Key::Connector(namespace, name), entry) => {
                        let old = guard.world().connector(namespace, name).map(|stored| stored.value.uid);
                        let new = match entry {
                            Some(Entry::Connector(connector)) => Some(connector.uid),
                            _ => None,
                        };
                        for uid in old.into_iter().chain(new).collect::<BTreeSet<_>>() {
                            touched.extend(guard.world().owned_units(uid).map(|(unit, _)| *unit));
                            let gone = Some(uid) != new;
                            let deleted = gone.then(|| (namespace.clone(), name.clone()));
                            guard.changed(Change { revision: at, connector: uid, deleted });
                        }
                    }
                    (Key::TaskSet(uid), _) => {
                        touched.extend(guard.world().owned_units(*uid).map(|(unit, _)| *unit));
                        guard.changed(Change { revision: at, connector: *uid, deleted: None });
                    }
                    (Key::Worker(id), Some(Entry::Worker(worker))) if worker.state == WorkerState::Expired => {
                        expired.push(*id);
                    }
                    (Key::Worker(id), None) => expired.push(*id),
                    (Key::Settings(_), _) => settings_changed = true,
                    (Key::Replica(id), Some(Entry::Replica(document))) => {
                        replicas_changed |= !guard.world().replicas.contains_key(id);
                        own_documents.push(document.clone());
                    }
                    (Key::Replica(_), None) => replicas_changed = true,
                    _ => {}
                }
                match entry {
                    Some(entry) => guard.world().apply(key, entry, at, now),
                    None => guard.world().delete(&key, at),
                }
            }
            let world = guard.world();
            world.revision = world.revision.max(revision);
        }
        self.cache.advanced(Progress { revision, live: self.live });
        self.tell(&touched, &before, settings_changed, replicas_changed);
        for worker in expired {
            self.sessions.send(worker, wire::session_response::Message::Expired(wire::Expired {}));
        }
        for document in own_documents {
            self.acknowledge(&document);
        }
    }

    fn tell(&self, touched: &BTreeSet<Unit>, before: &[(Unit, Owner)], settings: bool, replicas: bool) {
        let world = self.cache.world();
        let concerned: BTreeSet<WorkerId> = touched
            .iter()
            .filter_map(|unit| world.owners.get(unit).map(|owner| owner.value.worker))
            .chain(before.iter().map(|(_, owner)| owner.worker))
            .collect();
        for worker in self.sessions.workers() {
            if settings {
                self.sessions.send(worker, wire::session_response::Message::Settings(settings_list(&world)));
            }
            if replicas {
                self.sessions.send(worker, wire::session_response::Message::Replicas(replica_list(&world)));
            }
            if concerned.contains(&worker) {
                let document = documents::changes(&world, worker, touched, before);
                if !document.assignments.is_empty() || !document.removed.is_empty() {
                    self.sessions.send(worker, wire::session_response::Message::Document(document));
                }
            }
        }
    }

    fn acknowledge(&mut self, document: &control_plane_core::worker::Replica) {
        for (worker, number) in self.beats.observed(document) {
            let ack = wire::HeartbeatAck { number, hold: false };
            self.sessions.send(worker, wire::session_response::Message::HeartbeatAck(ack));
        }
    }

    /// What a worker must know, whole: at the beginning of its session, and after a gap. Or that it is none any more.
    fn tell_everything(&self, worker: WorkerId) {
        let (state, settings, replicas, document) = {
            let world = self.cache.world();
            let state = world.workers.get(&worker).map(|stored| stored.value.state);
            (state, settings_list(&world), replica_list(&world), documents::whole(&world, worker))
        };
        if matches!(state, None | Some(WorkerState::Expired)) {
            self.sessions.send(worker, wire::session_response::Message::Expired(wire::Expired {}));
            return;
        }
        self.sessions.send(worker, wire::session_response::Message::Settings(settings));
        self.sessions.send(worker, wire::session_response::Message::Replicas(replicas));
        self.sessions.send(worker, wire::session_response::Message::Document(document));
    }
}

/// All settings, for workers.
pub fn settings_list(world: &control_plane_core::world::World) -> wire::SettingsList {
    let one = |(id, stored): (&SettingsId, &control_plane_core::world::Stored<_>)| {
        let settings: &control_plane_core::connector::Settings = &stored.value;
        wire::Settings {
            id: id.to_string(),
            generation: settings.generation.0,
            properties: settings.properties.clone(),
        }
    };
    wire::SettingsList { settings: world.settings.iter().map(one).collect() }
}

/// All replicas' addresses, for workers.
pub fn replica_list(world: &control_plane_core::world::World) -> wire::ReplicaList {
    let addresses: BTreeSet<String> = world.replicas.values().map(|stored| stored.value.address.clone()).collect();
    wire::ReplicaList { addresses: addresses.into_iter().collect() }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
