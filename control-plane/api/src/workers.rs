//! ferry.v1.WorkerService.

use crate::{
    convert::{names, request, worker},
    errors::status,
    service::{Service, ServiceError, WorkerChange},
};
use proto::v1::{self, worker_service_server::WorkerService};
use std::sync::Arc;
use tonic::{Request, Response, Status};

pub(crate) struct Workers {
    service: Arc<dyn Service>,
}

impl Workers {
    pub(crate) fn new(service: Arc<dyn Service>) -> Self {
        Workers { service }
    }
}

fn change(name: &str, etag: String, validate_only: bool) -> Result<WorkerChange, ServiceError> {
    Ok(WorkerChange { name: names::worker("name", name)?.to_owned(), etag: request::etag(etag), validate_only })
}

#[tonic::async_trait]
impl WorkerService for Workers {
    async fn list_workers(
        &self,
        request: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersResponse>, Status> {
        let request = request.into_inner();
        let page = request::page(request.page_size, request.page_token).map_err(status)?;
        let page = self.service.list_workers(page).await.map_err(status)?;
        Ok(Response::new(v1::ListWorkersResponse {
            workers: page.items.into_iter().map(worker::worker).collect(),
            next_page_token: page.next.unwrap_or_default(),
        }))
    }

    async fn get_worker(
        &self,
        request: Request<v1::GetWorkerRequest>,
    ) -> Result<Response<v1::GetWorkerResponse>, Status> {
        let request = request.into_inner();
        let name = names::worker("name", &request.name).map_err(status)?;
        let view = self.service.get_worker(name).await.map_err(status)?;
        Ok(Response::new(v1::GetWorkerResponse { worker: Some(worker::worker(view)) }))
    }

    async fn drain_worker(
        &self,
        request: Request<v1::DrainWorkerRequest>,
    ) -> Result<Response<v1::DrainWorkerResponse>, Status> {
        let request = request.into_inner();
        let change = change(&request.name, request.etag, request.validate_only).map_err(status)?;
        let view = self.service.drain_worker(change).await.map_err(status)?;
        Ok(Response::new(v1::DrainWorkerResponse { worker: Some(worker::worker(view)) }))
    }

    async fn cordon_worker(
        &self,
        request: Request<v1::CordonWorkerRequest>,
    ) -> Result<Response<v1::CordonWorkerResponse>, Status> {
        let request = request.into_inner();
        let change = change(&request.name, request.etag, request.validate_only).map_err(status)?;
        let view = self.service.cordon_worker(change).await.map_err(status)?;
        Ok(Response::new(v1::CordonWorkerResponse { worker: Some(worker::worker(view)) }))
    }

    async fn uncordon_worker(
        &self,
        request: Request<v1::UncordonWorkerRequest>,
    ) -> Result<Response<v1::UncordonWorkerResponse>, Status> {
        let request = request.into_inner();
        let change = change(&request.name, request.etag, request.validate_only).map_err(status)?;
        let view = self.service.uncordon_worker(change).await.map_err(status)?;
        Ok(Response::new(v1::UncordonWorkerResponse { worker: Some(worker::worker(view)) }))
    }

    async fn expire_worker(
        &self,
        request: Request<v1::ExpireWorkerRequest>,
    ) -> Result<Response<v1::ExpireWorkerResponse>, Status> {
        let request = request.into_inner();
        let change = change(&request.name, request.etag, request.validate_only).map_err(status)?;
        let view = self.service.expire_worker(change).await.map_err(status)?;
        Ok(Response::new(v1::ExpireWorkerResponse { worker: Some(worker::worker(view)) }))
    }
}
