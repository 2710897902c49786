//! A worker's runtime on the in-memory broker, with connectors whose behaviour a test scripts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use data_plane_broker::memory::MemoryBroker;
use data_plane_broker::{Broker, ClientConfig, ProduceRow};
use data_plane_connector_api::{ConfigDef, Factory, Plugin, PluginSource, Plugins};
use data_plane_converters::Converters;
use tokio::sync::{mpsc, watch};

use super::troubles::{Touchy, TroubledBroker, Troubles};
use crate::task::{Deadline, RunState, Runtime, Target, TaskEvent, TaskHandle, TaskSpec, WorkerSettings, spawn};

/// Everything must happen within this time.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) type Config = BTreeMap<String, String>;

pub(super) fn config(lines: &[(&str, &str)]) -> Config {
    lines.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

struct Scripted(Vec<(&'static str, Factory)>);

impl PluginSource for Scripted {
    fn plugins(&self) -> Vec<Plugin> {
        let plugin = |(class, factory): &(&str, Factory)| Plugin {
            class: (*class).to_owned(),
            version: "1".to_owned(),
            config_def: ConfigDef::default(),
            factory: factory.clone(),
        };
        self.0.iter().map(plugin).collect()
    }
}

/// A worker with one connector class.
pub(crate) struct Worker {
    pub(crate) broker: MemoryBroker,
    pub(super) troubles: Arc<Troubles>,
    pub(super) touchy: Arc<Touchy>,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) settings: Config,
}

impl Worker {
    pub(super) fn new(factory: Factory) -> Self {
        let broker = MemoryBroker::new();
        let settings = config(&[
            ("bootstrap.servers", "memory:0"),
            ("group.id", "test"),
            ("key.converter", "org.apache.kafka.connect.storage.StringConverter"),
            ("value.converter", "org.apache.kafka.connect.storage.StringConverter"),
            ("offset.storage.topic", "offsets"),
            ("offset.storage.partitions", "5"),
            ("offset.flush.interval.ms", "20"),
            ("task.shutdown.graceful.timeout.ms", "2000"),
        ]);
        let mut worker = Self {
            runtime: Runtime::new(Arc::default(), Arc::new(broker.clone()), Deadline::default()),
            broker,
            troubles: Arc::default(),
            touchy: Arc::default(),
            settings,
        };
        worker.restart(factory);
        worker
    }

    /// A new process on the same Kafka.
    pub(super) fn restart(&mut self, factory: Factory) {
        self.restart_with(factory, &[]);
    }

    /// The same with further plugins.
    pub(super) fn restart_with(&mut self, factory: Factory, more: &[(&'static str, Factory)]) {
        let own = [("test.ScriptedConnector", factory), self.touchy.plugin()];
        let plugins = Plugins::new(&[&Scripted([&own, more].concat()), &Converters]);
        let broker = TroubledBroker { memory: self.broker.clone(), troubles: Arc::clone(&self.troubles) };
        self.runtime = Runtime::new(Arc::new(plugins), Arc::new(broker), Deadline::default());
    }

    pub(super) fn spec(&self, task: Option<u32>, connector: &[(&str, &str)]) -> TaskSpec {
        let mut connector = config(connector);
        connector.insert("connector.class".to_owned(), "Scripted".to_owned());
        TaskSpec {
            connector: "c".to_owned(),
            task,
            connector_config: connector,
            task_config: Config::new(),
            settings: Arc::new(WorkerSettings::parse("default", &self.settings).unwrap()),
            epoch: (1, 1),
            target: Target::Running,
            outlives_lease: false,
            severable: true,
        }
    }

    pub(super) fn spawn(&self, spec: TaskSpec) -> Unit {
        let (go, may_go) = watch::channel(true);
        let (sender, events) = mpsc::channel(64);
        let handle = spawn(&self.runtime, spec, may_go, sender);
        Unit { handle, events, go, seen: Vec::new() }
    }

    /// Values of a topic, partition after partition.
    pub(super) fn values(&self, topic: &str) -> Vec<String> {
        let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap_or_default()).unwrap();
        self.broker.records(topic).into_iter().flatten().map(|record| text(record.value)).collect()
    }

    /// Appends records to partition 0 of a topic.
    pub(crate) fn append(&self, topic: &str, values: &[&str]) {
        self.broker.create_topic(topic, 1);
        let mut producer = self.broker.producer(&ClientConfig::new()).unwrap();
        let topic = producer.topic(topic).unwrap();
        for value in values {
            let value = Some(value.as_bytes());
            let row =
                ProduceRow { topic, partition: Some(0), timestamp: Some(7), key: None, value, headers: &[], opaque: 0 };
            producer.produce(&row).unwrap();
        }
        assert!(producer.flush(DEADLINE, &mut Vec::new()).unwrap());
    }
}

/// A spawned unit with what it has reported.
pub(super) struct Unit {
    pub(super) handle: TaskHandle,
    pub(super) events: mpsc::Receiver<TaskEvent>,
    pub(super) go: watch::Sender<bool>,
    seen: Vec<TaskEvent>,
}

impl Unit {
    /// The next event that is not progress.
    pub(super) async fn event(&mut self) -> TaskEvent {
        loop {
            let event = tokio::time::timeout(DEADLINE, self.events.recv()).await;
            let event = event.unwrap_or_else(|_| panic!("nothing after {:?}", self.seen)).expect("the unit is there");
            self.seen.push(event.clone());
            if !matches!(event, TaskEvent::Progress { .. }) {
                return event;
            }
        }
    }

    pub(super) async fn until(&mut self, wanted: RunState) {
        loop {
            match self.event().await {
                TaskEvent::State(state) if state == wanted => return,
                TaskEvent::State(RunState::Failed(error)) => panic!("failed: {}", error.trace_text()),
                TaskEvent::Ended => panic!("ended after {:?}", self.seen),
                _ => {}
            }
        }
    }

    /// The text of the failure that must come, and the end.
    pub(super) async fn failure(&mut self) -> String {
        loop {
            if let TaskEvent::State(RunState::Failed(error)) = self.event().await {
                assert_eq!(self.event().await, TaskEvent::Ended);
                return error.trace_text();
            }
        }
    }

    pub(super) async fn stop(mut self) {
        self.handle.stop();
        while self.event().await != TaskEvent::Ended {}
    }

    /// The latest progress seen so far.
    pub(super) fn progress(&self) -> Option<&TaskEvent> {
        self.seen.iter().rev().find(|event| matches!(event, TaskEvent::Progress { .. }))
    }
}

/// Waits for a condition.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "not so in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
