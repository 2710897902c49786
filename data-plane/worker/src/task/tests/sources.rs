//! Source tasks: resume, acks, retries, pause, failures, severing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use data_plane_broker::BrokerError;
use data_plane_connector_api::{
    Config, ConfigDef, ConnectError, Connector, ConnectorContext, Factory, Poll, RecordAck, SourceTask,
    SourceTaskContext, SourceTaskControl,
};
use data_plane_record::{OffsetMap, Position, RecordBatch, Row, RunHead, Schema, SourcePartition, Value};
use parking_lot::Mutex;

use super::harness::{Unit, Worker, eventually};
use crate::task::{RunState, Target, TaskEvent};

/// What the test and the scripted task share.
#[derive(Default)]
pub(super) struct Script {
    /// Records up to this number may be polled.
    pub(super) limit: AtomicI64,
    polled: AtomicI64,
    pub(super) started_at: Mutex<Vec<i64>>,
    pub(super) failures: Mutex<Vec<ConnectError>>,
    pub(super) hangs: AtomicBool,
    panics: AtomicBool,
    is_stopped: AtomicBool,
    commits: AtomicI64,
    pub(super) wants_acks: AtomicBool,
    pub(super) hangs_in_ack: AtomicBool,
    /// Says with its last record that there will be none for a minute.
    pub(super) is_lazy: AtomicBool,
    /// Offsets of records that were done, and whether they were produced.
    pub(super) acks: Mutex<Vec<(i64, bool)>>,
}

struct Idle;

impl Connector for Idle {
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
        Ok(vec![Config::new()])
    }
}

struct Control(Arc<Script>);

impl SourceTaskControl for Control {
    fn stop(&self) {}
    fn commit(&self) -> Result<(), ConnectError> {
        self.0.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
    fn record_done(&self, ack: &RecordAck) -> Result<(), ConnectError> {
        let offset = ack.offset.as_ref().and_then(|offset| offset.get("n")?.as_int()).unwrap_or(-1);
        self.0.acks.lock().push((offset, ack.produced_to.is_some()));
        while self.0.hangs_in_ack.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

struct Counter {
    script: Arc<Script>,
    head: RunHead,
    next: i64,
}

impl SourceTask for Counter {
    fn version(&self) -> &str {
        "1"
    }

    fn start(&mut self, context: Arc<dyn SourceTaskContext>, _: &Config) -> Result<(), ConnectError> {
        let partition = self.head.source_partition.clone().unwrap();
        let offset = context.offset_reader().offset(&partition)?;
        self.next = offset.and_then(|offset| offset.get("n")?.as_int()).unwrap_or(0);
        self.script.started_at.lock().push(self.next);
        Ok(())
    }

    fn poll(&mut self, batch: &mut RecordBatch) -> Result<Poll, ConnectError> {
        assert!(!self.script.panics.load(Ordering::Relaxed), "scripted");
        while self.script.hangs.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Some(error) = self.script.failures.lock().pop() {
            return Err(error);
        }
        let first = self.next;
        while self.next < self.script.limit.load(Ordering::Relaxed) && self.next < first + 10 {
            self.next += 1;
            let value = batch.arena.push(self.next.to_string().as_bytes());
            let row = Row::new(Value::Null, Value::StringSpan(value), Position::SourceField(self.next));
            batch.push(&self.head, row);
        }
        self.script.polled.store(self.next, Ordering::Relaxed);
        if self.script.is_lazy.load(Ordering::Relaxed) {
            return Ok(Poll::Idle { retry_after: Duration::from_secs(60) });
        }
        Ok(if self.next > first { Poll::Records } else { Poll::Idle { retry_after: Duration::from_millis(2) } })
    }

    fn control(&self) -> Arc<dyn SourceTaskControl> {
        Arc::new(Control(Arc::clone(&self.script)))
    }

    fn wants_record_acks(&self) -> bool {
        self.script.wants_acks.load(Ordering::Relaxed)
    }

    fn stop(&mut self) {
        self.script.is_stopped.store(true, Ordering::Relaxed);
    }
}

pub(super) fn factory(script: &Arc<Script>) -> Factory {
    let script = Arc::clone(script);
    Factory::Source {
        connector: Arc::new(|| Box::new(Idle)),
        task: Arc::new(move || {
            let head = RunHead {
                topic: "numbers".into(),
                value_schema: Some(Arc::clone(Schema::string())),
                source_partition: Some(Arc::new(SourcePartition(OffsetMap::new().with("file", "f")))),
                offset_field: Some("n".into()),
                ..RunHead::default()
            };
            Box::new(Counter { script: Arc::clone(&script), head, next: 0 })
        }),
    }
}

pub(super) fn worker(limit: i64) -> (Worker, Arc<Script>) {
    let script = Arc::new(Script { limit: AtomicI64::new(limit), ..Script::default() });
    (Worker::new(factory(&script)), script)
}

fn start(worker: &Worker) -> Unit {
    worker.spawn(worker.spec(Some(0), &[]))
}

pub(super) fn numbers(range: std::ops::RangeInclusive<i64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

pub(super) fn stored_offsets(worker: &Worker) -> Vec<String> {
    worker.values("offsets")
}

#[tokio::test]
async fn a_restarted_task_resumes_at_its_committed_offset() {
    let (mut worker, script) = worker(25);
    let mut unit = start(&worker);
    unit.until(RunState::Running).await;
    eventually("25 records", || worker.values("numbers").len() == 25).await;
    unit.stop().await;
    assert!(script.is_stopped.load(Ordering::Relaxed));
    assert_eq!(stored_offsets(&worker).last().map(String::as_str), Some(r#"{"n":25}"#));
    let record = worker.broker.records("offsets").into_iter().flatten().next_back().unwrap();
    assert_eq!(record.key.as_deref(), Some(&br#"["c",{"file":"f"}]"#[..]));
    assert_eq!(record.headers, [("ferry.epoch".to_owned(), Some(b"1.1".to_vec()))]);

    worker.restart(factory(&script));
    script.limit.store(40, Ordering::Relaxed);
    let mut unit = start(&worker);
    unit.until(RunState::Running).await;
    eventually("40 records", || worker.values("numbers").len() == 40).await;
    unit.stop().await;
    assert_eq!(worker.values("numbers"), numbers(1..=40));
    assert_eq!(*script.started_at.lock(), [0, 25]);
}

#[tokio::test]
async fn offsets_are_not_committed_before_their_records_are_durable() {
    let (worker, script) = worker(10);
    let mut unit = start(&worker);
    unit.until(RunState::Running).await;
    eventually("the first commit", || stored_offsets(&worker).last().is_some_and(|last| last == r#"{"n":10}"#)).await;
    worker.broker.hold_deliveries(true);
    script.limit.store(20, Ordering::Relaxed);
    eventually("20 records are polled", || script.polled.load(Ordering::Relaxed) == 20).await;
    let commits = script.commits.load(Ordering::Relaxed);
    unit.handle.stop();
    while unit.event().await != TaskEvent::Ended {}
    worker.broker.hold_deliveries(false);
    assert_eq!(stored_offsets(&worker).last().map(String::as_str), Some(r#"{"n":10}"#));
    assert_eq!(script.commits.load(Ordering::Relaxed), commits);
}

#[tokio::test]
async fn a_failed_delivery_fails_the_task_in_one_line() {
    let (worker, _) = worker(10);
    worker.broker.fail_produces(Some(BrokerError::Kafka {
        operation: "producing a record",
        code: "MSG_SIZE_TOO_LARGE",
        message: "Broker: Message size too large".to_owned(),
        retriable: false,
        fatal: false,
    }));
    let failure = start(&worker).failure().await;
    let first = failure.lines().next().unwrap();
    assert!(first.starts_with("org.apache.kafka.connect.errors.ConnectException: Unrecoverable exception"), "{first}");
    assert!(first.contains("Message size too large (MSG_SIZE_TOO_LARGE)"), "{first}");
    assert!(failure.contains("RecordTooLargeException"), "{failure}");
}

#[tokio::test]
async fn a_retriable_poll_is_called_again_and_another_fails_the_task() {
    let (worker, script) = worker(3);
    script.failures.lock().push(ConnectError::retriable("not yet"));
    let mut unit = start(&worker);
    unit.until(RunState::Running).await;
    eventually("3 records", || worker.values("numbers").len() == 3).await;
    script.failures.lock().push(ConnectError::connect("the disk is gone"));
    assert!(unit.failure().await.contains("ConnectException: the disk is gone"));
}

#[tokio::test]
async fn a_panic_fails_only_its_task() {
    let (worker, script) = worker(3);
    script.panics.store(true, Ordering::Relaxed);
    assert!(start(&worker).failure().await.contains("the plugin panicked: scripted"));
    script.panics.store(false, Ordering::Relaxed);
    let mut unit = start(&worker);
    unit.until(RunState::Running).await;
    eventually("3 records", || worker.values("numbers").len() == 3).await;
    unit.stop().await;
}

#[tokio::test]
async fn a_paused_task_holds_still_and_goes_on() {
    let (worker, script) = worker(5);
    let mut unit = start(&worker);
    unit.until(RunState::Running).await;
    eventually("5 records", || worker.values("numbers").len() == 5).await;
    unit.handle.set_target(Target::Paused);
    unit.until(RunState::Paused).await;
    script.limit.store(8, Ordering::Relaxed);
    eventually("the commit while paused", || stored_offsets(&worker).last().is_some_and(|last| last == r#"{"n":5}"#))
        .await;
    assert_eq!(worker.values("numbers").len(), 5);
    unit.handle.set_target(Target::Running);
    unit.until(RunState::Running).await;
    eventually("8 records", || worker.values("numbers").len() == 8).await;
    unit.stop().await;
    assert_eq!(*script.started_at.lock(), [0]);
}

#[tokio::test]
async fn nothing_is_polled_before_the_lease_is_confirmed() {
    let (worker, script) = worker(5);
    let mut spec = worker.spec(Some(0), &[]);
    spec.target = Target::Paused;
    let mut unit = worker.spawn(spec);
    unit.go.send_replace(false);
    unit.until(RunState::Paused).await;
    unit.handle.set_target(Target::Running);
    unit.go.send_replace(true);
    unit.until(RunState::Running).await;
    eventually("5 records", || worker.values("numbers").len() == 5).await;
    assert_eq!(script.started_at.lock().len(), 1);
    unit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_severed_task_ends_though_its_plugin_hangs_and_produces_nothing_more() {
    let (worker, script) = worker(5);
    let mut unit = start(&worker);
    unit.until(RunState::Running).await;
    eventually("5 records", || worker.values("numbers").len() == 5).await;
    script.hangs.store(true, Ordering::Relaxed);
    script.limit.store(50, Ordering::Relaxed);
    unit.handle.stop();
    unit.handle.sever();
    while unit.event().await != TaskEvent::Ended {}
    let produced = worker.values("numbers").len();
    script.hangs.store(false, Ordering::Relaxed);
    eventually("the thread is back", || worker.runtime.abandoned_threads() == 0).await;
    assert_eq!(worker.values("numbers").len(), produced);
}

#[tokio::test]
async fn progress_shows_committed_positions() {
    let (worker, _) = worker(5);
    let mut unit = start(&worker);
    unit.until(RunState::Running).await;
    eventually("the commit", || stored_offsets(&worker).last().is_some_and(|last| last == r#"{"n":5}"#)).await;
    unit.handle.stop();
    while unit.event().await != TaskEvent::Ended {}
    let Some(TaskEvent::Progress { records, positions, .. }) = unit.progress() else { panic!("no progress") };
    assert_eq!(*records, 5);
    assert_eq!(*positions, [(r#"{"file":"f"}"#.to_owned(), r#"{"n":5}"#.to_owned())]);
}
