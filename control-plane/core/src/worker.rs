//! Workers and replicas as they are stored.

use crate::{
    ids::{Instance, ReplicaId, SettingsId, WorkerId},
    time::Wall,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Whether a worker may hold units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WorkerState {
    /// It may.
    Active,
    /// It may keep what it has; it gets nothing new.
    Cordoned,
    /// It may keep what it has until that is moved; it gets nothing new.
    Draining,
    /// Its lease has ended. For good: the process must come back under a new id.
    Expired,
}

/// Key `workers/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// New at each start of its process.
    pub id: WorkerId,
    /// host:port of its admin listener.
    pub address: String,
    /// Placement.
    #[serde(default)]
    pub pool: String,
    /// Placement.
    #[serde(default)]
    pub zone: String,
    /// Placement.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Most units it takes; 0: no limit.
    #[serde(default)]
    pub capacity: u32,
    /// Settings it can serve; empty: all.
    #[serde(default)]
    pub settings: BTreeSet<SettingsId>,
    /// Classes of the connectors that it can run.
    pub connectors: BTreeSet<String>,
    /// Version of its program.
    #[serde(default)]
    pub version: String,
    /// Whether it may hold units.
    pub state: WorkerState,
    /// When it said hello first.
    pub started: Wall,
    /// The process that the id belongs to; None: it was registered by a program that knew of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
    /// Its process ends: nobody can take the drain back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_leaving: bool,
}

impl Worker {
    /// Opaque: changes with what others can change.
    pub fn etag(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.id.0.as_bytes());
        hash.update([self.state as u8, u8::from(self.is_leaving)]);
        hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Key `replicas/<id>`, bound to the replica's own store lease: written once a heartbeat interval at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// New at each start of its process.
    pub id: ReplicaId,
    /// http://host:port of its worker listener.
    pub address: String,
    /// The highest heartbeat number that it got of each worker with a session.
    pub beats: BTreeMap<WorkerId, u64>,
}

/// Key `leader`, bound to the leader's own store lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// Who leads.
    pub replica: ReplicaId,
}
