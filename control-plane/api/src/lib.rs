//! The public gRPC services over the control plane's service trait.
//!
//! Requests are parsed in `convert/` and never checked again behind it; errors become statuses in `errors` and nowhere
//! else. Nothing here knows of a store, a worker session or a listener.

pub mod caller;
mod connectors;
mod convert;
pub mod errors;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod plugins;
pub mod revisions;
pub mod service;
mod workers;

use proto::v1::{
    connector_service_server::ConnectorServiceServer, plugin_service_server::PluginServiceServer,
    worker_service_server::WorkerServiceServer,
};
use service::Service;
use std::sync::Arc;
use tonic::service::Routes;

/// ConnectorService, WorkerService and PluginService; health and reflection are the listener's to add. Requests and
/// answers have at most `max_message_bytes`.
pub fn routes(service: Arc<dyn Service>, max_message_bytes: usize) -> Routes {
    let connectors = ConnectorServiceServer::new(connectors::Connectors::new(service.clone(), max_message_bytes))
        .max_decoding_message_size(max_message_bytes)
        .max_encoding_message_size(max_message_bytes);
    let workers = WorkerServiceServer::new(workers::Workers::new(service.clone()))
        .max_decoding_message_size(max_message_bytes)
        .max_encoding_message_size(max_message_bytes);
    let plugins = PluginServiceServer::new(plugins::Plugins::new(service))
        .max_decoding_message_size(max_message_bytes)
        .max_encoding_message_size(max_message_bytes);
    Routes::new(connectors).add_service(workers).add_service(plugins)
}

#[cfg(test)]
mod tests;
