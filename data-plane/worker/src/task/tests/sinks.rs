//! Sink tasks: resume, retries, rebalances, lost partitions, pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use data_plane_connector_api::{
    Config, ConfigDef, ConnectError, Connector, ConnectorContext, Factory, SinkOffsets, SinkTask, SinkTaskContext,
    TopicPartition,
};
use data_plane_record::{RecordBatch, Row};
use parking_lot::Mutex;

use super::harness::{Unit, Worker, eventually};
use crate::task::{RunState, Target};

#[derive(Default)]
pub(crate) struct Script {
    pub(crate) values: Mutex<Vec<String>>,
    pub(crate) calls: Mutex<Vec<String>>,
    /// Raised by the next puts, the last first.
    pub(crate) refusals: Mutex<Vec<ConnectError>>,
    /// Values that no put takes for now.
    pub(crate) refused: Mutex<Vec<String>>,
    pub(crate) fails_flush: AtomicBool,
    /// Called with each batch before it is taken.
    pub(crate) on_put: Mutex<Option<OnPut>>,
}

/// What a test does within `put`.
pub(crate) type OnPut = Box<dyn FnMut(&RecordBatch, &dyn SinkTaskContext) -> Result<(), ConnectError> + Send>;

struct NoConnector;

impl Connector for NoConnector {
    fn version(&self) -> &str {
        "1"
    }
    fn config_def(&self) -> ConfigDef {
        ConfigDef::default()
    }
    fn start(&mut self, _: Arc<dyn ConnectorContext>, _: &Config) -> Result<(), ConnectError> {
        Ok(())
    }
    fn task_configs(&mut self, _: usize) -> Result<Vec<Config>, ConnectError> {
        Ok(Vec::new())
    }
}

struct Collector(Arc<Script>, Option<Arc<dyn SinkTaskContext>>);

fn names(partitions: &[TopicPartition]) -> String {
    let names: Vec<String> =
        partitions.iter().map(|partition| format!("{}-{}", partition.topic, partition.partition)).collect();
    names.join(",")
}

impl SinkTask for Collector {
    fn version(&self) -> &str {
        "1"
    }
    fn start(&mut self, context: Arc<dyn SinkTaskContext>, _: &Config) -> Result<(), ConnectError> {
        context.set_retry_timeout(Duration::from_millis(5));
        self.1 = Some(context);
        Ok(())
    }
    fn open(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectError> {
        self.0.calls.lock().push(format!("open {}", names(partitions)));
        Ok(())
    }
    fn put(&mut self, batch: &RecordBatch) -> Result<(), ConnectError> {
        if batch.is_empty() {
            return Ok(());
        }
        if let Some(error) = self.0.refusals.lock().pop() {
            return Err(error);
        }
        if let (Some(on_put), Some(context)) = (&mut *self.0.on_put.lock(), &self.1) {
            on_put(batch, &**context)?;
        }
        let text = |row: &Row| row.value.as_str(&batch.arena).unwrap_or("?").to_owned();
        if batch.rows().iter().any(|row| self.0.refused.lock().contains(&text(row))) {
            if let Some(context) = &self.1 {
                context.set_retry_timeout(Duration::from_millis(5));
            }
            return Err(ConnectError::retriable("refused for now"));
        }
        for row in batch.rows() {
            self.0.values.lock().push(row.value.as_str(&batch.arena).unwrap_or("?").to_owned());
        }
        Ok(())
    }
    fn flush(&mut self, offsets: &SinkOffsets) -> Result<(), ConnectError> {
        if self.0.fails_flush.swap(false, Ordering::Relaxed) {
            return Err(ConnectError::connect("the disk is full"));
        }
        self.0.calls.lock().push(format!("flush {}", offsets.values().map(|to| to.offset).sum::<i64>()));
        Ok(())
    }
    fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectError> {
        self.0.calls.lock().push(format!("close {}", names(partitions)));
        Ok(())
    }
    fn stop(&mut self) {
        self.0.calls.lock().push("stop".to_owned());
    }
}

pub(crate) fn worker() -> (Worker, Arc<Script>) {
    let script = Arc::new(Script::default());
    let shared = Arc::clone(&script);
    let factory = Factory::Sink {
        connector: Arc::new(|| Box::new(NoConnector)),
        task: Arc::new(move || Box::new(Collector(Arc::clone(&shared), None))),
    };
    (Worker::new(factory), script)
}

pub(super) async fn start(worker: &Worker, task: u32) -> Unit {
    let mut unit = worker.spawn(worker.spec(Some(task), &[("topics", "t")]));
    unit.until(RunState::Running).await;
    unit
}

pub(super) async fn collected(script: &Script, expected: &[&str]) {
    eventually("all values are put", || script.values.lock().len() >= expected.len()).await;
    assert_eq!(*script.values.lock(), expected);
}

#[tokio::test]
async fn a_restarted_sink_resumes_at_its_commit() {
    let (worker, script) = worker();
    worker.append("t", &["a", "b"]);
    let unit = start(&worker, 0).await;
    collected(&script, &["a", "b"]).await;
    unit.stop().await;
    assert_eq!(worker.broker.committed("connect-c", "t", 0), Some(2));
    let calls = script.calls.lock().clone();
    assert_eq!(calls.first().map(String::as_str), Some("open t-0"));
    assert_eq!(calls[calls.len() - 2..], ["close t-0", "stop"]);
    worker.append("t", &["c"]);
    let unit = start(&worker, 0).await;
    collected(&script, &["a", "b", "c"]).await;
    eventually("a commit by time", || worker.broker.committed("connect-c", "t", 0) == Some(3)).await;
    unit.stop().await;
}

#[tokio::test]
async fn a_retriable_put_gets_the_same_batch_again() {
    let (worker, script) = worker();
    worker.append("t", &["a", "b"]);
    *script.refusals.lock() = vec![ConnectError::retriable("busy"), ConnectError::retriable("busy")];
    let unit = start(&worker, 0).await;
    collected(&script, &["a", "b"]).await;
    unit.stop().await;
    assert_eq!(worker.broker.committed("connect-c", "t", 0), Some(2));
}

#[tokio::test]
async fn a_failing_put_fails_the_task_without_commit() {
    let (worker, script) = worker();
    worker.append("t", &["a"]);
    *script.refusals.lock() = vec![ConnectError::data("not a number")];
    let mut unit = worker.spawn(worker.spec(Some(0), &[("topics", "t")]));
    let failure = unit.failure().await;
    assert!(failure.contains("unrecoverable exception: not a number"), "{failure}");
    assert!(failure.contains("Caused by: org.apache.kafka.connect.errors.DataException"), "{failure}");
    assert_eq!(worker.broker.committed("connect-c", "t", 0), None);
}

#[tokio::test]
async fn partitions_are_committed_and_closed_before_they_move() {
    let (worker, script) = worker();
    worker.append("t", &["a"]);
    let first = start(&worker, 0).await;
    collected(&script, &["a"]).await;
    worker.broker.create_topic("u", 1);
    let mut second = worker.spec(Some(1), &[("topics.regex", "t.*")]);
    second.connector_config.remove("topics");
    let second = worker.spawn(second);
    first.stop().await;
    assert_eq!(worker.broker.committed("connect-c", "t", 0), Some(1));
    worker.append("t", &["b"]);
    collected(&script, &["a", "b"]).await;
    second.stop().await;
    assert_eq!(worker.broker.committed("connect-c", "t", 0), Some(2));
}

#[tokio::test]
async fn lost_partitions_are_closed_without_commit_and_read_again() {
    let (mut worker, script) = worker();
    // No commit by time within the test.
    worker.settings.insert("offset.flush.interval.ms".to_owned(), "60000".to_owned());
    worker.append("t", &["a"]);
    let unit = start(&worker, 0).await;
    collected(&script, &["a"]).await;
    worker.broker.expire_members("connect-c");
    collected(&script, &["a", "a"]).await;
    assert_eq!(*script.calls.lock(), ["open t-0", "close t-0", "open t-0"]);
    unit.stop().await;
    assert_eq!(worker.broker.committed("connect-c", "t", 0), Some(1));
}

#[tokio::test]
async fn a_failed_flush_reads_again_from_the_last_commit() {
    let (worker, script) = worker();
    script.fails_flush.store(true, Ordering::Relaxed);
    worker.append("t", &["a"]);
    let unit = start(&worker, 0).await;
    collected(&script, &["a", "a"]).await;
    eventually("the commit", || worker.broker.committed("connect-c", "t", 0) == Some(1)).await;
    unit.stop().await;
}

#[tokio::test]
async fn a_paused_sink_puts_nothing_and_goes_on() {
    let (worker, script) = worker();
    worker.append("t", &["a"]);
    let mut unit = start(&worker, 0).await;
    collected(&script, &["a"]).await;
    unit.handle.set_target(Target::Paused);
    unit.until(RunState::Paused).await;
    worker.append("t", &["b"]);
    eventually("the commit while paused", || worker.broker.committed("connect-c", "t", 0) == Some(1)).await;
    assert_eq!(*script.values.lock(), ["a"]);
    unit.handle.set_target(Target::Running);
    collected(&script, &["a", "b"]).await;
    unit.stop().await;
}

#[tokio::test]
async fn topics_are_required() {
    let (worker, _) = worker();
    let failure = worker.spawn(worker.spec(Some(0), &[])).failure().await;
    assert!(failure.contains("ConfigException: Must configure one of topics or topics.regex"), "{failure}");
}
