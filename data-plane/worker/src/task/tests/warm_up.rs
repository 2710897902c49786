//! Stores of source offsets that are opened before a unit needs them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::harness::{Worker, eventually};
use super::sources::{self, Script};
use super::troubles::kafka_error;
use crate::task::{RunState, WorkerSettings};

fn worker() -> (Worker, Arc<WorkerSettings>) {
    let script = Arc::new(Script::default());
    script.limit.store(3, Ordering::Relaxed);
    let worker = Worker::new(sources::factory(&script));
    let settings = Arc::new(WorkerSettings::parse("default", &worker.settings).unwrap());
    (worker, settings)
}

/// A source runs; how often an administrator was made until then.
async fn copies(worker: &Worker) -> usize {
    let mut unit = worker.spawn(worker.spec(Some(0), &[]));
    unit.until(RunState::Running).await;
    eventually("3 records", || worker.values("numbers").len() == 3).await;
    unit.stop().await;
    worker.troubles.admins.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_store_is_opened_once_and_before_a_unit_needs_it() {
    let (worker, settings) = worker();
    worker.runtime.warm_up(vec![Arc::clone(&settings), settings]).await;
    assert_eq!(worker.troubles.admins.load(Ordering::Relaxed), 1);
    assert_eq!(copies(&worker).await, 1);
}

#[tokio::test]
async fn a_store_that_could_not_be_opened_is_opened_when_a_unit_needs_it() {
    let (worker, settings) = worker();
    let errors = vec![kafka_error("BROKER_NOT_AVAILABLE", true)];
    worker.troubles.uncreatable.lock().insert("offsets".to_owned(), errors);
    worker.runtime.warm_up(vec![settings]).await;
    assert_eq!(copies(&worker).await, 2);
}
