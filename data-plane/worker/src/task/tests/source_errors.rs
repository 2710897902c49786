//! Sources whose records fail: in transforms, in Kafka, at topics that cannot be made.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use data_plane_connector_api::ConnectError;

use super::harness::{DEADLINE, Unit, Worker, eventually};
use super::sources::{Script, factory, numbers, stored_offsets, worker};
use super::troubles::{TOUCHY, kafka_error};
use crate::task::{RunState, Target, TaskEvent};

const DEAD: [(&str, &str); 2] =
    [("errors.deadletterqueue.topic.name", "dead"), ("errors.deadletterqueue.topic.replication.factor", "1")];

fn start(worker: &Worker, lines: &[(&str, &str)]) -> Unit {
    worker.spawn(worker.spec(Some(0), &[&TOUCHY[..], lines].concat()))
}

/// The texts that [`super::troubles::Touchy`] makes of numbers.
fn marked(range: std::ops::RangeInclusive<i64>) -> Vec<String> {
    numbers(range).iter().map(|number| format!("{number}!")).collect()
}

async fn stored(worker: &Worker, offset: i64) {
    let wanted = format!(r#"{{"n":{offset}}}"#);
    eventually("the offset is stored", || stored_offsets(worker).last() == Some(&wanted)).await;
}

/// Runs the task anew until all records are there.
async fn finishes(worker: &mut Worker, script: &Arc<Script>, last: i64) {
    worker.restart(factory(script));
    let mut unit = start(worker, &[]);
    unit.until(RunState::Running).await;
    stored(worker, last).await;
    unit.stop().await;
}

#[tokio::test]
async fn a_retry_resumes_at_the_failing_record_and_keeps_the_order() {
    let (worker, _) = worker(20);
    worker.touchy.fail_times("5", 3);
    worker.touchy.fail_times("8", 1);
    let mut unit = start(&worker, &[("errors.retry.timeout", "60000"), ("errors.retry.delay.max.ms", "1")]);
    unit.until(RunState::Running).await;
    eventually("20 records", || worker.values("numbers").len() == 20).await;
    unit.stop().await;
    assert_eq!(worker.values("numbers"), marked(1..=20));
    let retried = ["5", "5", "5", "8"].map(str::to_owned).to_vec();
    assert_eq!(worker.touchy.seen.lock()[..], [numbers(1..=10), retried, numbers(11..=20)].concat());
}

#[tokio::test]
async fn a_stop_ends_an_endless_retry_at_once_and_loses_nothing() {
    let (mut worker, script) = worker(10);
    worker.touchy.fail("3", ConnectError::retriable("never"));
    let mut unit = start(&worker, &[("errors.retry.timeout", "-1")]);
    unit.until(RunState::Running).await;
    eventually("the attempt", || worker.touchy.has_seen("3")).await;
    let asked = Instant::now();
    unit.stop().await;
    assert!(asked.elapsed() < Duration::from_millis(1500), "{:?}", asked.elapsed());
    assert_eq!(worker.values("numbers"), Vec::<String>::new());
    worker.touchy.heal();
    finishes(&mut worker, &script, 10).await;
    assert_eq!(worker.values("numbers"), marked(1..=10));
}

#[tokio::test]
async fn a_record_that_fails_the_task_is_read_again_and_those_before_it_are_not() {
    let (mut worker, script) = worker(10);
    worker.touchy.fail("7", ConnectError::data("seven"));
    let failure = start(&worker, &DEAD).failure().await;
    for part in
        ["Tolerance exceeded", "seven", "TRANSFORMATION", "touchy", r#"{partition={"file":"f"}, offset={"n":7}}"#]
    {
        assert!(failure.contains(part), "{part}: {failure}");
    }
    assert_eq!(worker.values("numbers"), marked(1..=6));
    assert_eq!(stored_offsets(&worker).last().unwrap(), r#"{"n":6}"#);
    assert_eq!(worker.values("dead").len(), 1);
    worker.touchy.heal();
    finishes(&mut worker, &script, 10).await;
    assert_eq!(worker.values("numbers"), marked(1..=10));
    assert_eq!(*script.started_at.lock(), [0, 6]);
}

#[tokio::test]
async fn offsets_advance_and_tasks_hear_though_all_records_of_a_batch_are_filtered_or_skipped() {
    let (worker, script) = worker(20);
    script.wants_acks.store(true, Ordering::Relaxed);
    *worker.touchy.drops.lock() = numbers(1..=10).into_iter().collect();
    (12..=20).for_each(|number| worker.touchy.fail(&number.to_string(), ConnectError::data("bad")));
    let mut unit = start(&worker, &[("errors.tolerance", "all")]);
    unit.until(RunState::Running).await;
    stored(&worker, 20).await;
    unit.stop().await;
    assert_eq!(worker.values("numbers"), ["11!"]);
    let mut acks = script.acks.lock().clone();
    acks.sort_unstable();
    assert_eq!(acks, (1..=20).map(|number| (number, number == 11)).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_record_too_large_fails_the_task_where_nothing_is_tolerated() {
    let (mut worker, script) = worker(12);
    worker.troubles.longest.lock().insert("numbers".to_owned(), 2);
    let failure = start(&worker, &[]).failure().await;
    for part in ["MSG_SIZE_TOO_LARGE", "RecordTooLargeException", r#"{partition={"file":"f"}, offset={"n":10}}"#] {
        assert!(failure.contains(part), "{part}: {failure}");
    }
    assert_eq!(worker.values("numbers"), marked(1..=9));
    assert_eq!(stored_offsets(&worker).last().unwrap(), r#"{"n":9}"#);
    worker.troubles.longest.lock().clear();
    finishes(&mut worker, &script, 12).await;
    assert_eq!(worker.values("numbers"), marked(1..=12));
}

#[tokio::test]
async fn records_that_kafka_does_not_take_are_skipped_where_all_is_tolerated() {
    let (worker, script) = worker(12);
    script.wants_acks.store(true, Ordering::Relaxed);
    worker.troubles.longest.lock().insert("numbers".to_owned(), 2);
    let mut unit = start(&worker, &[("errors.tolerance", "all")]);
    unit.until(RunState::Running).await;
    stored(&worker, 12).await;
    unit.stop().await;
    assert_eq!(worker.values("numbers"), marked(1..=9));
    assert_eq!(script.acks.lock().iter().filter(|(_, is_produced)| !is_produced).count(), 3);
}

#[tokio::test]
async fn the_dead_letter_of_a_record_that_kafka_refused_is_what_the_connector_made() {
    let (worker, _) = worker(40);
    worker.troubles.longest.lock().insert("numbers".to_owned(), 2);
    // Reports of other records come in while the letters wait for room.
    worker.troubles.full.lock().insert("dead".to_owned(), 5);
    let lines = [&DEAD[..], &[("errors.tolerance", "all")]].concat();
    let mut unit = start(&worker, &lines);
    unit.until(RunState::Running).await;
    stored(&worker, 40).await;
    unit.stop().await;
    let letters = worker.broker.records("dead").into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(letters.len(), 31);
    let value = String::from_utf8(letters[0].value.clone().unwrap()).unwrap();
    assert!(value.contains(r#""payload":"10"}"#) && value.contains(r#""sourceOffset":{"n":10}"#), "{value}");
    let header = |name: &str| {
        let found = letters[0].headers.iter().find(|(known, _)| known == &format!("__connect.errors.{name}"));
        String::from_utf8(found.and_then(|(_, value)| value.clone()).unwrap_or_default()).unwrap()
    };
    assert_eq!((header("stage").as_str(), header("topic").as_str()), ("KAFKA_PRODUCE", "numbers"));
    assert_eq!(worker.values("numbers"), marked(1..=9));
}

#[tokio::test]
async fn a_dead_letter_that_is_too_large_itself_fails_the_task_before_its_record() {
    let (worker, _) = worker(12);
    worker.touchy.fail("4", ConnectError::data("four"));
    worker.troubles.longest.lock().insert("dead".to_owned(), 10);
    let lines = [&DEAD[..], &[("errors.tolerance", "all")]].concat();
    let failure = start(&worker, &lines).failure().await;
    for part in ["dead letter queue dead", "errors.deadletterqueue.topic.name", r#"offset={"n":4}"#] {
        assert!(failure.contains(part), "{part}: {failure}");
    }
    assert_eq!(stored_offsets(&worker).last().unwrap(), r#"{"n":3}"#);
}

#[tokio::test]
async fn a_dead_letter_that_is_not_delivered_holds_its_record_back() {
    let (worker, _) = worker(12);
    worker.touchy.fail("4", ConnectError::data("four"));
    worker.troubles.failing.lock().insert("dead".to_owned(), kafka_error("TOPIC_AUTHORIZATION_FAILED", false));
    let lines = [&DEAD[..], &[("errors.tolerance", "all")]].concat();
    let failure = start(&worker, &lines).failure().await;
    assert!(failure.contains("errors.deadletterqueue.topic.name"), "{failure}");
    assert!(failure.contains("TopicAuthorizationException") && failure.contains(r#"{"n":4}"#), "{failure}");
    assert_eq!(stored_offsets(&worker).last().unwrap(), r#"{"n":3}"#);
}

#[tokio::test]
async fn a_dead_letter_topic_that_cannot_be_made_is_an_error_of_its_key() {
    for (code, key) in [
        ("INVALID_REPLICATION_FACTOR", "errors.deadletterqueue.topic.replication.factor=1"),
        ("TOPIC_AUTHORIZATION_FAILED", "errors.deadletterqueue.topic.name"),
    ] {
        let (worker, _) = worker(1);
        worker.troubles.uncreatable.lock().insert("dead".to_owned(), vec![kafka_error(code, false)]);
        let failure = start(&worker, &DEAD).failure().await;
        assert!(failure.contains(key) && failure.contains("topic=dead"), "{failure}");
    }
}

const CREATION: [(&str, &str); 2] =
    [("topic.creation.default.partitions", "1"), ("topic.creation.default.replication.factor", "1")];

#[tokio::test]
async fn a_topic_a_record_is_made_with_few_clients_and_what_fails_is_tried_again() {
    let (worker, _) = worker(50);
    worker.touchy.routes.store(true, Ordering::Relaxed);
    let errors = vec![kafka_error("REQUEST_TIMED_OUT", true)];
    worker.troubles.uncreatable.lock().insert("topic-7".to_owned(), errors);
    let mut unit = start(&worker, &CREATION);
    unit.until(RunState::Running).await;
    stored(&worker, 50).await;
    unit.stop().await;
    for number in 1..=50 {
        assert_eq!(worker.values(&format!("topic-{number}")), [format!("{number}!")]);
    }
    // One a batch, and one for the second attempt.
    assert!(worker.troubles.admins.load(Ordering::Relaxed) <= 8, "{:?}", worker.troubles.admins);
}

#[tokio::test]
async fn a_topic_that_cannot_be_made_fails_the_task_and_nothing_of_its_batch_is_committed() {
    let (worker, _) = worker(10);
    worker.touchy.routes.store(true, Ordering::Relaxed);
    let errors = vec![kafka_error("TOPIC_AUTHORIZATION_FAILED", false)];
    worker.troubles.uncreatable.lock().insert("topic-7".to_owned(), errors);
    let failure = start(&worker, &CREATION).failure().await;
    assert!(failure.contains("topic-7") && failure.contains("topic.creation.default.*"), "{failure}");
    assert!(failure.contains("TopicAuthorizationException"), "{failure}");
    assert_eq!(stored_offsets(&worker), Vec::<String>::new());
}

#[tokio::test]
async fn a_task_paused_amid_a_retry_goes_on_where_it_was() {
    let (worker, _) = worker(10);
    worker.touchy.fail("3", ConnectError::retriable("not yet"));
    let mut unit = start(&worker, &[("errors.retry.timeout", "-1"), ("errors.retry.delay.max.ms", "5")]);
    unit.until(RunState::Running).await;
    eventually("the attempt", || worker.touchy.has_seen("3")).await;
    unit.handle.set_target(Target::Paused);
    unit.until(RunState::Paused).await;
    let attempts = worker.touchy.seen.lock().len();
    worker.touchy.heal();
    unit.handle.set_target(Target::Running);
    unit.until(RunState::Running).await;
    eventually("10 records", || worker.values("numbers").len() == 10).await;
    unit.stop().await;
    assert_eq!(worker.values("numbers"), marked(1..=10));
    assert!(worker.touchy.seen.lock().len() > attempts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_hangs_over_a_filtered_record_can_be_severed() {
    let (worker, script) = worker(10);
    script.wants_acks.store(true, Ordering::Relaxed);
    script.hangs_in_ack.store(true, Ordering::Relaxed);
    *worker.touchy.drops.lock() = numbers(1..=10).into_iter().collect();
    let mut unit = start(&worker, &[]);
    eventually("the ack", || !script.acks.lock().is_empty()).await;
    let handle = unit.handle;
    let severed = tokio::task::spawn_blocking(move || {
        handle.sever();
        handle
    });
    unit.handle = tokio::time::timeout(DEADLINE, severed).await.expect("the gate closes").unwrap();
    while unit.event().await != TaskEvent::Ended {}
    script.hangs_in_ack.store(false, Ordering::Relaxed);
    eventually("the thread is back", || worker.runtime.abandoned_threads() == 0).await;
    assert_eq!(stored_offsets(&worker), Vec::<String>::new());
}

#[tokio::test]
async fn an_idle_task_sends_its_last_dead_letter_at_once() {
    let (worker, script) = worker(0);
    worker.troubles.longest.lock().insert("numbers".to_owned(), 1);
    script.is_lazy.store(true, Ordering::Relaxed);
    script.limit.store(1, Ordering::Relaxed);
    let lines = [&DEAD[..], &[("errors.tolerance", "all")]].concat();
    let mut unit = start(&worker, &lines);
    unit.until(RunState::Running).await;
    stored(&worker, 1).await;
    unit.stop().await;
    assert_eq!(worker.values("dead").len(), 1);
}
