//! A worker's properties (Connect's `connect-distributed.properties` or `connect-standalone.properties`), parsed once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use data_plane_broker::ClientConfig;
use data_plane_core::client_overrides::{OverridePolicy, POLICY_KEY};

use crate::unit_policy::UnitPolicy;

/// A property that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("worker property {key}: {reason}")]
pub struct SettingError {
    /// The property's name.
    pub key: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

/// Where source offsets are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OffsetStorage {
    /// Distributed mode: a compacted topic.
    Topic {
        /// `offset.storage.topic`
        name: String,
        /// `offset.storage.partitions`, for creation.
        partitions: i32,
        /// `offset.storage.replication.factor`, for creation; -1 is the broker's default.
        replication_factor: i32,
        /// Other `offset.storage.*` keys (KIP-605).
        configs: Vec<(String, String)>,
    },
    /// Standalone mode: `offset.storage.file.filename`.
    File(PathBuf),
}

/// Settings of one Kafka cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSettings {
    /// The settings' id, such as `default`.
    pub id: String,
    /// `bootstrap.servers`
    pub bootstrap_servers: String,
    /// `group.id`; absent in standalone mode.
    pub group_id: Option<String>,
    /// Where source offsets are kept.
    pub offset_storage: OffsetStorage,
    /// `offset.flush.interval.ms`
    pub offset_flush_interval: Duration,
    /// `offset.flush.timeout.ms`
    pub offset_flush_timeout: Duration,
    /// `task.shutdown.graceful.timeout.ms`
    pub graceful_timeout: Duration,
    /// `connector.client.config.override.policy`
    pub override_policy: OverridePolicy,
    /// All properties as they were given.
    pub raw: BTreeMap<String, String>,
}

/// Top-level client keys that Connect gives its internal clients, such as the offsets topic's reader.
const INTERNAL_CLIENT_PREFIXES: &[&str] = &["ssl.", "sasl.", "security.protocol", "client.dns.lookup"];

impl WorkerSettings {
    /// Parses the properties of settings `id`.
    ///
    /// # Errors
    /// Names the property that is missing or unusable.
    pub fn parse(id: &str, raw: &BTreeMap<String, String>) -> Result<Self, SettingError> {
        let bootstrap_servers = required(raw, "bootstrap.servers", "give a comma-separated list of host:port")?;
        for key in ["key.converter", "value.converter"] {
            required(raw, key, "give a converter's class name")?;
        }
        if let Some((key, reason)) = UnitPolicy::problem(raw) {
            return Err(SettingError { key, reason });
        }
        let override_policy = OverridePolicy::from_worker_properties(raw)
            .map_err(|error| SettingError { key: POLICY_KEY.to_owned(), reason: error.to_string() })?;
        Ok(Self {
            id: id.to_owned(),
            bootstrap_servers: bootstrap_servers.to_owned(),
            group_id: value(raw, "group.id").map(str::to_owned),
            offset_storage: offset_storage(raw)?,
            offset_flush_interval: millis(raw, "offset.flush.interval.ms", 60_000, 1)?,
            offset_flush_timeout: millis(raw, "offset.flush.timeout.ms", 5_000, 1)?,
            graceful_timeout: millis(raw, "task.shutdown.graceful.timeout.ms", 5_000, 0)?,
            override_policy,
            raw: raw.clone(),
        })
    }

    /// The value of a property, if it is there and not empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        value(&self.raw, key)
    }

    /// Client settings of the worker's own clients: bootstrap servers and top-level security keys.
    pub fn internal_clients(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap_servers);
        for (key, value) in &self.raw {
            if INTERNAL_CLIENT_PREFIXES.iter().any(|prefix| key.starts_with(prefix)) {
                config.set(key, value);
            }
        }
        config
    }
}

fn offset_storage(raw: &BTreeMap<String, String>) -> Result<OffsetStorage, SettingError> {
    if let Some(path) = value(raw, "offset.storage.file.filename") {
        return Ok(OffsetStorage::File(PathBuf::from(path)));
    }
    let name = required(
        raw,
        "offset.storage.topic",
        "name the topic for source offsets (or, in standalone mode, set offset.storage.file.filename)",
    )?;
    let partitions =
        number(raw, "offset.storage.partitions", 25, &|count| count == -1 || count > 0, "-1 or more than 0")?;
    let replication_factor =
        number(raw, "offset.storage.replication.factor", 3, &|count| count == -1 || count > 0, "-1 or more than 0")?;
    let own = ["topic", "partitions", "replication.factor", "cleanup.policy"];
    let configs = raw
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("offset.storage.")?, value)))
        .filter(|(key, _)| !own.contains(key))
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect();
    let (partitions, replication_factor) = (partitions as i32, replication_factor as i32);
    Ok(OffsetStorage::Topic { name: name.to_owned(), partitions, replication_factor, configs })
}

fn value<'a>(raw: &'a BTreeMap<String, String>, key: &str) -> Option<&'a str> {
    raw.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
}

fn required<'a>(raw: &'a BTreeMap<String, String>, key: &str, fix: &str) -> Result<&'a str, SettingError> {
    value(raw, key).ok_or_else(|| SettingError { key: key.to_owned(), reason: format!("is missing: {fix}") })
}

fn millis(raw: &BTreeMap<String, String>, key: &str, default: i64, least: i64) -> Result<Duration, SettingError> {
    let millis = number(raw, key, default, &|millis| millis >= least, &format!("at least {least}"))?;
    Ok(Duration::from_millis(millis as u64))
}

fn number(
    raw: &BTreeMap<String, String>,
    key: &str,
    default: i64,
    is_right: &dyn Fn(i64) -> bool,
    right: &str,
) -> Result<i64, SettingError> {
    let Some(text) = value(raw, key) else { return Ok(default) };
    match text.parse::<i64>() {
        Ok(number) if is_right(number) && i32::try_from(number).is_ok() => Ok(number),
        _ => {
            Err(SettingError { key: key.to_owned(), reason: format!("must be a whole number, {right}, not {text:?}") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(lines: &[(&str, &str)]) -> BTreeMap<String, String> {
        let base = [
            ("bootstrap.servers", "127.0.0.1:9092"),
            ("key.converter", "org.apache.kafka.connect.json.JsonConverter"),
            ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ];
        base.iter().chain(lines).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn distributed_properties_take_connects_defaults() {
        let raw = properties(&[
            ("group.id", "connect-cluster"),
            ("offset.storage.topic", "connect-offsets"),
            ("offset.storage.replication.factor", "1"),
            ("offset.storage.segment.bytes", "1048576"),
            ("ssl.truststore.location", "/ca.pem"),
        ]);
        let settings = WorkerSettings::parse("default", &raw).unwrap();
        assert_eq!(
            settings.offset_storage,
            OffsetStorage::Topic {
                name: "connect-offsets".to_owned(),
                partitions: 25,
                replication_factor: 1,
                configs: vec![("segment.bytes".to_owned(), "1048576".to_owned())],
            }
        );
        assert_eq!(settings.offset_flush_interval, Duration::from_secs(60));
        assert_eq!(settings.graceful_timeout, Duration::from_secs(5));
        let clients: Vec<_> = settings.internal_clients().iter().map(|(key, _)| key.to_owned()).collect();
        assert_eq!(clients, ["bootstrap.servers", "ssl.truststore.location"]);
    }

    #[test]
    fn standalone_properties_keep_offsets_in_a_file() {
        let settings =
            WorkerSettings::parse("default", &properties(&[("offset.storage.file.filename", "/tmp/offsets")])).unwrap();
        assert_eq!(settings.offset_storage, OffsetStorage::File(PathBuf::from("/tmp/offsets")));
    }

    #[test]
    fn an_unusable_property_is_named() {
        let mut raw = properties(&[("offset.storage.topic", "o"), ("offset.flush.interval.ms", "soon")]);
        assert_eq!(WorkerSettings::parse("default", &raw).unwrap_err().key, "offset.flush.interval.ms");
        raw.remove("offset.flush.interval.ms");
        raw.insert("ferry.restart.backoff.ms".to_owned(), "0".to_owned());
        let error = WorkerSettings::parse("default", &raw).unwrap_err();
        assert_eq!(error.key, "ferry.restart.backoff.ms");
        assert!(error.reason.contains("Value must be at least 1"), "{error}");
        raw.remove("ferry.restart.backoff.ms");
        raw.remove("offset.storage.topic");
        assert_eq!(WorkerSettings::parse("default", &raw).unwrap_err().key, "offset.storage.topic");
        raw.insert(POLICY_KEY.to_owned(), "Some".to_owned());
        assert_eq!(WorkerSettings::parse("default", &raw).unwrap_err().key, POLICY_KEY);
        raw.remove("bootstrap.servers");
        assert_eq!(WorkerSettings::parse("default", &raw).unwrap_err().key, "bootstrap.servers");
    }
}
