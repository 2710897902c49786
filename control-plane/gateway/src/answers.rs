//! Answer bodies: Kafka Connect's ConnectorInfo, ConnectorStateInfo and TaskInfo.

use control_plane_api::service::{ConnectorView, UnitState, UnitView};
use control_plane_core::{connector::Config, status::PluginError};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct TaskId {
    connector: String,
    task: u32,
}

#[derive(Serialize)]
pub(crate) struct Info {
    name: String,
    config: Config,
    tasks: Vec<TaskId>,
    r#type: &'static str,
}

#[derive(Serialize)]
pub(crate) struct TaskInfo {
    id: TaskId,
    config: Config,
}

#[derive(Serialize)]
pub(crate) struct Unit {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u32>,
    state: &'static str,
    worker_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
}

#[derive(Serialize)]
pub(crate) struct State {
    name: String,
    connector: Unit,
    tasks: Vec<Unit>,
    r#type: &'static str,
}

pub(crate) fn info(view: &ConnectorView) -> Info {
    let name = view.connector.name.to_string();
    Info {
        config: view.connector.config.clone(),
        tasks: view.tasks.iter().filter_map(|unit| task_id(&name, unit)).collect(),
        r#type: view.connector.connector_type.as_str(),
        name,
    }
}

pub(crate) fn state(view: &ConnectorView) -> State {
    State {
        name: view.connector.name.to_string(),
        connector: unit(&view.planner),
        tasks: view.tasks.iter().map(unit).collect(),
        r#type: view.connector.connector_type.as_str(),
    }
}

pub(crate) fn tasks(view: &ConnectorView) -> Vec<TaskInfo> {
    let name = view.connector.name.to_string();
    let infos = view.tasks.iter().filter_map(|unit| {
        let id = task_id(&name, unit)?;
        Some(TaskInfo { id, config: unit.config.clone() })
    });
    infos.collect()
}

pub(crate) fn unit(view: &UnitView) -> Unit {
    Unit {
        id: view.task,
        state: state_text(view.state),
        worker_id: view.worker.as_ref().map(|worker| worker.address.clone()).unwrap_or_default(),
        trace: view.error.as_ref().map(trace),
        version: view.version.clone(),
    }
}

fn task_id(connector: &str, unit: &UnitView) -> Option<TaskId> {
    unit.task.map(|task| TaskId { connector: connector.to_owned(), task })
}

/// Connect's clients know six states: what is not known to run is UNASSIGNED to them.
fn state_text(state: UnitState) -> &'static str {
    match state {
        UnitState::Unassigned | UnitState::Starting | UnitState::Unknown => "UNASSIGNED",
        UnitState::Running => "RUNNING",
        UnitState::Paused => "PAUSED",
        UnitState::Stopped => "STOPPED",
        UnitState::Failed => "FAILED",
        UnitState::Restarting | UnitState::StopBlocked => "RESTARTING",
    }
}

fn trace(error: &PluginError) -> String {
    match error.trace.as_str() {
        "" => format!("{}: {}", error.class, error.message),
        trace => trace.to_owned(),
    }
}
