//! What the fake shows.

use crate::service::{ConfigKeyInfo, PluginView, Position, UnitState, UnitView, WorkerRef, WorkerView};
use control_plane_core::{
    connector::Config,
    ids::{ConnectorUid, WorkerId},
    time::Wall,
    worker::Worker,
};
use std::collections::BTreeMap;

fn worker_id() -> WorkerId {
    "00000000-0000-4000-8000-0000000000aa".parse().expect("a UUID")
}

pub(super) fn uid(number: i64) -> ConnectorUid {
    format!("00000000-0000-4000-9000-{number:012x}").parse().expect("a UUID")
}

pub(super) fn worker(address: &str, started: Wall) -> WorkerView {
    WorkerView {
        worker: Worker {
            zone: "a".into(),
            labels: BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]),
            connectors: plugins().into_iter().take(2).map(|plugin| plugin.class).collect(),
            version: "0.1.0".into(),
            ..Worker::new(worker_id(), address.to_owned(), started)
        },
        silent: false,
        units: 0,
        last_heartbeat: Some(started),
    }
}

pub(super) fn unit(state: UnitState, since: Wall) -> UnitView {
    UnitView {
        task: None,
        state,
        worker: Some(WorkerRef { id: worker_id(), address: super::WORKER.to_owned() }),
        epoch: "1.1".into(),
        since: Some(since),
        unknown_since: None,
        error: None,
        records: 0,
        positions: Vec::new(),
        config: Config::new(),
        restarts: 0,
        next_attempt: None,
        version: "4.3.0".into(),
        stalled: None,
        stop_blocked: None,
        recent_failures: Vec::new(),
    }
}

pub(super) fn task(number: u32, state: UnitState, config: &Config, since: Wall) -> UnitView {
    let partition = format!("{{\"filename\":{:?}}}", config.get("file").map_or("", String::as_str));
    UnitView {
        task: Some(number),
        records: 42,
        positions: vec![Position { partition, offset: "{\"position\":1764}".into() }],
        config: config.clone(),
        ..unit(state, since)
    }
}

pub(super) fn plugins() -> Vec<PluginView> {
    let plugin = |kind: &str, class: &str, aliases: &[&str]| PluginView {
        kind: kind.to_owned(),
        class: class.to_owned(),
        version: "4.3.0".into(),
        aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        workers: 1,
    };
    vec![
        plugin("sink", super::SINK, &["FileStreamSinkConnector", "FileStreamSink"]),
        plugin("source", super::SOURCE, &["FileStreamSourceConnector", "FileStreamSource"]),
        plugin("converter", "org.apache.kafka.connect.storage.StringConverter", &["StringConverter"]),
    ]
}

pub(super) fn file_key() -> ConfigKeyInfo {
    ConfigKeyInfo {
        name: "file".into(),
        kind: "STRING".into(),
        required: false,
        default_value: None,
        importance: "HIGH".into(),
        documentation: Some("The file.".into()),
        group: None,
        order_in_group: -1,
        width: "NONE".into(),
        display_name: "file".into(),
        dependents: Vec::new(),
    }
}

pub(super) fn tasks_max_key() -> ConfigKeyInfo {
    ConfigKeyInfo {
        name: "tasks.max".into(),
        kind: "INT".into(),
        default_value: Some("1".into()),
        documentation: Some("Most tasks.".into()),
        group: Some("Common".into()),
        order_in_group: 4,
        width: "SHORT".into(),
        display_name: "Tasks max".into(),
        ..file_key()
    }
}
