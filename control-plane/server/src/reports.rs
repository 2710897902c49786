//! What workers report, stored under guards: an older epoch, or a generation that is past, changes nothing.

use crate::{cache::Cache, clock::Clock, space::SpaceView};
use control_plane_core::{
    connector::{Config, TargetState},
    ids::{ConnectorUid, Epoch, Generation, Unit, UnitKind, WorkerId},
    keys::{Key, encode},
    lease::{GrantState, Owner},
    status::{PluginError, RecentFailure, RunState, Standstill, UnitStatus},
    task::{TASK_SET_LIMIT_BYTES, TaskSet},
    time::Wall,
    txn::{Compare, Txn},
    worker::{Worker, WorkerState},
    world::{Stored, World},
};
use control_plane_store::{Outcome, Store, StoreError};
use std::{collections::BTreeSet, sync::Arc};

/// What became of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Stored.
    Accepted,
    /// Its grant or generation is past.
    Void,
    /// It cannot be stored; the text is for the user.
    Refused(String),
    /// It is not stored for want of space; the worker repeats it.
    Postponed,
}

/// Tries against a store that keeps changing.
const TRIES: usize = 10;

/// Stores workers' reports.
#[derive(Clone)]
pub struct Reports {
    /// The store.
    pub store: Arc<dyn Store>,
    /// What is known of it.
    pub cache: Cache,
    /// The clock.
    pub clock: Clock,
    /// How much may still be stored.
    pub space: SpaceView,
}

/// A unit's transition, as a worker tells it.
#[derive(Debug, Clone)]
pub struct Transition {
    /// The unit.
    pub unit: Unit,
    /// The grant.
    pub epoch: Epoch,
    /// The state.
    pub state: RunState,
    /// With Failed.
    pub error: Option<PluginError>,
    /// Automatic starts.
    pub restarts: u32,
    /// Milliseconds until the next one; 0: none.
    pub next_attempt_ms: u64,
    /// Version of the plugin.
    pub version: String,
    /// How long ago.
    pub age_ms: u64,
    /// The worker's number of the report.
    pub sequence: u64,
    /// Why it failed lately.
    pub recent_failures: Vec<RecentFailure>,
    /// It makes no progress.
    pub stalled: Option<Standstill>,
    /// It does not end.
    pub stop_blocked: Option<Standstill>,
}

impl Reports {
    /// A unit changed its state.
    pub async fn transition(&self, worker: WorkerId, report: Transition) -> Result<Verdict, StoreError> {
        let wall = self.clock.wall();
        let status = UnitStatus {
            state: report.state,
            worker,
            epoch: report.epoch,
            since: Wall(wall.0 - report.age_ms as i64),
            error: report.error,
            restarts: report.restarts,
            next_attempt: (report.next_attempt_ms > 0).then(|| Wall(wall.0 + report.next_attempt_ms as i64)),
            version: report.version,
            sequence: report.sequence,
            recent_failures: report.recent_failures,
            stalled: report.stalled,
            stop_blocked: report.stop_blocked,
        };
        let key = Key::Status(report.unit);
        self.under_grant(worker, report.unit, report.epoch, |world, owner| {
            let before = world.statuses.get(&report.unit);
            // A worker numbers its reports: an older one may come late, from a session that has ended.
            let is_late = |old: &UnitStatus| old.epoch == status.epoch && old.sequence >= status.sequence;
            // Said again after its sessions were lost: nothing is new but the number.
            let is_same = |old: &UnitStatus| {
                UnitStatus {
                    since: status.since,
                    next_attempt: status.next_attempt,
                    sequence: status.sequence,
                    ..old.clone()
                } == status
            };
            let unchanged = match before {
                Some(before) if is_late(&before.value) => return Step::Done(Verdict::Void),
                Some(before) if is_same(&before.value) => return Step::Done(Verdict::Accepted),
                Some(before) => Compare::Unchanged(key.clone(), before.revision),
                None => Compare::Absent(key.clone()),
            };
            let guarded = Txn::new().when(Compare::Unchanged(Key::Owner(report.unit), owner.revision)).when(unchanged);
            match (self.space.level().takes_statuses(), before) {
                (true, _) => Step::Store(guarded.put(key.clone(), encode(&status))),
                (false, None) => Step::Done(Verdict::Postponed),
                // What is stored is not true any more, and a deletion takes no space.
                (false, Some(_)) => Step::StoreFor(guarded.delete(key.clone()), Verdict::Postponed),
            }
        })
        .await
    }

    /// A grant has ended on its worker.
    pub async fn ended(&self, worker: WorkerId, unit: Unit, epoch: Epoch) -> Result<Verdict, StoreError> {
        self.under_grant(worker, unit, epoch, |_, owner| {
            let guard = Compare::Unchanged(Key::Owner(unit), owner.revision);
            Step::Store(Txn::new().when(guard).delete(Key::Owner(unit)))
        })
        .await
    }

    /// A grant is to be replaced by one under a higher epoch.
    pub async fn take_back(&self, worker: WorkerId, unit: Unit, epoch: Epoch) -> Result<Verdict, StoreError> {
        self.under_grant(worker, unit, epoch, |_, owner| {
            if owner.value.state == GrantState::Revoking {
                return Step::Done(Verdict::Accepted);
            }
            let revoking = Owner { state: GrantState::Revoking, ..owner.value.clone() };
            let guard = Compare::Unchanged(Key::Owner(unit), owner.revision);
            Step::Store(Txn::new().when(guard).put(Key::Owner(unit), encode(&revoking)))
        })
        .await
    }

    /// A planner made tasks. They count if its grant is for what the connector is now: the grant's digest says so, also
    /// where the config has changed and changed back since.
    pub async fn task_set(
        &self,
        worker: WorkerId,
        uid: ConnectorUid,
        epoch: Epoch,
        tasks: Vec<Config>,
    ) -> Result<Verdict, StoreError> {
        let planner = Unit { connector: uid, kind: UnitKind::Planner };
        let mut has_caught_up = false;
        self.under_grant(worker, planner, epoch, |world, owner| {
            let Some(connector) = world.connectors.get(&uid) else { return Step::Done(Verdict::Void) };
            let current = world.wanted_digest(planner) == Some(owner.value.digest);
            if !current || connector.value.target == TargetState::Stopped {
                // This view may be behind the resumption that the planner obeyed.
                return match std::mem::replace(&mut has_caught_up, true) {
                    true => Step::Done(Verdict::Void),
                    false => Step::Behind,
                };
            }
            let old = world.task_sets.get(&uid);
            let set = TaskSet {
                connector: uid,
                number: old.map_or(Generation::FIRST, |old| old.value.number.next()),
                config_generation: connector.value.config_generation,
                connector_config: connector.value.config.clone(),
                settings: connector.value.settings.clone(),
                tasks: tasks.clone(),
            };
            if old.is_some_and(|old| TaskSet { number: old.value.number, ..set.clone() } == old.value) {
                return Step::Done(Verdict::Accepted);
            }
            let value = encode(&set);
            if value.len() > TASK_SET_LIMIT_BYTES {
                return Step::Done(Verdict::Refused(format!(
                    "the connector made {} tasks whose configs take {} bytes together; at most {} can be stored: lower \
                     tasks.max or shorten the configs",
                    tasks.len(),
                    value.len(),
                    TASK_SET_LIMIT_BYTES
                )));
            }
            let named = Key::Connector(connector.value.namespace.clone(), connector.value.name.clone());
            let old_guard = match old {
                Some(old) => Compare::Unchanged(Key::TaskSet(uid), old.revision),
                None => Compare::Absent(Key::TaskSet(uid)),
            };
            let txn = Txn::new()
                .when(Compare::Unchanged(Key::Owner(planner), owner.revision))
                .when(Compare::Unchanged(named, connector.revision))
                .when(old_guard)
                .put(Key::TaskSet(uid), value);
            Step::Store(txn)
        })
        .await
    }

    /// The worker wants to end, or says goodbye (it holds nothing any more).
    pub async fn worker_state(&self, id: WorkerId, state: WorkerState) -> Result<bool, StoreError> {
        self.change_worker(id, |worker| match worker.state.may_become(state) {
            true => Worker { state, ..worker.clone() },
            false => worker.clone(),
        })
        .await
    }

    /// The worker counts on these replicas.
    pub async fn known_replicas(&self, id: WorkerId, addresses: BTreeSet<String>) -> Result<bool, StoreError> {
        self.change_worker(id, |worker| Worker { known_replicas: addresses.clone(), ..worker.clone() }).await
    }

    /// Changes a worker's entry: somebody asks for it, or the worker itself does. One whose lease has ended stays as it is.
    /// False: there is no such worker.
    pub async fn change_worker(&self, id: WorkerId, change: impl Fn(&Worker) -> Worker) -> Result<bool, StoreError> {
        for _ in 0..TRIES {
            let worker = self.cache.world().workers.get(&id).cloned();
            let Some(Stored { value, revision }) = worker else { return Ok(false) };
            let changed = change(&value);
            if changed == value || value.state == WorkerState::Expired {
                return Ok(true);
            }
            let txn =
                Txn::new().when(Compare::Unchanged(Key::Worker(id), revision)).put(Key::Worker(id), encode(&changed));
            match self.store.commit(txn).await? {
                Outcome::Committed(revision) => {
                    self.cache.reach(revision).await?;
                    return Ok(true);
                }
                Outcome::Refused => self.cache.up_to_date(&*self.store).await?,
            }
        }
        Err(contended())
    }

    async fn under_grant(
        &self,
        worker: WorkerId,
        unit: Unit,
        epoch: Epoch,
        mut decide: impl FnMut(&World, &Stored<Owner>) -> Step,
    ) -> Result<Verdict, StoreError> {
        for _ in 0..TRIES {
            let step = {
                let world = self.cache.world();
                match world.owners.get(&unit) {
                    Some(owner) if owner.value.epoch == epoch && owner.value.worker == worker => decide(&world, owner),
                    Some(owner) if owner.value.epoch > epoch => Step::Done(Verdict::Void),
                    _ if world.epoch.as_ref().is_some_and(|stored| stored.value >= epoch) => Step::Done(Verdict::Void),
                    // The grant is newer than this replica's view.
                    _ => Step::Behind,
                }
            };
            match step {
                Step::Done(verdict) => return Ok(verdict),
                Step::Behind => {}
                Step::Store(txn) => {
                    if self.stored(txn).await? {
                        return Ok(Verdict::Accepted);
                    }
                }
                Step::StoreFor(txn, verdict) => {
                    if self.stored(txn).await? {
                        return Ok(verdict);
                    }
                }
            }
            self.cache.up_to_date(&*self.store).await?;
        }
        Err(contended())
    }

    /// False: a guard did not hold.
    async fn stored(&self, txn: Txn) -> Result<bool, StoreError> {
        match self.store.commit(txn).await? {
            Outcome::Committed(revision) => {
                self.cache.reach_or_go_on(revision).await;
                Ok(true)
            }
            Outcome::Refused => Ok(false),
        }
    }
}

enum Step {
    Store(Txn),
    StoreFor(Txn, Verdict),
    Done(Verdict),
    Behind,
}

fn contended() -> StoreError {
    StoreError::Unavailable("the entry is being changed by others again and again".to_owned())
}
