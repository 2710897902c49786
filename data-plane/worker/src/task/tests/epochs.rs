//! Source offsets that others wrote under their epochs: later ones are told of, and older ones written over.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use data_plane_broker::{Broker, ClientConfig, ProduceRow};
use data_plane_core::offsets;

use super::harness::{DEADLINE, Worker, eventually};
use super::sources::{Script, factory};
use crate::task::{RunState, TaskEvent};

const OFFSETS: &str = "offsets";
const PARTITIONS: u32 = 5;
/// The scripted task's source partition.
const OWN: &str = r#"["c",{"file":"f"}]"#;

impl Worker {
    /// Another owner stores an offset.
    fn store_offset(&self, key: &str, epoch: &str, value: &str) {
        self.broker.create_topic(OFFSETS, PARTITIONS as usize);
        let mut producer = self.broker.producer(&ClientConfig::new()).unwrap();
        let row = ProduceRow {
            topic: producer.topic(OFFSETS).unwrap(),
            partition: Some(partition_of(key)),
            timestamp: Some(7),
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            headers: &[("ferry.epoch", Some(epoch.as_bytes()))],
            opaque: 0,
        };
        producer.produce(&row).unwrap();
        assert!(producer.flush(DEADLINE, &mut Vec::new()).unwrap());
    }

    /// The value that compaction would leave of the scripted task's offset.
    fn last_offset(&self) -> Option<String> {
        let records = self.broker.records(OFFSETS).into_iter().nth(partition_of(OWN) as usize)?;
        let last = records.into_iter().rfind(|record| record.key.as_deref() == Some(OWN.as_bytes()))?;
        String::from_utf8(last.value?).ok()
    }
}

fn partition_of(key: &str) -> i32 {
    offsets::partition_for(key.as_bytes(), NonZeroU32::new(PARTITIONS).unwrap())
}

#[tokio::test]
async fn an_offset_of_a_later_epoch_is_told_and_nothing_is_read() {
    let script = Arc::new(Script::default());
    script.limit.store(10, Ordering::Relaxed);
    let worker = Worker::new(factory(&script));
    worker.store_offset(OWN, "2.5", r#"{"n":3}"#);
    let mut unit = worker.spawn(worker.spec(Some(0), &[]));
    let (mut later, mut failure) = (None, None);
    loop {
        match unit.event().await {
            TaskEvent::LaterEpoch(epoch) => later = Some(epoch),
            TaskEvent::State(RunState::Failed(error)) => failure = Some(error),
            TaskEvent::Ended => break,
            _ => {}
        }
    }
    let failure = failure.expect("it failed");
    assert!(failure.retriable && failure.message.contains("under epoch 2.5"), "{}", failure.trace_text());
    assert_eq!((later, worker.values("numbers").len()), (Some((2, 5)), 0));

    let mut spec = worker.spec(Some(0), &[]);
    spec.epoch = (3, 1);
    let mut unit = worker.spawn(spec);
    unit.until(RunState::Running).await;
    eventually("what comes after the offset", || worker.values("numbers") == ["4", "5", "6", "7", "8", "9", "10"])
        .await;
    unit.stop().await;
}

#[tokio::test]
async fn another_task_of_the_connector_may_have_a_later_epoch() {
    let script = Arc::new(Script::default());
    script.limit.store(3, Ordering::Relaxed);
    let worker = Worker::new(factory(&script));
    worker.store_offset(r#"["c",{"file":"g"}]"#, "1.2", r#"{"n":3}"#);
    let mut unit = worker.spawn(worker.spec(Some(0), &[]));
    unit.until(RunState::Running).await;
    eventually("all records", || worker.values("numbers").len() == 3).await;
    unit.stop().await;
}

#[tokio::test]
async fn what_would_be_committed_over_a_later_epoch_is_told_too() {
    let script = Arc::new(Script::default());
    script.limit.store(3, Ordering::Relaxed);
    let worker = Worker::new(factory(&script));
    let mut unit = worker.spawn(worker.spec(Some(0), &[]));
    unit.until(RunState::Running).await;
    eventually("its offset", || worker.last_offset().as_deref() == Some(r#"{"n":3}"#)).await;
    worker.store_offset(OWN, "1.9", r#"{"n":2}"#);
    script.limit.store(6, Ordering::Relaxed);
    loop {
        match unit.event().await {
            TaskEvent::LaterEpoch(epoch) => break assert_eq!(epoch, (1, 9)),
            TaskEvent::Ended => panic!("it was not told"),
            _ => {}
        }
        script.limit.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn the_owner_writes_over_what_an_older_one_wrote_late() {
    let script = Arc::new(Script::default());
    script.limit.store(10, Ordering::Relaxed);
    let worker = Worker::new(factory(&script));
    let mut spec = worker.spec(Some(0), &[]);
    spec.epoch = (1, 5);
    let mut unit = worker.spawn(spec);
    unit.until(RunState::Running).await;
    let has_own = || worker.last_offset().as_deref() == Some(r#"{"n":10}"#);
    eventually("its offset", has_own).await;
    worker.store_offset(OWN, "1.4", r#"{"n":2}"#);
    eventually("its offset again", has_own).await;
    unit.stop().await;
}
