//! Ids, epochs and generations: one type each, parsed at the edge.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A text could not be read as an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be {text:?}: {rule}")]
pub struct InvalidId {
    /// Which kind of id.
    pub what: &'static str,
    /// The text.
    pub text: String,
    /// What would be right.
    pub rule: &'static str,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text).map($name).map_err(|_| InvalidId {
                    what: $what,
                    text: text.to_owned(),
                    rule: "it is a UUID",
                })
            }
        }
    };
}

uuid_id!(
    /// A connector's id; never reused, also not when a connector of the same name is created again.
    ConnectorUid,
    "a connector uid"
);
uuid_id!(
    /// A worker's id; new at each start of its process.
    WorkerId,
    "a worker id"
);
uuid_id!(
    /// A worker's process, over all of the ids that it has one after another.
    Instance,
    "a worker's instance"
);
uuid_id!(
    /// A control-plane replica's id; new at each start of its process.
    ReplicaId,
    "a replica id"
);

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr, $rule:literal, $ok:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the rule.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let ok: fn(char) -> bool = $ok;
                if text.is_empty() || text.chars().count() > $max || !text.chars().all(ok) {
                    return Err(InvalidId { what: $what, text, rule: $rule });
                }
                Ok($name(text))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                $name::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_id!(
    /// A tenant.
    Namespace,
    "a namespace",
    63,
    "it has 1 to 63 characters out of a-z, 0-9 and -",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);
name_id!(
    /// A connector's name within its namespace (KIP-212).
    ConnectorName,
    "a connector name",
    249,
    "it has 1 to 249 characters and no control characters",
    |c| !c.is_control()
);
name_id!(
    /// The id of one Kafka cluster's worker settings.
    SettingsId,
    "a settings id",
    63,
    "it has 1 to 63 characters out of a-z, 0-9 and -",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);

impl Default for Namespace {
    fn default() -> Self {
        Namespace("default".to_owned())
    }
}

impl Default for SettingsId {
    fn default() -> Self {
        SettingsId("default".to_owned())
    }
}

/// Counts accepted changes of one kind; starts at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The first one.
    pub const FIRST: Generation = Generation(1);

    /// The next one.
    pub fn next(self) -> Generation {
        Generation(self.0 + 1)
    }
}

/// A position in the store's history (etcd's revision).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub i64);

/// The fencing token of a grant: raised in the transaction that grants a unit, carried by every write made for it.
/// A higher incarnation (store restored from a backup) beats any counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Epoch {
    /// Raised when the store is restored from a backup.
    pub incarnation: u32,
    /// Raised by each grant.
    pub counter: u64,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.incarnation, self.counter)
    }
}

/// Which part of a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnitKind {
    /// Runs the connector itself, which makes tasks.
    Planner,
    /// Runs the task of this number.
    Task(u32),
}

impl fmt::Display for UnitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnitKind::Planner => f.write_str("planner"),
            UnitKind::Task(number) => number.fmt(f),
        }
    }
}

impl FromStr for UnitKind {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text == "planner" {
            return Ok(UnitKind::Planner);
        }
        text.parse().map(UnitKind::Task).map_err(|_| InvalidId {
            what: "a unit",
            text: text.to_owned(),
            rule: "it is \"planner\" or a task number",
        })
    }
}

/// What a worker leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit {
    /// The connector.
    pub connector: ConnectorUid,
    /// Its part.
    pub kind: UnitKind,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.connector, self.kind)
    }
}
