//! The keys of a connector's transforms, predicates and converters (`ConnectorConfig.enrich`, `AbstractHerder.validateConverterConfig`).

use super::{Validated, hash_map_order, value_of, versions};
use crate::pipeline::under;
use data_plane_connector_api::{
    Plugin, PluginKind, Plugins,
    config_def::{Config, ConfigDef, ConfigKey, ConfigType, Importance, Width},
};
use std::sync::Arc;

/// Adds the keys of transforms and predicates.
pub(super) fn transforms(plugins: &Plugins, config: &Config, validated: &mut Validated) {
    let kinds = [
        ("transforms", PluginKind::Transformation, "Transformation"),
        ("predicates", PluginKind::Predicate, "Predicate"),
    ];
    for (list, kind, interface) in kinds {
        let text = config.get(list).map_or("", |text| text.trim());
        let mut seen = Vec::new();
        // An alias may be empty, as Kafka's lists have it.
        for alias in text.split(',').map(str::trim).filter(|_| !text.is_empty()) {
            if !seen.contains(&alias) {
                stage(plugins, config, (list, kind, interface), alias, validated);
                seen.push(alias);
            }
        }
    }
}

fn stage(
    plugins: &Plugins,
    config: &Config,
    (list, kind, interface): (&str, PluginKind, &str),
    alias: &str,
    validated: &mut Validated,
) {
    let prefix = format!("{list}.{alias}.");
    let group = format!("{}{}: {alias}", list[..1].to_uppercase(), &list[1..]);
    let type_key = format!("{prefix}type");
    let mut definition = ConfigDef::new([
        ConfigKey::required(
            &type_key,
            ConfigType::Class,
            Importance::High,
            &format!("Class of the {} {alias}.", interface.to_lowercase()),
        )
        .form(group.as_str(), 0, Width::Long, &format!("{interface} type for {alias}")),
        ConfigKey::optional(
            &format!("{prefix}plugin.version"),
            ConfigType::String,
            None,
            Importance::High,
            &format!("Version, or range of versions, of the {} {alias}.", interface.to_lowercase()),
        )
        .form(group.as_str(), 1, Width::Medium, &format!("{interface} version for {alias}")),
    ]);
    let version = config.get(&format!("{prefix}plugin.version"));
    let class = config.get(&type_key);
    let (found, problem) = class.map_or((None, None), |class| find(plugins, kind, interface, &type_key, class));
    let mismatch = found.as_ref().and_then(|plugin| versions::mismatch(plugin, version));
    let plugin = found.as_ref().filter(|_| mismatch.is_none());
    if let Some(plugin) = plugin {
        let mut keys = plugin.config_def.keys.clone();
        if kind == PluginKind::Transformation {
            keys.push(ConfigKey::optional(
                "predicate",
                ConfigType::String,
                None,
                Importance::Medium,
                "Alias of the predicate that a record must match to be transformed; unset is every record.",
            ));
            keys.push(ConfigKey::optional(
                "negate",
                ConfigType::Boolean,
                Some("false"),
                Importance::Medium,
                "Whether the transform is for the records that the predicate does not match.",
            ));
        }
        // As `ConfigDef.sortedConfigs`: required ones first, then by importance and name.
        keys.sort_by(|a, b| {
            (!a.required, a.importance as u8, &a.name).cmp(&(!b.required, b.importance as u8, &b.name))
        });
        for (order, key) in (2..).zip(keys) {
            definition.keys.push(ConfigKey {
                name: format!("{prefix}{}", key.name),
                group: Some(group.clone()),
                order_in_group: order,
                ..key
            });
        }
    }
    let mut values = definition.validate(config);
    for value in &mut values {
        // Kafka checks a value under its own name, and parses it under the whole one.
        for error in &mut value.errors {
            if let Some(name) = value.name.strip_prefix(&prefix) {
                *error = error
                    .replace(&format!(" for configuration {}: ", value.name), &checked_name(error, &value.name, name));
            }
        }
    }
    if let (Some(problem), Some(value)) = (problem, values.first_mut()) {
        value.value = problem.value;
        value.errors.push(problem.error);
    }
    if let (Some(found), Some(value)) = (&found, values.first_mut()) {
        value.value = Some(found.class.clone());
    }
    if let Some(error) = mismatch {
        values.iter_mut().take(2).for_each(|value| value.errors.push(error.clone()));
    }
    let has = |name: &str| config.contains_key(&format!("{prefix}{name}"));
    if plugin.is_some() && kind == PluginKind::Transformation && has("negate") && !has("predicate") {
        values[0].errors.push(format!(
            "Config '{prefix}negate' was provided but there is no config '{prefix}predicate' defining a predicate to be \
             negated."
        ));
    }
    validated.definition = std::mem::take(&mut validated.definition).and(definition);
    validated.values.extend(values);
}

/// How an error names its key: whole where the value could not be parsed.
fn checked_name(error: &str, whole: &str, own: &str) -> String {
    let is_of_parsing = ["Not a number of type", "Expected value to be either"].iter().any(|text| error.contains(text));
    format!(" for configuration {}: ", if is_of_parsing { whole } else { own })
}

struct Problem {
    value: Option<String>,
    error: String,
}

/// The plugin of a class, or what Kafka Connect says about the class.
fn find(
    plugins: &Plugins,
    kind: PluginKind,
    interface: &str,
    key: &str,
    raw: &str,
) -> (Option<Arc<Plugin>>, Option<Problem>) {
    let class = raw.trim();
    if let Ok(plugin) = plugins.find(kind, class) {
        return (Some(Arc::clone(plugin)), None);
    }
    let other = plugins.iter().find(|plugin| plugin.class == class);
    let problem = match other {
        Some(_) => Problem {
            value: Some(class.to_owned()),
            error: format!("Class class {class} does not implement the {interface} interface"),
        },
        None => Problem {
            value: None,
            error: format!("Invalid value {raw} for configuration {key}: Class {raw} could not be found."),
        },
    };
    (None, Some(problem))
}

/// Adds the keys of the converters that the connector names.
pub(super) fn converters(plugins: &Plugins, config: &Config, validated: &mut Validated) {
    let kinds = [
        ("header.converter", PluginKind::HeaderConverter, "HeaderConverter", "header"),
        ("key.converter", PluginKind::Converter, "Converter", "key"),
        ("value.converter", PluginKind::Converter, "Converter", "value"),
    ];
    for (key, kind, interface, role) in kinds {
        let Some(class) = config.get(key) else { continue };
        let (plugin, problem) = find(plugins, kind, interface, key, class);
        if let Some(problem) = problem {
            if let Some(value) = validated.values.iter_mut().find(|value| value.name == key) {
                value.value = problem.value;
                value.errors.push(problem.error);
            }
            continue;
        }
        let Some(plugin) = plugin else { continue };
        if let Some(value) = validated.values.iter_mut().find(|value| value.name == key) {
            value.value = Some(plugin.class.clone());
        }
        let version_key = format!("{key}.plugin.version");
        if let Some(error) = versions::mismatch(&plugin, config.get(&version_key)) {
            validated.add_error(key, error.clone());
            validated.add_error(&version_key, error);
            continue;
        }
        let mut own = under(config, &format!("{key}."));
        own.entry("converter.type".to_owned()).or_insert_with(|| role.to_owned());
        let values = plugin.config_def.validate(&own);
        let order = hash_map_order(plugin.config_def.keys.iter().map(|key| key.name.clone()).collect());
        for name in order {
            let (Some(value), Some(definition)) =
                (values.iter().find(|value| value.name == name), plugin.config_def.key(&name))
            else {
                continue;
            };
            let whole = format!("{key}.{name}");
            validated.definition.keys.push(ConfigKey { name: whole.clone(), ..definition.clone() });
            let shown = value_of(&whole, value.value.as_deref(), value.errors.clone());
            let recommended_values = value.recommended_values.clone();
            validated.values.push(data_plane_connector_api::ConfigValue { recommended_values, ..shown });
        }
    }
}
