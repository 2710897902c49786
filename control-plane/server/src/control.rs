//! The service trait on the store: every change is one guarded transaction, tried again where others interfere.

mod plugins;
mod watching;

use crate::{cache::Cache, clock::Clock, reports::Reports, sessions::Sessions, view::Viewer};
use control_plane_api::service::{
    About, ConfigChange, ConfigInfos, ConfigKeyInfo, ConnectorRef, ConnectorView, CreateConnector, Page, PageRequest,
    PluginView, Position64, Service, ServiceError, UpdateConnector, Violation, Watched, WorkerView,
};
use control_plane_core::{
    connector::{Config, ConfigRevision, Connector, DeletedConnector, REVISIONS_KEPT, TargetState},
    ids::{ConnectorName, ConnectorUid, Generation, Namespace, SettingsId, Unit, UnitKind},
    keys::{Key, encode},
    lease::{GrantState, Owner},
    status::RunState,
    task::TaskSet,
    txn::{Compare, Txn},
    worker::WorkerState,
    world::{Stored, World},
};
use control_plane_store::{Outcome, Store, StoreError};
use futures::stream::BoxStream;
use plugins::Validated;
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

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

    fn find(&self, namespace: &Namespace, name: &ConnectorName) -> Result<Stored<Connector>, ServiceError> {
        let world = self.cache.world();
        world.connector(namespace, name).cloned().ok_or_else(|| not_found(name))
    }

    fn view(&self, connector: &Connector) -> ConnectorView {
        self.viewer.connector(&self.cache.world(), connector)
    }

    /// Changes a connector by one transaction that guards it. `change` gives the new value (None: nothing is to
    /// change) and more for the transaction.
    async fn change(
        &self,
        reference: &ConnectorRef,
        change: impl Fn(&World, &Connector) -> Result<Option<(Connector, Txn)>, ServiceError> + Send + Sync,
    ) -> Result<ConnectorView, ServiceError> {
        for _ in 0..TRIES {
            self.up_to_date().await?;
            let (txn, connector) = {
                let world = self.cache.world();
                let stored =
                    world.connector(&reference.namespace, &reference.name).ok_or_else(|| not_found(&reference.name))?;
                check_etag(&stored.value, reference.etag.as_deref())?;
                match change(&world, &stored.value)? {
                    Some((connector, txn)) if !reference.validate_only => {
                        let key = Key::Connector(reference.namespace.clone(), reference.name.clone());
                        let txn =
                            txn.when(Compare::Unchanged(key.clone(), stored.revision)).put(key, encode(&connector));
                        (txn, connector)
                    }
                    Some((connector, _)) => return Ok(self.viewer.connector(&world, &connector)),
                    None => return Ok(self.viewer.connector(&world, &stored.value)),
                }
            };
            if self.commit(txn).await? {
                return Ok(self.view(&connector));
            }
        }
        Err(ServiceError::Contended)
    }

    /// The connector that this very request has created before; an error if the name is somebody else's.
    fn repeated(&self, request: &CreateConnector) -> Result<Option<ConnectorView>, ServiceError> {
        let existing = self.cache.world().connector(&request.namespace, &request.name).cloned();
        match existing {
            None => Ok(None),
            Some(existing) if request.request_id.is_some() && existing.value.request_id == request.request_id => {
                Ok(Some(self.view(&existing.value)))
            }
            Some(_) => Err(ServiceError::AlreadyExists { name: request.name.to_string() }),
        }
    }

    async fn create(&self, request: CreateConnector, validated: Validated) -> Result<ConnectorView, ServiceError> {
        for _ in 0..TRIES {
            self.up_to_date().await?;
            if let Some(repeated) = self.repeated(&request)? {
                return Ok(repeated);
            }
            let now = self.clock.wall();
            let connector = Connector {
                uid: ConnectorUid(Uuid::now_v7()),
                namespace: request.namespace.clone(),
                name: request.name.clone(),
                config: request.config.clone(),
                config_generation: Generation::FIRST,
                target: request.target,
                target_generation: Generation::FIRST,
                settings: SettingsId::default(),
                class: validated.class.clone(),
                connector_type: validated.connector_type,
                fence_class: validated.fence_class,
                created: now,
                updated: now,
                request_id: request.request_id.clone(),
            };
            if request.validate_only {
                return Ok(self.view(&connector));
            }
            let key = Key::Connector(request.namespace.clone(), request.name.clone());
            let txn = Txn::new().when(Compare::Absent(key.clone())).put(key, encode(&connector));
            if self.commit(with_revision(txn, &connector, &request.author)).await? {
                return Ok(self.view(&connector));
            }
        }
        Err(ServiceError::Contended)
    }

    /// Takes units back so that they start anew.
    async fn restart_units(&self, units: &[Unit]) -> Result<(), ServiceError> {
        for unit in units {
            for _ in 0..TRIES {
                let owner = self.cache.world().owners.get(unit).cloned();
                let Some(owner) = owner.filter(|owner| owner.value.state == GrantState::Granted) else { break };
                let revoking = Owner { state: GrantState::Revoking, ..owner.value };
                let key = Key::Owner(*unit);
                let txn = Txn::new().when(Compare::Unchanged(key.clone(), owner.revision)).put(key, encode(&revoking));
                if self.commit(txn).await? {
                    break;
                }
                self.up_to_date().await?;
            }
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl Service for Control {
    async fn create_connector(&self, mut request: CreateConnector) -> Result<ConnectorView, ServiceError> {
        name_in_config(&mut request.config, &request.name)?;
        self.up_to_date().await?;
        // Said before the config is judged, and looked at again before anything is stored.
        if let Some(repeated) = self.repeated(&request)? {
            return Ok(repeated);
        }
        let validated = self.validate(&request.config).await?;
        self.create(request, validated).await
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
        self.up_to_date().await?;
        let world = self.cache.world();
        let after: Option<(Namespace, ConnectorName)> = match page.token.split_once('/') {
            None if page.token.is_empty() => None,
            Some((namespace, name)) => match (Namespace::parse(namespace), ConnectorName::parse(name)) {
                (Ok(namespace), Ok(name)) => Some((namespace, name)),
                _ => return Err(bad_token()),
            },
            None => return Err(bad_token()),
        };
        let in_scope = world
            .names
            .iter()
            .filter(|((at, _), _)| namespace.is_none_or(|wanted| wanted == at))
            .filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after));
        let size = page_size(page.size);
        let mut items = Vec::new();
        let mut next = None;
        for ((at, name), uid) in in_scope {
            if items.len() == size {
                next = items
                    .last()
                    .map(|view: &ConnectorView| format!("{}/{}", view.connector.namespace, view.connector.name));
                break;
            }
            match world.connectors.get(uid) {
                Some(stored) => items.push(self.viewer.connector(&world, &stored.value)),
                None => tracing::error!(namespace = %at, connector = %name, "a name without a connector"),
            }
        }
        Ok(Page { items, next })
    }

    async fn update_connector(&self, request: UpdateConnector) -> Result<(ConnectorView, bool), ServiceError> {
        for _ in 0..TRIES {
            self.up_to_date().await?;
            let stored = self.cache.world().connector(&request.namespace, &request.name).cloned();
            let Some(stored) = stored else {
                if !request.allow_missing {
                    return Err(not_found(&request.name));
                }
                let config = match &request.change {
                    ConfigChange::Replace(config) => config.clone(),
                    ConfigChange::Merge(_) => return Err(not_found(&request.name)),
                };
                let create = CreateConnector {
                    namespace: request.namespace.clone(),
                    name: request.name.clone(),
                    config,
                    target: TargetState::Running,
                    request_id: request.request_id.clone(),
                    validate_only: request.validate_only,
                    author: request.author.clone(),
                };
                return match self.create_connector(create).await {
                    Ok(view) => Ok((view, true)),
                    // Created by somebody else meanwhile: update that one.
                    Err(ServiceError::AlreadyExists { .. }) => continue,
                    Err(error) => Err(error),
                };
            };
            check_etag(&stored.value, request.etag.as_deref())?;
            let mut config = changed_config(&stored.value.config, &request.change);
            if matches!(request.change, ConfigChange::Replace(_)) {
                name_in_config(&mut config, &request.name)?;
            }
            if config == stored.value.config {
                return Ok((self.view(&stored.value), false));
            }
            let validated = self.validate(&config).await?;
            let connector = Connector {
                config,
                config_generation: stored.value.config_generation.next(),
                class: validated.class,
                connector_type: validated.connector_type,
                fence_class: validated.fence_class,
                updated: self.clock.wall(),
                ..stored.value
            };
            if request.validate_only {
                return Ok((self.view(&connector), false));
            }
            let key = Key::Connector(request.namespace.clone(), request.name.clone());
            let txn = Txn::new().when(Compare::Unchanged(key.clone(), stored.revision)).put(key, encode(&connector));
            if self.commit(with_revision(txn, &connector, &request.author)).await? {
                return Ok((self.view(&connector), false));
            }
        }
        Err(ServiceError::Contended)
    }

    async fn delete_connector(&self, reference: ConnectorRef) -> Result<(), ServiceError> {
        for _ in 0..TRIES {
            self.up_to_date().await?;
            let stored = self.find(&reference.namespace, &reference.name)?;
            check_etag(&stored.value, reference.etag.as_deref())?;
            if reference.validate_only {
                return Ok(());
            }
            let deleted = DeletedConnector {
                namespace: reference.namespace.clone(),
                name: reference.name.clone(),
                settings: stored.value.settings,
                config_generation: stored.value.config_generation,
            };
            let key = Key::Connector(reference.namespace.clone(), reference.name.clone());
            let txn = Txn::new()
                .when(Compare::Unchanged(key.clone(), stored.revision))
                .delete(key)
                .put(Key::Deleted(stored.value.uid), encode(&deleted));
            if self.commit(txn).await? {
                return Ok(());
            }
        }
        Err(ServiceError::Contended)
    }

    async fn set_target(&self, reference: ConnectorRef, target: TargetState) -> Result<ConnectorView, ServiceError> {
        self.change(&reference, |world, connector| {
            // Pausing a stopped connector keeps it without tasks until it is resumed, as in Kafka Connect.
            if connector.target == target {
                return Ok(None);
            }
            let mut txn = Txn::new();
            if target == TargetState::Stopped
                && let Some(set) = world.task_sets.get(&connector.uid)
            {
                let key = Key::TaskSet(connector.uid);
                let empty = TaskSet { number: set.value.number.next(), tasks: Vec::new(), ..set.value.clone() };
                txn = txn.when(Compare::Unchanged(key.clone(), set.revision)).put(key, encode(&empty));
            }
            let changed = Connector {
                target,
                target_generation: connector.target_generation.next(),
                updated: self.clock.wall(),
                ..connector.clone()
            };
            Ok(Some((changed, txn)))
        })
        .await
    }

    async fn restart_connector(
        &self,
        reference: ConnectorRef,
        include_tasks: bool,
        only_failed: bool,
    ) -> Result<ConnectorView, ServiceError> {
        self.up_to_date().await?;
        let connector = self.find(&reference.namespace, &reference.name)?.value;
        check_etag(&connector, reference.etag.as_deref())?;
        let units: Vec<Unit> = {
            let world = self.cache.world();
            world
                .owned_units(connector.uid)
                .map(|(unit, _)| *unit)
                .filter(|unit| include_tasks || unit.kind == UnitKind::Planner)
                .filter(|unit| {
                    !only_failed || world.status(unit).is_some_and(|status| status.state == RunState::Failed)
                })
                .collect()
        };
        let mut view = self.view(&connector);
        if !reference.validate_only {
            self.restart_units(&units).await?;
        }
        for unit in std::iter::once(&mut view.planner).chain(&mut view.tasks) {
            let kind = unit.task.map_or(UnitKind::Planner, UnitKind::Task);
            if units.contains(&Unit { connector: connector.uid, kind }) {
                unit.state = control_plane_api::service::UnitState::Restarting;
                unit.error = None;
            }
        }
        Ok(view)
    }

    async fn restart_task(&self, reference: ConnectorRef, task: u32) -> Result<(), ServiceError> {
        self.up_to_date().await?;
        let connector = self.find(&reference.namespace, &reference.name)?.value;
        let tasks = self.cache.world().task_sets.get(&connector.uid).map_or(0, |set| set.value.tasks.len());
        if connector.target == TargetState::Stopped {
            return Err(ServiceError::FailedPrecondition(format!(
                "Connector {} is stopped and has no tasks; resume it first",
                reference.name
            )));
        }
        if task as usize >= tasks {
            return Err(ServiceError::NotFound { what: "Task", name: format!("{}-{task}", reference.name) });
        }
        if !reference.validate_only {
            self.restart_units(&[Unit { connector: connector.uid, kind: UnitKind::Task(task) }]).await?;
        }
        Ok(())
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
        self.up_to_date().await?;
        let world = self.cache.world();
        let after = match page.token.as_str() {
            "" => None,
            token => Some(token.parse().map_err(|_| bad_token())?),
        };
        let size = page_size(page.size);
        let mut ids: Vec<_> =
            world.workers.keys().filter(|id| after.is_none_or(|after| **id > after)).copied().collect();
        let next = (ids.len() > size).then(|| ids[size - 1].to_string());
        ids.truncate(size);
        Ok(Page { items: ids.into_iter().filter_map(|id| self.viewer.worker(&world, id)).collect(), next })
    }

    async fn get_worker(&self, name: &str) -> Result<WorkerView, ServiceError> {
        self.up_to_date().await?;
        self.find_worker(name)
    }

    async fn drain_worker(&self, name: &str, validate_only: bool) -> Result<WorkerView, ServiceError> {
        self.up_to_date().await?;
        let found = self.find_worker(name)?;
        if !validate_only && found.worker.state == WorkerState::Active {
            let id = found.worker.id;
            self.reports.worker_state(id, WorkerState::Draining).await.map_err(StoreErrorAt)?;
        }
        self.find_worker(name)
    }

    async fn list_plugins(&self, page: PageRequest) -> Result<Page<PluginView>, ServiceError> {
        let size = page_size(page.size);
        let from = match page.token.as_str() {
            "" => 0,
            token => token.parse::<usize>().map_err(|_| bad_token())?,
        };
        let all = self.plugins();
        let next = (all.len() > from + size).then(|| (from + size).to_string());
        Ok(Page { items: all.into_iter().skip(from).take(size).collect(), next })
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

impl Control {
    fn find_worker(&self, name: &str) -> Result<WorkerView, ServiceError> {
        let world = self.cache.world();
        let found = world.workers.values().map(|stored| &stored.value).find(|worker| {
            worker.id.to_string() == name || (worker.address == name && worker.state != WorkerState::Expired)
        });
        found
            .and_then(|worker| self.viewer.worker(&world, worker.id))
            .ok_or_else(|| ServiceError::NotFound { what: "Worker", name: name.to_owned() })
    }
}

fn with_revision(txn: Txn, connector: &Connector, author: &str) -> Txn {
    let generation = connector.config_generation;
    let revision = ConfigRevision {
        generation,
        config: connector.config.clone(),
        author: author.to_owned(),
        time: connector.updated,
        reason: String::new(),
    };
    let txn = txn.put(Key::Revision(connector.uid, generation), encode(&revision));
    match generation.0.checked_sub(REVISIONS_KEPT) {
        Some(old) if old > 0 => txn.delete(Key::Revision(connector.uid, Generation(old))),
        _ => txn,
    }
}

fn changed_config(config: &Config, change: &ConfigChange) -> Config {
    match change {
        ConfigChange::Replace(new) => new.clone(),
        ConfigChange::Merge(patch) => {
            let mut merged = config.clone();
            for (key, value) in patch {
                match value {
                    Some(value) => drop(merged.insert(key.clone(), value.clone())),
                    None => drop(merged.remove(key)),
                }
            }
            merged
        }
    }
}

/// `name` in the config is the connector's name, and is added where it is missing.
fn name_in_config(config: &mut Config, name: &ConnectorName) -> Result<(), ServiceError> {
    match config.get("name") {
        Some(other) if other != name.as_str() => Err(ServiceError::Invalid(vec![Violation {
            field: "config.name".to_owned(),
            description: format!(
                "Connector name configuration ({other}) doesn't match connector name in the URL ({name}); leave it out, \
                 or make them equal"
            ),
        }])),
        Some(_) => Ok(()),
        None => {
            config.insert("name".to_owned(), name.to_string());
            Ok(())
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

fn page_size(asked: u32) -> usize {
    match asked {
        0 => 100,
        size => size.min(1000) as usize,
    }
}

fn bad_token() -> ServiceError {
    ServiceError::Invalid(vec![Violation {
        field: "page_token".to_owned(),
        description: "it is not a token of an earlier answer; leave it empty for the first page".to_owned(),
    }])
}
