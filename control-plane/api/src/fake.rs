//! A small control plane in memory, for tests of the API, the gateway and the CLI: one worker that runs everything at
//! once, two file plugins, a clock that ticks once per change. Nothing is copied.

mod history;
mod validation;
mod views;

use crate::revisions;
use crate::service::{
    About, ConfigChange, ConfigInfo, ConfigInfos, ConfigKeyInfo, ConfigValueInfo, ConnectorRef, ConnectorView,
    CreateConnector, Page, PageRequest, PluginView, Position64, RevisionView, RollbackConnector, Service, ServiceError,
    UnitState, UnitView, UpdateConnector, Violation, Watched, WorkerChange, WorkerView,
};
use control_plane_core::{
    connector::{Config, Connector, ConnectorType, TargetState},
    history::{ConfigRevision, Reason},
    ids::{ConnectorName, ConnectorUid, Generation, Namespace},
    time::Wall,
    worker::WorkerState,
};
use futures::{StreamExt as _, stream, stream::BoxStream};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use tokio::sync::broadcast;
use validation::{class_of, config_errors, validated};

/// The fake worker's address.
pub const WORKER: &str = "127.0.0.1:7403";
/// Where the fake clock starts, in ms since 1970: 2023-11-14T22:13:20Z.
pub const START_MS: i64 = 1_700_000_000_000;

const SOURCE: &str = "org.apache.kafka.connect.file.FileStreamSourceConnector";
const SINK: &str = "org.apache.kafka.connect.file.FileStreamSinkConnector";

type Key = (Namespace, ConnectorName);

#[derive(Debug)]
struct World {
    connectors: BTreeMap<Key, ConnectorView>,
    histories: BTreeMap<ConnectorUid, Vec<ConfigRevision>>,
    worker: WorkerView,
    changes: i64,
    compacted: Position64,
    outage: Option<ServiceError>,
}

/// See the module.
#[derive(Debug)]
pub struct FakeService {
    world: Mutex<World>,
    steps: broadcast::Sender<Watched>,
}

impl Default for FakeService {
    fn default() -> Self {
        let worker = views::worker(WORKER, Wall(START_MS));
        let (connectors, histories) = (BTreeMap::new(), BTreeMap::new());
        let world = World { connectors, histories, worker, changes: 0, compacted: 0, outage: None };
        FakeService { world: Mutex::new(world), steps: broadcast::Sender::new(1024) }
    }
}

impl FakeService {
    /// Every call from now on fails so; None ends that.
    pub fn fail_with(&self, error: Option<ServiceError>) {
        self.world.lock().expect("no panic under the lock").outage = error;
    }

    /// Watches cannot be resumed at or before the present position.
    pub fn compact(&self) {
        let mut world = self.world.lock().expect("no panic under the lock");
        world.compacted = world.changes;
    }

    /// Changes a connector as its worker would, and tells the watchers.
    ///
    /// # Panics
    /// If there is no such connector.
    pub fn report(&self, name: &str, change: impl FnOnce(&mut ConnectorView)) {
        let mut world = self.world.lock().expect("no panic under the lock");
        let key = (Namespace::default(), ConnectorName::parse(name).expect("a name"));
        let mut view = world.connectors[&key].clone();
        change(&mut view);
        self.put(&mut world, view);
    }

    fn world(&self) -> Result<MutexGuard<'_, World>, ServiceError> {
        let world = self.world.lock().expect("no panic under the lock");
        match &world.outage {
            Some(error) => Err(error.clone()),
            None => Ok(world),
        }
    }

    fn put(&self, world: &mut World, view: ConnectorView) {
        world.changes += 1;
        let key = (view.connector.namespace.clone(), view.connector.name.clone());
        world.connectors.insert(key, view.clone());
        world.worker.units = world.connectors.values().map(|view| 1 + view.tasks.len() as u32).sum();
        // No receiver is no error.
        let _ = self.steps.send(Watched::Changed(Box::new(view), world.changes));
    }
}

impl World {
    fn now(&self) -> Wall {
        Wall(START_MS + self.changes * 1000)
    }

    fn find(&self, namespace: &Namespace, name: &ConnectorName) -> Result<&ConnectorView, ServiceError> {
        self.connectors
            .get(&(namespace.clone(), name.clone()))
            .ok_or_else(|| ServiceError::NotFound { what: "Connector", name: name.to_string() })
    }

    fn find_at(&self, named: &ConnectorRef) -> Result<&ConnectorView, ServiceError> {
        let view = self.find(&named.namespace, &named.name)?;
        check_etag(view, named.etag.as_deref())?;
        Ok(view)
    }

    /// Runs what the config asks for, all at once.
    fn run(&self, connector: Connector) -> ConnectorView {
        let (planner, task) = match connector.target {
            TargetState::Running => (UnitState::Running, UnitState::Running),
            TargetState::Paused => (UnitState::Paused, UnitState::Paused),
            TargetState::Stopped => (UnitState::Stopped, UnitState::Stopped),
        };
        let asked: u32 = connector.config.get("tasks.max").and_then(|max| max.parse().ok()).unwrap_or(1);
        let count = match (connector.target, connector.connector_type) {
            (TargetState::Stopped, _) => 0,
            (_, ConnectorType::Source) => 1,
            (_, ConnectorType::Sink) => asked,
        };
        let tasks = (0..count).map(|task_number| views::task(task_number, task, &connector.config, self.now()));
        ConnectorView { planner: views::unit(planner, self.now()), tasks: tasks.collect(), connector }
    }
}

fn check_etag(view: &ConnectorView, given: Option<&str>) -> Result<(), ServiceError> {
    let current = view.connector.etag();
    match given {
        Some(given) if given != current => Err(ServiceError::StaleEtag { given: given.to_owned(), current }),
        _ => Ok(()),
    }
}

fn paged<T>(items: Vec<T>, page: &PageRequest) -> Result<Page<T>, ServiceError> {
    let start: usize = match page.token.as_str() {
        "" => 0,
        token => token.parse().map_err(|_| ServiceError::bad_page_token())?,
    };
    let size = page.limit();
    let next = (start + size < items.len()).then(|| (start + size).to_string());
    Ok(Page { items: items.into_iter().skip(start).take(size).collect(), next })
}

impl FakeService {
    async fn change_worker(&self, change: WorkerChange, state: WorkerState) -> Result<WorkerView, ServiceError> {
        let mut view = self.get_worker(&change.name).await?;
        let current = view.worker.etag();
        if let Some(given) = change.etag.filter(|given| *given != current) {
            return Err(ServiceError::StaleEtag { given, current });
        }
        view.worker.state = state;
        if !change.validate_only {
            self.world()?.worker = view.clone();
        }
        Ok(view)
    }
}

#[tonic::async_trait]
impl Service for FakeService {
    async fn create_connector(&self, request: CreateConnector) -> Result<ConnectorView, ServiceError> {
        let mut world = self.world()?;
        if let Ok(there) = world.find(&request.namespace, &request.name) {
            if request.request_id.is_some() && there.connector.request_id == request.request_id {
                return Ok(there.clone());
            }
            return Err(ServiceError::AlreadyExists { name: request.name.to_string() });
        }
        let mut config = request.config;
        config.insert("name".into(), request.name.to_string());
        let (class, connector_type) = validated(&config)?;
        let now = world.now();
        let view = world.run(Connector {
            namespace: request.namespace,
            config,
            target: request.target,
            connector_type,
            request_id: request.request_id,
            ..Connector::new(views::uid(world.changes), request.name, class.to_owned(), now)
        });
        if !request.validate_only {
            self.put(&mut world, view.clone());
            world.remember(&view.connector, request.author, request.reason, None);
        }
        // Kafka Connect answers before there are tasks, too.
        Ok(ConnectorView { tasks: Vec::new(), ..view })
    }

    async fn get_connector(&self, namespace: &Namespace, name: &ConnectorName) -> Result<ConnectorView, ServiceError> {
        self.world()?.find(namespace, name).cloned()
    }

    async fn list_connectors(
        &self,
        namespace: Option<&Namespace>,
        page: PageRequest,
    ) -> Result<Page<ConnectorView>, ServiceError> {
        let world = self.world()?;
        let chosen = world.connectors.iter().filter(|((of, _), _)| namespace.is_none_or(|namespace| namespace == of));
        paged(chosen.map(|(_, view)| view.clone()).collect(), &page)
    }

    async fn update_connector(&self, request: UpdateConnector) -> Result<(ConnectorView, bool), ServiceError> {
        let there = self.world()?.find(&request.namespace, &request.name).cloned();
        let mut connector = match there {
            Ok(view) => {
                check_etag(&view, request.etag.as_deref())?;
                view.connector
            }
            Err(missing) => {
                let ConfigChange::Replace(config) = request.change else { return Err(missing) };
                if !request.allow_missing {
                    return Err(missing);
                }
                let create = CreateConnector {
                    namespace: request.namespace,
                    name: request.name,
                    config,
                    target: TargetState::Running,
                    request_id: request.request_id,
                    validate_only: request.validate_only,
                    author: request.author,
                    reason: request.reason,
                };
                return Ok((self.create_connector(create).await?, true));
            }
        };
        let before = connector.config.clone();
        match request.change {
            ConfigChange::Replace(config) => connector.config = config,
            ConfigChange::Merge(keys) => keys.into_iter().for_each(|(key, value)| {
                match value {
                    Some(value) => connector.config.insert(key, value),
                    None => connector.config.remove(&key),
                };
            }),
        }
        connector.config.insert("name".into(), connector.name.to_string());
        let (class, connector_type) = validated(&connector.config)?;
        (connector.class, connector.connector_type) = (class.to_owned(), connector_type);
        let mut world = self.world()?;
        let changed = connector.config != before;
        if changed {
            connector.config_generation = connector.config_generation.next();
            connector.updated = world.now();
        }
        let view = world.run(connector);
        if !request.validate_only {
            self.put(&mut world, view.clone());
            if changed {
                world.remember(&view.connector, request.author, request.reason, request.request_id);
            }
        }
        Ok((view, false))
    }

    async fn rollback_connector(&self, request: RollbackConnector) -> Result<(ConnectorView, bool), ServiceError> {
        let (there, history) = self.with_history(&request.namespace, &request.name)?;
        if request.request_id.is_some() && history.iter().any(|revision| revision.request_id == request.request_id) {
            return Ok((there, true));
        }
        check_etag(&there, request.etag.as_deref())?;
        let wanted = revisions::find(&history, &request.name, request.revision)?.revision.config;
        if wanted == there.connector.config {
            return Ok((there, false));
        }
        let update = UpdateConnector {
            namespace: request.namespace,
            name: request.name,
            change: ConfigChange::Replace(wanted),
            etag: request.etag,
            allow_missing: false,
            validate_only: request.validate_only,
            request_id: request.request_id,
            author: request.author,
            reason: Reason::of_rollback(request.revision, &request.reason),
        };
        self.update_connector(update).await.map(|(view, _)| (view, true))
    }

    async fn list_revisions(
        &self,
        namespace: &Namespace,
        name: &ConnectorName,
        page: PageRequest,
    ) -> Result<Page<RevisionView>, ServiceError> {
        revisions::page(&self.with_history(namespace, name)?.1, &page)
    }

    async fn get_revision(
        &self,
        namespace: &Namespace,
        name: &ConnectorName,
        revision: Generation,
    ) -> Result<RevisionView, ServiceError> {
        revisions::find(&self.with_history(namespace, name)?.1, name, revision)
    }

    async fn delete_connector(&self, named: ConnectorRef) -> Result<(), ServiceError> {
        let mut world = self.world()?;
        let uid = world.find_at(&named)?.connector.uid.to_string();
        if !named.validate_only {
            world.changes += 1;
            let at = world.changes;
            world.connectors.remove(&(named.namespace.clone(), named.name.clone()));
            let _ = self.steps.send(Watched::Deleted(named.namespace, named.name, uid, at));
        }
        Ok(())
    }

    async fn set_target(&self, named: ConnectorRef, target: TargetState) -> Result<ConnectorView, ServiceError> {
        let mut world = self.world()?;
        let mut connector = world.find_at(&named)?.connector.clone();
        if connector.target != target {
            connector.target = target;
            connector.target_generation = connector.target_generation.next();
        }
        let view = world.run(connector);
        if !named.validate_only {
            self.put(&mut world, view.clone());
        }
        Ok(view)
    }

    async fn restart_connector(
        &self,
        named: ConnectorRef,
        include_tasks: bool,
        only_failed: bool,
    ) -> Result<ConnectorView, ServiceError> {
        let mut world = self.world()?;
        let mut view = world.find_at(&named)?.clone();
        let mut after = view.clone();
        let restart = |shown: &mut UnitView, after: &mut UnitView| {
            if !only_failed || shown.state == UnitState::Failed {
                shown.state = UnitState::Restarting;
                (after.state, after.error) = (UnitState::Running, None);
            }
        };
        restart(&mut view.planner, &mut after.planner);
        if include_tasks {
            view.tasks.iter_mut().zip(&mut after.tasks).for_each(|(shown, after)| restart(shown, after));
        }
        if !named.validate_only {
            self.put(&mut world, after);
        }
        Ok(view)
    }

    async fn restart_task(&self, named: ConnectorRef, task: u32) -> Result<(), ServiceError> {
        let mut world = self.world()?;
        let mut view = world.find_at(&named)?.clone();
        let Some(unit) = view.tasks.iter_mut().find(|unit| unit.task == Some(task)) else {
            return Err(ServiceError::NotFound { what: "Task", name: format!("{}-{task}", named.name) });
        };
        (unit.state, unit.error) = (UnitState::Running, None);
        if !named.validate_only {
            self.put(&mut world, view);
        }
        Ok(())
    }

    async fn watch_connectors(
        &self,
        namespace: Option<Namespace>,
        after: Option<Position64>,
        _min_interval: Duration,
    ) -> Result<BoxStream<'static, Result<Watched, ServiceError>>, ServiceError> {
        let world = self.world()?;
        if after.is_some_and(|after| after < world.compacted) {
            return Err(ServiceError::ResumeTooOld);
        }
        let steps = self.steps.subscribe();
        let chosen = move |of: &Namespace| namespace.as_ref().is_none_or(|namespace| namespace == of);
        let present = world.connectors.values().filter(|view| chosen(&view.connector.namespace));
        let mut first: Vec<Result<Watched, ServiceError>> =
            present.map(|view| Ok(Watched::Changed(Box::new(view.clone()), world.changes))).collect();
        first.push(Ok(Watched::Synced(world.changes)));
        let later = stream::unfold(steps, |mut steps| async move {
            let step = steps.recv().await.ok()?;
            Some((step, steps))
        });
        let later = later.filter_map(move |step| {
            let passes = match &step {
                Watched::Changed(view, _) => chosen(&view.connector.namespace),
                Watched::Deleted(of, ..) => chosen(of),
                Watched::Synced(_) => true,
            };
            async move { passes.then_some(Ok(step)) }
        });
        Ok(stream::iter(first).chain(later).boxed())
    }

    async fn list_workers(&self, page: PageRequest) -> Result<Page<WorkerView>, ServiceError> {
        paged(vec![self.world()?.worker.clone()], &page)
    }

    async fn get_worker(&self, name: &str) -> Result<WorkerView, ServiceError> {
        let worker = self.world()?.worker.clone();
        if name == WORKER || name == worker.worker.id.to_string() {
            return Ok(worker);
        }
        Err(ServiceError::NotFound { what: "Worker", name: name.to_owned() })
    }

    async fn drain_worker(&self, worker: WorkerChange) -> Result<WorkerView, ServiceError> {
        self.change_worker(worker, WorkerState::Draining).await
    }

    async fn cordon_worker(&self, worker: WorkerChange) -> Result<WorkerView, ServiceError> {
        self.change_worker(worker, WorkerState::Cordoned).await
    }

    async fn uncordon_worker(&self, worker: WorkerChange) -> Result<WorkerView, ServiceError> {
        self.change_worker(worker, WorkerState::Active).await
    }

    async fn expire_worker(&self, worker: WorkerChange) -> Result<WorkerView, ServiceError> {
        self.change_worker(worker, WorkerState::Expired).await
    }

    async fn list_plugins(&self, page: PageRequest) -> Result<Page<PluginView>, ServiceError> {
        drop(self.world()?);
        paged(views::plugins(), &page)
    }

    async fn config_def(&self, plugin: &str) -> Result<(PluginView, Vec<ConfigKeyInfo>), ServiceError> {
        drop(self.world()?);
        let found = views::plugins().into_iter().find(|p| p.class == plugin || p.aliases.iter().any(|a| a == plugin));
        match found {
            Some(view) => Ok((view, vec![views::file_key()])),
            None => Err(ServiceError::NotFound { what: "Plugin", name: plugin.to_owned() }),
        }
    }

    async fn validate_config(&self, plugin: Option<&str>, config: Config) -> Result<ConfigInfos, ServiceError> {
        drop(self.world()?);
        let class = class_of(&config)?.0;
        if let Some(plugin) = plugin
            && self.config_def(plugin).await.map(|(view, _)| view.class).ok().as_deref() != Some(class)
        {
            let given = &config["connector.class"];
            let description = format!("Included connector type {given} does not match request type {plugin}");
            return Err(ServiceError::InvalidConfig {
                message: description.clone(),
                violations: vec![Violation { field: "config.connector.class".into(), description }],
            });
        }
        let errors = config_errors(&config);
        let info = |key: ConfigKeyInfo, errors: Vec<String>| ConfigInfo {
            value: ConfigValueInfo {
                name: key.name.clone(),
                value: config.get(&key.name).cloned().or_else(|| key.default_value.clone()),
                recommended_values: Vec::new(),
                errors,
                visible: true,
            },
            definition: Some(key),
        };
        Ok(ConfigInfos {
            name: config["connector.class"].clone(),
            error_count: errors.len() as u32,
            groups: vec!["Common".into()],
            configs: vec![
                info(views::tasks_max_key(), errors.into_iter().map(|(_, text)| text).collect()),
                info(views::file_key(), Vec::new()),
            ],
        })
    }

    async fn about(&self) -> About {
        About { version: "4.3.0".into(), commit: "fake".into(), kafka_cluster_id: "fake-cluster".into() }
    }
}
