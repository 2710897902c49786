//! `GET /` and `GET /health`.

use crate::routes::State;
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use control_plane_api::service::PageRequest;
use serde_json::json;
use std::time::Duration;

/// Kafka Connect's limit of a health check.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) async fn about(service: State) -> Response {
    let about = service.about().await;
    Json(json!({
        "version": about.version,
        "commit": about.commit,
        "kafka_cluster_id": about.kafka_cluster_id,
    }))
    .into_response()
}

/// Healthy if a read is answered (KIP-1017).
pub(crate) async fn health(service: State) -> Response {
    let read = service.list_connectors(None, PageRequest { size: 1, token: String::new() });
    let unhealthy = match tokio::time::timeout(HEALTH_TIMEOUT, read).await {
        Ok(Ok(_page)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_elapsed) => Some(format!("a read took longer than {} s", HEALTH_TIMEOUT.as_secs())),
    };
    match unhealthy {
        None => {
            let message = "Worker has completed startup and is ready to handle requests.";
            Json(json!({"status": "healthy", "message": message})).into_response()
        }
        Some(message) => {
            let body = Json(json!({"status": "unhealthy", "message": message}));
            (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
        }
    }
}
