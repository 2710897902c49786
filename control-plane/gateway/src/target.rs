//! What a request's path and query say.

use crate::errors::RestError;
use axum::{
    extract::{FromRequestParts, Path, Query},
    http::{StatusCode, request::Parts},
};
use control_plane_api::service::ConnectorRef;
use control_plane_core::ids::{ConnectorName, Namespace};
use std::collections::HashMap;

/// The path's parameters, decoded. Without a namespace in the path it is `default`.
pub(crate) struct Target {
    pub(crate) namespace: Namespace,
    parameters: HashMap<String, String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, RestError> {
        let Path(parameters) = Path::<HashMap<String, String>>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| RestError::bad_request(format!("The path cannot be read: {rejection}")))?;
        let namespace = match parameters.get("namespace") {
            Some(namespace) => {
                Namespace::parse(namespace).map_err(|error| RestError::bad_request(error.to_string()))?
            }
            None => Namespace::default(),
        };
        Ok(Target { namespace, parameters })
    }
}

impl Target {
    /// The connector's name as text.
    pub(crate) fn connector(&self) -> &str {
        self.parameter("connector")
    }

    /// The plugin's class or alias.
    pub(crate) fn plugin(&self) -> &str {
        self.parameter("plugin")
    }

    /// No connector has a name that is not one.
    pub(crate) fn existing(&self, missing: impl FnOnce(&str) -> String) -> Result<ConnectorRef, RestError> {
        let text = self.connector();
        let name = ConnectorName::parse(text).map_err(|_| RestError::new(StatusCode::NOT_FOUND, missing(text)))?;
        Ok(ConnectorRef { namespace: self.namespace.clone(), name, etag: None, validate_only: false })
    }

    /// A task's number; a path with anything else is not one of ours.
    pub(crate) fn task(&self) -> Result<i64, RestError> {
        self.parameter("task").parse().map_err(|_| RestError::of_status(StatusCode::NOT_FOUND))
    }

    fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }
}

/// Query parameters, in order, possibly repeated.
pub(crate) type Parameters = Query<Vec<(String, String)>>;

/// As Java's `Boolean.valueOf` with a default for an absent or empty value.
pub(crate) fn flag(Query(parameters): &Parameters, name: &str, default: bool) -> bool {
    match parameters.iter().find(|(key, _)| key == name) {
        Some((_, value)) if !value.is_empty() => value.eq_ignore_ascii_case("true"),
        _ => default,
    }
}
