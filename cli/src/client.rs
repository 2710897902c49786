//! The connection to the control plane.

use crate::{
    args::Arguments,
    caller::Caller,
    failure::{Failure, Kind},
};
use proto::v1::{
    self, connector_service_client::ConnectorServiceClient, plugin_service_client::PluginServiceClient,
    worker_service_client::WorkerServiceClient,
};
use std::{error::Error, time::Duration};
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Until an answer begins; a validation on a worker may take its time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(100);
/// A dead server is noticed by a watch after this much silence, and again this much.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Clients of the three services over one connection.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) connectors: ConnectorServiceClient<InterceptedService<Channel, Caller>>,
    pub(crate) workers: WorkerServiceClient<Channel>,
    pub(crate) plugins: PluginServiceClient<Channel>,
    namespace: String,
}

impl Client {
    pub(crate) async fn connect(arguments: &Arguments) -> Result<Client, Failure> {
        let server = &arguments.server;
        if !server.starts_with("http://") {
            let text = format!("--server: {server:?} is not an address; give it as http://HOST:PORT");
            return Err(Failure::new(Kind::Caller, text));
        }
        let endpoint = Endpoint::from_shared(server.clone()).map_err(|error| {
            Failure::new(Kind::Caller, format!("--server: {server:?}: {error}; give it as http://HOST:PORT"))
        })?;
        let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT);
        let endpoint = endpoint.http2_keep_alive_interval(KEEP_ALIVE).keep_alive_timeout(KEEP_ALIVE);
        let channel = endpoint.connect().await.map_err(|error| unreachable(server, &error))?;
        Ok(Client {
            connectors: ConnectorServiceClient::with_interceptor(channel.clone(), Caller::of_this_process()),
            workers: WorkerServiceClient::new(channel.clone()),
            plugins: PluginServiceClient::new(channel),
            namespace: arguments.namespace.clone(),
        })
    }

    /// `namespaces/{ns}`.
    pub(crate) fn parent(&self) -> String {
        format!("namespaces/{}", self.namespace)
    }

    /// `namespaces/{ns}/connectors/{name}`.
    pub(crate) fn connector(&self, name: &str) -> String {
        format!("namespaces/{}/connectors/{name}", self.namespace)
    }

    pub(crate) async fn get_connector(&mut self, name: &str) -> Result<v1::Connector, tonic::Status> {
        let request = v1::GetConnectorRequest { name: self.connector(name) };
        Ok(self.connectors.get_connector(request).await?.into_inner().connector.unwrap_or_default())
    }
}

fn unreachable(server: &str, error: &dyn Error) -> Failure {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let text = format!(
        "nobody answers at {server}: {cause}; start the control plane there, or give its address with --server or \
         FERRY_SERVER"
    );
    Failure::new(Kind::Environment, text)
}
