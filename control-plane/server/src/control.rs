//! The service trait on the store: every change is one guarded transaction, tried again where others interfere.

mod connectors;
mod history;
mod lifecycle;
mod plugins;
mod watching;
mod workers;

use crate::{cache::Cache, clock::Clock, reports::Reports, sessions::Sessions, view::Viewer};
use control_plane_api::service::{
    About, ConfigInfos, ConfigKeyInfo, ConnectorRef, ConnectorView, CreateConnector, Page, PageRequest, PluginView,
    Position64, RevisionView, RollbackConnector, Service, ServiceError, UpdateConnector, Watched, WorkerChange,
    WorkerView,
};
use control_plane_core::{
    connector::{Config, Connector, TargetState},
    ids::{ConnectorName, Generation, Namespace},
    txn::Txn,
    world::Stored,
};
use control_plane_store::{Outcome, Store, StoreError};
use futures::stream::BoxStream;
use std::{sync::Arc, time::Duration};

/// The Kafka Connect whose REST API this is: clients choose by it what they may ask for.
const KAFKA_CONNECT_VERSION: &str = "4.3.0";

/// Tries of a change that others interfere with.
const TRIES: usize = 10;

/// The control plane's service.
#[derive(Clone)]
pub struct Control {
    /// The store.
    pub store: Arc<dyn Store>,
    /// What is known of it.
    pub cache: Cache,
    /// The clock.
    pub clock: Clock,
    /// Connected workers.
    pub sessions: Sessions,
    /// Makes views.
    pub viewer: Viewer,
    /// Stores workers' states.
    pub reports: Reports,
}

impl From<StoreErrorAt> for ServiceError {
    fn from(StoreErrorAt(error): StoreErrorAt) -> ServiceError {
        match error {
            StoreError::Unavailable(text) => ServiceError::Unavailable(text),
            StoreError::TooLarge(text) => ServiceError::TooLarge(text),
            error @ StoreError::OutOfSpace(_) => ServiceError::OutOfSpace(format!(
                "{error}; compact and defragment etcd, or raise its --quota-backend-bytes, and disarm its alarm"
            )),
            error @ (StoreError::Unreadable(_) | StoreError::Embedded(_)) => ServiceError::Internal(error.to_string()),
        }
    }
}

/// Lets `?` turn a store's error into a service's.
struct StoreErrorAt(StoreError);

impl Control {
    async fn up_to_date(&self) -> Result<(), ServiceError> {
        Ok(self.cache.up_to_date(&*self.store).await.map_err(StoreErrorAt)?)
    }

    /// Commits, and waits until this replica has seen it; false: a guard did not hold.
    async fn commit(&self, txn: Txn) -> Result<bool, ServiceError> {
        match self.store.commit(txn).await.map_err(StoreErrorAt)? {
            Outcome::Committed(revision) => {
                self.cache.reach(revision).await.map_err(StoreErrorAt)?;
                Ok(true)
            }
            Outcome::Refused => Ok(false),
        }
    }

    /// Before a config is stored, with its history.
    fn check_space(&self, validate_only: bool) -> Result<(), ServiceError> {
        if validate_only { Ok(()) } else { self.reports.space.check_configs() }
    }

    fn find(&self, namespace: &Namespace, name: &ConnectorName) -> Result<Stored<Connector>, ServiceError> {
        let world = self.cache.world();
        world.connector(namespace, name).cloned().ok_or_else(|| not_found(name))
    }

    fn view(&self, connector: &Connector) -> ConnectorView {
        self.viewer.connector(&self.cache.world(), connector)
    }
}

#[tonic::async_trait]
impl Service for Control {
    async fn create_connector(&self, request: CreateConnector) -> Result<ConnectorView, ServiceError> {
        self.create(request).await
    }

    async fn get_connector(&self, namespace: &Namespace, name: &ConnectorName) -> Result<ConnectorView, ServiceError> {
        self.up_to_date().await?;
        let stored = self.find(namespace, name)?;
        Ok(self.view(&stored.value))
    }

    async fn list_connectors(
        &self,
        namespace: Option<&Namespace>,
        page: PageRequest,
    ) -> Result<Page<ConnectorView>, ServiceError> {
        self.page_of_connectors(namespace, page).await
    }

    async fn update_connector(&self, request: UpdateConnector) -> Result<(ConnectorView, bool), ServiceError> {
        self.update(request).await
    }

    async fn rollback_connector(&self, request: RollbackConnector) -> Result<(ConnectorView, bool), ServiceError> {
        self.rollback(request).await
    }

    async fn list_revisions(
        &self,
        namespace: &Namespace,
        name: &ConnectorName,
        page: PageRequest,
    ) -> Result<Page<RevisionView>, ServiceError> {
        self.page_of_revisions(namespace, name, page).await
    }

    async fn get_revision(
        &self,
        namespace: &Namespace,
        name: &ConnectorName,
        revision: Generation,
    ) -> Result<RevisionView, ServiceError> {
        self.revision(namespace, name, revision).await
    }

    async fn delete_connector(&self, reference: ConnectorRef) -> Result<(), ServiceError> {
        self.delete(reference).await
    }

    async fn set_target(&self, reference: ConnectorRef, target: TargetState) -> Result<ConnectorView, ServiceError> {
        self.retarget(reference, target).await
    }

    async fn restart_connector(
        &self,
        reference: ConnectorRef,
        include_tasks: bool,
        only_failed: bool,
    ) -> Result<ConnectorView, ServiceError> {
        self.restart(reference, include_tasks, only_failed).await
    }

    async fn restart_task(&self, reference: ConnectorRef, task: u32) -> Result<(), ServiceError> {
        self.restart_one(reference, task).await
    }

    async fn watch_connectors(
        &self,
        namespace: Option<Namespace>,
        after: Option<Position64>,
        min_interval: Duration,
    ) -> Result<BoxStream<'static, Result<Watched, ServiceError>>, ServiceError> {
        self.up_to_date().await?;
        watching::watch(self.clone(), namespace, after, min_interval)
    }

    async fn list_workers(&self, page: PageRequest) -> Result<Page<WorkerView>, ServiceError> {
        self.page_of_workers(page).await
    }

    async fn get_worker(&self, name: &str) -> Result<WorkerView, ServiceError> {
        self.up_to_date().await?;
        self.find_worker(name)
    }

    async fn drain_worker(&self, worker: WorkerChange) -> Result<WorkerView, ServiceError> {
        self.drain(worker).await
    }

    async fn cordon_worker(&self, worker: WorkerChange) -> Result<WorkerView, ServiceError> {
        self.cordon(worker).await
    }

    async fn uncordon_worker(&self, worker: WorkerChange) -> Result<WorkerView, ServiceError> {
        self.uncordon(worker).await
    }

    async fn expire_worker(&self, worker: WorkerChange) -> Result<WorkerView, ServiceError> {
        self.expire(worker).await
    }

    async fn list_plugins(&self, page: PageRequest) -> Result<Page<PluginView>, ServiceError> {
        self.page_of_plugins(page)
    }

    async fn config_def(&self, plugin: &str) -> Result<(PluginView, Vec<ConfigKeyInfo>), ServiceError> {
        self.plugin_config_def(plugin)
    }

    async fn validate_config(&self, plugin: Option<&str>, config: Config) -> Result<ConfigInfos, ServiceError> {
        self.validate_for_user(plugin, config).await
    }

    async fn about(&self) -> About {
        About {
            version: KAFKA_CONNECT_VERSION.to_owned(),
            commit: concat!("ferry-", env!("CARGO_PKG_VERSION")).to_owned(),
            kafka_cluster_id: String::new(),
        }
    }
}

fn check_etag(connector: &Connector, given: Option<&str>) -> Result<(), ServiceError> {
    match given {
        Some(given) if !given.is_empty() && given != connector.etag() => {
            Err(ServiceError::StaleEtag { given: given.to_owned(), current: connector.etag() })
        }
        _ => Ok(()),
    }
}

fn not_found(name: &ConnectorName) -> ServiceError {
    ServiceError::NotFound { what: "Connector", name: name.to_string() }
}

#[cfg(test)]
mod tests;
