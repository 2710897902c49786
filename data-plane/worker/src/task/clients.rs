//! Client settings that Connect imposes on a task's clients, and who may override them: the worker's `producer.` and
//! `consumer.` keys, then the connector's `producer.override.` and `consumer.override.` keys.

use std::collections::BTreeMap;

use std::time::Duration;

use data_plane_broker::{Broker, BrokerError, ClientConfig, NewTopic, Subscription, TopicFilter};
use data_plane_connector_api::{ConnectError, JavaRegex};
use data_plane_core::client_overrides::{Side, overrides};

use super::TaskSpec;
use super::runtime::{CONNECT_TIMEOUT, broker_error};
use super::settings::WorkerSettings;
use crate::pipeline::DeadLetterSettings;

/// For finding or creating a topic.
const CREATE_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of a source task's producer.
pub(super) fn producer(
    settings: &WorkerSettings,
    connector: &str,
    task: u32,
    config: &BTreeMap<String, String>,
) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &settings.bootstrap_servers);
    client.set("client.id", format!("connector-producer-{connector}-{task}"));
    overlay(&mut client, &settings.raw, "producer.");
    overlay(&mut client, config, "producer.override.");
    client
}

/// Makes sure that the worker allows a connector's client settings (KIP-458): it may have changed its mind since they were accepted.
///
/// # Errors
/// Names the key.
pub(super) fn check_overrides(spec: &TaskSpec, side: Side) -> Result<(), ConnectError> {
    let found = overrides(&spec.settings.override_policy, side, &spec.connector_config);
    match found.iter().find_map(|found| Some(format!("{}: {}", found.full_key(), found.error.as_ref()?))) {
        Some(error) => Err(ConnectError::connect(format!("Client Config Overrides not allowed: {error}"))),
        None => Ok(()),
    }
}

/// Settings of the administrator that creates a task's topics.
pub(super) fn admin(spec: &TaskSpec, task: u32) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &spec.settings.bootstrap_servers);
    client.set("client.id", format!("connector-adminclient-{}-{task}", spec.connector));
    overlay(&mut client, &spec.settings.raw, "admin.");
    overlay(&mut client, &spec.connector_config, "admin.override.");
    client
}

/// Settings of the producer of a sink task's dead letters.
pub(super) fn dead_letter_producer(spec: &TaskSpec, task: u32) -> ClientConfig {
    let mut client = producer(&spec.settings, &spec.connector, task, &spec.connector_config);
    let name = format!("connector-dlq-producer-{}-{task}", spec.connector);
    // An override of the client id is meant for both, as in Connect.
    if client.get("client.id") == Some(format!("connector-producer-{}-{task}", spec.connector)).as_deref() {
        client.set("client.id", name);
    }
    client
}

/// Finds or creates a connector's topic for dead letters: one partition, as Connect makes it. Blocks.
///
/// # Errors
/// Names the key to look at.
pub(super) fn ensure_dead_letter_topic(
    broker: &dyn Broker,
    client: &ClientConfig,
    settings: &DeadLetterSettings,
) -> Result<(), ConnectError> {
    let failed = |error: BrokerError| {
        let key = match &error {
            BrokerError::Kafka { code: "INVALID_REPLICATION_FACTOR", .. } => {
                format!("topic.replication.factor={}", settings.replication_factor)
            }
            _ => "topic.name".to_owned(),
        };
        let topic = &settings.topic;
        let text = format!("Could not initialize dead letter queue with topic={topic} (errors.deadletterqueue.{key})");
        broker_error(&text, &error)
    };
    let mut admin = broker.admin(client, CONNECT_TIMEOUT).map_err(failed)?;
    if admin.partition_count(&settings.topic, CREATE_TIMEOUT).map_err(failed)?.is_none() {
        let topic = NewTopic {
            name: settings.topic.clone(),
            partitions: 1,
            replication_factor: settings.replication_factor,
            configs: Vec::new(),
        };
        admin.ensure_topic(&topic, CREATE_TIMEOUT).map_err(failed)?;
    }
    Ok(())
}

/// Settings of a sink task's consumer.
pub(super) fn consumer(
    settings: &WorkerSettings,
    connector: &str,
    task: u32,
    config: &BTreeMap<String, String>,
) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &settings.bootstrap_servers);
    client.set("client.id", format!("connector-consumer-{connector}-{task}"));
    client.set("group.id", format!("connect-{connector}"));
    overlay(&mut client, &settings.raw, "consumer.");
    overlay(&mut client, config, "consumer.override.");
    let instance = format!("{}-{task}", client.get("group.id").unwrap_or_default());
    client.set_default("group.instance.id", &instance);
    client
}

/// What a sink connector reads.
///
/// # Errors
/// Unless exactly one of `topics` and `topics.regex` is set.
pub(super) fn subscription(config: &BTreeMap<String, String>) -> Result<Subscription, ConnectError> {
    let value = |key: &str| config.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
    match (value("topics"), value("topics.regex")) {
        (Some(topics), None) => Ok(Subscription::Topics(
            topics.split(',').map(str::trim).filter(|topic| !topic.is_empty()).map(str::to_owned).collect(),
        )),
        (None, Some(pattern)) => {
            let regex = JavaRegex::new(pattern).map_err(|error| {
                ConnectError::config_value("topics.regex", pattern, &format!("Invalid regex: {error}"))
            })?;
            // A name that exhausts the pattern's limit is none that anybody meant.
            Ok(Subscription::Matching(TopicFilter::new(move |topic| regex.is_match(topic).unwrap_or(false))))
        }
        (None, None) => Err(ConnectError::config("Must configure one of topics or topics.regex")),
        (Some(_), Some(_)) => {
            Err(ConnectError::config("topics and topics.regex are mutually exclusive options, but both are set."))
        }
    }
}

fn overlay(client: &mut ClientConfig, from: &BTreeMap<String, String>, prefix: &str) {
    for (key, value) in from {
        if let Some(key) = key.strip_prefix(prefix) {
            client.set(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connectors_overrides_win_over_the_workers() {
        let mut raw: BTreeMap<String, String> = [
            ("bootstrap.servers", "b:1"),
            ("key.converter", "K"),
            ("value.converter", "V"),
            ("offset.storage.topic", "o"),
            ("consumer.fetch.min.bytes", "1"),
            ("consumer.max.poll.records", "7"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        raw.insert("producer.linger.ms".to_owned(), "9".to_owned());
        let settings = WorkerSettings::parse("default", &raw).unwrap();
        let config: BTreeMap<String, String> =
            [("consumer.override.fetch.min.bytes", "2"), ("consumer.override.group.id", "mine")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
        let client = consumer(&settings, "c", 3, &config);
        assert_eq!(client.get("fetch.min.bytes"), Some("2"));
        assert_eq!(client.get("max.poll.records"), Some("7"));
        assert_eq!(client.get("group.instance.id"), Some("mine-3"));
        assert_eq!(client.get("client.id"), Some("connector-consumer-c-3"));
        assert_eq!(producer(&settings, "c", 0, &config).get("linger.ms"), Some("9"));
    }

    #[test]
    fn exactly_one_way_to_name_topics_is_taken() {
        let config = |lines: &[(&str, &str)]| {
            lines.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let Subscription::Topics(topics) = subscription(&config(&[("topics", "a, b")])).unwrap() else {
            panic!("a rule")
        };
        assert_eq!(topics, ["a", "b"]);
        let Subscription::Matching(rule) = subscription(&config(&[("topics.regex", r"a-\d+(?!x)")])).unwrap() else {
            panic!("a list")
        };
        assert!(rule.wants("a-12") && !rule.wants("a-") && !rule.wants("xa-1"));
        assert!(subscription(&config(&[("topics.regex", "(")])).is_err());
        assert!(subscription(&config(&[])).is_err());
        assert!(subscription(&config(&[("topics", "a"), ("topics.regex", "b")])).is_err());
    }
}
