//! The plugins of this worker: a list of sources. Built in now; processes and a JVM are further sources.

use data_plane_connector_api::{
    Plugin, PluginKind, Plugins,
    common_config::{sink_config_def, source_config_def},
    config_def::{ConfigDef, ConfigKey},
};
use proto::worker_v1 as wire;
use serde_json::json;

/// What is built in.
pub fn built_in() -> Plugins {
    Plugins::new(&[
        &data_plane_connectors_file::FileConnectors,
        &data_plane_converters::Converters,
        &data_plane_transforms::Transforms,
        &data_plane_providers::Providers,
    ])
}

/// The catalogue that Hello carries.
pub fn catalogue(plugins: &Plugins) -> Vec<wire::PluginInfo> {
    plugins
        .iter()
        .map(|plugin| wire::PluginInfo {
            kind: plugin.kind().name().to_owned(),
            class: plugin.class.clone(),
            version: plugin.version.clone(),
            aliases: plugin.aliases().into_iter().map(str::to_owned).collect(),
            host: "builtin".to_owned(),
            config_def_json: serde_json::Value::from_iter(all_keys(plugin).keys.iter().map(key_info)).to_string(),
        })
        .collect()
}

/// What `GET /connector-plugins/{plugin}/config` answers: a connector's keys with the common ones.
pub fn all_keys(plugin: &Plugin) -> ConfigDef {
    let mut common = match plugin.kind() {
        PluginKind::Source => source_config_def(),
        PluginKind::Sink => sink_config_def(),
        _ => return plugin.config_def.clone(),
    };
    for key in common.keys.iter_mut().filter(|key| key.name == "connector.plugin.version") {
        key.default_value = Some(plugin.version.clone());
    }
    common.and(plugin.config_def.clone())
}

/// Kafka Connect's ConfigKeyInfo.
pub fn key_info(key: &ConfigKey) -> serde_json::Value {
    json!({
        "name": key.name,
        "type": key.kind.name(),
        "required": key.required,
        "default_value": key.default_value,
        "importance": key.importance,
        "documentation": key.documentation,
        "group": key.group,
        "order_in_group": key.order_in_group,
        "width": key.width,
        "display_name": key.display_name,
        "dependents": key.dependents,
    })
}
