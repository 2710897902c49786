//! Dead letters (KIP-298): where failed records go, and the headers that say why.

use data_plane_connector_api::common_config::sink_config_def;
use data_plane_connector_api::{Config, ConfigDef, ConnectError, Failure};

const PREFIX: &str = "errors.deadletterqueue.";
const TOPIC: &str = "errors.deadletterqueue.topic.name";
const REPLICATION_FACTOR: &str = "errors.deadletterqueue.topic.replication.factor";
const CONTEXT_HEADERS: &str = "errors.deadletterqueue.context.headers.enable";

/// `errors.deadletterqueue.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterSettings {
    /// The topic.
    pub topic: String,
    /// Its replication factor, should it be created; -1 is the broker's default.
    pub replication_factor: i32,
    /// Whether a sink's dead letters carry context headers. A source's always do.
    pub has_context_headers: bool,
}

impl DeadLetterSettings {
    /// Reads a connector's keys; `None` where no topic is named.
    ///
    /// # Errors
    /// A `ConfigException` that names the key.
    pub fn parse(config: &Config) -> Result<Option<Self>, ConnectError> {
        let topic = config.get(TOPIC).map_or("", |topic| topic.trim());
        if topic.is_empty() {
            return Ok(None);
        }
        let keys = sink_config_def().keys.into_iter().filter(|key| key.name.starts_with(PREFIX));
        let parsed = ConfigDef::new(keys).parse(config)?;
        let replication_factor = parsed.integer(REPLICATION_FACTOR).and_then(|factor| i32::try_from(factor).ok());
        Ok(Some(Self {
            topic: topic.to_owned(),
            replication_factor: replication_factor.unwrap_or(-1),
            has_context_headers: parsed.flag(CONTEXT_HEADERS),
        }))
    }
}

/// A record for the dead letter topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetter {
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// Names and values, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Where a failed record came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The connector's name.
    pub connector: &'a str,
    /// The task's number.
    pub task: u32,
    /// A sink's record: topic, partition and offset consumed. A source's: the topic that it was meant for.
    pub topic: &'a str,
    /// Partition and offset consumed.
    pub consumed: Option<(i32, i64)>,
}

/// The headers that say what failed, where and why: Connect's names, in Connect's order.
pub fn context_headers(place: Place<'_>, failure: &Failure) -> Vec<(String, Option<Vec<u8>>)> {
    let mut headers = Vec::with_capacity(10);
    let mut add = |name: &str, text: &str| {
        headers.push((format!("__connect.errors.{name}"), Some(text.as_bytes().to_vec())));
    };
    add("topic", place.topic);
    if let Some((partition, offset)) = place.consumed {
        add("partition", &partition.to_string());
        add("offset", &offset.to_string());
    }
    add("connector.name", place.connector);
    add("task.id", &place.task.to_string());
    add("stage", failure.stage.name());
    add("class.name", &failure.class);
    add("exception.class.name", &failure.cause.class);
    add("exception.message", &failure.cause.message);
    add("exception.stacktrace", &format!("{}\n\tat {failure}", failure.cause.trace_text()));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[(&str, &str)]) -> Result<Option<DeadLetterSettings>, ConnectError> {
        DeadLetterSettings::parse(
            &lines.iter().map(|(key, value)| (format!("{PREFIX}{key}"), (*value).to_owned())).collect(),
        )
    }

    #[test]
    fn no_topic_is_no_dead_letters() {
        assert_eq!(parse(&[("topic.name", " ")]), Ok(None));
        let settings = parse(&[("topic.name", "dead"), ("context.headers.enable", "TRUE")]).unwrap().unwrap();
        assert_eq!((settings.replication_factor, settings.has_context_headers), (3, true));
        let error = parse(&[("topic.name", "dead"), ("topic.replication.factor", "many")]).unwrap_err();
        assert!(error.message.contains("errors.deadletterqueue.topic.replication.factor"), "{error}");
    }
}
