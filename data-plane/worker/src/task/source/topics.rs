//! Creation of a source's topics (KIP-158): `topic.creation.*`, before the first record of a topic is produced.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use data_plane_broker::{Admin, Broker, BrokerError, ClientConfig, NewTopic};
use data_plane_connector_api::{Config, ConnectError, JavaRegex};

use crate::pipeline::{aliases, missing, under};
use crate::task::runtime::{Runtime, broker_error};
use crate::task::{TaskSpec, clients};

/// For one administrative request, and for finding a broker to ask: a step of the task waits for it. What is late is asked again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Topics remembered at most; then all are forgotten, and looked for again as they come.
const MAX_KNOWN: usize = 10_000;

/// The group that takes what no other takes.
const DEFAULT: &str = "default";

/// Topics that match, and how they are created.
#[derive(Debug)]
struct Group {
    alias: String,
    include: Option<JavaRegex>,
    exclude: Option<JavaRegex>,
    partitions: i32,
    replication_factor: i32,
    configs: Vec<(String, String)>,
}

/// The topics that a task has found or created; or none, where that is left to the brokers.
pub(super) struct TopicCreation {
    broker: Arc<dyn Broker>,
    client: ClientConfig,
    /// In order of precedence, the default group last. Empty: topics are not created here.
    groups: Vec<Group>,
    known: HashSet<Arc<str>>,
    /// Kept while a batch's topics are looked for.
    admin: Option<Box<dyn Admin>>,
}

impl TopicCreation {
    /// Reads the connector's keys. Without any, or with the worker's `topic.creation.enable=false`, topics are left to the brokers.
    pub(super) fn new(runtime: &Runtime, spec: &TaskSpec, task: u32) -> Result<Self, ConnectError> {
        let is_enabled =
            spec.settings.get("topic.creation.enable").is_none_or(|text| !text.eq_ignore_ascii_case("false"));
        Ok(Self {
            broker: Arc::clone(&runtime.broker),
            client: clients::admin(spec, task),
            groups: if is_enabled { groups(&spec.connector_config)? } else { Vec::new() },
            known: HashSet::new(),
            admin: None,
        })
    }

    /// Makes sure that a topic exists. Blocks for a few seconds at most.
    ///
    /// # Errors
    /// When it does not and cannot be created; retriable when that may change.
    pub(super) fn ensure(&mut self, topic: &Arc<str>) -> Result<(), ConnectError> {
        if self.groups.is_empty() || self.known.contains(topic) {
            return Ok(());
        }
        if let Err(error) = self.find_or_create(topic) {
            self.admin = None;
            return Err(error);
        }
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert(Arc::clone(topic));
        Ok(())
    }

    /// Whether brokers were asked since the last [`TopicCreation::rest`]; it takes its time.
    pub(super) fn has_asked(&self) -> bool {
        self.admin.is_some()
    }

    /// Gives the connection back: new topics are rare.
    pub(super) fn rest(&mut self) {
        self.admin = None;
    }

    fn find_or_create(&mut self, topic: &Arc<str>) -> Result<(), ConnectError> {
        let failed = |error: BrokerError| broker_error(&format!("Looking for topic {topic} failed"), &error);
        let admin = match &mut self.admin {
            Some(admin) => admin,
            none => none.insert(self.broker.admin(&self.client, REQUEST_TIMEOUT).map_err(failed)?),
        };
        if admin.partition_count(topic, REQUEST_TIMEOUT).map_err(failed)?.is_some() {
            return Ok(());
        }
        let group = group_of(&self.groups, topic)?;
        let wanted = NewTopic {
            name: topic.to_string(),
            partitions: group.partitions,
            replication_factor: group.replication_factor,
            configs: group.configs.clone(),
        };
        let created = admin.ensure_topic(&wanted, REQUEST_TIMEOUT).map_err(|error| {
            let text = format!(
                "Task failed to create new topic {topic} as topic.creation.{}.* says. Ensure that the task is authorized to create \
                 topics or that the topic exists and restart the task",
                group.alias
            );
            broker_error(&text, &error)
        })?;
        if created {
            tracing::info!(%topic, partitions = wanted.partitions, "a source's topic was created");
        }
        Ok(())
    }
}

/// The first group that takes a topic; the default one takes every topic.
fn group_of<'a>(groups: &'a [Group], topic: &str) -> Result<&'a Group, ConnectError> {
    for group in groups {
        let is_in = |pattern: &Option<JavaRegex>, otherwise| {
            pattern.as_ref().map_or(Ok(otherwise), |pattern| pattern.is_match(topic))
        };
        if is_in(&group.include, true)? && !is_in(&group.exclude, false)? {
            return Ok(group);
        }
    }
    Err(ConnectError::config(format!("no group of topic.creation.groups takes topic {topic}")))
}

/// What is wrong with the keys of a connector's config, if anything.
///
/// # Errors
/// A `ConfigException` that names the key.
pub(crate) fn problem(config: &Config) -> Result<(), ConnectError> {
    groups(config).map(drop)
}

/// The groups of a connector's config.
///
/// # Errors
/// A `ConfigException` that names the key.
fn groups(config: &Config) -> Result<Vec<Group>, ConnectError> {
    if !config.keys().any(|key| key.starts_with("topic.creation.") && key != "topic.creation.groups") {
        return Ok(Vec::new());
    }
    let default = group(config, DEFAULT, None)?;
    let mut groups = Vec::new();
    for alias in aliases(config, "topic.creation.groups").iter().filter(|alias| *alias != DEFAULT) {
        groups.push(group(config, alias, Some(&default))?);
    }
    groups.push(default);
    Ok(groups)
}

fn group(config: &Config, alias: &str, default: Option<&Group>) -> Result<Group, ConnectError> {
    let prefix = format!("topic.creation.{alias}.");
    let own = under(config, &prefix);
    let count = |name: &str, inherited: Option<i32>, least: i32| -> Result<i32, ConnectError> {
        let key = format!("{prefix}{name}");
        let Some(text) = own.get(name) else { return inherited.ok_or_else(|| missing(&key)) };
        let wrong = || {
            let why = format!("must be a whole number from {least}, or -1 for the broker's default");
            ConnectError::config_value(&key, text, &why)
        };
        let number: i32 = text.trim().parse().map_err(|_| wrong())?;
        if number == -1 || number >= least { Ok(number) } else { Err(wrong()) }
    };
    let pattern = |name: &str| -> Result<Option<JavaRegex>, ConnectError> {
        let patterns = aliases(&own, name);
        if patterns.is_empty() {
            return Ok(None);
        }
        let wrong = |why: String| ConnectError::config_value(&format!("{prefix}{name}"), &own[name], &why);
        JavaRegex::new(&patterns.join("|")).map(Some).map_err(|error| wrong(error.to_string()))
    };
    let include = pattern("include")?;
    if default.is_some() && include.is_none() {
        return Err(missing(&format!("{prefix}include")));
    }
    const OWN_KEYS: [&str; 4] = ["include", "exclude", "partitions", "replication.factor"];
    let configs = own.iter().filter(|(key, _)| !OWN_KEYS.contains(&key.as_str()));
    Ok(Group {
        alias: alias.to_owned(),
        include: if default.is_some() { include } else { None },
        exclude: if default.is_some() { pattern("exclude")? } else { None },
        partitions: count("partitions", default.map(|group| group.partitions), 1)?,
        replication_factor: count("replication.factor", default.map(|group| group.replication_factor), 1)?,
        configs: configs.map(|(key, value)| (key.clone(), value.clone())).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[(&str, &str)]) -> Result<Vec<Group>, ConnectError> {
        groups(&lines.iter().map(|(key, value)| (format!("topic.creation.{key}"), (*value).to_owned())).collect())
    }

    #[test]
    fn the_first_group_that_takes_a_topic_says_how_it_is_created() {
        let groups = parse(&[
            ("groups", "compacted, wide"),
            ("default.partitions", "1"),
            ("default.replication.factor", "-1"),
            ("compacted.include", "table-.*,state"),
            ("compacted.exclude", "table-x.*"),
            ("compacted.cleanup.policy", "compact"),
            ("wide.include", ".*x.*"),
            ("wide.partitions", "12"),
        ])
        .unwrap();
        let of = |topic: &str| group_of(&groups, topic).unwrap();
        assert_eq!(of("table-a").configs, [("cleanup.policy".to_owned(), "compact".to_owned())]);
        assert_eq!((of("table-xy").partitions, of("table-xy").replication_factor), (12, -1));
        assert_eq!((of("other").partitions, of("other").configs.len()), (1, 0));
        assert_eq!(of("a-state").partitions, 1);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        assert!(parse(&[]).unwrap().is_empty());
        let key = |lines: &[(&str, &str)]| parse(lines).unwrap_err().message;
        assert!(key(&[("default.partitions", "1")]).contains("topic.creation.default.replication.factor"));
        assert!(
            key(&[("default.partitions", "0"), ("default.replication.factor", "1")]).contains("default.partitions")
        );
        let base = [("groups", "g"), ("default.partitions", "1"), ("default.replication.factor", "1")];
        assert!(key(&base).contains("topic.creation.g.include"));
        assert!(key(&[&base[..], &[("g.include", "(")]].concat()).contains("topic.creation.g.include"));
    }
}
