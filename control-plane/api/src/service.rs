//! What the control plane does for its users, in its own words. The gRPC services, the REST gateway and standalone
//! mode call this one trait; the server implements it.

mod error;

use control_plane_core::{
    connector::{Config, Connector, TargetState},
    history::{Author, Changes, ConfigRevision, Reason},
    ids::{ConnectorName, Generation, Namespace, WorkerId},
    status::{PluginError, RecentFailure, Standstill},
    time::Wall,
    worker::Worker,
};
pub use error::{Overload, ServiceError, Violation};
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

/// What is known of a unit now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitState {
    /// No worker owns it.
    Unassigned,
    /// Granted, and not reported running yet.
    Starting,
    /// start() returned and its broker handles are up and fenced in.
    Running,
    /// Held, not polling.
    Paused,
    /// A stopped connector's planner.
    Stopped,
    /// Failed.
    Failed,
    /// Being given up so that it can start anew.
    Restarting,
    /// Its worker has not been heard of for a while.
    Unknown,
    /// Asked to end, it does not, and may not be cut off.
    StopBlocked,
}

/// Where a task stands in one partition: texts of JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The partition.
    pub partition: String,
    /// The last durable offset.
    pub offset: String,
}

/// The worker that owns a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerRef {
    /// Its id.
    pub id: WorkerId,
    /// host:port of its admin listener (Kafka Connect's worker_id).
    pub address: String,
}

/// A unit as users see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitView {
    /// Task number; None for the planner.
    pub task: Option<u32>,
    /// What is known.
    pub state: UnitState,
    /// Its owner; kept for a stopped planner, whose last owner Kafka Connect shows too.
    pub worker: Option<WorkerRef>,
    /// "incarnation.counter" of the grant; empty if there is none.
    pub epoch: String,
    /// When the state was entered.
    pub since: Option<Wall>,
    /// With Unknown: since when its worker is silent.
    pub unknown_since: Option<Wall>,
    /// With Failed.
    pub error: Option<PluginError>,
    /// Records since it started (sampled).
    pub records: u64,
    /// Durable positions (sampled).
    pub positions: Vec<Position>,
    /// A task's config.
    pub config: Config,
    /// Automatic starts since the last healthy spell.
    pub restarts: u32,
    /// When it is started again by itself.
    pub next_attempt: Option<Wall>,
    /// Version of the plugin, if known.
    pub version: String,
    /// With Starting and Running: it makes no progress, though there is something to do.
    pub stalled: Option<Standstill>,
    /// With StopBlocked.
    pub stop_blocked: Option<Standstill>,
    /// Why it failed lately under its present grant, the newest last.
    pub recent_failures: Vec<RecentFailure>,
}

/// A connector as users see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorView {
    /// As stored.
    pub connector: Connector,
    /// Its planner.
    pub planner: UnitView,
    /// The tasks of the current task set, in order.
    pub tasks: Vec<UnitView>,
}

/// A worker as users see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerView {
    /// As stored.
    pub worker: Worker,
    /// Whether its heartbeat number stands still for longer than a lease.
    pub silent: bool,
    /// Units it owns.
    pub units: u32,
    /// When its heartbeat number last moved, as far as this replica saw.
    pub last_heartbeat: Option<Wall>,
}

/// A plugin of the connected workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginView {
    /// "source", "sink", "converter", "header_converter", "transformation", "predicate" or "config_provider".
    pub kind: String,
    /// Java class name.
    pub class: String,
    /// Version, if known.
    pub version: String,
    /// Other names it is found by.
    pub aliases: Vec<String>,
    /// How many connected workers have it.
    pub workers: u32,
}

/// One key of a config definition: Kafka Connect's ConfigKeyInfo, in its JSON form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigKeyInfo {
    /// The key.
    pub name: String,
    /// BOOLEAN STRING INT SHORT LONG DOUBLE LIST CLASS PASSWORD
    #[serde(rename = "type")]
    pub kind: String,
    /// Has no default.
    pub required: bool,
    /// As text.
    pub default_value: Option<String>,
    /// HIGH MEDIUM LOW
    pub importance: String,
    /// For people.
    #[serde(default)]
    pub documentation: Option<String>,
    /// Group of related keys.
    pub group: Option<String>,
    /// Order in the group; -1 if in none.
    pub order_in_group: i32,
    /// NONE SHORT MEDIUM LONG
    pub width: String,
    /// For people.
    pub display_name: String,
    /// Keys whose validity depends on this one.
    pub dependents: Vec<String>,
}

/// A key's value after validation: Kafka Connect's ConfigValueInfo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigValueInfo {
    /// The key.
    pub name: String,
    /// As given or by default.
    pub value: Option<String>,
    /// Values that would be accepted.
    pub recommended_values: Vec<String>,
    /// What is wrong.
    pub errors: Vec<String>,
    /// Whether it applies.
    pub visible: bool,
}

/// A key's definition and value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigInfo {
    /// None for a key that nobody defines.
    pub definition: Option<ConfigKeyInfo>,
    /// Its value.
    pub value: ConfigValueInfo,
}

/// The answer of a validation: Kafka Connect's ConfigInfos.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigInfos {
    /// Class of the connector.
    pub name: String,
    /// How many errors there are.
    pub error_count: u32,
    /// Groups in order.
    pub groups: Vec<String>,
    /// Each key.
    pub configs: Vec<ConfigInfo>,
}

/// One page of a list, in a fixed order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Pass it to get the next page; None at the end.
    pub next: Option<String>,
}

/// Which page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageRequest {
    /// At most so many; 0 means 100, above 1000 means 1000.
    pub size: u32,
    /// From the page before; empty for the first.
    pub token: String,
}

impl PageRequest {
    /// How many items at most.
    pub fn limit(&self) -> usize {
        match self.size {
            0 => 100,
            size => size.min(1000) as usize,
        }
    }
}

/// A new connector.
#[derive(Debug, Clone)]
pub struct CreateConnector {
    /// Its tenant.
    pub namespace: Namespace,
    /// Its name.
    pub name: ConnectorName,
    /// Its config; `name` is added.
    pub config: Config,
    /// Its first target state.
    pub target: TargetState,
    /// Makes a repetition harmless.
    pub request_id: Option<String>,
    /// Check only.
    pub validate_only: bool,
    /// Who asks, for the history.
    pub author: Author,
    /// Why, for the history.
    pub reason: Reason,
}

/// A change of a connector's config.
#[derive(Debug, Clone)]
pub struct UpdateConnector {
    /// Its tenant.
    pub namespace: Namespace,
    /// Its name.
    pub name: ConnectorName,
    /// What is to change.
    pub change: ConfigChange,
    /// Must be the connector's present etag, if given.
    pub etag: Option<String>,
    /// Create it if it does not exist.
    pub allow_missing: bool,
    /// Check only.
    pub validate_only: bool,
    /// Makes a repeated creation harmless.
    pub request_id: Option<String>,
    /// Who asks, for the history.
    pub author: Author,
    /// Why, for the history.
    pub reason: Reason,
}

/// How a config changes.
#[derive(Debug, Clone)]
pub enum ConfigChange {
    /// The whole config is replaced.
    Replace(Config),
    /// These keys are set, or removed where None (KIP-477).
    Merge(std::collections::BTreeMap<String, Option<String>>),
}

/// A rollback of a connector's config.
#[derive(Debug, Clone)]
pub struct RollbackConnector {
    /// Its tenant.
    pub namespace: Namespace,
    /// Its name.
    pub name: ConnectorName,
    /// Whose config is wanted.
    pub revision: Generation,
    /// Must be the connector's present etag, if given.
    pub etag: Option<String>,
    /// Makes a repetition harmless.
    pub request_id: Option<String>,
    /// Check only.
    pub validate_only: bool,
    /// Who asks, for the history.
    pub author: Author,
    /// Why, for the history.
    pub reason: Reason,
}

/// A revision as users see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionView {
    /// As stored.
    pub revision: ConfigRevision,
    /// Against the one before; None if that is no longer kept.
    pub changes: Option<Changes>,
}

/// Names an existing connector for a change.
#[derive(Debug, Clone)]
pub struct ConnectorRef {
    /// Its tenant.
    pub namespace: Namespace,
    /// Its name.
    pub name: ConnectorName,
    /// Must be the connector's present etag, if given.
    pub etag: Option<String>,
    /// Check only.
    pub validate_only: bool,
}

/// Names a worker for a change.
#[derive(Debug, Clone)]
pub struct WorkerChange {
    /// Its id or host:port.
    pub name: String,
    /// Must be the worker's present etag, if given.
    pub etag: Option<String>,
    /// Check only.
    pub validate_only: bool,
}

/// One step of a watch.
#[derive(Debug, Clone)]
pub enum Watched {
    /// The connector as it is now.
    Changed(Box<ConnectorView>, Position64),
    /// It was deleted.
    Deleted(Namespace, ConnectorName, String, Position64),
    /// All connectors that existed at the start have been told.
    Synced(Position64),
}

/// Where a watch can be resumed: a revision of the store.
pub type Position64 = i64;

/// What the control plane does for its users. Reads are linearizable; a change is visible to every later read.
#[tonic::async_trait]
pub trait Service: Send + Sync + 'static {
    /// Validates on a worker, then stores the connector.
    async fn create_connector(&self, request: CreateConnector) -> Result<ConnectorView, ServiceError>;
    /// One connector.
    async fn get_connector(&self, namespace: &Namespace, name: &ConnectorName) -> Result<ConnectorView, ServiceError>;
    /// Ordered by namespace and name; None: all namespaces.
    async fn list_connectors(
        &self,
        namespace: Option<&Namespace>,
        page: PageRequest,
    ) -> Result<Page<ConnectorView>, ServiceError>;
    /// Changes the config; also says whether the connector was created.
    async fn update_connector(&self, request: UpdateConnector) -> Result<(ConnectorView, bool), ServiceError>;
    /// Changes the config back to a kept revision's; also says whether that was a change at all.
    async fn rollback_connector(&self, request: RollbackConnector) -> Result<(ConnectorView, bool), ServiceError>;
    /// The kept revisions of a connector's config, newest first.
    async fn list_revisions(
        &self,
        namespace: &Namespace,
        name: &ConnectorName,
        page: PageRequest,
    ) -> Result<Page<RevisionView>, ServiceError>;
    /// One revision.
    async fn get_revision(
        &self,
        namespace: &Namespace,
        name: &ConnectorName,
        revision: Generation,
    ) -> Result<RevisionView, ServiceError>;
    /// Deletes it; offsets and consumer groups stay.
    async fn delete_connector(&self, connector: ConnectorRef) -> Result<(), ServiceError>;
    /// Running, paused or stopped; idempotent.
    async fn set_target(&self, connector: ConnectorRef, target: TargetState) -> Result<ConnectorView, ServiceError>;
    /// Restarts planner and, if asked, tasks; gives the connector with the chosen units shown as restarting.
    async fn restart_connector(
        &self,
        connector: ConnectorRef,
        include_tasks: bool,
        only_failed: bool,
    ) -> Result<ConnectorView, ServiceError>;
    /// Restarts one task.
    async fn restart_task(&self, connector: ConnectorRef, task: u32) -> Result<(), ServiceError>;
    /// Present connectors, then changes; after a position, if given.
    async fn watch_connectors(
        &self,
        namespace: Option<Namespace>,
        after: Option<Position64>,
        min_interval: std::time::Duration,
    ) -> Result<BoxStream<'static, Result<Watched, ServiceError>>, ServiceError>;
    /// Ordered by id.
    async fn list_workers(&self, page: PageRequest) -> Result<Page<WorkerView>, ServiceError>;
    /// By id or by host:port.
    async fn get_worker(&self, name: &str) -> Result<WorkerView, ServiceError>;
    /// Moves its units away and grants it nothing new.
    async fn drain_worker(&self, worker: WorkerChange) -> Result<WorkerView, ServiceError>;
    /// Lets it keep what it has and grants it nothing new.
    async fn cordon_worker(&self, worker: WorkerChange) -> Result<WorkerView, ServiceError>;
    /// Takes back a cordon or a drain.
    async fn uncordon_worker(&self, worker: WorkerChange) -> Result<WorkerView, ServiceError>;
    /// Its process has ended for good, says the caller: its units are taken over.
    async fn expire_worker(&self, worker: WorkerChange) -> Result<WorkerView, ServiceError>;
    /// Ordered by kind and class.
    async fn list_plugins(&self, page: PageRequest) -> Result<Page<PluginView>, ServiceError>;
    /// By class or alias.
    async fn config_def(&self, plugin: &str) -> Result<(PluginView, Vec<ConfigKeyInfo>), ServiceError>;
    /// Bad values are an answer, not an error. `plugin` None: `connector.class` of the config.
    async fn validate_config(&self, plugin: Option<&str>, config: Config) -> Result<ConfigInfos, ServiceError>;
    /// (version, commit, Kafka cluster id) of Kafka Connect's `GET /`.
    async fn about(&self) -> About;
}

/// Kafka Connect's `GET /`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Version of Kafka Connect's REST API.
    pub version: String,
    /// Which program this is, in place of Kafka Connect's commit.
    pub commit: String,
    /// The cluster id that a worker found, if any did.
    pub kafka_cluster_id: String,
}
