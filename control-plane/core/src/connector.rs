//! A connector as it is stored, and its etag.

use crate::{
    ids::{ConnectorName, ConnectorUid, Generation, Namespace, SettingsId},
    lease::FenceClass,
    time::Wall,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Keys and values of a config, references to secrets unresolved.
pub type Config = BTreeMap<String, String>;

/// What the user wants of a connector (KIP-875).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TargetState {
    /// Tasks run.
    Running,
    /// Tasks are held and do not poll.
    Paused,
    /// There are no tasks.
    Stopped,
}

/// Which way a connector copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectorType {
    /// Into Kafka.
    Source,
    /// Out of Kafka.
    Sink,
}

impl ConnectorType {
    /// As Kafka Connect's REST API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            ConnectorType::Source => "source",
            ConnectorType::Sink => "sink",
        }
    }
}

/// Key `connectors/<namespace>/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connector {
    /// Never reused.
    pub uid: ConnectorUid,
    /// Its tenant.
    pub namespace: Namespace,
    /// Its name.
    pub name: ConnectorName,
    /// As sent, plus `name`.
    pub config: Config,
    /// Raised by each accepted config.
    pub config_generation: Generation,
    /// What the user wants.
    pub target: TargetState,
    /// Raised by each accepted target state.
    pub target_generation: Generation,
    /// The worker settings that it runs under.
    pub settings: SettingsId,
    /// Full class name of its plugin, found at validation.
    pub class: String,
    /// Found at validation.
    pub connector_type: ConnectorType,
    /// Declared by plugin and config, found at validation.
    pub fence_class: FenceClass,
    /// When it was created.
    pub created: Wall,
    /// When it was last changed.
    pub updated: Wall,
    /// The creating request's id, so that its repetition is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Connector {
    /// A source without a config that is to run, in the default namespace, fenced by its lease; just created.
    pub fn new(uid: ConnectorUid, name: ConnectorName, class: String, created: Wall) -> Connector {
        Connector {
            uid,
            namespace: Namespace::default(),
            name,
            config: Config::new(),
            config_generation: Generation::FIRST,
            target: TargetState::Running,
            target_generation: Generation::FIRST,
            settings: SettingsId::default(),
            class,
            connector_type: ConnectorType::Source,
            fence_class: FenceClass::Lease,
            created,
            updated: created,
            request_id: None,
        }
    }

    /// Opaque to users: a hash of uid and both generations.
    pub fn etag(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.uid.0.as_bytes());
        hash.update(self.config_generation.0.to_be_bytes());
        hash.update(self.target_generation.0.to_be_bytes());
        hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Key `deleted/<uid>`: a deleted connector whose units may still run somewhere. Until it is gone, nothing is granted
/// to a connector of the same name, because both use the same consumer group and offset keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedConnector {
    /// Its tenant.
    pub namespace: Namespace,
    /// Its name.
    pub name: ConnectorName,
    /// Its settings.
    pub settings: SettingsId,
    /// Its last config generation: its history goes with it.
    pub config_generation: Generation,
}

/// Key `settings/<id>`: one Kafka cluster's worker settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Raised by each change.
    pub generation: Generation,
    /// Kafka Connect's worker properties.
    pub properties: Config,
}
