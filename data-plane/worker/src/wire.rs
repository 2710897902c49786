//! Between the session's messages and the core's words.

use crate::{
    task::{RunState, WorkerSettings},
    unit_policy::UnitPolicy,
};
use data_plane_connector_api::ConnectError;
use data_plane_core::assignment::{Assigned, Document, EndKind, Epoch, Target, UnitName};
use proto::worker_v1 as wire;
use std::{collections::BTreeMap, sync::Arc};

/// What a runner needs of an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// The connector's name.
    pub connector: String,
    /// Its config, references unresolved.
    pub connector_config: BTreeMap<String, String>,
    /// The generation of that.
    pub config_generation: u64,
    /// A task's config.
    pub task_config: BTreeMap<String, String>,
    /// Which settings it runs under.
    pub settings_id: String,
}

/// Settings by id, parsed once; what is wrong with them is told by the units that need them.
pub type SettingsTable = BTreeMap<String, Result<Arc<WorkerSettings>, String>>;

/// A document; assignments that name no unit or epoch are left out.
pub fn document(document: wire::Document) -> Document<Arc<Work>> {
    Document {
        revision: document.revision as i64,
        whole: document.whole,
        assigned: document.assignments.into_iter().filter_map(assigned).collect(),
        removed: document
            .removed
            .into_iter()
            .filter_map(|grant| Some((unit_name(grant.unit?), epoch(grant.epoch?))))
            .collect(),
    }
}

fn assigned(assignment: wire::Assignment) -> Option<Assigned<Arc<Work>>> {
    let target_generation = assignment.target_generation;
    let target = match assignment.target() {
        wire::Target::Paused => Target::Paused,
        wire::Target::Stopped => Target::Stopped,
        wire::Target::Running | wire::Target::Unspecified => Target::Running,
    };
    // A hung sink task could still write to its target behind a closed gate; a source task writes through the gate only.
    let is_sink = ["topics", "topics.regex"]
        .iter()
        .any(|key| assignment.connector_config.get(*key).is_some_and(|value| !value.trim().is_empty()));
    let is_fenced_by_epoch = assignment.fence_class() != wire::FenceClass::Lease;
    let severable = !is_sink || assignment.fence_class() == wire::FenceClass::TargetEpoch;
    // A wrong policy is told by the runner; until then nothing is promised.
    let policy = UnitPolicy::parse(&assignment.connector_config).unwrap_or_default();
    Some(Assigned {
        unit: unit_name(assignment.unit?),
        epoch: epoch(assignment.epoch?),
        revoking: assignment.revoking,
        target,
        target_generation,
        severable,
        outlives_lease: policy.outlives_lease(is_fenced_by_epoch),
        work: Arc::new(Work {
            connector: assignment.connector,
            connector_config: assignment.connector_config,
            config_generation: assignment.config_generation,
            task_config: assignment.task_config,
            settings_id: assignment.settings_id,
        }),
    })
}

/// From the wire.
pub fn unit_name(unit: wire::Unit) -> UnitName {
    UnitName { connector_uid: unit.connector_uid, task: unit.task }
}

/// From the wire.
pub fn epoch(epoch: wire::Epoch) -> Epoch {
    Epoch { incarnation: epoch.incarnation, counter: epoch.counter }
}

/// To the wire.
pub fn wire_unit(unit: &UnitName) -> wire::Unit {
    wire::Unit { connector_uid: unit.connector_uid.clone(), task: unit.task }
}

/// To the wire.
pub fn wire_epoch(epoch: Epoch) -> wire::Epoch {
    wire::Epoch { incarnation: epoch.incarnation, counter: epoch.counter }
}

/// Longest text of an error's part, in bytes: a status must fit into the control plane's store.
const ERROR_TEXT_LIMIT: usize = 8 << 10;
/// Causes that are told.
const CAUSES_LIMIT: usize = 16;

/// To the wire; long texts are cut.
pub fn wire_error(error: &ConnectError) -> wire::PluginError {
    let causes = error.causes.iter().take(CAUSES_LIMIT);
    wire::PluginError {
        class: cut(&error.class),
        message: cut(&error.message),
        causes: causes.map(|cause| cut(&format!("{}: {}", cause.class, cause.message))).collect(),
        trace: cut(&error.trace_text()),
        retriable: error.retriable,
    }
}

fn cut(text: &str) -> String {
    cut_to(text, ERROR_TEXT_LIMIT)
}

/// The text, or its beginning and a mark.
pub fn cut_to(text: &str, limit_bytes: usize) -> String {
    match text.len() > limit_bytes {
        true => format!("{}… (cut)", &text[..text.floor_char_boundary(limit_bytes)]),
        false => text.to_owned(),
    }
}

/// To the wire.
pub fn wire_state(state: &RunState) -> wire::RunState {
    match state {
        RunState::Starting => wire::RunState::Starting,
        RunState::Running => wire::RunState::Running,
        RunState::Paused => wire::RunState::Paused,
        RunState::Stopped => wire::RunState::Stopped,
        RunState::Failed(_) => wire::RunState::Failed,
    }
}

/// To the wire.
pub fn wire_end(kind: EndKind) -> wire::EndKind {
    match kind {
        EndKind::Stopped => wire::EndKind::Stopped,
        EndKind::Severed => wire::EndKind::Severed,
    }
}

/// Parses all settings.
pub fn settings_table(list: wire::SettingsList) -> SettingsTable {
    list.settings
        .into_iter()
        .map(|settings| {
            let parsed = WorkerSettings::parse(&settings.id, &settings.properties).map(Arc::new);
            (settings.id, parsed.map_err(|error| error.to_string()))
        })
        .collect()
}
