//! What programs get. A connector is a document that `ferry apply` accepts again; its `status` is ignored there.

use super::{
    table::{connector_state, split_name, unit_state, worker_state},
    time::text,
};
use prost_types::Timestamp;
use proto::v1;
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// What happened to something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Outcome {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) outcome: String,
    #[serde(rename = "dryRun", skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dry_run: bool,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let note = if self.dry_run { " (dry run)" } else { "" };
        write!(f, "{}/{} {}{note}", self.kind, self.name, self.outcome)
    }
}

/// A document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connector {
    api_version: &'static str,
    kind: &'static str,
    name: String,
    target_state: String,
    config: BTreeMap<String, String>,
    status: Status,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    namespace: String,
    uid: String,
    etag: String,
    r#type: String,
    state: &'static str,
    config_generation: u64,
    target_generation: u64,
    create_time: Option<String>,
    update_time: Option<String>,
    connector: Option<Unit>,
    tasks: Vec<Unit>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Unit {
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<u32>,
    state: &'static str,
    worker: String,
    worker_id: String,
    epoch: String,
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown_since: Option<String>,
    records: u64,
    positions: Vec<Position>,
    restarts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt: Option<String>,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stalled: Option<Standstill>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_blocked: Option<Standstill>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recent_failures: Vec<RecentFailure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<PluginError>,
}

#[derive(Debug, Serialize)]
struct Standstill {
    since: Option<String>,
    place: String,
}

#[derive(Debug, Serialize)]
struct RecentFailure {
    time: Option<String>,
    class: String,
    message: String,
}

#[derive(Debug, Serialize)]
struct Position {
    partition: String,
    offset: String,
}

#[derive(Debug, Serialize)]
struct PluginError {
    class: String,
    message: String,
    causes: Vec<String>,
    trace: String,
    retriable: bool,
}

/// A connector for programs.
pub(crate) fn connector(connector: v1::Connector) -> Connector {
    let (namespace, name) = split_name(&connector.name);
    let target = connector.target_state().as_str_name().trim_start_matches("TARGET_STATE_").to_ascii_lowercase();
    Connector {
        api_version: "ferry/v1",
        kind: "Connector",
        name: name.to_owned(),
        target_state: target,
        status: Status {
            namespace: namespace.to_owned(),
            state: connector_state(&connector),
            uid: connector.uid,
            etag: connector.etag,
            r#type: connector.r#type,
            config_generation: connector.config_generation,
            target_generation: connector.target_generation,
            create_time: time(connector.create_time),
            update_time: time(connector.update_time),
            connector: connector.planner.map(unit),
            tasks: connector.tasks.into_iter().map(unit).collect(),
        },
        config: connector.config,
    }
}

fn unit(unit: v1::UnitStatus) -> Unit {
    let positions = unit.positions.iter();
    Unit {
        task: unit.task,
        state: unit_state(unit.state()),
        positions: positions.map(|p| Position { partition: p.partition.clone(), offset: p.offset.clone() }).collect(),
        worker: unit.worker,
        worker_id: unit.worker_id,
        epoch: unit.epoch,
        since: time(unit.since),
        unknown_since: time(unit.unknown_since),
        records: unit.records,
        restarts: unit.restarts,
        next_attempt: time(unit.next_attempt),
        version: unit.version,
        stalled: unit.stalled.map(standstill),
        stop_blocked: unit.stop_blocked.map(standstill),
        recent_failures: unit.recent_failures.into_iter().map(recent_failure).collect(),
        error: unit.error.map(|error| PluginError {
            class: error.class,
            message: error.message,
            causes: error.causes,
            trace: error.trace,
            retriable: error.retriable,
        }),
    }
}

fn standstill(standstill: v1::Standstill) -> Standstill {
    Standstill { since: time(standstill.since), place: standstill.place }
}

fn recent_failure(failure: v1::RecentFailure) -> RecentFailure {
    RecentFailure { time: time(failure.time), class: failure.class, message: failure.message }
}

/// A worker for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Worker {
    id: String,
    address: String,
    state: &'static str,
    pool: String,
    zone: String,
    labels: BTreeMap<String, String>,
    capacity: u32,
    units: u32,
    version: String,
    start_time: Option<String>,
    last_heartbeat_time: Option<String>,
}

pub(crate) fn worker(worker: v1::Worker) -> Worker {
    Worker {
        id: worker.name.strip_prefix("workers/").unwrap_or(&worker.name).to_owned(),
        state: worker_state(worker.state()),
        address: worker.address,
        pool: worker.pool,
        zone: worker.zone,
        labels: worker.labels,
        capacity: worker.capacity,
        units: worker.units,
        version: worker.version,
        start_time: time(worker.start_time),
        last_heartbeat_time: time(worker.last_heartbeat_time),
    }
}

/// A plugin for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Plugin {
    class: String,
    kind: String,
    version: String,
    aliases: Vec<String>,
    workers: u32,
}

pub(crate) fn plugin(plugin: v1::Plugin) -> Plugin {
    Plugin {
        class: plugin.class,
        kind: plugin.kind,
        version: plugin.version,
        aliases: plugin.aliases,
        workers: plugin.workers,
    }
}

fn time(at: Option<Timestamp>) -> Option<String> {
    at.as_ref().map(text)
}
