//! The World as users see it. A state is shown only while it is known to be true.

use crate::{clock::Clock, progress::ProgressTable, space::SpaceView};
use control_plane_api::service::{ConnectorView, UnitState, UnitView, WorkerRef, WorkerView};
use control_plane_core::{
    connector::{Config, Connector, TargetState},
    ids::{Unit, UnitKind, WorkerId},
    lease::GrantState,
    policy::Policy,
    status::{RunState, UnitStatus},
    worker::WorkerState,
    world::World,
};

/// Makes views.
#[derive(Clone)]
pub struct Viewer {
    /// The clock.
    pub clock: Clock,
    /// Samples.
    pub progress: ProgressTable,
    /// When silence is a doubt.
    pub policy: Policy,
    /// Whether states can be stored.
    pub space: SpaceView,
}

impl Viewer {
    /// A connector with its planner and the tasks of its task set.
    pub fn connector(&self, world: &World, connector: &Connector) -> ConnectorView {
        let unit = |kind| Unit { connector: connector.uid, kind };
        let no_config = Config::new();
        let planner = self.unit(world, connector, unit(UnitKind::Planner), &no_config);
        let tasks = match (connector.target, world.task_sets.get(&connector.uid)) {
            (TargetState::Stopped, _) | (_, None) => Vec::new(),
            (_, Some(set)) => set
                .value
                .tasks
                .iter()
                .enumerate()
                .map(|(number, config)| self.unit(world, connector, unit(UnitKind::Task(number as u32)), config))
                .collect(),
        };
        ConnectorView { connector: connector.clone(), planner, tasks }
    }

    fn unit(&self, world: &World, connector: &Connector, unit: Unit, config: &Config) -> UnitView {
        let owner = world.owners.get(&unit).map(|stored| &stored.value);
        let status = world.status(&unit);
        let silent_since = owner.and_then(|owner| self.silent_since(world, owner.worker));
        let unknown_since = silent_since.or_else(|| owner.and_then(|_| self.space.unknown_since(status.is_some())));
        let state = match owner {
            None => UnitState::Unassigned,
            Some(_) if unknown_since.is_some() => UnitState::Unknown,
            Some(_) if status.is_some_and(|status| status.stop_blocked.is_some()) => UnitState::StopBlocked,
            Some(owner) if owner.state == GrantState::Revoking => UnitState::Restarting,
            Some(_) => status.map_or(UnitState::Starting, |status| shown(connector, unit, status)),
        };
        let sample = owner.and_then(|owner| self.progress.get(&unit, owner.epoch)).unwrap_or_default();
        UnitView {
            task: match unit.kind {
                UnitKind::Planner => None,
                UnitKind::Task(number) => Some(number),
            },
            state,
            worker: owner.map(|owner| worker_ref(world, owner.worker)),
            epoch: owner.map(|owner| owner.epoch.to_string()).unwrap_or_default(),
            since: status.map(|status| status.since),
            unknown_since,
            error: status.and_then(|status| status.error.clone()).filter(|_| state == UnitState::Failed),
            records: sample.records,
            positions: sample.positions,
            config: config.clone(),
            restarts: status.map_or(0, |status| status.restarts),
            next_attempt: status.and_then(|status| status.next_attempt).filter(|_| state == UnitState::Failed),
            version: status.map(|status| status.version.clone()).unwrap_or_default(),
            stalled: status
                .and_then(|status| status.stalled.clone())
                .filter(|_| matches!(state, UnitState::Starting | UnitState::Running)),
            stop_blocked: status
                .and_then(|status| status.stop_blocked.clone())
                .filter(|_| state == UnitState::StopBlocked),
            recent_failures: status.map(|status| status.recent_failures.clone()).unwrap_or_default(),
        }
    }

    /// Since when the worker has not been heard of, if that is longer than its lease.
    fn silent_since(&self, world: &World, worker: WorkerId) -> Option<control_plane_core::time::Wall> {
        let now = self.clock.now();
        let expired = world.workers.get(&worker).is_none_or(|stored| stored.value.state == WorkerState::Expired);
        let since = world.beats.get(&worker).map_or(world.timers_since, |beat| beat.since);
        (expired || now.since(since) >= self.policy.lease_ttl).then(|| self.clock.wall_at(since))
    }

    /// A worker with its load.
    pub fn worker(&self, world: &World, id: WorkerId) -> Option<WorkerView> {
        let worker = world.workers.get(&id)?.value.clone();
        let silent = worker.state != WorkerState::Expired && self.silent_since(world, id).is_some();
        let units = world.owners.values().filter(|owner| owner.value.worker == id).count() as u32;
        let last_heartbeat =
            world.beats.get(&id).filter(|beat| beat.number > 0).map(|beat| self.clock.wall_at(beat.since));
        Some(WorkerView { worker, silent, units, last_heartbeat })
    }
}

fn shown(connector: &Connector, unit: Unit, status: &UnitStatus) -> UnitState {
    match status.state {
        RunState::Starting => UnitState::Starting,
        RunState::Running => UnitState::Running,
        RunState::Paused => UnitState::Paused,
        // A stopped planner is one whose connector is to be stopped; else it is on its way up.
        RunState::Stopped if unit.kind == UnitKind::Planner && connector.target != TargetState::Stopped => {
            UnitState::Starting
        }
        RunState::Stopped => UnitState::Stopped,
        RunState::Failed => UnitState::Failed,
    }
}

fn worker_ref(world: &World, id: WorkerId) -> WorkerRef {
    let address = world.workers.get(&id).map(|stored| stored.value.address.clone()).unwrap_or_default();
    WorkerRef { id, address }
}

#[cfg(test)]
mod tests;
