//! The config keys that every connector has, as Kafka Connect 4.3 defines them (`ConnectorConfig`, `SourceConnectorConfig`, `SinkConnectorConfig`).

use crate::JavaRegex;
use crate::config_def::{Config, ConfigDef, ConfigKey, ConfigType, ConfigValue, Importance, Validator, Width};

use ConfigType::{Boolean, Class, Int, List, Long, Short, String as Text};
use Importance::{High, Low, Medium};

const COMMON: &str = "Common";
const ERRORS: &str = "Error Handling";
const EXACTLY_ONCE: &str = "Exactly Once Support";

/// Keys of source connectors.
#[must_use]
pub fn source_config_def() -> ConfigDef {
    connector_config_def().and(ConfigDef::new([
        optional("topic.creation.groups", List, Some(""), Low, "Groups of topics to create with settings of their own.")
            .validator(Validator::UniqueAliases)
            .form("Topic Creation", 1, Width::Long, "Topic Creation Groups"),
        optional(
            "exactly.once.support",
            Text,
            Some("requested"),
            Medium,
            "`required` refuses to start a connector that does not keep exactly-once; `requested` starts it anyway.",
        )
        .validator(one_of_ignore_case(&["REQUIRED", "REQUESTED"]))
        .form(EXACTLY_ONCE, 2, Width::Short, "Exactly once support"),
        optional(
            "transaction.boundary",
            Text,
            Some("poll"),
            Medium,
            "When transactions are committed: after each `poll`, at an `interval`, or as the `connector` says.",
        )
        .validator(one_of_ignore_case(&["INTERVAL", "POLL", "CONNECTOR"]))
        .form(EXACTLY_ONCE, 3, Width::Short, "Transaction Boundary"),
        optional(
            "transaction.boundary.interval.ms",
            Long,
            None,
            Low,
            "With transaction.boundary=interval: milliseconds between commits. Unset is the worker's offset.flush.interval.ms.",
        )
        .validator(Validator::Range { min: Some(0), max: None, nullable: true })
        .form(EXACTLY_ONCE, 4, Width::Short, "Transaction boundary interval"),
        optional(
            "offsets.storage.topic",
            Text,
            None,
            Low,
            "A topic for this connector's source offsets, instead of the worker's.",
        )
        .validator(Validator::NonEmptyString)
        .form("offsets.topic", 1, Width::Long, "Offsets topic"),
    ]))
}

/// Keys of sink connectors.
#[must_use]
pub fn sink_config_def() -> ConfigDef {
    connector_config_def().and(ConfigDef::new([
        optional("topics", List, Some(""), High, "Topics to read, separated by commas.")
            .validator(Validator::UniqueNonEmptyValues)
            .form(COMMON, 4, Width::Long, "Topics"),
        optional(
            "topics.regex",
            Text,
            Some(""),
            High,
            "A Java regular expression of topics to read, in place of topics.",
        )
        .validator(Validator::Regex)
        .form(COMMON, 4, Width::Long, "Topics regex"),
        optional(
            "errors.deadletterqueue.topic.name",
            Text,
            Some(""),
            Medium,
            "Topic for records that failed; empty is none.",
        )
        .form(ERRORS, 6, Width::Medium, "Dead Letter Queue Topic Name"),
        optional(
            "errors.deadletterqueue.topic.replication.factor",
            Short,
            Some("3"),
            Medium,
            "Replication factor with which the dead letter topic is created.",
        )
        .form(ERRORS, 7, Width::Medium, "Dead Letter Queue Topic Replication Factor"),
        optional(
            "errors.deadletterqueue.context.headers.enable",
            Boolean,
            Some("false"),
            Medium,
            "Whether dead letters carry headers that say what failed.",
        )
        .form(ERRORS, 8, Width::Medium, "Enable Error Context Headers"),
    ]))
}

/// Validates the common keys of a sink connector, with the rules that span keys.
#[must_use]
pub fn validate_sink(config: &Config) -> Vec<ConfigValue> {
    let mut values = sink_config_def().validate(config);
    let given = |name: &str| config.get(name).is_some_and(|value| !value.trim().is_empty());
    let problem = match (given("topics"), given("topics.regex")) {
        (true, true) => Some("topics and topics.regex are mutually exclusive options, but both are set."),
        (false, false) => Some("Must configure one of topics or topics.regex"),
        _ => None,
    };
    let dead_letters = config.get("errors.deadletterqueue.topic.name").map_or("", |name| name.trim());
    let topics: Vec<_> = config.get("topics").into_iter().flat_map(|list| list.split(',')).map(str::trim).collect();
    let looped = (!dead_letters.is_empty() && topics.contains(&dead_letters)).then(|| {
        format!(
            "The DLQ topic '{dead_letters}' may not be included in the list of topics ('topics=[{}]') consumed by the \
             connector",
            topics.join(", ")
        )
    });
    let pattern = config.get("topics.regex").map_or("", |pattern| pattern.trim());
    let is_matched = !dead_letters.is_empty()
        && !pattern.is_empty()
        && JavaRegex::new(pattern).is_ok_and(|pattern| pattern.is_match(dead_letters).unwrap_or(false));
    let matched = is_matched.then(|| {
        format!(
            "The DLQ topic '{dead_letters}' may not be matched by the regex for the topics ('topics.regex={pattern}') consumed by \
             the connector"
        )
    });
    for value in &mut values {
        if value.name == "topics.regex" {
            value.errors.extend(matched.clone());
        }
        if matches!(&*value.name, "topics" | "topics.regex") {
            value.errors.extend(problem.map(str::to_owned));
        }
        if value.name == "topics" {
            value.errors.extend(looped.clone());
        }
    }
    values
}

/// Validates the common keys of a source connector.
#[must_use]
pub fn validate_source(config: &Config) -> Vec<ConfigValue> {
    source_config_def().validate(config)
}

/// Keys of all connectors.
#[must_use]
pub fn connector_config_def() -> ConfigDef {
    let converter = |name: &str, order: i32, display: &str, what: &str| {
        [
            optional(name, Class, None, Low, &format!("Converter of {what}. Unset is the worker's.")).form(
                COMMON,
                order,
                Width::Short,
                &format!("{display} class"),
            ),
            optional(
                &format!("{name}.plugin.version"),
                Text,
                None,
                Low,
                &format!("Version of the converter of {what}."),
            )
            .form(COMMON, order + 1, Width::Short, &format!("{display} version")),
        ]
    };
    let first = [
        ConfigKey::required("name", Text, High, "The connector's name, unique in its namespace.")
            .validator(Validator::NonEmptyStringWithoutControlChars)
            .form(COMMON, 1, Width::Medium, "Connector name"),
        ConfigKey::required("connector.class", Text, High, "Full class name of the connector, or its alias.").form(
            COMMON,
            2,
            Width::Long,
            "Connector class",
        ),
        optional("connector.plugin.version", Text, None, Medium, "Version, or range of versions, of the connector.")
            .form(COMMON, 3, Width::Medium, "Connector version"),
        optional("tasks.max", Int, Some("1"), High, "The most tasks that the connector may have.")
            .validator(Validator::Range { min: Some(1), max: None, nullable: false })
            .form(COMMON, 4, Width::Short, "Tasks max"),
        optional("tasks.max.enforce", Boolean, Some("true"), Low, "Whether a connector that makes more tasks fails.")
            .form(COMMON, 5, Width::Short, "Enforce tasks max"),
    ];
    let last = [
        optional("transforms", List, Some(""), Low, "Aliases of the transformations, in order.")
            .validator(Validator::UniqueAliases)
            .form("Transforms", 12, Width::Long, "Transforms"),
        optional("predicates", List, Some(""), Low, "Aliases of the predicates of transformations.")
            .validator(Validator::UniqueAliases)
            .form("Predicates", 13, Width::Long, "Predicates"),
        optional(
            "config.action.reload",
            Text,
            Some("restart"),
            Low,
            "What happens when a config provider's value changes.",
        )
        .validator(one_of(&["none", "restart"]))
        .form(COMMON, 14, Width::Medium, "Reload Action"),
        optional(
            "errors.retry.timeout",
            Long,
            Some("0"),
            Medium,
            "Milliseconds to retry a failed operation; 0 never, -1 for ever.",
        )
        .form(ERRORS, 1, Width::Medium, "Retry Timeout for Errors"),
        optional(
            "errors.retry.delay.max.ms",
            Long,
            Some("60000"),
            Medium,
            "The longest pause between retries, in milliseconds.",
        )
        .form(ERRORS, 2, Width::Medium, "Maximum Delay Between Retries for Errors"),
        optional(
            "errors.tolerance",
            Text,
            Some("none"),
            Medium,
            "`none`: an error fails the task; `all`: the record is skipped.",
        )
        .validator(one_of(&["none", "all"]))
        .form(ERRORS, 3, Width::Short, "Error Tolerance"),
        optional("errors.log.enable", Boolean, Some("false"), Medium, "Whether tolerated errors are logged.").form(
            ERRORS,
            4,
            Width::Short,
            "Log Errors",
        ),
        optional("errors.log.include.messages", Boolean, Some("false"), Medium, "Whether the log shows the record.")
            .form(ERRORS, 5, Width::Short, "Log Error Details"),
    ];
    ConfigDef::new(
        first
            .into_iter()
            .chain(converter("key.converter", 6, "Key converter", "keys"))
            .chain(converter("value.converter", 8, "Value converter", "values"))
            .chain(converter("header.converter", 10, "Header converter", "headers"))
            .chain(last),
    )
}

fn optional(
    name: &str,
    kind: ConfigType,
    default: Option<&str>,
    importance: Importance,
    documentation: &str,
) -> ConfigKey {
    ConfigKey::optional(name, kind, default, importance, documentation)
}

fn one_of(values: &[&str]) -> Validator {
    Validator::OneOf(values.iter().map(|&value| value.to_owned()).collect())
}

fn one_of_ignore_case(values: &[&str]) -> Validator {
    Validator::OneOfIgnoreCase(values.iter().map(|&value| value.to_owned()).collect())
}

#[cfg(test)]
mod tests;
