//! Planners: task sets, reconfiguration, limits, pause.

use std::sync::Arc;

use data_plane_connector_api::{Config, ConfigDef, ConnectError, Connector, ConnectorContext, Factory, SinkTask};
use parking_lot::Mutex;

use super::harness::{Unit, Worker, config};
use crate::task::{RunState, Target, TaskEvent};

#[derive(Default)]
struct Script {
    tasks: Mutex<Vec<Config>>,
    context: Mutex<Option<Arc<dyn ConnectorContext>>>,
    calls: Mutex<Vec<&'static str>>,
}

struct Planner(Arc<Script>);

impl Connector for Planner {
    fn version(&self) -> &str {
        "1"
    }
    fn config_def(&self) -> ConfigDef {
        ConfigDef::default()
    }
    fn start(&mut self, context: Arc<dyn ConnectorContext>, config: &Config) -> Result<(), ConnectError> {
        self.0.calls.lock().push("start");
        *self.0.context.lock() = Some(context);
        match config.get("refuses") {
            Some(reason) => Err(ConnectError::config(reason.clone())),
            None => Ok(()),
        }
    }
    fn task_configs(&mut self, _: usize) -> Result<Vec<Config>, ConnectError> {
        Ok(self.0.tasks.lock().clone())
    }
    fn stop(&mut self) {
        self.0.calls.lock().push("stop");
    }
}

struct NoTask;

impl SinkTask for NoTask {
    fn version(&self) -> &str {
        "1"
    }
    fn start(&mut self, _: Arc<dyn data_plane_connector_api::SinkTaskContext>, _: &Config) -> Result<(), ConnectError> {
        Ok(())
    }
    fn put(&mut self, _: &data_plane_record::RecordBatch) -> Result<(), ConnectError> {
        Ok(())
    }
}

fn worker(tasks: &[Config]) -> (Worker, Arc<Script>) {
    let script = Arc::new(Script { tasks: Mutex::new(tasks.to_vec()), ..Script::default() });
    let shared = Arc::clone(&script);
    let factory = Factory::Sink {
        connector: Arc::new(move || Box::new(Planner(Arc::clone(&shared)))),
        task: Arc::new(|| Box::new(NoTask)),
    };
    (Worker::new(factory), script)
}

fn start(worker: &Worker, lines: &[(&str, &str)]) -> Unit {
    let mut all = vec![("topics", "t"), ("tasks.max", "2")];
    all.extend_from_slice(lines);
    worker.spawn(worker.spec(None, &all))
}

#[tokio::test]
async fn task_sets_are_reported_when_they_change() {
    let (worker, script) = worker(&[config(&[("n", "0")])]);
    let mut unit = start(&worker, &[]);
    unit.until(RunState::Running).await;
    let first = config(&[("n", "0"), ("task.class", "test.ScriptedTask"), ("topics", "t")]);
    assert_eq!(unit.event().await, TaskEvent::TaskSet(vec![first.clone()]));
    let context = script.context.lock().clone().unwrap();
    assert_eq!(context.connector_name(), "c");
    // Asked for, but nothing has changed; then a second task.
    context.request_task_reconfiguration();
    script.tasks.lock().push(config(&[("n", "1")]));
    context.request_task_reconfiguration();
    let second = config(&[("n", "1"), ("task.class", "test.ScriptedTask"), ("topics", "t")]);
    assert_eq!(unit.event().await, TaskEvent::TaskSet(vec![first, second]));
    unit.stop().await;
    assert_eq!(*script.calls.lock(), ["start", "stop"]);
}

#[tokio::test]
async fn more_tasks_than_allowed_are_refused_unless_tolerated() {
    let tasks = vec![Config::new(); 3];
    let (worker, _) = worker(&tasks);
    let failure = start(&worker, &[]).failure().await;
    assert!(failure.contains("TooManyTasksException") && failure.contains("tasks.max"), "{failure}");
    let mut unit = start(&worker, &[("tasks.max.enforce", "false")]);
    unit.until(RunState::Running).await;
    assert!(matches!(unit.event().await, TaskEvent::TaskSet(tasks) if tasks.len() == 3));
    unit.stop().await;
}

#[tokio::test]
async fn a_paused_connector_is_stopped_and_started_again() {
    let (worker, script) = worker(&[Config::new()]);
    let mut unit = start(&worker, &[]);
    unit.until(RunState::Running).await;
    unit.handle.set_target(Target::Paused);
    unit.until(RunState::Paused).await;
    unit.handle.set_target(Target::Running);
    unit.until(RunState::Running).await;
    unit.handle.set_target(Target::Stopped);
    unit.until(RunState::Stopped).await;
    unit.stop().await;
    assert_eq!(*script.calls.lock(), ["start", "stop", "start", "stop"]);
}

#[tokio::test]
async fn errors_fail_the_connector_with_their_text() {
    let (worker, script) = worker(&[Config::new()]);
    let failure = start(&worker, &[("refuses", "Missing required configuration \"file\"")]).failure().await;
    assert!(failure.contains("ConfigException: Missing required configuration \"file\""), "{failure}");
    let failure = start(&worker, &[("tasks.max", "many")]).failure().await;
    assert!(failure.contains("Invalid value many for configuration tasks.max"), "{failure}");
    let mut spec = worker.spec(None, &[]);
    spec.connector_config.insert("connector.class".to_owned(), "Nobody".to_owned());
    let failure = worker.spawn(spec).failure().await;
    assert!(failure.contains("Nobody"), "{failure}");
    let mut unit = start(&worker, &[]);
    unit.until(RunState::Running).await;
    let context = script.context.lock().clone().unwrap();
    context.raise_error(ConnectError::connect("the monitor is gone"));
    assert!(unit.failure().await.contains("the monitor is gone"));
}
