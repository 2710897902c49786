//! Running one unit: a connector's planner, or one of its source or sink tasks.
//!
//! A unit is an async loop ([`drive`]) around blocking steps ([`unit`]): plugin code and Kafka's client run only within a
//! step, on a thread that is held only while there is work. What the supervisor may do is in [`TaskHandle`]; what it
//! hears is in [`TaskEvent`].

mod activity;
mod blocking;
mod clients;
mod counters;
mod drive;
mod error_log;
mod gate;
mod offset_store;
mod planner;
mod runtime;
mod settings;
mod sink;
mod sink_context;
mod source;
mod source_context;
mod unit;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use data_plane_connector_api::ConnectError;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use activity::SharedActivity;
pub use counters::{Counters, TaskCounters};
pub use gate::{Deadline, Gate};
pub use offset_store::{Destination, FileOffsetStore, KafkaOffsetStore, OffsetStore};
pub use runtime::Runtime;
pub use settings::{OffsetStorage, SettingError, WorkerSettings};
pub(crate) use source::topic_creation_problem;

/// What the user wants of a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Copy.
    Running,
    /// Hold everything, copy nothing.
    Paused,
    /// Hold nothing.
    Stopped,
}

/// A unit to run.
#[derive(Debug, Clone)]
pub struct TaskSpec {
    /// The connector's name.
    pub connector: String,
    /// The task's number; `None` is the planner.
    pub task: Option<u32>,
    /// The connector's config as the user gave it; config providers are asked when the unit starts.
    pub connector_config: BTreeMap<String, String>,
    /// The task's config; empty for planners.
    pub task_config: BTreeMap<String, String>,
    /// The settings of its Kafka cluster.
    pub settings: Arc<WorkerSettings>,
    /// The grant's fencing token: (incarnation, counter).
    pub epoch: (u32, u64),
    /// What the user wants at first; see [`TaskHandle::set_target`].
    pub target: Target,
    /// It may hand over without a lease.
    pub outlives_lease: bool,
    /// A closed gate keeps it from harm, whatever its plugin does; else it has ended only when its plugin has returned.
    pub severable: bool,
}

/// What a unit is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// Not yet at work.
    Starting,
    /// `start()` has returned and the broker has answered.
    Running,
    /// Holds, as the user wants.
    Paused,
    /// Holds nothing, as the user wants.
    Stopped,
    /// Over, by this error. [`TaskEvent::Ended`] follows.
    Failed(ConnectError),
}

/// What a unit reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskEvent {
    /// Its state changed.
    State(RunState),
    /// Planners: the configs of all tasks, when they are first known and whenever they changed.
    TaskSet(Vec<BTreeMap<String, String>>),
    /// Sampled about every second while something moves, and left out when nobody takes the events.
    Progress {
        /// Records whose outcome is durable, since the start.
        records: u64,
        /// Key and value bytes of records handed over, since the start.
        bytes: u64,
        /// Committed positions: source partition or topic partition, and offset; JSON as Connect's REST API shows them.
        positions: Vec<(String, String)>,
        /// Sinks: records between the positions and the ends of the partitions.
        lag: Option<u64>,
    },
    /// Offsets of the connector were written under this epoch, later than the unit's: the control plane must know.
    LaterEpoch((u32, u64)),
    /// Everything is released; offsets were committed as far as possible. The last event.
    Ended,
}

/// A unit that was spawned. Dropping the handle asks it to stop.
#[derive(Debug)]
pub struct TaskHandle {
    target: watch::Sender<Target>,
    stopping: CancellationToken,
    gate: Arc<Gate>,
    activity: SharedActivity,
}

impl TaskHandle {
    /// What the unit is doing.
    pub fn activity(&self) -> &SharedActivity {
        &self.activity
    }

    /// Changes what the user wants.
    pub fn set_target(&self, target: Target) {
        self.target.send_replace(target);
    }

    /// Asks the unit to finish what it has begun, commit and end. [`TaskEvent::Ended`] follows.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Closes the gate: when this returns, the unit produces and commits nothing more, whatever its plugin does.
    /// [`TaskEvent::Ended`] follows at once, or, where the unit is not severable, when its plugin has returned; a plugin call
    /// that hangs keeps its thread, which is counted.
    pub fn sever(&self) {
        self.gate.close();
    }
}

impl Drop for TaskHandle {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

/// Starts a unit on the current tokio runtime. It prepares at once, and begins to poll, or joins its group, once `go`
/// is true: when the lease is confirmed.
pub fn spawn(
    runtime: &Arc<Runtime>,
    spec: TaskSpec,
    go: watch::Receiver<bool>,
    events: mpsc::Sender<TaskEvent>,
) -> TaskHandle {
    let (target, target_changes) = watch::channel(spec.target);
    let deadline = if spec.outlives_lease { Deadline::default() } else { runtime.deadline.clone() };
    let (stopping, gate) = (CancellationToken::new(), Arc::new(Gate::new(deadline)));
    let activity = SharedActivity::default();
    let (gate_of_handle, activity_of_handle) = (Arc::clone(&gate), activity.clone());
    let handle = TaskHandle { target, stopping: stopping.clone(), gate: gate_of_handle, activity: activity_of_handle };
    let orders = drive::Orders { target: target_changes, go, stopping, gate };
    tokio::spawn(drive::drive(Arc::clone(runtime), spec, orders, activity, events));
    handle
}
