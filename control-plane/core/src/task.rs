//! A connector's task set, pinned to the config that it was made from.

use crate::{
    connector::Config,
    ids::{ConnectorUid, Epoch, Generation, SettingsId},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Largest encoded task set that is stored, in bytes (etcd refuses requests above 1.5 MiB).
pub const TASK_SET_LIMIT_BYTES: usize = 1 << 20;

/// Key `tasksets/<uid>`: the tasks that a planner made from one config generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSet {
    /// Whose.
    pub connector: ConnectorUid,
    /// Raised by each set of this connector.
    pub number: Generation,
    /// Who said so last, and when: what was said before changes nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Said>,
    /// The config generation that it was made from.
    pub config_generation: Generation,
    /// The connector's config of that generation: tasks run under it until the set is replaced.
    pub connector_config: Config,
    /// The settings of that generation.
    pub settings: SettingsId,
    /// One config a task, in order.
    pub tasks: Vec<Config>,
}

/// A planner's word, in the order in which planners have spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Said {
    /// The planner's grant.
    pub epoch: Epoch,
    /// The number under that grant; 1 is the first.
    pub change: u64,
}

/// Names what a unit was granted to run: equal digests mean that nothing needs a restart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitDigest(u64);

impl UnitDigest {
    /// The digest of a planner, whose task config is empty, or of a task.
    ///
    /// A change of the settings' generation is a change of everything that runs under them.
    pub fn of(
        settings: &SettingsId,
        settings_generation: Generation,
        connector_config: &Config,
        task_config: Option<&Config>,
    ) -> UnitDigest {
        fn feed(hash: &mut Sha256, text: &str) {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        let mut hash = Sha256::new();
        feed(&mut hash, settings.as_str());
        hash.update(settings_generation.0.to_be_bytes());
        for (mark, config) in [("c", Some(connector_config)), ("t", task_config)] {
            feed(&mut hash, mark);
            for (key, value) in config.into_iter().flatten() {
                feed(&mut hash, key);
                feed(&mut hash, value);
            }
        }
        let bytes = hash.finalize();
        UnitDigest(u64::from_be_bytes(bytes[..8].try_into().unwrap_or_default()))
    }
}

impl fmt::Debug for UnitDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<UnitDigest> for String {
    fn from(digest: UnitDigest) -> String {
        format!("{:016x}", digest.0)
    }
}

impl TryFrom<String> for UnitDigest {
    type Error = std::num::ParseIntError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        u64::from_str_radix(&text, 16).map(UnitDigest)
    }
}
