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
    /// Its process wants to end: it gets nothing new, and what it has is taken back, also where nobody else can take it.
    Leaving,
    /// Its lease has ended. For good: the process must come back under a new id.
    Expired,
}

impl WorkerState {
    /// Whether one state may follow another: nobody comes back from Expired, and who wants to end does.
    pub fn may_become(self, next: WorkerState) -> bool {
        match self {
            WorkerState::Expired => false,
            WorkerState::Leaving => next == WorkerState::Expired,
            WorkerState::Active | WorkerState::Cordoned | WorkerState::Draining => next != self,
        }
    }
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
    /// Versions of these, by class; an older program's entry has none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub connector_versions: BTreeMap<String, BTreeSet<String>>,
    /// Version of its program.
    #[serde(default)]
    pub version: String,
    /// Whether it may hold units.
    pub state: WorkerState,
    /// When it said hello first.
    pub started: Wall,
    /// Under which incarnation of the store it was registered: one of an older incarnation has lost its lease.
    pub incarnation: u32,
    /// Addresses of the replicas that it counts on: it goes on without an acknowledgement only while each of them says
    /// that it cannot grant. So a leader that is not among them must not expire it. Empty: it did not say.
    #[serde(default)]
    pub known_replicas: BTreeSet<String>,
    /// The process that the id belongs to; None: it was registered by a program that knew of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
}

impl Worker {
    /// One that says nothing of itself, at the first incarnation.
    pub fn new(id: WorkerId, address: String, started: Wall) -> Worker {
        Worker {
            id,
            address,
            pool: String::new(),
            zone: String::new(),
            labels: BTreeMap::new(),
            capacity: 0,
            settings: BTreeSet::new(),
            connectors: BTreeSet::new(),
            connector_versions: BTreeMap::new(),
            version: String::new(),
            state: WorkerState::Active,
            started,
            incarnation: 1,
            known_replicas: BTreeSet::new(),
            instance: None,
        }
    }

    /// Whether this leader's silence would end the worker's lease.
    pub fn counts_on(&self, address: &str) -> bool {
        self.known_replicas.is_empty() || self.known_replicas.contains(address)
    }

    /// A label's value. `pool` and `zone` are labels too, unless there are others of these names.
    pub fn label(&self, name: &str) -> Option<&str> {
        let named = match name {
            "pool" => Some(self.pool.as_str()),
            "zone" => Some(self.zone.as_str()),
            _ => None,
        };
        self.labels.get(name).map(String::as_str).or(named.filter(|value| !value.is_empty()))
    }

    /// Opaque: changes with what others can change.
    pub fn etag(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.id.0.as_bytes());
        hash.update([self.state as u8]);
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
