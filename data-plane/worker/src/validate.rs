//! Validation of a connector's config for the control plane: Kafka Connect's ConfigInfos.
//!
//! First as Kafka Connect validates ([`as_connect`]), then ([`early`]) for what it would only find when the connector runs.

mod early;
mod embedded;
mod java_order;
mod versions;

use crate::{
    plugins::key_info,
    secrets::{Resolution, masked, resolve, resolver},
    task::WorkerSettings,
};
use data_plane_broker::client_config::check_value;
use data_plane_connector_api::{
    ConnectError, Factory, Plugin, PluginKind, Plugins,
    common_config::{connector_config_def, sink_config_def, source_config_def, validate_sink, validate_source},
    config_def::{Config, ConfigDef, ConfigValue},
};
use data_plane_core::client_overrides::{OverriddenClient, OverridePolicy, Side, overrides};
use data_plane_providers::Secrets;
use java_order::hash_map_order;
use proto::worker_v1 as wire;
use serde_json::json;
use std::sync::Arc;

/// Validates; an error is one of the request, not of the config's values. References of config providers are resolved for it, and
/// back in their places in what it gives. Blocks.
pub fn validate(
    plugins: &Plugins,
    settings: Option<&WorkerSettings>,
    raw: &Config,
) -> Result<wire::ValidateResult, ConnectError> {
    let mut config = raw.clone();
    let (resolution, unresolved) = resolve_all(plugins, settings, &mut config)?;
    let result = validate_resolved(plugins, settings, &config, (raw, &resolution, unresolved));
    result.map_err(|error| masked(&resolution.secrets, error))
}

/// Resolves a config's references; those that cannot be are given with the reason, by key.
fn resolve_all(
    plugins: &Plugins,
    settings: Option<&WorkerSettings>,
    config: &mut Config,
) -> Result<(Resolution, Vec<(String, String)>), ConnectError> {
    let mut resolver = settings.map_or(Ok(None), |settings| resolver(plugins, settings))?;
    if let Ok(resolution) = resolve(resolver.as_mut(), &mut [config]) {
        return Ok((resolution, Vec::new()));
    }
    let (mut all, mut unresolved) = (Resolution::default(), Vec::new());
    for (key, value) in config.iter_mut() {
        let mut one = Config::from([(key.clone(), value.clone())]);
        match resolve(resolver.as_mut(), &mut [&mut one]) {
            Ok(resolution) => {
                all.secrets.extend(resolution.secrets);
                *value = one.remove(key).unwrap_or_default();
            }
            Err(error) => unresolved.push((key.clone(), error.message)),
        }
    }
    Ok((all, unresolved))
}

fn validate_resolved(
    plugins: &Plugins,
    settings: Option<&WorkerSettings>,
    config: &Config,
    (raw, resolution, unresolved): (&Config, &Resolution, Vec<(String, String)>),
) -> Result<wire::ValidateResult, ConnectError> {
    let policy = settings.map_or(&OverridePolicy::All, |settings| &settings.override_policy);
    // A value of the wrong type fails Connect's whole request: here it is an error of its key.
    let typed = config.iter().filter(|(key, value)| mistyped_override(key, value).is_none());
    let typed = typed.map(|(key, value)| (key.clone(), value.clone())).collect();
    let (mut validated, plugin) = as_connect(plugins, policy, &typed)?;
    if let Some(plugin) = &plugin {
        early::find(plugins, settings, config, plugin.kind() == PluginKind::Sink, &mut validated);
    }
    for (key, error) in unresolved {
        validated.add_error(&key, error);
    }
    validated.mask(raw, config, &resolution.secrets);
    let plugin = plugin.map_or_else(|| plugins.find_connector(class_of(config)).cloned(), Ok)?;
    Ok(wire::ValidateResult {
        config_infos_json: validated.config_infos().to_string(),
        connector_type: plugin.kind().name().to_owned(),
        class: plugin.class.clone(),
        fence_class: wire::FenceClass::Lease.into(),
    })
}

/// A validated config: Kafka Connect's ConfigInfos.
#[derive(Debug)]
pub struct Validated {
    /// The connector as it was asked for.
    pub name: String,
    /// The keys that there are, transforms' and converters' included.
    pub definition: ConfigDef,
    /// One entry a key, in Kafka Connect's order.
    pub values: Vec<ConfigValue>,
}

impl Validated {
    /// Errors of all keys.
    #[must_use]
    pub fn error_count(&self) -> usize {
        self.values.iter().map(|value| value.errors.len()).sum()
    }

    /// Groups of the keys, in order of appearance.
    #[must_use]
    pub fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = Vec::new();
        for group in self.definition.keys.iter().filter_map(|key| key.group.as_deref()) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }

    /// What the REST API answers.
    fn config_infos(&self) -> serde_json::Value {
        let configs: Vec<serde_json::Value> = self
            .values
            .iter()
            .map(|value| {
                json!({
                    "definition": self.definition.key(&value.name).map(key_info),
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
        json!({
            "name": self.name,
            "error_count": self.error_count(),
            "groups": self.groups(),
            "configs": configs,
        })
    }

    /// Adds an error to a key, which is shown from now on.
    fn add_error(&mut self, key: &str, error: String) {
        match self.values.iter_mut().find(|value| value.name == key) {
            Some(value) => value.errors.push(error),
            None => self.values.push(value_of(key, None, vec![error])),
        }
    }

    /// Shows references as they were given.
    fn mask(&mut self, raw: &Config, resolved: &Config, secrets: &Secrets) {
        for value in &mut self.values {
            if raw.get(&value.name) != resolved.get(&value.name) {
                value.value = raw.get(&value.name).cloned();
            }
            for error in &mut value.errors {
                *error = secrets.mask(error).into_owned();
            }
        }
    }

    /// Whether no key under a prefix has an error.
    fn is_clean_under(&self, prefix: &str) -> bool {
        !self.values.iter().any(|value| value.name.starts_with(prefix) && !value.errors.is_empty())
    }
}

fn value_of(name: &str, value: Option<&str>, errors: Vec<String>) -> ConfigValue {
    ConfigValue {
        name: name.to_owned(),
        value: value.map(str::to_owned),
        recommended_values: Vec::new(),
        errors,
        visible: true,
    }
}

fn class_of(config: &Config) -> &str {
    config.get("connector.class").map_or("", |class| class.trim())
}

/// Validates as `AbstractHerder.validateConnectorConfig` does. Gives the connector's plugin too, if its version is the one wanted.
///
/// # Errors
/// Of the request: no class, or an unknown one.
pub fn as_connect(
    plugins: &Plugins,
    policy: &OverridePolicy,
    config: &Config,
) -> Result<(Validated, Option<Arc<Plugin>>), ConnectError> {
    let class = class_of(config);
    if class.is_empty() {
        return Err(ConnectError {
            class: "org.apache.kafka.connect.runtime.rest.errors.BadRequestException".to_owned(),
            ..ConnectError::connect(format!("Connector config {config:?} contains no connector type"))
        });
    }
    let plugin = plugins.find_connector(class)?;
    let name = class.to_owned();
    if let Some(error) = versions::mismatch(plugin, config.get("connector.plugin.version")) {
        let definition = connector_config_def();
        let values = definition.validate(config);
        let mut validated = Validated { name, definition, values };
        for key in ["connector.class", "connector.plugin.version"] {
            validated.add_error(key, error.clone());
        }
        return Ok((validated, None));
    }
    let (mut connector, is_sink) = match &plugin.factory {
        Factory::Source { connector, .. } => (connector(), false),
        Factory::Sink { connector, .. } => (connector(), true),
        _ => return Err(ConnectError::connect(format!("{class} is no connector"))),
    };
    let (definition, values) = match is_sink {
        true => (sink_config_def(), validate_sink(config)),
        false => (source_config_def(), validate_source(config)),
    };
    let mut validated = Validated { name, definition, values };
    embedded::transforms(plugins, config, &mut validated);
    own(&connector.config_def(), connector.validate(config), &mut validated);
    connector.stop();
    embedded::converters(plugins, config, &mut validated);
    let side = if is_sink { Side::Sink } else { Side::Source { exactly_once: false } };
    // As a standalone worker: clients for offsets of its own are a distributed worker's, checked when the task starts.
    let mut own_clients = config.clone();
    own_clients.remove("offsets.storage.topic");
    let found = overrides(policy, side, &own_clients);
    if let Some(error) = found.iter().find_map(|found| mistyped_override(&found.full_key(), found.value)) {
        return Err(ConnectError::config(error));
    }
    for client in OverriddenClient::ALL {
        let of_client = || found.iter().filter(move |found| found.client == client);
        for key in hash_map_order(of_client().map(|found| found.key.to_owned()).collect()) {
            let Some(found) = of_client().find(|found| found.key == key) else { continue };
            let errors = found.error.clone().into_iter().collect();
            validated.values.push(value_of(&found.full_key(), Some(found.value), errors));
        }
    }
    Ok((validated, Some(Arc::clone(plugin))))
}

/// What is wrong with the type of an overridden client setting (`ConfigDef.parseType`); `None` for other keys.
fn mistyped_override(key: &str, value: &str) -> Option<String> {
    let (kind, name) = early::CLIENTS.iter().find_map(|(prefix, kind)| Some((*kind, key.strip_prefix(prefix)?)))?;
    let error = check_value(name, value, kind).err()?;
    let is_of_type = ["Not a number of type", "Expected value to be either"].iter().any(|text| error.contains(text));
    is_of_type.then_some(error)
}

/// Adds a connector's own keys; its word about a common key is added to the common one.
fn own(definition: &ConfigDef, values: Vec<ConfigValue>, validated: &mut Validated) {
    validated.definition = std::mem::take(&mut validated.definition).and(definition.clone());
    for value in values {
        let Validated { definition, values, .. } = &mut *validated;
        match values.iter_mut().find(|known| known.name == value.name) {
            Some(known) => {
                known.errors.extend(value.errors.into_iter().filter(|_| definition.key(&value.name).is_some()));
            }
            None => values.push(value),
        }
    }
}
