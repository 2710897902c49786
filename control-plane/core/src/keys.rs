//! Keys of the store and the codec of its values.
//!
//! Every value is a JSON object with a schema version `v`; an unknown later version is refused, so that a replica that
//! is too old stops instead of dropping what it doesn't know. Keys are relative to the store's prefix.

use crate::{
    connector::{Connector, DeletedConnector, Settings},
    history::ConfigRevision,
    ids::{
        ConnectorName, ConnectorUid, Epoch, Generation, InvalidId, Namespace, ReplicaId, SettingsId, Unit, WorkerId,
    },
    incarnation::StoreIdentity,
    lease::Owner,
    status::UnitStatus,
    task::TaskSet,
    worker::{Leader, Replica, Worker},
};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

/// Version of the stored values that this program writes, and the highest that it reads.
pub const SCHEMA_VERSION: u64 = 1;

/// A key of the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `settings/<id>`
    Settings(SettingsId),
    /// `connectors/<ns>/<name>`
    Connector(Namespace, ConnectorName),
    /// `deleted/<uid>`
    Deleted(ConnectorUid),
    /// `revisions/<uid>/<n>`
    Revision(ConnectorUid, Generation),
    /// `tasksets/<uid>`
    TaskSet(ConnectorUid),
    /// `owners/<uid>/<unit>`
    Owner(Unit),
    /// `status/<uid>/<unit>`
    Status(Unit),
    /// `workers/<id>`
    Worker(WorkerId),
    /// `replicas/<id>`
    Replica(ReplicaId),
    /// `leader`
    Leader,
    /// `epoch`
    Epoch,
    /// `identity`
    Identity,
}

/// What stands under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Worker settings.
    Settings(Settings),
    /// A connector.
    Connector(Connector),
    /// A deleted connector that may still run.
    Deleted(DeletedConnector),
    /// An accepted config.
    Revision(ConfigRevision),
    /// A task set.
    TaskSet(TaskSet),
    /// A grant.
    Owner(Owner),
    /// A unit's last transition.
    Status(UnitStatus),
    /// A worker.
    Worker(Worker),
    /// A replica and the heartbeats it got.
    Replica(Replica),
    /// The leader.
    Leader(Leader),
    /// The last epoch granted.
    Epoch(Epoch),
    /// Which store this is.
    Identity(StoreIdentity),
}

/// A stored key or value could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No such kind of key.
    #[error("{0:?} is no key of this store")]
    UnknownKey(String),
    /// An id in the key.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// Not JSON, or not of the expected shape.
    #[error("the value of {key} cannot be read")]
    Value {
        /// The key.
        key: String,
        /// Why.
        source: serde_json::Error,
    },
    /// Written by a later program.
    #[error(
        "the value of {key} has schema version {version}, and this program knows {SCHEMA_VERSION} at most: upgrade it"
    )]
    Version {
        /// The key.
        key: String,
        /// Its version.
        version: u64,
    },
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Settings(id) => write!(f, "settings/{id}"),
            Key::Connector(namespace, name) => write!(f, "connectors/{namespace}/{}", escape(name.as_str())),
            Key::Deleted(uid) => write!(f, "deleted/{uid}"),
            Key::Revision(uid, generation) => write!(f, "revisions/{uid}/{:010}", generation.0),
            Key::TaskSet(uid) => write!(f, "tasksets/{uid}"),
            Key::Owner(unit) => write!(f, "owners/{unit}"),
            Key::Status(unit) => write!(f, "status/{unit}"),
            Key::Worker(id) => write!(f, "workers/{id}"),
            Key::Replica(id) => write!(f, "{REPLICAS}{id}"),
            Key::Leader => f.write_str("leader"),
            Key::Epoch => f.write_str("epoch"),
            Key::Identity => f.write_str("identity"),
        }
    }
}

/// What all replica documents' keys begin with.
pub const REPLICAS: &str = "replicas/";

impl Key {
    /// Reads a key relative to the prefix.
    pub fn parse(text: &str) -> Result<Key, DecodeError> {
        let unknown = || DecodeError::UnknownKey(text.to_owned());
        let mut parts = text.split('/');
        let kind = parts.next().unwrap_or_default();
        let (first, second) = (parts.next(), parts.next());
        if parts.next().is_some() {
            return Err(unknown());
        }
        let unit = |uid: &str, kind: &str| -> Result<Unit, DecodeError> {
            Ok(Unit { connector: uid.parse()?, kind: kind.parse()? })
        };
        Ok(match (kind, first, second) {
            ("settings", Some(id), None) => Key::Settings(SettingsId::parse(id)?),
            ("connectors", Some(namespace), Some(name)) => {
                Key::Connector(Namespace::parse(namespace)?, ConnectorName::parse(unescape(name))?)
            }
            ("deleted", Some(uid), None) => Key::Deleted(uid.parse()?),
            ("revisions", Some(uid), Some(n)) => {
                Key::Revision(uid.parse()?, Generation(n.parse().map_err(|_| unknown())?))
            }
            ("tasksets", Some(uid), None) => Key::TaskSet(uid.parse()?),
            ("owners", Some(uid), Some(kind)) => Key::Owner(unit(uid, kind)?),
            ("status", Some(uid), Some(kind)) => Key::Status(unit(uid, kind)?),
            ("workers", Some(id), None) => Key::Worker(id.parse()?),
            ("replicas", Some(id), None) => Key::Replica(id.parse()?),
            ("leader", None, None) => Key::Leader,
            ("epoch", None, None) => Key::Epoch,
            ("identity", None, None) => Key::Identity,
            _ => return Err(unknown()),
        })
    }

    /// Whether the key goes with its writer's store lease.
    pub fn is_ephemeral(&self) -> bool {
        matches!(self, Key::Replica(_) | Key::Leader)
    }

    /// Reads the value that stands under this key.
    pub fn decode(&self, value: &[u8]) -> Result<Entry, DecodeError> {
        Ok(match self {
            Key::Settings(_) => Entry::Settings(self.read(value)?),
            Key::Connector(..) => Entry::Connector(self.read(value)?),
            Key::Deleted(_) => Entry::Deleted(self.read(value)?),
            Key::Revision(..) => Entry::Revision(self.read(value)?),
            Key::TaskSet(_) => Entry::TaskSet(self.read(value)?),
            Key::Owner(_) => Entry::Owner(self.read(value)?),
            Key::Status(_) => Entry::Status(self.read(value)?),
            Key::Worker(_) => Entry::Worker(self.read(value)?),
            Key::Replica(_) => Entry::Replica(self.read(value)?),
            Key::Leader => Entry::Leader(self.read(value)?),
            Key::Epoch => Entry::Epoch(self.read(value)?),
            Key::Identity => Entry::Identity(self.read(value)?),
        })
    }

    fn read<T: DeserializeOwned>(&self, value: &[u8]) -> Result<T, DecodeError> {
        #[derive(serde::Deserialize)]
        struct Version {
            v: u64,
        }
        let wrap = |source| DecodeError::Value { key: self.to_string(), source };
        let Version { v } = serde_json::from_slice(value).map_err(wrap)?;
        if v > SCHEMA_VERSION {
            return Err(DecodeError::Version { key: self.to_string(), version: v });
        }
        serde_json::from_slice(value).map_err(wrap)
    }
}

/// The stored form of a value.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    #[derive(Serialize)]
    struct Versioned<'a, T> {
        v: u64,
        #[serde(flatten)]
        value: &'a T,
    }
    // Our stored types are structs with string keys: their serialisation has no way to fail.
    serde_json::to_vec(&Versioned { v: SCHEMA_VERSION, value }).unwrap_or_default()
}

/// `/` and `%` of a connector's name must not be seen as the key's.
fn escape(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

fn unescape(text: &str) -> String {
    text.replace("%2F", "/").replace("%25", "%")
}

#[cfg(test)]
mod tests;
