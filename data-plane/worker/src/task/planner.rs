//! The planner unit: runs the connector itself and reports its task configs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use data_plane_connector_api::{
    ConnectError, Connector, ConnectorContext, Factory, OffsetReader, Plugin, PluginMetrics,
};
use data_plane_core::activity::Stage;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::activity::SharedActivity;
use super::offset_store::{OffsetStore, StoreReader};
use super::source_context::UnpublishedMetrics;
use super::unit::{Step, Unit};
use super::{Target, TaskEvent, TaskSpec};

type Config = BTreeMap<String, String>;

/// A planner has nothing to do until it is asked.
const IDLE: Duration = Duration::from_secs(3600);

struct Context {
    connector: String,
    is_reconfiguration_requested: AtomicBool,
    raised: Mutex<Option<ConnectError>>,
    wake: Arc<Notify>,
    reader: Option<Arc<dyn OffsetReader>>,
}

impl ConnectorContext for Context {
    fn connector_name(&self) -> &str {
        &self.connector
    }

    fn request_task_reconfiguration(&self) {
        self.is_reconfiguration_requested.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    fn raise_error(&self, error: ConnectError) {
        self.raised.lock().get_or_insert(error);
        self.wake.notify_one();
    }

    fn offset_reader(&self) -> Option<Arc<dyn OffsetReader>> {
        self.reader.clone()
    }

    fn metrics(&self) -> Arc<dyn PluginMetrics> {
        Arc::new(UnpublishedMetrics)
    }
}

pub(super) struct PlannerUnit {
    plugin: Arc<Plugin>,
    spec: TaskSpec,
    activity: SharedActivity,
    max_tasks: usize,
    context: Arc<Context>,
    store: Option<Arc<dyn OffsetStore>>,
    connector: Option<Box<dyn Connector>>,
    reported: Option<Vec<Config>>,
    events: Vec<TaskEvent>,
}

impl PlannerUnit {
    pub(super) fn new(
        plugin: &Arc<Plugin>,
        spec: TaskSpec,
        activity: SharedActivity,
        store: Option<Arc<dyn OffsetStore>>,
    ) -> Result<Self, ConnectError> {
        let max_tasks = max_tasks(&spec.connector_config)?;
        let reader = store
            .as_ref()
            .map(|store| Arc::new(StoreReader::new(&spec.connector, Arc::clone(store))) as Arc<dyn OffsetReader>);
        let context = Context {
            connector: spec.connector.clone(),
            is_reconfiguration_requested: AtomicBool::new(false),
            raised: Mutex::new(None),
            wake: Arc::new(Notify::new()),
            reader,
        };
        Ok(Self {
            plugin: Arc::clone(plugin),
            spec,
            activity,
            max_tasks,
            context: Arc::new(context),
            store,
            connector: None,
            reported: None,
            events: Vec::new(),
        })
    }

    fn plan(&mut self) -> Result<(), ConnectError> {
        let Some(connector) = &mut self.connector else { return Ok(()) };
        let mut configs = self.activity.during(Stage::TaskConfigs, || connector.task_configs(self.max_tasks))?;
        if configs.len() > self.max_tasks {
            let text = format!(
                "The connector {} has generated {} tasks, which is greater than {}, the maximum number of tasks it is \
                 configured to create (tasks.max)",
                self.spec.connector,
                configs.len(),
                self.max_tasks
            );
            match self.spec.connector_config.get("tasks.max.enforce").map(|value| value.trim()) {
                Some("false") => tracing::warn!("{text}"),
                _ => {
                    return Err(ConnectError::new("org.apache.kafka.connect.errors.TooManyTasksException", text));
                }
            }
        }
        // As Kafka Connect's own task configs say it.
        let task_class = format!("{}Task", self.plugin.class.trim_end_matches("Connector"));
        for config in &mut configs {
            config.entry("task.class".to_owned()).or_insert_with(|| task_class.clone());
        }
        if matches!(self.plugin.factory, Factory::Sink { .. }) {
            for key in ["topics", "topics.regex"] {
                if let Some(value) = self.spec.connector_config.get(key) {
                    configs.iter_mut().for_each(|config| {
                        config.insert(key.to_owned(), value.clone());
                    });
                }
            }
        }
        if self.reported.as_ref() != Some(&configs) {
            self.events.push(TaskEvent::TaskSet(configs.clone()));
            self.reported = Some(configs);
        }
        Ok(())
    }

    fn start_connector(&mut self) -> Result<(), ConnectError> {
        if let Some(store) = &self.store {
            let deadline = Instant::now() + super::offset_store::READ_TIMEOUT;
            self.activity.during(Stage::ReadOffsets, || store.read_to_end(deadline))?;
        }
        let (Factory::Source { connector: make, .. } | Factory::Sink { connector: make, .. }) = &self.plugin.factory
        else {
            return Err(ConnectError::connect("the plugin is neither a source nor a sink connector"));
        };
        let connector = self.connector.insert(make());
        let context = Arc::clone(&self.context) as Arc<dyn ConnectorContext>;
        self.activity.during(Stage::Start, || connector.start(context, &self.spec.connector_config))?;
        self.plan()
    }

    fn stop_connector(&mut self) {
        if let Some(mut connector) = self.connector.take() {
            self.activity.during(Stage::Stop, || connector.stop());
        }
    }
}

impl Unit for PlannerUnit {
    fn start(&mut self) -> Result<(), ConnectError> {
        self.start_connector()
    }

    fn step(&mut self, target: Target) -> Result<Step, ConnectError> {
        if let Some(error) = self.context.raised.lock().take() {
            return Err(error);
        }
        match (target, self.connector.is_some()) {
            (Target::Running, false) => self.start_connector()?,
            (Target::Paused | Target::Stopped, _) => self.stop_connector(),
            (Target::Running, true) => {
                if self.context.is_reconfiguration_requested.swap(false, Ordering::AcqRel) {
                    self.plan()?;
                }
            }
        }
        Ok(Step::Wait(IDLE))
    }

    fn stop(&mut self, _: Instant) {
        self.stop_connector();
    }

    fn take_events(&mut self, events: &mut Vec<TaskEvent>) {
        events.append(&mut self.events);
    }

    fn wakers(&self) -> Vec<Arc<Notify>> {
        vec![Arc::clone(&self.context.wake)]
    }
}

fn max_tasks(config: &Config) -> Result<usize, ConnectError> {
    let Some(text) = config.get("tasks.max") else { return Ok(1) };
    match text.trim().parse::<i32>() {
        Ok(number) if number >= 1 => Ok(number as usize),
        Ok(_) => Err(ConnectError::config_value("tasks.max", text, "Value must be at least 1")),
        Err(_) => Err(ConnectError::config_value("tasks.max", text, "Not a number of type INT")),
    }
}
