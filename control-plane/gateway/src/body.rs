//! Request bodies. Kafka Connect's JSON reader turns numbers and booleans into their text; so does this.

use crate::errors::RestError;
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{StatusCode, header},
};
use control_plane_core::connector::{Config, TargetState};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// How many bytes a body may have; in each request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimit(pub(crate) usize);

/// A body that is declared as JSON, or not declared at all.
pub(crate) struct JsonBody(Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = RestError;

    async fn from_request(request: Request, state: &S) -> Result<Self, RestError> {
        let declared = request.headers().get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        let kind = declared.unwrap_or("application/json").split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(RestError::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let limit = request.extensions().get::<BodyLimit>().copied();
        let body = Bytes::from_request(request, state).await;
        body.map(JsonBody).map_err(|rejection| match (rejection.status(), limit) {
            (StatusCode::PAYLOAD_TOO_LARGE, Some(BodyLimit(bytes))) => {
                let text = format!("The body is too large: it may have at most {bytes} bytes");
                RestError::new(StatusCode::PAYLOAD_TOO_LARGE, text)
            }
            (status, _) => RestError::new(status, rejection.body_text()),
        })
    }
}

/// `POST /connectors`.
pub(crate) struct NewConnector {
    /// Trimmed; empty if there was none.
    pub(crate) name: String,
    pub(crate) config: Config,
    pub(crate) target: TargetState,
}

impl JsonBody {
    /// A config in which every key has a value.
    pub(crate) fn config(&self) -> Result<Config, RestError> {
        complete(self.patch()?)
    }

    /// A config in which null stands for no value.
    pub(crate) fn patch(&self) -> Result<BTreeMap<String, Option<String>>, RestError> {
        if self.0.is_empty() {
            return Err(RestError::bad_request("The body is empty: give the configuration as a JSON object"));
        }
        let raw: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&self.0)
            .map_err(|error| RestError::bad_request(format!("The body is not a JSON object: {error}")))?;
        texts(raw)
    }

    /// A new connector.
    pub(crate) fn new_connector(&self) -> Result<NewConnector, RestError> {
        let raw: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&self.0)
            .map_err(|error| RestError::bad_request(format!("The body is not a JSON object: {error}")))?;
        let (mut name, mut config, mut target) = (None, None, TargetState::Running);
        for (field, value) in raw {
            match field.as_str() {
                "name" => name = text("name", &value)?,
                "config" => {
                    let values: Option<BTreeMap<String, Box<RawValue>>> = serde_json::from_str(value.get())
                        .map_err(|error| RestError::bad_request(format!("config is not a JSON object: {error}")))?;
                    config = values.map(texts).transpose()?;
                }
                "initial_state" => target = initial_state(text("initial_state", &value)?)?,
                _ => return Err(unknown_field(&field)),
            }
        }
        let Some(config) = config else {
            return Err(RestError::bad_request("config is missing: give the connector's configuration as an object"));
        };
        // As Java's String.trim().
        let name = name.unwrap_or_default().trim_matches(|c| c <= ' ').to_owned();
        Ok(NewConnector { name, config: complete(config)?, target })
    }
}

fn complete(values: BTreeMap<String, Option<String>>) -> Result<Config, RestError> {
    values
        .into_iter()
        .map(|(key, value)| match value {
            Some(value) => Ok((key, value)),
            None => Err(RestError::bad_request(format!(
                "The value of configuration {key} is null: give it a value or leave the key out"
            ))),
        })
        .collect()
}

fn texts(raw: BTreeMap<String, Box<RawValue>>) -> Result<BTreeMap<String, Option<String>>, RestError> {
    raw.into_iter().map(|(key, value)| text(&key, &value).map(|value| (key, value))).collect()
}

/// A scalar's text; None for null.
fn text(key: &str, value: &RawValue) -> Result<Option<String>, RestError> {
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw)
            .map(Some)
            .map_err(|error| RestError::bad_request(format!("The value of {key} is not a string: {error}"))),
        Some(b'{') => Err(RestError::bad_request(format!("The value of {key} is an object: give a string"))),
        Some(b'[') => Err(RestError::bad_request(format!("The value of {key} is an array: give a string"))),
        Some(b'n') => Ok(None),
        _ => Ok(Some(raw.to_owned())),
    }
}

fn initial_state(text: Option<String>) -> Result<TargetState, RestError> {
    let Some(text) = text else {
        return Ok(TargetState::Running);
    };
    match text.to_ascii_uppercase().as_str() {
        "RUNNING" => Ok(TargetState::Running),
        "PAUSED" => Ok(TargetState::Paused),
        "STOPPED" => Ok(TargetState::Stopped),
        _ => Err(RestError::bad_request(format!("initial_state cannot be {text:?}: it is RUNNING, PAUSED or STOPPED"))),
    }
}

fn unknown_field(field: &str) -> RestError {
    RestError::bad_request(format!(
        "Unrecognized field \"{field}\" (class org.apache.kafka.connect.runtime.rest.entities.CreateConnectorRequest), \
         not marked as ignorable (3 known properties: \"config\", \"name\", \"initial_state\")"
    ))
}
