//! Beyond Kafka Connect: what it only finds when the connector runs, found where the config alone tells.

use super::Validated;
use crate::{
    pipeline::{DeadLetterSettings, aliases, under},
    task::{WorkerSettings, topic_creation_problem},
    unit_policy::UnitPolicy,
};
use data_plane_broker::{
    BrokerError, ClientConfig,
    client_config::{ClientKind, translate},
};
use data_plane_connector_api::{
    ConnectError, ConverterRole, Factory, Losses, PluginKind, Plugins,
    config_def::{Config, ConfigDef},
};

/// The clients whose settings a connector may override.
pub(super) const CLIENTS: [(&str, ClientKind); 3] = [
    ("producer.override.", ClientKind::Producer),
    ("consumer.override.", ClientKind::Consumer),
    ("admin.override.", ClientKind::Admin),
];

/// Looks at everything that can be looked at without running the connector.
pub(super) fn find(
    plugins: &Plugins,
    settings: Option<&WorkerSettings>,
    config: &Config,
    is_sink: bool,
    validated: &mut Validated,
) {
    for definition in [Losses::config_def(), UnitPolicy::config_def()] {
        own_keys(config, definition, validated);
    }
    stages(plugins, config, validated);
    converters(plugins, config, validated);
    clients(config, validated);
    if let Err(error) = DeadLetterSettings::parse(config) {
        add_once(validated, "errors.deadletterqueue.topic.name", error.message);
    }
    if !is_sink && let Err(error) = topic_creation_problem(config) {
        add_once(validated, "topic.creation.groups", error.message);
    }
    if let Some(value) = config.get("exactly.once.support").filter(|value| value.eq_ignore_ascii_case("required")) {
        let why = "this version of Ferry copies at least once; use requested";
        let error = format!("Invalid value {value} for configuration exactly.once.support: {why}");
        validated.add_error("exactly.once.support", error);
    }
    if let Some(settings) = settings.filter(|_| is_sink) {
        group(settings, config, validated);
    }
}

/// An error of a key that validation has not found already.
fn add_once(validated: &mut Validated, key: &str, error: String) {
    if !validated.values.iter().any(|value| value.errors.contains(&error)) {
        let is_shown = |named: &String| validated.values.iter().any(|value| value.name == *named);
        // Keys of groups are not all known: they are shown once they are wrong.
        let named = named_key(&error).filter(|named| is_shown(named) || named.starts_with("topic.creation."));
        let key = named.unwrap_or_else(|| key.to_owned());
        validated.add_error(&key, error);
    }
}

/// The key that an error in Kafka's wording names.
fn named_key(error: &str) -> Option<String> {
    let after = |marker: &str| error.split_once(marker).map(|(_, rest)| rest);
    let rest = after(" for configuration ").or_else(|| after("Missing required configuration \""))?;
    rest.split([':', '"']).next().map(str::to_owned)
}

/// Ferry's own keys of all connectors, shown where they are used.
fn own_keys(config: &Config, definition: ConfigDef, validated: &mut Validated) {
    if definition.keys.iter().any(|key| config.contains_key(&key.name)) {
        validated.values.extend(definition.validate(config));
        validated.definition = std::mem::take(&mut validated.definition).and(definition);
    }
}

/// The config of a plugin as a task would give it.
fn own_config(config: &Config, prefix: &str) -> Config {
    let mut own = under(config, prefix);
    // A wrong value is reported once.
    if Losses::parse(config).is_ok() {
        Losses::hand_on(config, &mut own);
    }
    own
}

/// Transforms and predicates are set up as a task would.
fn stages(plugins: &Plugins, config: &Config, validated: &mut Validated) {
    let known = aliases(config, "predicates");
    for alias in aliases(config, "transforms") {
        let prefix = format!("transforms.{alias}.");
        if let Some(predicate) = config.get(&format!("{prefix}predicate"))
            && !known.contains(predicate)
        {
            let key = format!("{prefix}predicate");
            let why = "no such predicate: name it in predicates and give its type";
            validated.add_error(&key, format!("Invalid value {predicate} for configuration {key}: {why}"));
        }
        try_plugin(plugins, PluginKind::Transformation, config, &prefix, validated);
    }
    for alias in known {
        try_plugin(plugins, PluginKind::Predicate, config, &format!("predicates.{alias}."), validated);
    }
}

fn try_plugin(plugins: &Plugins, kind: PluginKind, config: &Config, prefix: &str, validated: &mut Validated) {
    let type_key = format!("{prefix}type");
    let Some(plugin) = config.get(&type_key).and_then(|class| plugins.find(kind, class.trim()).ok()) else { return };
    if !validated.is_clean_under(prefix) {
        return;
    }
    let own = own_config(config, prefix);
    let done = match &plugin.factory {
        Factory::Transformation(make) => make().configure(&own),
        Factory::Predicate(make) => make().configure(&own),
        _ => Ok(()),
    };
    if let Err(ConnectError { message, .. }) = done {
        let named = named_key(&message).map(|name| format!("{prefix}{name}"));
        let key = named.filter(|named| validated.definition.key(named).is_some()).unwrap_or(type_key);
        validated.add_error(&key, message);
    }
}

/// Converters that the connector names are set up as a task would.
fn converters(plugins: &Plugins, config: &Config, validated: &mut Validated) {
    let kinds = [
        ("key.converter", PluginKind::Converter, ConverterRole::Key),
        ("value.converter", PluginKind::Converter, ConverterRole::Value),
        ("header.converter", PluginKind::HeaderConverter, ConverterRole::Header),
    ];
    for (key, kind, role) in kinds {
        let Some(plugin) = config.get(key).and_then(|class| plugins.find(kind, class.trim()).ok()) else { continue };
        if !validated.is_clean_under(key) {
            continue;
        }
        let own = own_config(config, &format!("{key}."));
        let done = match &plugin.factory {
            Factory::Converter(make) => make().configure(&own, role),
            Factory::HeaderConverter(make) => make().configure(&own, role),
            _ => Ok(()),
        };
        if let Err(error) = done {
            validated.add_error(key, error.message);
        }
    }
}

/// Overridden client settings are translated as a task would.
fn clients(config: &Config, validated: &mut Validated) {
    for (prefix, kind) in CLIENTS {
        let client: ClientConfig = under(config, prefix).into_iter().collect();
        if let Err(BrokerError::Config { key, reason }) = translate(&client, kind) {
            let key = format!("{prefix}{key}");
            if validated.is_clean_under(&key) {
                validated.add_error(&key, format!("{key}: {reason}"));
            }
        }
    }
}

/// A sink's group must not be the workers' own (KIP-458).
fn group(settings: &WorkerSettings, config: &Config, validated: &mut Validated) {
    let default = config.get("name").map(|name| format!("connect-{name}")).unwrap_or_default();
    let group = config.get("consumer.override.group.id").unwrap_or(&default);
    if settings.group_id.as_deref() == Some(group) {
        let error =
            format!("Consumer group for sink connector named {group} conflicts with Connect worker group {group}");
        validated.add_error("name", error);
    }
}

#[cfg(test)]
mod tests {
    use super::super::validate;
    use crate::plugins::built_in;
    use data_plane_connector_api::lossy::LOSSY_CONVERSIONS;

    /// Errors of the keys that have some.
    fn errors(more: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = [
            ("name", "c"),
            ("connector.class", "FileStreamSource"),
            ("topic", "t"),
            ("file", "f"),
            ("transforms", "h"),
            ("transforms.h.type", "org.apache.kafka.connect.transforms.InsertHeader"),
            ("transforms.h.header", "h"),
            ("transforms.h.value.literal", "1,000"),
        ];
        let config = own.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let result = validate(&built_in(), None, &config).expect("a request");
        let infos: serde_json::Value = serde_json::from_str(&result.config_infos_json).expect("JSON");
        let of_key = |key: &serde_json::Value| {
            let name = key["value"]["name"].as_str().unwrap_or_default().to_owned();
            let errors = key["value"]["errors"].as_array().cloned().unwrap_or_default();
            errors.into_iter().map(move |error| (name.clone(), error.as_str().unwrap_or_default().to_owned()))
        };
        infos["configs"].as_array().into_iter().flatten().flat_map(of_key).collect()
    }

    #[test]
    fn lossy_conversions_are_looked_at_by_their_key() {
        assert_eq!(errors(&[]), []);
        assert_eq!(errors(&[(LOSSY_CONVERSIONS, "allow"), ("key.converter", "JsonConverter")]), []);
        let wrong = errors(&[(LOSSY_CONVERSIONS, "no"), ("key.converter", "JsonConverter")]);
        let [(key, error)] = &wrong[..] else { panic!("{wrong:?}") };
        assert_eq!(key, LOSSY_CONVERSIONS);
        assert!(error.starts_with("Invalid value no for configuration ferry.lossy.conversions: "), "{error}");
        let literal = errors(&[(LOSSY_CONVERSIONS, "fail")]);
        let [(key, error)] = &literal[..] else { panic!("{literal:?}") };
        assert_eq!(key, "transforms.h.type");
        assert!(error.starts_with("1,000 would become 1, "), "{error}");
        assert_eq!(errors(&[(LOSSY_CONVERSIONS, "fail"), ("transforms.h.ferry.lossy.conversions", "allow")]), []);
    }
}
