//! Connectors and their units, to the wire.

use super::{names, timestamp};
use crate::service::{ConnectorView, Position64, UnitState, UnitView, Watched};
use control_plane_core::{
    connector::TargetState,
    ids::{ConnectorName, Namespace},
    status::{PluginError, Standstill},
};
use proto::v1;

/// Most positions of a unit in one answer.
const MAX_POSITIONS: usize = 100;

pub(crate) fn connector(view: ConnectorView) -> v1::Connector {
    let etag = view.connector.etag();
    let stored = view.connector;
    v1::Connector {
        name: names::connector_name(&stored.namespace, &stored.name),
        uid: stored.uid.to_string(),
        config: stored.config,
        target_state: target(stored.target).into(),
        etag,
        config_generation: stored.config_generation.0,
        target_generation: stored.target_generation.0,
        r#type: stored.connector_type.as_str().to_owned(),
        create_time: Some(timestamp(stored.created)),
        update_time: Some(timestamp(stored.updated)),
        planner: Some(unit(view.planner)),
        tasks: view.tasks.into_iter().map(unit).collect(),
    }
}

pub(crate) fn watched(step: Watched) -> v1::WatchConnectorsResponse {
    match step {
        Watched::Changed(view, at) => answer(Some(connector(*view)), at),
        Watched::Deleted(namespace, name, uid, at) => {
            v1::WatchConnectorsResponse { deleted: true, ..answer(Some(deleted(&namespace, &name, uid)), at) }
        }
        Watched::Synced(at) => v1::WatchConnectorsResponse { synced: true, ..answer(None, at) },
    }
}

fn answer(connector: Option<v1::Connector>, at: Position64) -> v1::WatchConnectorsResponse {
    v1::WatchConnectorsResponse { connector, deleted: false, synced: false, resume_token: at.to_string() }
}

fn deleted(namespace: &Namespace, name: &ConnectorName, uid: String) -> v1::Connector {
    v1::Connector { name: names::connector_name(namespace, name), uid, ..Default::default() }
}

fn target(target: TargetState) -> v1::TargetState {
    match target {
        TargetState::Running => v1::TargetState::Running,
        TargetState::Paused => v1::TargetState::Paused,
        TargetState::Stopped => v1::TargetState::Stopped,
    }
}

fn state(state: UnitState) -> v1::UnitState {
    match state {
        UnitState::Unassigned => v1::UnitState::Unassigned,
        UnitState::Starting => v1::UnitState::Starting,
        UnitState::Running => v1::UnitState::Running,
        UnitState::Paused => v1::UnitState::Paused,
        UnitState::Stopped => v1::UnitState::Stopped,
        UnitState::Failed => v1::UnitState::Failed,
        UnitState::Restarting => v1::UnitState::Restarting,
        UnitState::Unknown => v1::UnitState::Unknown,
        UnitState::StopBlocked => v1::UnitState::StopBlocked,
    }
}

fn unit(view: UnitView) -> v1::UnitStatus {
    let (worker, worker_id) = match view.worker {
        Some(worker) => (worker.address, worker.id.to_string()),
        None => (String::new(), String::new()),
    };
    let positions = view.positions.into_iter().take(MAX_POSITIONS);
    let recent_failures = view.recent_failures.into_iter().map(|failure| v1::RecentFailure {
        time: Some(timestamp(failure.at)),
        class: failure.class,
        message: failure.message,
    });
    v1::UnitStatus {
        task: view.task,
        state: state(view.state).into(),
        worker,
        worker_id,
        epoch: view.epoch,
        since: view.since.map(timestamp),
        unknown_since: view.unknown_since.map(timestamp),
        error: view.error.map(plugin_error),
        records: view.records,
        positions: positions.map(|p| v1::Position { partition: p.partition, offset: p.offset }).collect(),
        config: view.config,
        restarts: view.restarts,
        next_attempt: view.next_attempt.map(timestamp),
        version: view.version,
        stalled: view.stalled.map(standstill),
        stop_blocked: view.stop_blocked.map(standstill),
        recent_failures: recent_failures.collect(),
    }
}

fn standstill(standstill: Standstill) -> v1::Standstill {
    v1::Standstill { since: Some(timestamp(standstill.since)), place: standstill.place }
}

fn plugin_error(error: PluginError) -> v1::PluginError {
    v1::PluginError {
        class: error.class,
        message: error.message,
        causes: error.causes,
        trace: error.trace,
        retriable: error.retriable,
    }
}
