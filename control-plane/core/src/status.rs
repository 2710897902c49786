//! What a worker said of a unit: transitions only; progress never gets here.

use crate::{
    ids::{Epoch, WorkerId},
    time::Wall,
};
use serde::{Deserialize, Serialize};

/// State of a unit as its runner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunState {
    /// Taken, not yet started.
    Starting,
    /// start() returned and its broker handles are up and fenced in.
    Running,
    /// Held, not polling.
    Paused,
    /// A stopped connector's planner.
    Stopped,
    /// Failed.
    Failed,
}

/// A plugin's error, with Java's identity.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PluginError {
    /// Java class name.
    pub class: String,
    /// Message.
    pub message: String,
    /// Messages of the causes, outermost first.
    #[serde(default)]
    pub causes: Vec<String>,
    /// The trace as text.
    #[serde(default)]
    pub trace: String,
    /// Whether the plugin called it retriable.
    #[serde(default)]
    pub retriable: bool,
}

/// Failures kept in a status.
pub const RECENT_FAILURES_LIMIT: usize = 5;
/// Bytes of each text about a failure, or of where a unit stands still.
pub const SHORT_TEXT_LIMIT: usize = 300;

/// Why a unit failed, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentFailure {
    /// When.
    pub at: Wall,
    /// Java class name.
    pub class: String,
    /// Message, cut.
    pub message: String,
}

/// Since when a unit stands still, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standstill {
    /// Since when.
    pub since: Wall,
    /// What it is doing, for people.
    pub place: String,
}

/// Key `status/<uid>/<unit>`. True only while the owner has the same epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitStatus {
    /// The state.
    pub state: RunState,
    /// Who said so.
    pub worker: WorkerId,
    /// Under which grant.
    pub epoch: Epoch,
    /// When the state was entered.
    pub since: Wall,
    /// With Failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<PluginError>,
    /// Automatic starts since the last healthy spell.
    #[serde(default)]
    pub restarts: u32,
    /// When the worker starts it again by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<Wall>,
    /// Version of the plugin.
    #[serde(default)]
    pub version: String,
    /// The number, under the grant, of what the worker says of it: later ones are higher, and 1 is the first.
    #[serde(default)]
    pub change: u64,
    /// Why it failed lately, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent_failures: Vec<RecentFailure>,
    /// With Starting and Running: it makes no progress, though there is something to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled: Option<Standstill>,
    /// It was asked to end, does not, and may not be cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_blocked: Option<Standstill>,
}
