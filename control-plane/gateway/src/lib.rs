//! Kafka Connect's REST API over the control plane's service trait.
//!
//! Status codes and bodies are Kafka Connect 4.3's, with two kinds of difference, both on purpose: a mistake of the
//! caller that it answers with 500 is a 400 here, and names that it can create but not address (with `/`, `%` or `\`)
//! can be addressed. `/namespaces/{namespace}` plus the same paths serves the other namespaces. Nothing here knows of
//! gRPC, a store or a worker.

mod answers;
mod body;
mod connectors;
mod edge;
mod errors;
mod plugins;
mod root;
mod routes;
mod target;

use axum::Router;
use control_plane_api::service::Service;
pub use errors::RestError;
use std::{future::Future, io, sync::Arc};
use tokio::net::TcpListener;

/// The whole REST API. It has a fallback of its own, so it cannot be merged with another router that has one.
/// A request's body may have so many bytes.
pub fn router(service: Arc<dyn Service>, max_body_bytes: usize) -> Router {
    edge::wrap(routes::routes(service, max_body_bytes))
}

/// Serves [`router`] until `shutdown` is done, then lets running requests end.
///
/// # Errors
/// When the listener cannot be used any longer.
pub async fn serve(
    listener: TcpListener,
    service: Arc<dyn Service>,
    max_body_bytes: usize,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router(service, max_body_bytes)).with_graceful_shutdown(shutdown).await
}

#[cfg(test)]
mod tests;
