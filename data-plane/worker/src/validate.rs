//! Validation of a connector's config for the control plane: Kafka Connect's ConfigInfos.
//!
//! Beyond Kafka Connect: what this worker could not run as asked is refused here, not at run time.

use crate::{plugins::key_info, task::WorkerSettings};
use data_plane_connector_api::{
    ConnectError, Factory, PluginKind, Plugins,
    common_config::{sink_config_def, source_config_def, validate_sink, validate_source},
    config_def::{Config, ConfigDef, ConfigValue},
};
use proto::worker_v1 as wire;
use serde_json::json;

/// Validates; an error is one of the request, not of the config's values.
pub fn validate(
    plugins: &Plugins,
    settings: Option<&WorkerSettings>,
    config: &Config,
) -> Result<wire::ValidateResult, ConnectError> {
    let class = config.get("connector.class").map_or("", |class| class.trim());
    let plugin = plugins.find_connector(class).map_err(|error| ConnectError::connect(error.to_string()))?;
    let (mut connector, is_sink) = match &plugin.factory {
        Factory::Source { connector, .. } => (connector(), false),
        Factory::Sink { connector, .. } => (connector(), true),
        _ => return Err(ConnectError::connect(format!("{class} is no connector"))),
    };
    let (common, mut values) = match is_sink {
        true => (sink_config_def(), validate_sink(config)),
        false => (source_config_def(), validate_source(config)),
    };
    refuse_what_is_not_run(config, &mut values);
    check_converters(plugins, config, &mut values);
    if let Some(settings) = settings {
        check_group(settings, config, is_sink, &mut values);
    }
    let own = connector.config_def();
    let own_values = connector.validate(config);
    connector.stop();
    Ok(wire::ValidateResult {
        // Kafka Connect names the connector as it was asked for.
        config_infos_json: config_infos(class, &common.and(own), values, own_values).to_string(),
        connector_type: if is_sink { "sink" } else { "source" }.to_owned(),
        class: plugin.class.clone(),
        fence_class: wire::FenceClass::Lease.into(),
    })
}

fn config_infos(class: &str, def: &ConfigDef, common: Vec<ConfigValue>, own: Vec<ConfigValue>) -> serde_json::Value {
    let mut values = common;
    for value in own {
        match values.iter_mut().find(|known| known.name == value.name) {
            // A connector's own word about a common key is added to the common one.
            Some(known) => known.errors.extend(value.errors.into_iter().filter(|_| def.key(&value.name).is_some())),
            None => values.push(value),
        }
    }
    let mut groups: Vec<&str> = Vec::new();
    for group in def.keys.iter().filter_map(|key| key.group.as_deref()) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    let error_count: usize = values.iter().map(|value| value.errors.len()).sum();
    let configs: Vec<serde_json::Value> = values
        .iter()
        .map(|value| {
            json!({
                "definition": def.key(&value.name).map(key_info),
                "value": {
                    "name": value.name,
                    "value": value.value,
                    "recommended_values": value.recommended_values,
                    "errors": value.errors,
                    "visible": value.visible,
                },
            })
        })
        .collect();
    json!({"name": class, "error_count": error_count, "groups": groups, "configs": configs})
}

fn add_error(values: &mut [ConfigValue], key: &str, error: String) {
    if let Some(value) = values.iter_mut().find(|value| value.name == key) {
        value.errors.push(error);
    }
}

/// What Kafka Connect would do and this worker does not: better refused than ignored.
fn refuse_what_is_not_run(config: &Config, values: &mut [ConfigValue]) {
    let given = |key: &str| config.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
    let mut refuse = |key: &str, value: &str, why: &str| {
        add_error(values, key, format!("Invalid value {value} for configuration {key}: {why}"));
    };
    for key in ["transforms", "predicates"] {
        if let Some(value) = given(key) {
            refuse(key, value, "this version of Ferry runs no transformations yet; remove them");
        }
    }
    if let Some(value) = given("errors.tolerance").filter(|value| value.eq_ignore_ascii_case("all")) {
        refuse("errors.tolerance", value, "this version of Ferry fails the task at a bad record; use none");
    }
    if let Some(value) = given("errors.deadletterqueue.topic.name") {
        let why = "this version of Ferry writes no dead letters yet; remove it";
        refuse("errors.deadletterqueue.topic.name", value, why);
    }
    if let Some(value) = given("exactly.once.support").filter(|value| value.eq_ignore_ascii_case("required")) {
        refuse("exactly.once.support", value, "this version of Ferry copies at least once; use requested");
    }
}

fn check_converters(plugins: &Plugins, config: &Config, values: &mut [ConfigValue]) {
    let kinds = [
        ("key.converter", PluginKind::Converter),
        ("value.converter", PluginKind::Converter),
        ("header.converter", PluginKind::HeaderConverter),
    ];
    for (key, kind) in kinds {
        let Some(class) = config.get(key).map(|class| class.trim()).filter(|class| !class.is_empty()) else { continue };
        if let Err(error) = plugins.find(kind, class) {
            add_error(values, key, format!("Invalid value {class} for configuration {key}: {error}"));
        }
    }
}

/// A sink's group must not be the workers' own (KIP-458).
fn check_group(settings: &WorkerSettings, config: &Config, is_sink: bool, values: &mut [ConfigValue]) {
    let default = config.get("name").map(|name| format!("connect-{name}")).unwrap_or_default();
    let group = config.get("consumer.override.group.id").unwrap_or(&default);
    if is_sink && settings.group_id.as_deref() == Some(group) {
        add_error(
            values,
            "name",
            format!("Consumer group for sink connector named {group} conflicts with Connect worker group {group}"),
        );
    }
}
