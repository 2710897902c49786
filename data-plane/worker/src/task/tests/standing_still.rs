//! Units that stand still: what their activity says, and when a severed one has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use data_plane_connector_api::ConnectError;
use data_plane_core::activity::{Pending, Place, Stage};
use data_plane_core::time::Monotonic;

use super::harness::{Unit, Worker, eventually};
use super::sinks;
use super::sources::{self, Script};
use crate::task::{RunState, TaskEvent};

/// Longer than this is a stall to these tests.
const AFTER: Duration = Duration::from_millis(30);

fn place(unit: &Unit) -> Option<Place> {
    unit.handle.activity().stall(Monotonic(0), AFTER).map(|stall| stall.place)
}

async fn stalls(unit: &Unit, wanted: Option<Place>) {
    eventually(&format!("{wanted:?}"), || place(unit) == wanted).await;
}

/// Each put waits for the flag.
fn hold_puts(script: &sinks::Script) -> Arc<AtomicBool> {
    let may_go = Arc::new(AtomicBool::new(false));
    let waits_for = Arc::clone(&may_go);
    *script.on_put.lock() = Some(Box::new(move |_, _| {
        while !waits_for.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }));
    may_go
}

#[tokio::test]
async fn a_put_that_does_not_return_is_a_stall_until_it_does() {
    let (worker, script) = sinks::worker();
    let may_go = hold_puts(&script);
    worker.append("t", &["a"]);
    let unit = sinks::start(&worker, 0).await;
    stalls(&unit, Some(Place::In(Stage::Put))).await;
    may_go.store(true, Ordering::Relaxed);
    sinks::collected(&script, &["a"]).await;
    stalls(&unit, None).await;
    unit.stop().await;
}

#[tokio::test]
async fn a_put_that_is_tried_again_and_again_is_a_stall() {
    let (worker, script) = sinks::worker();
    script.refused.lock().push("a".to_owned());
    worker.append("t", &["a"]);
    let unit = sinks::start(&worker, 0).await;
    stalls(&unit, Some(Place::Retrying(Stage::Put))).await;
    script.refused.lock().clear();
    sinks::collected(&script, &["a"]).await;
    stalls(&unit, None).await;
    unit.stop().await;
}

#[tokio::test]
async fn a_sink_that_wants_no_more_records_for_now_is_no_stall() {
    let (worker, script) = sinks::worker();
    worker.append("t", &["a"]);
    *script.on_put.lock() = Some(Box::new(|_, context| {
        context.pause(&context.assignment());
        Ok(())
    }));
    let unit = sinks::start(&worker, 0).await;
    sinks::collected(&script, &["a"]).await;
    worker.append("t", &["b", "c"]);
    let waited =
        tokio::time::timeout(Duration::from_secs(1), stalls(&unit, Some(Place::Waiting(Pending::Input(2))))).await;
    assert!(waited.is_err(), "it is what the task wants");
    unit.stop().await;
}

fn source(script: &Arc<Script>) -> Worker {
    Worker::new(sources::factory(script))
}

async fn start(worker: &Worker) -> Unit {
    let mut unit = worker.spawn(worker.spec(Some(0), &[]));
    unit.until(RunState::Running).await;
    unit
}

#[tokio::test]
async fn records_that_kafka_does_not_acknowledge_are_a_stall() {
    let script = Arc::new(Script::default());
    let worker = source(&script);
    worker.troubles.silent.lock().insert("numbers".to_owned());
    script.limit.store(3, Ordering::Relaxed);
    let unit = start(&worker).await;
    stalls(&unit, Some(Place::Waiting(Pending::Records(3)))).await;
    worker.troubles.silent.lock().clear();
    stalls(&unit, None).await;
    unit.stop().await;
}

#[tokio::test]
async fn a_poll_that_waits_for_input_is_no_stall_unless_records_wait_for_their_outcome() {
    let script = Arc::new(Script::default());
    let worker = source(&script);
    let unit = start(&worker).await;
    script.hangs.store(true, Ordering::Relaxed);
    let is_polling = || unit.handle.activity().place() == Some(Place::In(Stage::Poll));
    eventually("a poll that waits", is_polling).await;
    tokio::time::sleep(AFTER * 2).await;
    assert!(is_polling());
    assert_eq!(place(&unit), None);
    // Its next poll gives records that are not acknowledged, the one after that waits again.
    worker.troubles.silent.lock().insert("numbers".to_owned());
    script.limit.store(3, Ordering::Relaxed);
    script.hangs.store(false, Ordering::Relaxed);
    stalls(&unit, Some(Place::Waiting(Pending::Records(3)))).await;
    script.hangs.store(true, Ordering::Relaxed);
    stalls(&unit, Some(Place::Poll(Pending::Records(3)))).await;
    script.hangs.store(false, Ordering::Relaxed);
    worker.troubles.silent.lock().clear();
    unit.stop().await;
}

#[tokio::test]
async fn a_poll_that_fails_again_and_again_is_a_stall() {
    let script = Arc::new(Script::default());
    let worker = source(&script);
    *script.failures.lock() = vec![ConnectError::retriable("not yet"); 2];
    let unit = start(&worker).await;
    stalls(&unit, Some(Place::Retrying(Stage::Poll))).await;
    stalls(&unit, None).await;
    unit.stop().await;
}

/// A severed sink whose `put` hangs, and what lets it go on.
async fn severed_in_put(severable: bool) -> (Worker, Arc<sinks::Script>, Unit, Arc<AtomicBool>) {
    let (worker, script) = sinks::worker();
    let may_go = hold_puts(&script);
    worker.append("t", &["a"]);
    let mut spec = worker.spec(Some(0), &[("topics", "t")]);
    spec.severable = severable;
    let mut unit = worker.spawn(spec);
    unit.until(RunState::Running).await;
    eventually("put", || unit.handle.activity().place() == Some(Place::In(Stage::Put))).await;
    unit.handle.sever();
    eventually("the thread is left behind", || worker.runtime.abandoned_threads() == 1).await;
    (worker, script, unit, may_go)
}

#[tokio::test]
async fn a_sink_that_may_not_be_cut_off_has_ended_only_when_its_put_returns() {
    let (worker, script, mut unit, may_go) = severed_in_put(false).await;
    let early = tokio::time::timeout(AFTER * 5, unit.events.recv()).await;
    assert!(early.is_err(), "somebody else would write beside it: {early:?}");
    may_go.store(true, Ordering::Relaxed);
    assert_eq!(unit.event().await, TaskEvent::Ended);
    assert_eq!(*script.values.lock(), ["a"], "its last write came before");
    eventually("the thread is back", || worker.runtime.abandoned_threads() == 0).await;
    assert_eq!(worker.broker.committed("connect-c", "t", 0), None);
}

#[tokio::test]
async fn a_sink_that_may_be_cut_off_has_ended_at_once() {
    let (_worker, script, mut unit, may_go) = severed_in_put(true).await;
    assert_eq!(unit.event().await, TaskEvent::Ended);
    assert!(script.values.lock().is_empty());
    may_go.store(true, Ordering::Relaxed);
}
