//! What the fake finds wrong with configs: an unknown class, and a bad `tasks.max`.

use super::{SINK, SOURCE};
use crate::service::{ServiceError, Violation};
use control_plane_core::connector::{Config, ConnectorType};

pub(super) fn class_of(config: &Config) -> Result<(&'static str, ConnectorType), ServiceError> {
    let refuse = |message: String| {
        let field = "config.connector.class".to_owned();
        ServiceError::InvalidConfig { violations: vec![Violation { field, description: message.clone() }], message }
    };
    match config.get("connector.class").map(String::as_str) {
        Some(SOURCE | "FileStreamSource" | "FileStreamSourceConnector") => Ok((SOURCE, ConnectorType::Source)),
        Some(SINK | "FileStreamSink" | "FileStreamSinkConnector") => Ok((SINK, ConnectorType::Sink)),
        Some(other) => Err(refuse(format!(
            "Failed to find any class that implements Connector and which name matches {other}, available connectors \
             are: {SINK}, {SOURCE}"
        ))),
        None => {
            let pairs: Vec<String> = config.iter().map(|(key, value)| format!("{key}={value}")).collect();
            Err(refuse(format!("Connector config {{{}}} contains no connector type", pairs.join(", "))))
        }
    }
}

/// Only `tasks.max` is looked at.
pub(super) fn config_errors(config: &Config) -> Vec<(String, String)> {
    let value = config.get("tasks.max").map_or("1", String::as_str);
    let what = match value.parse::<i32>() {
        Ok(1..) => return Vec::new(),
        Ok(_) => "Value must be at least 1",
        Err(_) => "Not a number of type INT",
    };
    vec![("tasks.max".to_owned(), format!("Invalid value {value} for configuration tasks.max: {what}"))]
}

pub(super) fn validated(config: &Config) -> Result<(&'static str, ConnectorType), ServiceError> {
    let class = class_of(config)?;
    let errors = config_errors(config);
    if errors.is_empty() {
        return Ok(class);
    }
    let lines: Vec<&str> = errors.iter().map(|(_, text)| text.as_str()).collect();
    let message = format!(
        "Connector configuration is invalid and contains the following {} error(s):\n{}\nYou can also find the above \
         list of errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`",
        errors.len(),
        lines.join("\n")
    );
    let violations =
        errors.into_iter().map(|(key, description)| Violation { field: format!("config.{key}"), description });
    Err(ServiceError::InvalidConfig { message, violations: violations.collect() })
}
