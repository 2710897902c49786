//! The one mapping from the service's errors to HTTP, in Kafka Connect's error body.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use control_plane_api::service::ServiceError;
use serde::Serialize;

/// `{"error_code": …, "message": …}`.
#[derive(Debug)]
pub struct RestError {
    status: StatusCode,
    message: String,
    /// Whole seconds, as Retry-After has them.
    retry_after_s: Option<u64>,
}

#[derive(Serialize)]
struct Body {
    error_code: u16,
    message: String,
}

impl RestError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        RestError { status, message: message.into(), retry_after_s: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        RestError::new(StatusCode::BAD_REQUEST, message)
    }

    /// With the text that Kafka Connect's HTTP layer gives.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or_default();
        RestError::new(status, format!("HTTP {} {reason}", status.as_u16()))
    }

    /// Kafka Connect's text of a config that has one error.
    pub(crate) fn invalid_config(error: &str) -> Self {
        RestError::bad_request(format!(
            "Connector configuration is invalid and contains the following 1 error(s):\n{error}\nYou can also find the \
             above list of errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`"
        ))
    }

    /// The error, but with this text if the connector (plugin, …) is missing: Kafka Connect words that differently in
    /// each place.
    pub(crate) fn or_missing(error: ServiceError, text: impl FnOnce() -> String) -> Self {
        match error {
            ServiceError::NotFound { .. } => RestError::new(StatusCode::NOT_FOUND, text()),
            other => other.into(),
        }
    }
}

impl From<ServiceError> for RestError {
    fn from(error: ServiceError) -> Self {
        let status = match &error {
            ServiceError::NotFound { .. } | ServiceError::NoRevision { .. } => StatusCode::NOT_FOUND,
            ServiceError::Invalid(_) | ServiceError::InvalidConfig { .. } => StatusCode::BAD_REQUEST,
            ServiceError::AlreadyExists { .. }
            | ServiceError::StaleEtag { .. }
            | ServiceError::Contended
            | ServiceError::FailedPrecondition(_) => StatusCode::CONFLICT,
            ServiceError::ResumeTooOld => StatusCode::GONE,
            ServiceError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            ServiceError::NoWorker(_) | ServiceError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            ServiceError::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            ServiceError::Overloaded(_) => StatusCode::TOO_MANY_REQUESTS,
            ServiceError::OutOfSpace(_) => StatusCode::INSUFFICIENT_STORAGE,
            ServiceError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let retry_after_s = match &error {
            ServiceError::Overloaded(overload) => {
                overload.retry_after.map(|after| after.as_millis().div_ceil(1000) as u64)
            }
            _ => None,
        };
        RestError { retry_after_s, ..RestError::new(status, error.to_string()) }
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        let retry_after = self.retry_after_s.map(|seconds| [(header::RETRY_AFTER, seconds.max(1).to_string())]);
        let body = Json(Body { error_code: self.status.as_u16(), message: self.message });
        match retry_after {
            Some(retry_after) => (self.status, retry_after, body).into_response(),
            None => (self.status, body).into_response(),
        }
    }
}
