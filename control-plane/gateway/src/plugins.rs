//! `/connector-plugins`.

use crate::{
    body::JsonBody,
    errors::RestError,
    routes::State,
    target::{Parameters, Target, flag},
};
use axum::Json;
use control_plane_api::service::{ConfigInfos, ConfigKeyInfo, PageRequest, PluginView};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Plugin {
    class: String,
    r#type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
}

pub(crate) async fn list(service: State, parameters: Parameters) -> Result<Json<Vec<Plugin>>, RestError> {
    let connectors_only = flag(&parameters, "connectorsOnly", true);
    let mut listed = Vec::new();
    let mut page = PageRequest { size: 1000, token: String::new() };
    loop {
        let found = service.list_plugins(page.clone()).await?;
        listed.extend(
            found.items.into_iter().filter(|plugin| is_listed(plugin, connectors_only)).map(|plugin| Plugin {
                class: plugin.class,
                r#type: plugin.kind,
                version: plugin.version,
            }),
        );
        match found.next {
            Some(token) => page.token = token,
            None => return Ok(Json(listed)),
        }
    }
}

fn is_listed(plugin: &PluginView, connectors_only: bool) -> bool {
    match plugin.kind.as_str() {
        "source" | "sink" => true,
        "converter" | "header_converter" | "transformation" | "predicate" => !connectors_only,
        _ => false,
    }
}

pub(crate) async fn config_def(service: State, target: Target) -> Result<Json<Vec<ConfigKeyInfo>>, RestError> {
    let plugin = target.plugin();
    let found = service.config_def(plugin).await;
    let (_, keys) = found.map_err(|error| RestError::or_missing(error, || format!("Unknown plugin {plugin}.")))?;
    Ok(Json(keys))
}

pub(crate) async fn validate(service: State, target: Target, body: JsonBody) -> Result<Json<ConfigInfos>, RestError> {
    let config: control_plane_core::connector::Config =
        body.patch()?.into_iter().filter_map(|(key, value)| value.map(|value| (key, value))).collect();
    if let Some(class) = config.get("connector.class")
        && !without_suffix(class).ends_with(without_suffix(target.plugin()))
    {
        return Err(RestError::bad_request(format!(
            "Included connector type {class} does not match request type {}",
            target.plugin()
        )));
    }
    Ok(Json(service.validate_config(None, config).await?))
}

/// A class and its aliases compare equal without their suffix.
fn without_suffix(plugin: &str) -> &str {
    match plugin.strip_suffix("Connector") {
        Some("") | None => plugin,
        Some(shorter) => shorter,
    }
}
