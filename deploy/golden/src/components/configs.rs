//! Config definitions and validation.

use data_plane_connector_api::common_config::{connector_config_def, sink_config_def, source_config_def};
use data_plane_connector_api::config_def::{ConfigDef, ConfigKey};
use data_plane_connector_api::{ConfigValue, ConnectError};
use data_plane_core::client_overrides::OverridePolicy;
use data_plane_worker::plugins::{all_keys, key_info};
use data_plane_worker::validate::as_connect;
use serde_json::Value as Json;

use super::{PLUGINS, config_of};
use crate::check::{self, Failed};

/// The keys of a plugin, by name.
pub(super) fn plugin(class: &str, case: &Json) -> Result<(), String> {
    let plugin = PLUGINS.iter().find(|plugin| plugin.class == class).map(|plugin| all_keys(plugin)).ok_or_else(|| {
        Failed::apply(ConnectError {
            class: "org.apache.kafka.connect.errors.NotFoundException".to_owned(),
            ..ConnectError::connect(format!("Unknown plugin {class}."))
        })
    });
    check::outcome(case, plugin, |mut definition, expected| {
        definition.keys.sort_by(|a, b| a.name.cmp(&b.name));
        keys(&definition.keys, expected)
    })
}

/// The common keys, in order.
pub(super) fn common(class: &str, case: &Json) -> Result<(), String> {
    let definition: ConfigDef = match class.rsplit('.').next() {
        Some("SourceConnectorConfig") => source_config_def(),
        Some("SinkConnectorConfig") => sink_config_def(),
        _ => connector_config_def(),
    };
    check::outcome(case, Ok(definition), |definition, expected| keys(&definition.keys, expected))
}

fn keys(found: &[ConfigKey], expected: &Json) -> Result<(), String> {
    let expected: Vec<_> = expected.as_array().into_iter().flatten().collect();
    let names = found.iter().map(|key| key.name.as_str());
    if !names.clone().map(Some).eq(expected.iter().map(|key| key["name"].as_str())) {
        let recorded: Vec<_> = expected.iter().map(|key| &key["name"]).collect();
        return Err(format!("has keys {:?}, Connect {recorded:?}", names.collect::<Vec<_>>()));
    }
    for (key, expected) in found.iter().zip(expected) {
        let info = key_info(key);
        for (part, recorded) in expected.as_object().into_iter().flatten() {
            if info[part] != *recorded {
                return Err(format!("{} has {part} {}, Connect {recorded}", key.name, info[part]));
            }
        }
    }
    Ok(())
}

/// Validates a connector's config.
pub(super) fn validate(case: &Json) -> Result<(), String> {
    let config = config_of(case);
    let done = as_connect(&PLUGINS, &OverridePolicy::All, &config).map_err(Failed::apply);
    check::outcome(case, done, |(validated, _), expected| {
        let names: Vec<_> = validated.values.iter().map(|value| value.name.as_str()).collect();
        same("name", &validated.name.as_str().into(), &expected["name"])?;
        same("names", &names.into(), &expected["names"])?;
        same("groups", &validated.groups().into(), &expected["groups"])?;
        for recorded in expected["values"].as_array().into_iter().flatten() {
            let value = validated.values.iter().find(|value| recorded["name"] == value.name.as_str());
            value_as(value.ok_or_else(|| format!("has no value {}", recorded["name"]))?, recorded)?;
        }
        same("error_count", &validated.error_count().into(), &expected["error_count"])
    })
}

/// Compares a value; of errors how many there are: their texts are wording.
fn value_as(value: &ConfigValue, recorded: &Json) -> Result<(), String> {
    same(&value.name, &value.value.as_deref().into(), &recorded["value"])?;
    same(&value.name, &value.visible.into(), &recorded["visible"])?;
    let expected = recorded["errors"].as_array().map_or(0, Vec::len);
    if value.errors.len() != expected {
        return Err(format!("{} has errors {:?}, Connect {}", value.name, value.errors, recorded["errors"]));
    }
    Ok(())
}

fn same(what: &str, found: &Json, expected: &Json) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found}, Connect {expected}")) }
}
