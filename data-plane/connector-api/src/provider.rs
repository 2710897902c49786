//! Config providers: resolve `${provider:path:key}` in configs, on the worker only.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config_def::{Config, ConfigDef};
use crate::error::ConnectError;

/// What a provider found under a path.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ConfigData {
    /// Values by key.
    pub data: BTreeMap<String, String>,
    /// After this time the values are stale and the connector restarts (`config.action.reload`).
    pub ttl: Option<Duration>,
}

/// A source of secrets and other values for configs.
pub trait ConfigProvider: Send {
    /// Sets it up; called once, first.
    ///
    /// # Errors
    /// A `ConfigException` that names the key.
    fn configure(&mut self, config: &Config) -> Result<(), ConnectError>;

    /// Its config keys.
    fn config_def(&self) -> ConfigDef;

    /// Values under a path; all of them if `keys` is `None`. Absent keys are left out.
    ///
    /// # Errors
    /// If the path cannot be read. The text must not hold secrets.
    fn get(&mut self, path: &str, keys: Option<&[String]>) -> Result<ConfigData, ConnectError>;
}
