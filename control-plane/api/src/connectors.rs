//! ferry.v1.ConnectorService.

mod history;

use crate::{
    caller,
    convert::{connector, names, request},
    errors::status,
    service::{ConnectorRef, ConnectorView, CreateConnector, PageRequest, Service, ServiceError, UpdateConnector},
};
use control_plane_core::{connector::TargetState, history::Author, ids::Namespace};
use futures::{StreamExt as _, stream::BoxStream};
use prost::Message as _;
use proto::v1::{self, connector_service_server::ConnectorService};
use std::sync::Arc;
use tonic::{Request, Response, Status};

pub(crate) struct Connectors {
    service: Arc<dyn Service>,
    max_message_bytes: usize,
}

impl Connectors {
    pub(crate) fn new(service: Arc<dyn Service>, max_message_bytes: usize) -> Self {
        Connectors { service, max_message_bytes }
    }

    async fn create(&self, author: Author, request: v1::CreateConnectorRequest) -> Result<ConnectorView, ServiceError> {
        let namespace = names::namespace("parent", &request.parent)?;
        let name = names::connector_id("connector_id", &request.connector_id)?;
        let given = request.connector.unwrap_or_default();
        let create = CreateConnector {
            config: request::config(given.config, &name)?,
            target: request::first_target(given.target_state)?,
            request_id: request::request_id(request.request_id)?,
            validate_only: request.validate_only,
            namespace,
            name,
            author,
            reason: history::reason(&request.reason)?,
        };
        self.service.create_connector(create).await
    }

    async fn update(
        &self,
        author: Author,
        request: v1::UpdateConnectorRequest,
    ) -> Result<(ConnectorView, bool), ServiceError> {
        let Some(given) = request.connector else {
            return Err(names::invalid("connector", "it is missing; give its name and config"));
        };
        let (namespace, name) = names::connector("connector.name", &given.name)?;
        let update = UpdateConnector {
            change: request::config_change(request.update_mask, request::config(given.config, &name)?)?,
            etag: request::etag(given.etag),
            allow_missing: request.allow_missing,
            validate_only: request.validate_only,
            request_id: request::request_id(request.request_id)?,
            namespace,
            name,
            author,
            reason: history::reason(&request.reason)?,
        };
        self.service.update_connector(update).await
    }

    /// Asks for fewer connectors where many large ones would not fit in one answer.
    async fn list(
        &self,
        namespace: Option<&Namespace>,
        mut page: PageRequest,
    ) -> Result<v1::ListConnectorsResponse, ServiceError> {
        loop {
            let found = self.service.list_connectors(namespace, page.clone()).await?;
            let count = found.items.len();
            let answer = v1::ListConnectorsResponse {
                connectors: found.items.into_iter().map(connector::connector).collect(),
                next_page_token: found.next.unwrap_or_default(),
            };
            if count <= 1 || answer.encoded_len() <= self.max_message_bytes {
                return Ok(answer);
            }
            page.size = (count / 2) as u32;
        }
    }

    async fn set_target(
        &self,
        (name, etag, validate_only): (String, String, bool),
        target: TargetState,
    ) -> Result<Option<v1::Connector>, Status> {
        let named = reference(&name, etag, validate_only).map_err(status)?;
        let view = self.service.set_target(named, target).await.map_err(status)?;
        Ok(Some(connector::connector(view)))
    }
}

fn reference(name: &str, etag: String, validate_only: bool) -> Result<ConnectorRef, ServiceError> {
    let (namespace, name) = names::connector("name", name)?;
    Ok(ConnectorRef { namespace, name, etag: request::etag(etag), validate_only })
}

/// Who asks: as said, or as far as the connection tells.
fn author<T>(request: &Request<T>) -> Result<Author, ServiceError> {
    let said = request.metadata().get(caller::USER).map(|value| value.as_bytes());
    match request.remote_addr() {
        Some(address) => caller::author(said, &format!("grpc:{}", address.ip())),
        None => caller::author(said, "grpc"),
    }
}

#[tonic::async_trait]
impl ConnectorService for Connectors {
    async fn create_connector(
        &self,
        request: Request<v1::CreateConnectorRequest>,
    ) -> Result<Response<v1::CreateConnectorResponse>, Status> {
        let view = self.create(author(&request).map_err(status)?, request.into_inner()).await.map_err(status)?;
        Ok(Response::new(v1::CreateConnectorResponse { connector: Some(connector::connector(view)) }))
    }

    async fn get_connector(
        &self,
        request: Request<v1::GetConnectorRequest>,
    ) -> Result<Response<v1::GetConnectorResponse>, Status> {
        let (namespace, name) = names::connector("name", &request.into_inner().name).map_err(status)?;
        let view = self.service.get_connector(&namespace, &name).await.map_err(status)?;
        Ok(Response::new(v1::GetConnectorResponse { connector: Some(connector::connector(view)) }))
    }

    async fn list_connectors(
        &self,
        request: Request<v1::ListConnectorsRequest>,
    ) -> Result<Response<v1::ListConnectorsResponse>, Status> {
        let request = request.into_inner();
        let namespace = names::namespace_or_all("parent", &request.parent).map_err(status)?;
        let page = request::page(request.page_size, request.page_token).map_err(status)?;
        Ok(Response::new(self.list(namespace.as_ref(), page).await.map_err(status)?))
    }

    async fn update_connector(
        &self,
        request: Request<v1::UpdateConnectorRequest>,
    ) -> Result<Response<v1::UpdateConnectorResponse>, Status> {
        let (view, created) =
            self.update(author(&request).map_err(status)?, request.into_inner()).await.map_err(status)?;
        Ok(Response::new(v1::UpdateConnectorResponse { connector: Some(connector::connector(view)), created }))
    }

    async fn list_connector_revisions(
        &self,
        request: Request<v1::ListConnectorRevisionsRequest>,
    ) -> Result<Response<v1::ListConnectorRevisionsResponse>, Status> {
        Ok(Response::new(self.revisions(request.into_inner()).await.map_err(status)?))
    }

    async fn get_connector_revision(
        &self,
        request: Request<v1::GetConnectorRevisionRequest>,
    ) -> Result<Response<v1::GetConnectorRevisionResponse>, Status> {
        let revision = Some(self.revision(request.into_inner()).await.map_err(status)?);
        Ok(Response::new(v1::GetConnectorRevisionResponse { revision }))
    }

    async fn rollback_connector(
        &self,
        request: Request<v1::RollbackConnectorRequest>,
    ) -> Result<Response<v1::RollbackConnectorResponse>, Status> {
        let author = author(&request).map_err(status)?;
        let (view, changed) = self.rollback(author, request.into_inner()).await.map_err(status)?;
        Ok(Response::new(v1::RollbackConnectorResponse { connector: Some(connector::connector(view)), changed }))
    }

    async fn delete_connector(&self, request: Request<v1::DeleteConnectorRequest>) -> Result<Response<()>, Status> {
        let request = request.into_inner();
        let named = reference(&request.name, request.etag, request.validate_only).map_err(status)?;
        self.service.delete_connector(named).await.map_err(status)?;
        Ok(Response::new(()))
    }

    async fn pause_connector(
        &self,
        request: Request<v1::PauseConnectorRequest>,
    ) -> Result<Response<v1::PauseConnectorResponse>, Status> {
        let request = request.into_inner();
        let named = (request.name, request.etag, request.validate_only);
        let connector = self.set_target(named, TargetState::Paused).await?;
        Ok(Response::new(v1::PauseConnectorResponse { connector }))
    }

    async fn resume_connector(
        &self,
        request: Request<v1::ResumeConnectorRequest>,
    ) -> Result<Response<v1::ResumeConnectorResponse>, Status> {
        let request = request.into_inner();
        let named = (request.name, request.etag, request.validate_only);
        let connector = self.set_target(named, TargetState::Running).await?;
        Ok(Response::new(v1::ResumeConnectorResponse { connector }))
    }

    async fn stop_connector(
        &self,
        request: Request<v1::StopConnectorRequest>,
    ) -> Result<Response<v1::StopConnectorResponse>, Status> {
        let request = request.into_inner();
        let named = (request.name, request.etag, request.validate_only);
        let connector = self.set_target(named, TargetState::Stopped).await?;
        Ok(Response::new(v1::StopConnectorResponse { connector }))
    }

    async fn restart_connector(
        &self,
        request: Request<v1::RestartConnectorRequest>,
    ) -> Result<Response<v1::RestartConnectorResponse>, Status> {
        let request = request.into_inner();
        let named = reference(&request.name, request.etag, request.validate_only).map_err(status)?;
        let restarted = self.service.restart_connector(named, request.include_tasks, request.only_failed);
        let view = restarted.await.map_err(status)?;
        Ok(Response::new(v1::RestartConnectorResponse { connector: Some(connector::connector(view)) }))
    }

    async fn restart_task(&self, request: Request<v1::RestartTaskRequest>) -> Result<Response<()>, Status> {
        let request = request.into_inner();
        let named = reference(&request.name, request.etag, request.validate_only).map_err(status)?;
        self.service.restart_task(named, request.task).await.map_err(status)?;
        Ok(Response::new(()))
    }

    type WatchConnectorsStream = BoxStream<'static, Result<v1::WatchConnectorsResponse, Status>>;

    async fn watch_connectors(
        &self,
        request: Request<v1::WatchConnectorsRequest>,
    ) -> Result<Response<Self::WatchConnectorsStream>, Status> {
        let request = request.into_inner();
        let namespace = names::namespace_or_all("parent", &request.parent).map_err(status)?;
        let after = request::resume_token(&request.resume_token).map_err(status)?;
        let interval = request::watch_interval(request.min_interval).map_err(status)?;
        let steps = self.service.watch_connectors(namespace, after, interval).await.map_err(status)?;
        Ok(Response::new(steps.map(|step| step.map(connector::watched).map_err(status)).boxed()))
    }
}
