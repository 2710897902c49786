//! Everything stored, as one replica has seen it so far, kept by three verbs: apply, delete, reset.
//!
//! Also what only the observer knows: since when, on its own clock, each worker's heartbeat number stands still.

use crate::{
    connector::{Connector, DeletedConnector, Settings},
    ids::{
        ConnectorName, ConnectorUid, Epoch, Generation, Namespace, ReplicaId, Revision, SettingsId, Unit, UnitKind,
        WorkerId,
    },
    incarnation::StoreIdentity,
    keys::{Entry, Key},
    lease::Owner,
    placement::PlacementRules,
    policy::MASS_LOSS_PERCENT,
    status::UnitStatus,
    task::{TaskSet, UnitDigest},
    time::Monotonic,
    worker::{Leader, Replica, Worker, WorkerState},
};
use std::{collections::BTreeMap, time::Duration};

/// A value and the revision that last wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<T> {
    /// The value.
    pub value: T,
    /// For guards.
    pub revision: Revision,
}

/// A worker's heartbeat as the observer saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// The highest number over all replicas.
    pub number: u64,
    /// Since when it stands, on the observer's clock.
    pub since: Monotonic,
}

/// Many workers were lost together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MassLoss {
    /// Since when.
    pub since: Monotonic,
    /// `World::freed` then.
    pub freed_before: u64,
}

/// What one replica knows of the store.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Everything up to this revision has been seen.
    pub revision: Revision,
    /// By id.
    pub settings: BTreeMap<SettingsId, Stored<Settings>>,
    /// By uid.
    pub connectors: BTreeMap<ConnectorUid, Stored<Connector>>,
    /// Uids by name.
    pub names: BTreeMap<(Namespace, ConnectorName), ConnectorUid>,
    /// Deleted connectors that may still run.
    pub deleted: BTreeMap<ConnectorUid, Stored<DeletedConnector>>,
    /// By connector.
    pub task_sets: BTreeMap<ConnectorUid, Stored<TaskSet>>,
    /// Grants.
    pub owners: BTreeMap<Unit, Stored<Owner>>,
    /// Last transitions.
    pub statuses: BTreeMap<Unit, Stored<UnitStatus>>,
    /// Workers.
    pub workers: BTreeMap<WorkerId, Stored<Worker>>,
    /// Replicas.
    pub replicas: BTreeMap<ReplicaId, Stored<Replica>>,
    /// Who leads.
    pub leader: Option<Stored<Leader>>,
    /// The last epoch granted.
    pub epoch: Option<Stored<Epoch>>,
    /// Which store this is.
    pub identity: Option<Stored<StoreIdentity>>,
    /// Revision of the newest replica document seen.
    pub replicas_revision: Revision,
    /// Heartbeats.
    pub beats: BTreeMap<WorkerId, Beat>,
    /// Nobody's silence counts before this; set at a leader change and after a gap.
    pub timers_since: Monotonic,
    /// When everything was read anew; None: never yet.
    pub read_at: Option<Monotonic>,
    /// When a heartbeat of a worker was last answered HOLD, of late: it counts on a whole lease from then. Also of workers that the store does not know.
    pub held: BTreeMap<WorkerId, Monotonic>,
    /// Workers of which a replica that lives saw the session end, and that have had none since; on this observer's clock.
    pub cut_off: BTreeMap<WorkerId, Monotonic>,
    /// Grants that have ended, as far as this observer saw.
    pub freed: u64,
    /// More of the workers are lost than [`MASS_LOSS_PERCENT`], and not all of their units are freed yet.
    pub mass_loss: Option<MassLoss>,
    /// The latest moment at which workers of an older incarnation may have been told that they are void.
    pub voided_at: Option<Monotonic>,
    /// The store was seen to be older than it was, when this was the highest incarnation known: a higher one is needed. See
    /// [`crate::incarnation`].
    pub went_back_from: Option<u32>,
    /// Raised by every change but heartbeats and statuses: while it stands, only time can make something to do.
    pub structure: u64,
    /// What the units of each connector should be running; follows connectors, task sets and settings.
    wanted: BTreeMap<ConnectorUid, Wanted>,
    /// Read from the configs of connectors, where they say anything of placement.
    rules: BTreeMap<ConnectorUid, PlacementRules>,
}

/// A HOLD is forgotten after this time: many leases.
const HELD_FOR: Duration = Duration::from_secs(60);

static NO_RULES: PlacementRules = PlacementRules::NONE;

/// Digests of a connector's units.
#[derive(Debug, Clone)]
struct Wanted {
    planner: UnitDigest,
    tasks: Vec<UnitDigest>,
}

impl World {
    /// Takes a put. What is older than what is known of the key is dropped (a duplicated event).
    pub fn apply(&mut self, key: Key, entry: Entry, revision: Revision, now: Monotonic) {
        // A status is stored under its unit's grant, and there is nothing to do about it before that changes.
        self.structure += u64::from(!matches!(key, Key::Replica(_) | Key::Status(_)));
        match (key, entry) {
            (Key::Settings(id), Entry::Settings(value)) => {
                put(&mut self.settings, id.clone(), value, revision);
                self.digest_all_under(&id);
            }
            (Key::Connector(namespace, name), Entry::Connector(value)) => {
                let uid = value.uid;
                if let Some(old) = self.names.insert((namespace, name), uid)
                    && old != uid
                {
                    self.connectors.remove(&old);
                    self.digest(old);
                    self.read_rules(old);
                }
                put(&mut self.connectors, uid, value, revision);
                self.digest(uid);
                self.read_rules(uid);
            }
            (Key::Deleted(uid), Entry::Deleted(value)) => put(&mut self.deleted, uid, value, revision),
            (Key::TaskSet(uid), Entry::TaskSet(value)) => {
                put(&mut self.task_sets, uid, value, revision);
                self.digest(uid);
            }
            (Key::Owner(unit), Entry::Owner(value)) => put(&mut self.owners, unit, value, revision),
            (Key::Status(unit), Entry::Status(value)) => put(&mut self.statuses, unit, value, revision),
            (Key::Worker(id), Entry::Worker(value)) => {
                self.beats.entry(id).or_insert(Beat { number: 0, since: now });
                if value.state == WorkerState::Expired && value.incarnation < self.incarnation() {
                    self.voided_at = Some(now);
                }
                put(&mut self.workers, id, value, revision);
                let begun = MassLoss { since: now, freed_before: self.freed };
                self.mass_loss = self.is_mass_lost().then(|| self.mass_loss.unwrap_or(begun));
            }
            (Key::Replica(id), Entry::Replica(value)) => {
                for (worker, number) in &value.beats {
                    // A worker is registered before it beats; one that is gone may linger in a document.
                    let Some(beat) = self.beats.get_mut(worker) else { continue };
                    if *number > beat.number {
                        *beat = Beat { number: *number, since: now };
                    }
                }
                self.note_sessions(id, &value, now);
                self.replicas_revision = self.replicas_revision.max(revision);
                put(&mut self.replicas, id, value, revision);
            }
            (Key::Leader, Entry::Leader(value)) => self.leader = Some(Stored { value, revision }),
            (Key::Epoch, Entry::Epoch(value)) => {
                if value.incarnation > self.incarnation() {
                    self.voided_at = Some(now);
                }
                self.epoch = Some(Stored { value, revision });
            }
            (Key::Identity, Entry::Identity(value)) => self.identity = Some(Stored { value, revision }),
            // Revisions are history, read on demand; a mismatch of key and entry does not come out of the codec.
            _ => {}
        }
        self.revision = self.revision.max(revision);
    }

    /// Takes a deletion.
    pub fn delete(&mut self, key: &Key, revision: Revision) {
        self.structure += u64::from(!matches!(key, Key::Replica(_)));
        match key {
            Key::Settings(id) => {
                self.settings.remove(id);
                self.digest_all_under(id);
            }
            Key::Connector(namespace, name) => {
                if let Some(uid) = self.names.remove(&(namespace.clone(), name.clone())) {
                    self.connectors.remove(&uid);
                    self.digest(uid);
                    self.read_rules(uid);
                }
            }
            Key::Deleted(uid) => drop(self.deleted.remove(uid)),
            Key::TaskSet(uid) => {
                self.task_sets.remove(uid);
                self.digest(*uid);
            }
            Key::Owner(unit) => self.freed += u64::from(self.owners.remove(unit).is_some()),
            Key::Status(unit) => drop(self.statuses.remove(unit)),
            Key::Worker(id) => {
                self.workers.remove(id);
                self.beats.remove(id);
                self.cut_off.remove(id);
                self.mass_loss = self.mass_loss.filter(|_| self.is_mass_lost());
            }
            Key::Replica(id) => drop(self.replicas.remove(id)),
            Key::Leader => self.leader = None,
            Key::Epoch => self.epoch = None,
            Key::Identity => self.identity = None,
            Key::Revision(..) => {}
        }
        self.revision = self.revision.max(revision);
    }

    /// Takes the whole store anew, as of `revision`. Heartbeats start anew too: silence before now proves nothing.
    pub fn reset(&mut self, entries: Vec<(Key, Entry, Revision)>, revision: Revision, now: Monotonic) {
        // Where another replica has raised the incarnation above this already, it is not to be raised again.
        let went_back_from = self.went_back_from.max((revision < self.revision).then(|| self.incarnation()));
        *self = World {
            timers_since: now,
            read_at: Some(now),
            held: std::mem::take(&mut self.held),
            structure: self.structure + 1,
            went_back_from,
            ..World::default()
        };
        // Workers first: their heartbeats are known by them.
        let (workers, others): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(key, _, _)| matches!(key, Key::Worker(_)));
        for (key, entry, modified) in workers.into_iter().chain(others) {
            self.apply(key, entry, modified, now);
        }
        // What was just read is no event: nobody has just been told anything, unless this observer cannot know.
        let incarnation = self.incarnation();
        self.voided_at = self.workers.values().any(|worker| worker.value.incarnation < incarnation).then_some(now);
        self.revision = self.revision.max(revision);
    }

    fn is_mass_lost(&self) -> bool {
        let lost = self.workers.values().filter(|worker| worker.value.state == WorkerState::Expired).count();
        lost > 1 && lost * 100 > self.workers.len() * MASS_LOSS_PERCENT
    }

    /// Of the last epoch granted; the first is 1.
    pub fn incarnation(&self) -> u32 {
        self.epoch.as_ref().map_or(1, |stored| stored.value.incarnation)
    }

    /// A worker's number that leaves a replica's document tells that its session has ended there. Nobody tells of the
    /// sessions of a replica whose document has gone.
    fn note_sessions(&mut self, id: ReplicaId, document: &Replica, now: Monotonic) {
        for worker in document.beats.keys() {
            self.cut_off.remove(worker);
        }
        let Some(before) = self.replicas.get(&id) else { return };
        for worker in before.value.beats.keys().filter(|worker| !document.beats.contains_key(worker)) {
            let others = self.replicas.iter().filter(|(other, _)| **other != id);
            let is_elsewhere = others.clone().any(|(_, other)| other.value.beats.contains_key(worker));
            if !is_elsewhere && self.workers.contains_key(worker) {
                self.cut_off.entry(*worker).or_insert(now);
                // It may become a suspect: not only time can make something to do.
                self.structure += 1;
            }
        }
    }

    /// Whether a worker lives under an incarnation that is past, and is to be expired for that alone.
    pub fn is_void(&self, worker: &Worker) -> bool {
        worker.state != WorkerState::Expired && worker.incarnation < self.incarnation()
    }

    /// Where the leader is reached by workers; None where nobody leads, or the leader's document is not there.
    pub fn leader_address(&self) -> Option<&str> {
        let leader = self.leader.as_ref()?;
        self.replicas.get(&leader.value.replica).map(|stored| stored.value.address.as_str())
    }

    /// Whether all workers whose lease may hold were heard since everything was read: if the store has forgotten grants,
    /// they have shown it by now.
    pub fn has_heard_all(&self) -> bool {
        let is_heard = |id: &WorkerId| self.beats.get(id).is_some_and(|beat| Some(beat.since) > self.read_at);
        let mut workers = self.workers.iter().filter(|(_, worker)| worker.value.state != WorkerState::Expired);
        self.read_at.is_none() || workers.all(|(id, _)| is_heard(id))
    }

    /// This replica has just become leader: it lets the workers settle.
    pub fn restart_timers(&mut self, now: Monotonic) {
        self.timers_since = now;
    }

    /// Heartbeats of these workers were answered HOLD.
    pub fn held(&mut self, workers: impl Iterator<Item = WorkerId>, now: Monotonic) {
        self.held.retain(|_, at| now.since(*at) < HELD_FOR);
        self.held.extend(workers.map(|worker| (worker, now)));
    }

    /// All keys of the view but the replicas', with the revisions that last wrote them.
    pub fn revisions(&self) -> impl Iterator<Item = (Key, Revision)> {
        let named = |stored: &Stored<Connector>| {
            (Key::Connector(stored.value.namespace.clone(), stored.value.name.clone()), stored.revision)
        };
        let settings = self.settings.iter().map(|(id, stored)| (Key::Settings(id.clone()), stored.revision));
        let deleted = self.deleted.iter().map(|(uid, stored)| (Key::Deleted(*uid), stored.revision));
        let task_sets = self.task_sets.iter().map(|(uid, stored)| (Key::TaskSet(*uid), stored.revision));
        let owners = self.owners.iter().map(|(unit, stored)| (Key::Owner(*unit), stored.revision));
        let statuses = self.statuses.iter().map(|(unit, stored)| (Key::Status(*unit), stored.revision));
        let workers = self.workers.iter().map(|(id, stored)| (Key::Worker(*id), stored.revision));
        let leader = self.leader.iter().map(|stored| (Key::Leader, stored.revision));
        let epoch = self.epoch.iter().map(|stored| (Key::Epoch, stored.revision));
        let identity = self.identity.iter().map(|stored| (Key::Identity, stored.revision));
        let connectors = self.connectors.values().map(named);
        let several = settings.chain(connectors).chain(deleted).chain(task_sets).chain(owners).chain(statuses);
        several.chain(workers).chain(leader).chain(epoch).chain(identity)
    }

    /// A connector by name.
    pub fn connector(&self, namespace: &Namespace, name: &ConnectorName) -> Option<&Stored<Connector>> {
        self.names.get(&(namespace.clone(), name.clone())).and_then(|uid| self.connectors.get(uid))
    }

    /// The units of a connector that somebody owns, planner first.
    pub fn owned_units(&self, connector: ConnectorUid) -> impl Iterator<Item = (&Unit, &Stored<Owner>)> {
        let first = Unit { connector, kind: UnitKind::Planner };
        let last = Unit { connector, kind: UnitKind::Task(u32::MAX) };
        self.owners.range(first..=last)
    }

    /// What a unit should be running now; None if it should not exist.
    pub fn wanted_digest(&self, unit: Unit) -> Option<UnitDigest> {
        let wanted = self.wanted.get(&unit.connector)?;
        match unit.kind {
            UnitKind::Planner => Some(wanted.planner),
            UnitKind::Task(number) => wanted.tasks.get(number as usize).copied(),
        }
    }

    /// Where a connector's units may go.
    pub fn placement_rules(&self, connector: ConnectorUid) -> &PlacementRules {
        self.rules.get(&connector).unwrap_or(&NO_RULES)
    }

    /// The connectors whose configs say anything of placement.
    pub fn all_placement_rules(&self) -> &BTreeMap<ConnectorUid, PlacementRules> {
        &self.rules
    }

    /// Reads where the units of a connector may go.
    fn read_rules(&mut self, uid: ConnectorUid) {
        self.rules.remove(&uid);
        if let Some(connector) = self.connectors.get(&uid) {
            let (rules, _refused_when_it_was_accepted) = PlacementRules::parse(&connector.value.config);
            if rules != NO_RULES {
                self.rules.insert(uid, rules);
            }
        }
    }

    /// Works out what the units of a connector should be running.
    fn digest(&mut self, uid: ConnectorUid) {
        let Some(connector) = self.connectors.get(&uid).map(|stored| &stored.value) else {
            self.wanted.remove(&uid);
            return;
        };
        let generation = self.settings_generation(&connector.settings);
        let planner = UnitDigest::of(&connector.settings, generation, &connector.config, None);
        let tasks = self.task_sets.get(&uid).map_or_else(Vec::new, |stored| {
            let set = &stored.value;
            let generation = self.settings_generation(&set.settings);
            let of = |task| UnitDigest::of(&set.settings, generation, &set.connector_config, Some(task));
            set.tasks.iter().map(of).collect()
        });
        self.wanted.insert(uid, Wanted { planner, tasks });
    }

    fn digest_all_under(&mut self, settings: &SettingsId) {
        let uses = |uid: &ConnectorUid| {
            let connector = self.connectors.get(uid).is_some_and(|stored| stored.value.settings == *settings);
            connector || self.task_sets.get(uid).is_some_and(|stored| stored.value.settings == *settings)
        };
        let uids: Vec<ConnectorUid> = self.connectors.keys().copied().filter(uses).collect();
        uids.into_iter().for_each(|uid| self.digest(uid));
    }

    fn settings_generation(&self, id: &SettingsId) -> Generation {
        self.settings.get(id).map_or(Generation::default(), |settings| settings.value.generation)
    }

    /// The status that is true now: written under the present grant.
    pub fn status(&self, unit: &Unit) -> Option<&UnitStatus> {
        let owner = &self.owners.get(unit)?.value;
        self.statuses.get(unit).map(|stored| &stored.value).filter(|status| status.epoch == owner.epoch)
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, Stored<V>>, key: K, value: V, revision: Revision) {
    let newer_known = map.get(&key).is_some_and(|stored| stored.revision > revision);
    if !newer_known {
        map.insert(key, Stored { value, revision });
    }
}

#[cfg(test)]
mod tests;
