//! The runners of the units that are held: started, watched, started again after failures.

mod health;

#[cfg(test)]
mod tests;

use crate::{
    clock,
    guard::Guard,
    task::{self, RunState, Runtime, TaskEvent, TaskHandle, TaskSpec, WorkerSettings},
    unit_policy::UnitPolicy,
    wire::{SettingsTable, Work, wire_epoch, wire_error, wire_state},
};
use data_plane_connector_api::ConnectError;
use data_plane_core::{
    assignment::{Assigned, Epoch, Target, UnitName},
    time::Monotonic,
};
use health::Health;
use proto::worker_v1 as wire;
use std::{
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

/// Between looks at what the units do.
const LOOK: Duration = Duration::from_millis(200);

/// Largest task set that the control plane stores.
const TASK_SET_LIMIT_BYTES: usize = 1 << 20;

/// Grace of a unit whose settings are not known.
const DEFAULT_GRACE: Duration = Duration::from_secs(5);

type Key = (UnitName, Epoch);

struct Held {
    work: Arc<Work>,
    target: Target,
    outlives_lease: bool,
    severable: bool,
    /// Of the plugin.
    version: String,
    confirmed: bool,
    runner: Option<Runner>,
    state: RunState,
    entered: Monotonic,
    /// Numbers what there is to say of it.
    change: u64,
    /// What was said last; 0: nothing, or it may be lost.
    said: u64,
    health: Health,
    restart_at: Option<Instant>,
    /// When it was asked to end.
    stop_asked: Option<Monotonic>,
    /// From when on its patience counts.
    stop_since: Option<Instant>,
    grace: Duration,
    records: u64,
    /// A planner's latest task set.
    task_set: Option<wire::ReportTaskSet>,
}

struct Runner {
    handle: Arc<TaskHandle>,
    go: watch::Sender<bool>,
}

/// All units held.
pub(super) struct Units {
    runtime: Arc<Runtime>,
    guard: Guard,
    events: mpsc::Sender<(UnitName, Epoch, TaskEvent)>,
    held: BTreeMap<Key, Held>,
    ended: VecDeque<Key>,
    records_before: u64,
    looked: Instant,
}

impl Units {
    pub(super) fn new(
        runtime: Arc<Runtime>,
        guard: Guard,
        events: mpsc::Sender<(UnitName, Epoch, TaskEvent)>,
    ) -> Units {
        let (held, ended, looked) = (BTreeMap::new(), VecDeque::new(), Instant::now());
        Units { runtime, guard, events, held, ended, records_before: 0, looked }
    }

    /// Makes ready what units of these settings need first.
    pub(super) fn warm_up(&self, settings: &SettingsTable) {
        let (runtime, usable) = (self.runtime.clone(), settings.values().flatten().cloned().collect());
        tokio::spawn(async move { runtime.warm_up(usable).await });
    }

    pub(super) fn start(&mut self, assigned: Assigned<Arc<Work>>, settings: &SettingsTable) {
        let key = (assigned.unit, assigned.epoch);
        tracing::debug!(unit = %key.0, epoch = %key.1, connector = %assigned.work.connector, "granted");
        let class = assigned.work.connector_config.get("connector.class").map_or("", |class| class.trim());
        let held = Held {
            version: self.runtime.connector_version(class),
            work: assigned.work,
            target: assigned.target,
            outlives_lease: assigned.outlives_lease,
            severable: assigned.severable,
            confirmed: false,
            runner: None,
            state: RunState::Starting,
            entered: clock::now(),
            change: 1,
            said: 0,
            health: Health::new(seed(&key)),
            restart_at: None,
            stop_asked: None,
            stop_since: None,
            grace: DEFAULT_GRACE,
            records: 0,
            task_set: None,
        };
        self.held.insert(key.clone(), held);
        self.run(&key, settings);
    }

    fn run(&mut self, key: &Key, settings: &SettingsTable) {
        let Some(held) = self.held.get_mut(key) else { return };
        held.restart_at = None;
        let known: Result<Arc<WorkerSettings>, String> = match settings.get(&held.work.settings_id) {
            Some(settings) => settings.clone(),
            None => Err(format!("the control plane has no settings {:?}", held.work.settings_id)),
        };
        let settings = match known {
            Ok(settings) => settings,
            Err(reason) => {
                held.enter(RunState::Failed(ConnectError::config(reason)));
                held.end_run();
                return;
            }
        };
        match UnitPolicy::under(&settings.raw, &held.work.connector_config) {
            Ok(policy) => held.health.set_policy(policy),
            Err(error) => {
                held.enter(RunState::Failed(error));
                held.end_run();
                return;
            }
        }
        held.grace = settings.graceful_timeout;
        let spec = TaskSpec {
            connector: held.work.connector.clone(),
            task: key.0.task,
            connector_config: held.work.connector_config.clone(),
            task_config: held.work.task_config.clone(),
            settings,
            epoch: (key.1.incarnation, key.1.counter),
            target: task_target(held.target),
            outlives_lease: held.outlives_lease,
            severable: held.severable,
        };
        let (go, confirmed) = watch::channel(held.confirmed);
        let (sender, mut receiver) = mpsc::channel(64);
        let handle = Arc::new(task::spawn(&self.runtime, spec, confirmed, sender));
        if !held.outlives_lease {
            self.guard.add(&handle);
        }
        let (events, (unit, epoch)) = (self.events.clone(), key.clone());
        tokio::spawn(async move {
            while let Some(event) = receiver.recv().await {
                if events.send((unit.clone(), epoch, event)).await.is_err() {
                    return;
                }
            }
        });
        held.runner = Some(Runner { handle, go });
        held.enter(RunState::Starting);
    }

    pub(super) fn confirm(&mut self, unit: &UnitName, epoch: Epoch) {
        if let Some(held) = self.held.get_mut(&(unit.clone(), epoch)) {
            tracing::debug!(%unit, %epoch, "confirmed");
            held.confirmed = true;
            if let Some(runner) = &held.runner {
                runner.go.send_replace(true);
            }
        }
    }

    pub(super) fn set_target(&mut self, unit: &UnitName, epoch: Epoch, target: Target) {
        if let Some(held) = self.held.get_mut(&(unit.clone(), epoch)) {
            held.target = target;
            // A failed unit has no state of its own to show until it is started.
            if held.restart_at.is_some() {
                held.restart_at = Some(Instant::now());
            }
            if let Some(runner) = &held.runner {
                runner.handle.set_target(task_target(target));
            }
        }
    }

    pub(super) fn stop(&mut self, unit: &UnitName, epoch: Epoch) {
        self.end(unit, epoch, |runner| runner.handle.stop());
    }

    pub(super) fn sever(&mut self, unit: &UnitName, epoch: Epoch) {
        self.end(unit, epoch, |runner| {
            runner.handle.sever();
            runner.handle.stop();
        });
    }

    fn end(&mut self, unit: &UnitName, epoch: Epoch, how: impl Fn(&Runner)) {
        let key = (unit.clone(), epoch);
        let Some(held) = self.held.get_mut(&key) else { return };
        held.stop_since.get_or_insert_with(Instant::now);
        held.stop_asked.get_or_insert_with(clock::now);
        held.restart_at = None;
        match &held.runner {
            Some(runner) => how(runner),
            None => self.ended.push_back(key),
        }
    }

    /// The runner's word, but for task sets and progress.
    pub(super) fn event(&mut self, unit: &UnitName, epoch: Epoch, event: TaskEvent) {
        let key = (unit.clone(), epoch);
        let Some(held) = self.held.get_mut(&key) else { return };
        match event {
            TaskEvent::State(state) => {
                match &state {
                    RunState::Failed(error) => {
                        tracing::warn!(%unit, %epoch, connector = %held.work.connector, %error, "failed");
                    }
                    state => tracing::debug!(%unit, %epoch, ?state, "state"),
                }
                held.enter(state);
            }
            TaskEvent::Ended => {
                held.runner = None;
                if held.stop_since.is_some() {
                    self.ended.push_back(key);
                    return;
                }
                if !matches!(held.state, RunState::Failed(_)) {
                    held.enter(RunState::Failed(ConnectError::connect("the unit ended by itself")));
                }
                held.end_run();
            }
            TaskEvent::TaskSet(_) | TaskEvent::Progress { .. } | TaskEvent::LaterEpoch(_) => {}
        }
    }

    /// Fails a unit from outside, such as a planner whose task set cannot be stored.
    pub(super) fn fail(&mut self, unit: &UnitName, epoch: Epoch, reason: String) {
        if let Some(held) = self.held.get_mut(&(unit.clone(), epoch)) {
            held.enter(RunState::Failed(ConnectError::connect(reason)));
            if let Some(runner) = &held.runner {
                runner.handle.stop();
            }
        }
    }

    pub(super) fn progressed(&mut self, unit: &UnitName, epoch: Epoch, records: u64) {
        if let Some(held) = self.held.get_mut(&(unit.clone(), epoch)) {
            // A restarted runner counts from zero.
            if records < held.records {
                self.records_before += held.records;
            }
            held.records = records;
        }
    }

    /// A planner made tasks: the report, which is kept. Too many or too large ones fail the planner.
    pub(super) fn planned(
        &mut self,
        unit: &UnitName,
        epoch: Epoch,
        tasks: Vec<BTreeMap<String, String>>,
    ) -> Option<wire::ReportTaskSet> {
        let held = self.held.get_mut(&(unit.clone(), epoch))?;
        tracing::debug!(%unit, %epoch, tasks = tasks.len(), "task set");
        let report = wire::ReportTaskSet {
            sequence: 0,
            connector_uid: unit.connector_uid.clone(),
            epoch: Some(wire_epoch(epoch)),
            config_generation: held.work.config_generation,
            tasks: tasks.into_iter().map(|config| wire::TaskConfig { config }).collect(),
            change: held.task_set.as_ref().map_or(1, |before| before.change + 1),
        };
        let size = prost::Message::encoded_len(&report);
        if size > TASK_SET_LIMIT_BYTES {
            let reason = format!(
                "the connector made {} tasks whose configs take {size} bytes together; at most {TASK_SET_LIMIT_BYTES} can \
                 be stored: lower tasks.max or shorten the configs",
                report.tasks.len()
            );
            self.fail(unit, epoch, reason);
            return None;
        }
        held.task_set = Some(report.clone());
        Some(report)
    }

    /// A planner's latest task set.
    pub(super) fn task_set(&self, unit: &UnitName, epoch: Epoch) -> Option<wire::ReportTaskSet> {
        self.held.get(&(unit.clone(), epoch)).and_then(|held| held.task_set.clone())
    }

    /// All planners' latest task sets.
    pub(super) fn task_sets(&self) -> Vec<(Key, wire::ReportTaskSet)> {
        self.held.iter().filter_map(|(key, held)| Some((key.clone(), held.task_set.clone()?))).collect()
    }

    /// Starts failed units again whose time has come.
    pub(super) fn restart_due(&mut self, settings: &SettingsTable) {
        let now = Instant::now();
        let due: Vec<Key> = self
            .held
            .iter()
            .filter(|(_, held)| held.restart_at.is_some_and(|at| now >= at))
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            if let Some(held) = self.held.get_mut(&key) {
                held.health.restarted();
            }
            self.run(&key, settings);
        }
    }

    /// Looks at what the units do, now and then: which stand still, which have done well for a while.
    pub(super) fn look(&mut self) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        let now = clock::now();
        for ((unit, epoch), held) in &mut self.held {
            // What is to end is looked at by its patience; what holds has nothing to do.
            let is_at_work = matches!(held.state, RunState::Starting | RunState::Running) && held.stop_asked.is_none();
            let runner = held.runner.as_ref().filter(|_| is_at_work);
            let (entered, activity) = (held.entered, runner.map(|runner| runner.handle.activity()));
            if held.health.look(now, |after| activity.and_then(|activity| activity.stall(entered, after))) {
                held.change += 1;
                match held.health.stall() {
                    Some(stall) => {
                        tracing::warn!(%unit, %epoch, connector = %held.work.connector, place = %stall.place,
                        "makes no progress")
                    }
                    None => tracing::info!(%unit, %epoch, connector = %held.work.connector, "does well"),
                }
            }
        }
    }

    /// A unit that was asked to end takes too long, and may not be cut off.
    pub(super) fn stop_is_blocked(&mut self, unit: &UnitName, epoch: Epoch) {
        let Some(held) = self.held.get_mut(&(unit.clone(), epoch)) else { return };
        let place = held.runner.as_ref().and_then(|runner| runner.handle.activity().place());
        let since = held.stop_asked.unwrap_or(held.entered);
        if held.health.stop_is_blocked(since, place) {
            held.change += 1;
        }
    }

    /// A unit that has ended as asked.
    pub(super) fn take_ended(&mut self) -> Option<Key> {
        self.ended.pop_front()
    }

    pub(super) fn forget(&mut self, unit: &UnitName, epoch: Epoch) {
        if let Some(held) = self.held.remove(&(unit.clone(), epoch)) {
            self.records_before += held.records;
        }
    }

    /// Units whose stop takes longer than their grace and a margin.
    pub(super) fn overdue(&mut self, margin: Duration) -> Vec<Key> {
        let mut overdue = Vec::new();
        for (key, held) in &mut self.held {
            if held.stop_since.is_some_and(|since| since.elapsed() > held.grace + margin) {
                // Asked again only after another such time, where it may not be cut off.
                held.stop_since = Some(Instant::now());
                overdue.push(key.clone());
            }
        }
        overdue
    }

    /// Everything is to be reported anew, as it is.
    pub(super) fn say_again(&mut self) {
        self.held.values_mut().for_each(|held| held.said = 0);
    }

    /// What units have become since the last call.
    pub(super) fn take_reports(&mut self) -> Vec<(UnitName, Epoch, wire::UnitReport)> {
        let (now, at) = (Instant::now(), clock::now());
        let mut reports = Vec::new();
        for ((unit, epoch), held) in self.held.iter_mut().filter(|(_, held)| held.said < held.change) {
            held.said = held.change;
            let mut report = wire::UnitReport {
                state: wire_state(&held.state).into(),
                error: match &held.state {
                    RunState::Failed(error) => Some(wire_error(error)),
                    _ => None,
                },
                next_attempt_ms: held
                    .restart_at
                    .map_or(0, |at| at.saturating_duration_since(now).as_millis().max(1) as u64),
                age_ms: at.since(held.entered).as_millis() as u64,
                version: held.version.clone(),
                change: held.change,
                ..wire::UnitReport::default()
            };
            held.health.tell(&mut report, at);
            reports.push((unit.clone(), *epoch, report));
        }
        reports
    }

    /// Units held, and failed ones among them.
    pub(super) fn count(&self) -> (usize, usize) {
        let failed = self.held.values().filter(|held| matches!(held.state, RunState::Failed(_))).count();
        (self.held.len(), failed)
    }

    pub(super) fn records(&self) -> u64 {
        self.records_before + self.held.values().map(|held| held.records).sum::<u64>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn longest_grace(&self) -> Duration {
        self.held.values().map(|held| held.grace).max().unwrap_or(Duration::ZERO)
    }
}

impl Held {
    fn enter(&mut self, state: RunState) {
        if self.state != state {
            let now = clock::now();
            match &state {
                RunState::Failed(error) => self.health.failed(error, now),
                RunState::Running | RunState::Paused | RunState::Stopped => self.health.runs(now),
                RunState::Starting => {}
            }
            self.state = state;
            self.entered = now;
            self.change += 1;
        }
    }

    /// It has failed, and no runner is left: it is started again when the policy says so.
    fn end_run(&mut self) {
        self.restart_at = self.health.wait(clock::now()).map(|wait| Instant::now() + wait);
        self.change += 1;
    }
}

/// Differs from unit to unit, and is the same at each start.
fn seed(key: &Key) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.0.hash(&mut hasher);
    hasher.finish()
}

fn task_target(target: Target) -> task::Target {
    match target {
        Target::Running => task::Target::Running,
        Target::Paused => task::Target::Paused,
        Target::Stopped => task::Target::Stopped,
    }
}
