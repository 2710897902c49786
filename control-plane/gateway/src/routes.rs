//! Paths and methods.

use crate::{body::BodyLimit, connectors, errors::RestError, plugins, root};
use axum::{
    Extension, Router,
    extract::DefaultBodyLimit,
    http::{StatusCode, header},
    response::IntoResponse as _,
    routing::{MethodRouter, get, post, put},
};
use control_plane_api::service::Service;
use std::sync::Arc;

/// What every handler gets.
pub(crate) type State = axum::extract::State<Arc<dyn Service>>;

/// Kafka Connect's paths, and the same below `/namespaces/{namespace}`.
pub(crate) fn routes(service: Arc<dyn Service>, max_body_bytes: usize) -> Router {
    Router::new()
        .merge(paths())
        .nest("/namespaces/{namespace}", paths())
        .fallback(|| async { RestError::of_status(StatusCode::NOT_FOUND) })
        .method_not_allowed_fallback(|| async { RestError::of_status(StatusCode::METHOD_NOT_ALLOWED) })
        .layer(DefaultBodyLimit::max(max_body_bytes))
        .layer(Extension(BodyLimit(max_body_bytes)))
        .with_state(service)
}

fn paths() -> Router<Arc<dyn Service>> {
    let one = get(connectors::info).delete(connectors::delete);
    let config = get(connectors::config).put(connectors::put_config).patch(connectors::patch_config);
    Router::new()
        .route("/", allow("GET,HEAD,OPTIONS", get(root::about)))
        .route("/health", allow("GET,HEAD,OPTIONS", get(root::health)))
        .route("/connectors", allow("GET,HEAD,OPTIONS,POST", get(connectors::list).post(connectors::create)))
        .route("/connectors/{connector}", allow("DELETE,GET,HEAD,OPTIONS", one))
        .route("/connectors/{connector}/config", allow("GET,HEAD,OPTIONS,PATCH,PUT", config))
        .route("/connectors/{connector}/status", allow("GET,HEAD,OPTIONS", get(connectors::status)))
        .route("/connectors/{connector}/tasks", allow("GET,HEAD,OPTIONS", get(connectors::tasks)))
        .route("/connectors/{connector}/tasks/{task}/status", allow("GET,HEAD,OPTIONS", get(connectors::task_status)))
        .route("/connectors/{connector}/tasks/{task}/restart", allow("OPTIONS,POST", post(connectors::restart_task)))
        .route("/connectors/{connector}/restart", allow("OPTIONS,POST", post(connectors::restart)))
        .route("/connectors/{connector}/pause", allow("OPTIONS,PUT", put(connectors::pause)))
        .route("/connectors/{connector}/resume", allow("OPTIONS,PUT", put(connectors::resume)))
        .route("/connectors/{connector}/stop", allow("OPTIONS,PUT", put(connectors::stop)))
        .route("/connector-plugins", allow("GET,HEAD,OPTIONS", get(plugins::list)))
        .route("/connector-plugins/{plugin}/config", allow("GET,HEAD,OPTIONS", get(plugins::config_def)))
        .route("/connector-plugins/{plugin}/config/validate", allow("OPTIONS,PUT", put(plugins::validate)))
}

/// Answers OPTIONS with the methods that there are.
fn allow(methods: &'static str, router: MethodRouter<Arc<dyn Service>>) -> MethodRouter<Arc<dyn Service>> {
    let answer = move || async move { ([(header::ALLOW, methods)], ()).into_response() };
    router.options(answer)
}
