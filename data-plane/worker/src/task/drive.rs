//! The async loop around a unit's steps: waits for orders, wakers and timers, reports states.

use std::sync::Arc;
use std::time::{Duration, Instant};

use data_plane_connector_api::{ConnectError, Factory, Plugin};
use data_plane_core::activity::Stage;
use data_plane_core::client_overrides::Side;
use futures::future::{self, FutureExt};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::activity::SharedActivity;
use super::blocking::{self, Severed};
use super::gate::Gate;
use super::offset_store::OffsetStore;
use super::planner::PlannerUnit;
use super::runtime::MAX_ABANDONED;
use super::sink::SinkUnit;
use super::source::SourceUnit;
use super::unit::{Interrupt, Step, Unit};
use super::{RunState, Runtime, Target, TaskEvent, TaskSpec, clients};
use crate::secrets::{LiveConfig, Masks, Resolution, resolve, resolver};

/// Between samples of a unit's progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Config providers that call their values stale sooner are asked again after this time.
const SHORTEST_TTL: Duration = Duration::from_secs(1);

/// What the supervisor says.
pub(super) struct Orders {
    pub(super) target: watch::Receiver<Target>,
    pub(super) go: watch::Receiver<bool>,
    pub(super) stopping: CancellationToken,
    pub(super) gate: Arc<Gate>,
}

/// Why the loop is over.
enum End {
    /// Asked to.
    Stopped,
    Failed(ConnectError),
    /// With the thread that has the unit, if one has.
    Severed(Option<Severed>),
    /// Values of config providers are stale: to be built anew.
    Reload,
}

impl From<Severed> for End {
    fn from(severed: Severed) -> Self {
        Self::Severed(Some(severed))
    }
}

/// Runs a unit to its end.
pub(super) async fn drive(
    runtime: Arc<Runtime>,
    spec: TaskSpec,
    orders: Orders,
    activity: SharedActivity,
    events: mpsc::Sender<TaskEvent>,
) {
    let graceful_timeout = spec.settings.graceful_timeout;
    let mut driver = Driver {
        runtime,
        orders,
        activity,
        events,
        reported: None,
        sampled: Instant::now(),
        masks: Masks::default(),
        reload_at: None,
    };
    let end = loop {
        driver.report(RunState::Starting).await;
        let end = match driver.build(spec.clone()).await {
            Err(end) => end,
            Ok(unit) => driver.run(unit, graceful_timeout).await,
        };
        if !matches!(end, End::Reload) {
            break end;
        }
    };
    match end {
        End::Failed(error) => driver.report(RunState::Failed(error)).await,
        // Its plugin may still write, whatever the gate says: nobody else may run the unit before it has come back.
        End::Severed(Some(severed)) if !spec.severable => severed.returned().await,
        End::Stopped | End::Severed(_) | End::Reload => {}
    }
    driver.send(TaskEvent::Ended).await;
}

/// Makes a unit; `config` is its task's. Blocks.
fn make(
    runtime: &Runtime,
    (gate, activity): (Arc<Gate>, SharedActivity),
    plugin: &Arc<Plugin>,
    spec: TaskSpec,
    config: LiveConfig,
    store: Option<Arc<dyn OffsetStore>>,
) -> Result<Box<dyn Unit>, ConnectError> {
    Ok(match (spec.task, &plugin.factory, store) {
        (None, _, store) => Box::new(PlannerUnit::new(plugin, spec, activity, store)?),
        (Some(task), Factory::Source { task: make, .. }, Some(store)) => {
            clients::check_overrides(&spec, Side::Source { exactly_once: false })?;
            Box::new(SourceUnit::new(runtime, (gate, activity), make(), spec, config, task, store)?)
        }
        (Some(task), Factory::Sink { task: make, .. }, _) => {
            clients::check_overrides(&spec, Side::Sink)?;
            Box::new(SinkUnit::new(runtime, (gate, activity), make(), spec, config, task)?)
        }
        _ => return Err(ConnectError::connect("the plugin is neither a source nor a sink connector")),
    })
}

struct Driver {
    runtime: Arc<Runtime>,
    orders: Orders,
    activity: SharedActivity,
    events: mpsc::Sender<TaskEvent>,
    reported: Option<RunState>,
    sampled: Instant,
    /// Masks what config providers gave in all reports.
    masks: Masks,
    /// When what they gave is stale.
    reload_at: Option<Instant>,
}

impl Driver {
    async fn build(&mut self, spec: TaskSpec) -> Result<Box<dyn Unit>, End> {
        if self.runtime.abandoned.count() >= MAX_ABANDONED {
            let text = format!("{MAX_ABANDONED} threads hang in plugin code: restart the worker");
            return Err(End::Failed(ConnectError::retriable(text)));
        }
        let class = spec.connector_config.get("connector.class").map_or("", |class| class.trim());
        let plugin = match self.runtime.plugins.find_connector(class) {
            Ok(plugin) => Arc::clone(plugin),
            Err(unknown) => return Err(End::Failed(unknown.into())),
        };
        let is_source = matches!(plugin.factory, Factory::Source { .. });
        let store = match is_source {
            true => {
                let _entered = self.activity.enter(Stage::ReadOffsets);
                let opening = self.runtime.offset_store(&spec.settings);
                let opened = tokio::select! {
                    opened = opening => opened,
                    () = self.orders.stopping.cancelled() => return Err(End::Stopped),
                    () = self.orders.gate.closed() => return Err(End::Severed(None)),
                };
                Some(opened.map_err(End::Failed)?)
            }
            false => None,
        };
        let reloads = spec.connector_config.get("config.action.reload").is_none_or(|action| action.trim() != "none");
        let (runtime, gate, activity) =
            (Arc::clone(&self.runtime), Arc::clone(&self.orders.gate), self.activity.clone());
        let masks = self.masks.clone();
        let build = move |resolution: &mut Resolution| -> Result<Box<dyn Unit>, ConnectError> {
            let _entered = activity.enter(Stage::Build);
            let mut spec = spec;
            let raw = spec.task_config.clone();
            let mut resolver = resolver(&runtime.plugins, &spec.settings)?;
            *resolution = resolve(resolver.as_mut(), &mut [&mut spec.connector_config, &mut spec.task_config])?;
            masks.replace(resolution.secrets.clone());
            let config = LiveConfig::new(raw, resolver, spec.task_config.clone(), masks);
            make(&runtime, (gate, activity.clone()), &plugin, spec, config, store)
        };
        let built = tokio::select! {
            built = blocking::step(Resolution::default(), &self.orders.gate, &self.runtime.abandoned, build) => built,
            // What is being built has neither begun nor joined anything, and drops itself within the clients' timeouts.
            () = self.orders.stopping.cancelled() => return Err(End::Stopped),
        };
        // Nor can it do harm where it was severed.
        let (resolution, built) = built.map_err(|_| End::Severed(None))?;
        self.reload_at = resolution.ttl.filter(|_| reloads).map(|ttl| Instant::now() + ttl.max(SHORTEST_TTL));
        built.map_err(End::Failed)
    }

    async fn run(&mut self, unit: Box<dyn Unit>, graceful_timeout: Duration) -> End {
        let watcher = self.interrupt_when_stopping(unit.interrupt());
        let mut held = Some(unit);
        let mut end = self.work(&mut held).await;
        watcher.abort();
        if let Some(unit) = held {
            let deadline = Instant::now() + graceful_timeout;
            let stop = move |unit: &mut Box<dyn Unit>| {
                unit.stop(deadline);
                Ok(())
            };
            match self.step(unit, stop).await {
                Ok((mut unit, result)) => {
                    self.flush_events(&mut unit, true).await;
                    blocking::release(unit);
                    if let (End::Stopped, Err(error)) = (&end, result) {
                        end = End::Failed(error);
                    }
                }
                Err(severed) => end = severed.into(),
            }
        }
        end
    }

    /// Steps until the end. The unit is left in `held` unless it is lost with a severed thread.
    async fn work(&mut self, held: &mut Option<Box<dyn Unit>>) -> End {
        let mut is_started = false;
        loop {
            if self.orders.stopping.is_cancelled() {
                return End::Stopped;
            }
            if self.reload_at.is_some_and(|moment| Instant::now() >= moment) {
                return End::Reload;
            }
            let target = *self.orders.target.borrow_and_update();
            let may_go = *self.orders.go.borrow_and_update();
            if !is_started && (target != Target::Running || !may_go) {
                if target != Target::Running {
                    self.report(state_of(target)).await;
                }
                match self.wait(None, &[]).await {
                    Ok(()) => continue,
                    Err(end) => return end,
                }
            }
            let Some(unit) = held.take() else { return End::Severed(None) };
            let was_started = std::mem::replace(&mut is_started, true);
            let stepped = match was_started {
                true => self.step(unit, move |unit| unit.step(target)).await,
                false => self.step(unit, |unit| unit.start().map(|()| Step::Again)).await,
            };
            let (mut unit, result) = match stepped {
                Ok(stepped) => stepped,
                Err(severed) => return severed.into(),
            };
            let step = match result {
                Ok(step) => step,
                Err(error) => {
                    *held = Some(unit);
                    return if self.orders.gate.is_closed() { End::Severed(None) } else { End::Failed(error) };
                }
            };
            self.report(state_of(target)).await;
            self.flush_events(&mut unit, false).await;
            let wakers = unit.wakers();
            *held = Some(unit);
            if let Step::Wait(time) = step
                && let Err(end) = self.wait(Some(time), &wakers).await
            {
                return end;
            }
        }
    }

    async fn step<R: Send + 'static>(
        &self,
        unit: Box<dyn Unit>,
        step: impl FnOnce(&mut Box<dyn Unit>) -> Result<R, ConnectError> + Send + 'static,
    ) -> Result<(Box<dyn Unit>, Result<R, ConnectError>), Severed> {
        blocking::step(unit, &self.orders.gate, &self.runtime.abandoned, step).await
    }

    /// Waits for the time, a waker, or a change of orders. Nothing but the orders' "seen" marks changes.
    async fn wait(&mut self, time: Option<Duration>, wakers: &[Arc<Notify>]) -> Result<(), End> {
        let until_reload = self.reload_at.map(|moment| moment.saturating_duration_since(Instant::now()));
        let time = [time, until_reload].into_iter().flatten().min();
        let Orders { target, go, stopping, gate } = &mut self.orders;
        let timer = async {
            match time {
                Some(time) => tokio::time::sleep(time).await,
                None => future::pending().await,
            }
        };
        let woken = async {
            match wakers.is_empty() {
                true => future::pending().await,
                false => {
                    future::select_all(wakers.iter().map(|waker| waker.notified().boxed())).await;
                }
            }
        };
        tokio::select! {
            biased;
            () = gate.closed() => Err(End::Severed(None)),
            () = stopping.cancelled() => Err(End::Stopped),
            changed = target.changed() => changed.map_err(|_| End::Stopped),
            () = until_changed(go) => Ok(()),
            () = woken => Ok(()),
            () = timer => Ok(()),
        }
    }

    fn interrupt_when_stopping(&self, interrupt: Option<Interrupt>) -> tokio::task::JoinHandle<()> {
        let stopping = self.orders.stopping.clone();
        tokio::spawn(async move {
            stopping.cancelled().await;
            if let Some(interrupt) = interrupt {
                let _ = tokio::task::spawn_blocking(move || interrupt()).await;
            }
        })
    }

    async fn flush_events(&mut self, unit: &mut Box<dyn Unit>, is_last: bool) {
        let mut events = Vec::new();
        unit.take_events(&mut events);
        for event in events {
            self.send(self.masked_event(event)).await;
        }
        if is_last || self.sampled.elapsed() >= PROGRESS_INTERVAL {
            self.sampled = Instant::now();
            if let Some(progress) = unit.progress() {
                // A sample that nobody takes now is not worth waiting for: the next one says more.
                let _ = self.events.try_send(self.masked_event(progress));
            }
        }
    }

    /// The event with references in place of what config providers gave.
    fn masked_event(&self, event: TaskEvent) -> TaskEvent {
        let masks = &self.masks;
        match event {
            event if masks.is_empty() => event,
            TaskEvent::State(RunState::Failed(error)) => TaskEvent::State(RunState::Failed(masks.error(error))),
            TaskEvent::TaskSet(configs) => {
                TaskEvent::TaskSet(configs.iter().map(|config| masks.config(config)).collect())
            }
            TaskEvent::Progress { records, bytes, positions, lag } => {
                let mask = |text: String| masks.text(&text);
                let positions = positions.into_iter().map(|(place, offset)| (mask(place), mask(offset))).collect();
                TaskEvent::Progress { records, bytes, positions, lag }
            }
            event => event,
        }
    }

    async fn report(&mut self, state: RunState) {
        if self.reported.as_ref() != Some(&state) {
            self.send(self.masked_event(TaskEvent::State(state.clone()))).await;
            self.reported = Some(state);
        }
    }

    async fn send(&self, event: TaskEvent) {
        // Without a receiver nobody wants to know; the handle's drop ends the unit.
        let _ = self.events.send(event).await;
    }
}

/// Resolves at the next change; never once the sender is gone (the last value stands).
async fn until_changed(go: &mut watch::Receiver<bool>) {
    if go.changed().await.is_err() {
        future::pending().await
    }
}

fn state_of(target: Target) -> RunState {
    match target {
        Target::Running => RunState::Running,
        Target::Paused => RunState::Paused,
        Target::Stopped => RunState::Stopped,
    }
}
