//! What the connected workers can run, and validation on one of them.

use super::Control;
use crate::sessions::CommandFailure;
use control_plane_api::service::{
    ConfigInfo, ConfigInfos, ConfigKeyInfo, ConfigValueInfo, Page, PageRequest, PluginView, ServiceError, Violation,
};
use control_plane_core::{
    connector::{Config, ConnectorType},
    ids::{SettingsId, WorkerId},
    lease::FenceClass,
    placement::{PLUGIN_VERSION, PlacementRules, Versions},
};
use proto::worker_v1 as wire;
use std::{collections::BTreeMap, time::Duration};

/// How long a worker may take to validate.
const VALIDATION_PATIENCE: Duration = Duration::from_secs(30);

/// What a validation found out.
pub(super) struct Validated {
    pub(super) class: String,
    pub(super) connector_type: ConnectorType,
    pub(super) fence_class: FenceClass,
}

impl Control {
    /// All plugins of connected workers, by kind and class.
    fn plugins(&self) -> Vec<PluginView> {
        let mut found: BTreeMap<(String, String, String), PluginView> = BTreeMap::new();
        for (_, plugins) in self.sessions.plugins() {
            for plugin in plugins.iter() {
                let key = (plugin.kind.clone(), plugin.class.clone(), plugin.version.clone());
                found.entry(key).and_modify(|view| view.workers += 1).or_insert_with(|| PluginView {
                    kind: plugin.kind.clone(),
                    class: plugin.class.clone(),
                    version: plugin.version.clone(),
                    aliases: plugin.aliases.clone(),
                    workers: 1,
                });
            }
        }
        found.into_values().collect()
    }

    pub(super) fn page_of_plugins(&self, page: PageRequest) -> Result<Page<PluginView>, ServiceError> {
        let size = page.limit();
        let from = match page.token.as_str() {
            "" => 0,
            token => token.parse::<usize>().map_err(|_| ServiceError::bad_page_token())?,
        };
        let all = self.plugins();
        let next = (all.len() > from + size).then(|| (from + size).to_string());
        Ok(Page { items: all.into_iter().skip(from).take(size).collect(), next })
    }

    pub(super) fn plugin_config_def(&self, name: &str) -> Result<(PluginView, Vec<ConfigKeyInfo>), ServiceError> {
        for (_, plugins) in self.sessions.plugins() {
            if let Some(plugin) = plugins.iter().find(|plugin| is_called(plugin, name)) {
                let keys = serde_json::from_str(&plugin.config_def_json).map_err(|error| {
                    ServiceError::Internal(format!(
                        "a worker's config definition of {} is unreadable: {error}",
                        plugin.class
                    ))
                })?;
                let view = self.plugins().into_iter().find(|view| view.class == plugin.class);
                return Ok((view.ok_or_else(|| unknown_plugin(name))?, keys));
            }
        }
        Err(unknown_plugin(name))
    }

    /// Validates a config that is to be stored.
    pub(super) async fn validate(&self, config: &Config) -> Result<Validated, ServiceError> {
        let result = self.validate_on_worker(config).await?;
        let infos = config_infos(&result, config)?;
        if infos.error_count > 0 {
            return Err(invalid(&infos));
        }
        Ok(Validated {
            connector_type: match result.connector_type.as_str() {
                "sink" => ConnectorType::Sink,
                _ => ConnectorType::Source,
            },
            fence_class: match result.fence_class() {
                wire::FenceClass::Transactional => FenceClass::Transactional,
                wire::FenceClass::TargetEpoch => FenceClass::TargetEpoch,
                wire::FenceClass::Lease | wire::FenceClass::Unspecified => FenceClass::Lease,
            },
            class: result.class,
        })
    }

    pub(super) async fn validate_for_user(
        &self,
        plugin: Option<&str>,
        mut config: Config,
    ) -> Result<ConfigInfos, ServiceError> {
        if let Some(plugin) = plugin {
            let asked = self.connector_plugin(plugin);
            match config.get("connector.class") {
                None => drop(config.insert("connector.class".to_owned(), plugin.to_owned())),
                Some(class) if class == plugin => {}
                Some(class) => {
                    let given = self.connector_plugin(class);
                    if asked.is_none() || asked != given {
                        return Err(ServiceError::Invalid(vec![Violation {
                            field: "config.connector.class".to_owned(),
                            description: format!(
                                "Included connector type {class} does not match request type {plugin}; make them equal"
                            ),
                        }]));
                    }
                }
            }
        }
        config_infos(&self.validate_on_worker(&config).await?, &config)
    }

    /// Full class of a connector plugin by any of its names.
    fn connector_plugin(&self, name: &str) -> Option<String> {
        self.sessions.plugins().iter().find_map(|(_, plugins)| {
            plugins
                .iter()
                .find(|plugin| is_connector(plugin) && is_called(plugin, name))
                .map(|plugin| plugin.class.clone())
        })
    }

    async fn validate_on_worker(&self, config: &Config) -> Result<wire::ValidateResult, ServiceError> {
        let Some(class) = config.get("connector.class").map(|class| class.trim()).filter(|class| !class.is_empty())
        else {
            return Err(bad_class(
                "Missing required configuration \"connector.class\" which has no default value.".to_owned(),
            ));
        };
        let versions = config.get(PLUGIN_VERSION).and_then(|versions| Versions::parse(versions));
        let mut candidates = self.workers_with(class, versions.as_ref())?;
        let mut last = CommandFailure::Gone;
        while let Some(worker) = candidates.pop() {
            let command = wire::command::Command::Validate(wire::ValidateCommand {
                config: config.clone(),
                settings_id: SettingsId::default().to_string(),
            });
            match self.sessions.command(worker, command, VALIDATION_PATIENCE).await {
                Ok(wire::CommandResult { result: Some(wire::command_result::Result::Validate(result)), .. }) => {
                    return Ok(result);
                }
                Ok(wire::CommandResult { result: Some(wire::command_result::Result::Error(error)), .. }) => {
                    return Err(ServiceError::FailedPrecondition(format!("{}: {}", error.class, error.message)));
                }
                Ok(_) => return Err(ServiceError::Internal(format!("worker {worker} answered nothing"))),
                // Another may have it, and be there.
                Err(failure @ (CommandFailure::Gone | CommandFailure::Busy)) => last = failure,
                Err(CommandFailure::Late) => {
                    return Err(ServiceError::Timeout(format!(
                        "worker {worker} did not validate the config within {} s",
                        VALIDATION_PATIENCE.as_secs()
                    )));
                }
            }
        }
        Err(ServiceError::NoWorker(match last {
            CommandFailure::Busy => {
                "all workers with the plugin have too many validations waiting; try again".to_owned()
            }
            _ => "the workers with the plugin have gone; try again".to_owned(),
        }))
    }

    /// Those with a wanted version, or else any: they say in Kafka Connect's words which versions there are.
    fn workers_with(&self, class: &str, versions: Option<&Versions>) -> Result<Vec<WorkerId>, ServiceError> {
        let connected = self.sessions.plugins();
        if connected.is_empty() {
            return Err(ServiceError::NoWorker(
                "no worker is connected, so the config cannot be validated; start a ferry-worker with --control-plane \
                 and this control plane's worker listener"
                    .to_owned(),
            ));
        }
        let having = |is_wanted: &dyn Fn(&wire::PluginInfo) -> bool| -> Vec<WorkerId> {
            let has = |plugin: &wire::PluginInfo| is_connector(plugin) && is_called(plugin, class) && is_wanted(plugin);
            connected.iter().filter(|(_, plugins)| plugins.iter().any(has)).map(|(id, _)| *id).collect()
        };
        let any = having(&|_| true);
        if any.is_empty() {
            let mut available: Vec<String> = connected
                .iter()
                .flat_map(|(_, plugins)| plugins.iter().filter(|plugin| is_connector(plugin)))
                .map(|plugin| plugin.class.clone())
                .collect();
            available.sort();
            available.dedup();
            return Err(bad_class(format!(
                "Failed to find any class that implements Connector and which name matches {class}, available \
                 connectors are: {}",
                available.join(", ")
            )));
        }
        let fitting = having(&|plugin| versions.is_none_or(|versions| versions.contains(&plugin.version)));
        Ok(if fitting.is_empty() { any } else { fitting })
    }
}

fn is_connector(plugin: &wire::PluginInfo) -> bool {
    plugin.kind == "source" || plugin.kind == "sink"
}

fn is_called(plugin: &wire::PluginInfo, name: &str) -> bool {
    plugin.class == name || plugin.aliases.iter().any(|alias| alias == name)
}

/// What a worker found out of a config, and what it does not look at: where the connector may run.
fn config_infos(result: &wire::ValidateResult, config: &Config) -> Result<ConfigInfos, ServiceError> {
    let mut infos: ConfigInfos = serde_json::from_str(&result.config_infos_json)
        .map_err(|error| ServiceError::Internal(format!("a worker's validation result is unreadable: {error}")))?;
    let (_, violations) = PlacementRules::parse(config);
    infos.error_count += violations.len() as u32;
    infos.configs.extend(violations.into_iter().map(|violation| ConfigInfo {
        definition: None,
        value: ConfigValueInfo {
            name: violation.key.to_owned(),
            errors: vec![violation.to_string()],
            value: Some(violation.value),
            recommended_values: Vec::new(),
            visible: true,
        },
    }));
    Ok(infos)
}

fn bad_class(message: String) -> ServiceError {
    let violation = Violation { field: "config.connector.class".to_owned(), description: message.clone() };
    ServiceError::InvalidConfig { message, violations: vec![violation] }
}

fn unknown_plugin(name: &str) -> ServiceError {
    ServiceError::NotFound { what: "Plugin", name: name.to_owned() }
}

/// Kafka Connect's text for a config with errors.
fn invalid(infos: &ConfigInfos) -> ServiceError {
    let violations: Vec<Violation> = infos
        .configs
        .iter()
        .flat_map(|info| {
            info.value
                .errors
                .iter()
                .map(|error| Violation { field: format!("config.{}", info.value.name), description: error.clone() })
        })
        .collect();
    let list: String = violations.iter().map(|violation| format!("{}\n", violation.description)).collect();
    let message = format!(
        "Connector configuration is invalid and contains the following {} error(s):\n{list}You can also find the above \
         list of errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`",
        infos.error_count
    );
    ServiceError::InvalidConfig { message, violations }
}
