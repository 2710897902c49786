//! Sinks whose records fail: in transforms, in the task's own reports (KIP-610), on the way to the dead letter topic.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use data_plane_connector_api::{Completion, ConnectError, ErrantRecordReporter};
use data_plane_record::RecordBatch;
use parking_lot::Mutex;

use super::harness::{DEADLINE, Unit, Worker, eventually};
use super::sinks::{Script, collected, worker};
use super::troubles::{TOUCHY, kafka_error};
use crate::task::{RunState, TaskEvent};

const DEAD: [(&str, &str); 3] = [
    ("topics", "t"),
    ("errors.deadletterqueue.topic.name", "dead"),
    ("errors.deadletterqueue.topic.replication.factor", "1"),
];

const TOLERANT: (&str, &str) = ("errors.tolerance", "all");

fn spawn(worker: &Worker, lines: &[(&str, &str)]) -> Unit {
    worker.spawn(worker.spec(Some(0), &[&TOUCHY[..], lines].concat()))
}

async fn start(worker: &Worker, lines: &[(&str, &str)]) -> Unit {
    let mut unit = spawn(worker, lines);
    unit.until(RunState::Running).await;
    unit
}

fn committed(worker: &Worker) -> Option<i64> {
    worker.broker.committed("connect-c", "t", 0)
}

/// The row of a batch with this value.
fn row_of(batch: &RecordBatch, value: &str) -> Option<usize> {
    batch.rows().iter().position(|row| row.value.as_str(&batch.arena) == Some(value))
}

#[tokio::test]
async fn a_retry_keeps_the_order_and_what_waits_is_not_committed() {
    let (worker, script) = worker();
    worker.append("t", &["a", "b", "c"]);
    worker.touchy.fail("b", ConnectError::retriable("not yet"));
    let unit =
        start(&worker, &[("topics", "t"), ("errors.retry.timeout", "-1"), ("errors.retry.delay.max.ms", "5")]).await;
    eventually("a second attempt", || worker.touchy.seen.lock().iter().filter(|seen| *seen == "b").count() > 1).await;
    assert_eq!(committed(&worker), None);
    worker.touchy.heal();
    collected(&script, &["a!", "b!", "c!"]).await;
    unit.stop().await;
    assert_eq!(committed(&worker), Some(3));
    assert!(worker.touchy.seen.lock().iter().filter(|seen| *seen != "b").eq(["a", "c"]));
}

#[tokio::test]
async fn a_stop_ends_an_endless_retry_at_once_and_loses_nothing() {
    let (worker, script) = worker();
    worker.append("t", &["a", "b"]);
    worker.touchy.fail("b", ConnectError::retriable("never"));
    let unit = start(&worker, &[("topics", "t"), ("errors.retry.timeout", "-1")]).await;
    eventually("the attempt", || worker.touchy.has_seen("b")).await;
    let asked = Instant::now();
    unit.stop().await;
    assert!(asked.elapsed() < Duration::from_millis(1500), "{:?}", asked.elapsed());
    assert_eq!((committed(&worker), script.values.lock().len()), (None, 0));
    worker.touchy.heal();
    let unit = start(&worker, &[("topics", "t")]).await;
    collected(&script, &["a!", "b!"]).await;
    unit.stop().await;
}

#[tokio::test]
async fn partitions_lost_while_a_batch_waits_are_read_again() {
    let (worker, script) = worker();
    worker.append("t", &["a", "b"]);
    worker.touchy.fail("b", ConnectError::retriable("not yet"));
    let unit =
        start(&worker, &[("topics", "t"), ("errors.retry.timeout", "-1"), ("errors.retry.delay.max.ms", "5")]).await;
    eventually("the attempt", || worker.touchy.has_seen("b")).await;
    worker.broker.expire_members("connect-c");
    eventually("the second reading", || script.calls.lock().iter().filter(|call| *call == "open t-0").count() == 2)
        .await;
    worker.touchy.heal();
    collected(&script, &["a!", "b!"]).await;
    unit.stop().await;
    assert_eq!(committed(&worker), Some(2));
}

#[tokio::test]
async fn a_record_that_fails_the_task_is_read_again_and_those_before_it_are_not() {
    let (worker, script) = worker();
    worker.append("t", &["a", "b", "bad", "c"]);
    worker.touchy.fail("bad", ConnectError::data("not good"));
    let failure = spawn(&worker, &DEAD).failure().await;
    for part in ["Tolerance exceeded", "not good", "TRANSFORMATION", "touchy", "t-0@2"] {
        assert!(failure.contains(part), "{part}: {failure}");
    }
    assert_eq!((committed(&worker), worker.values("dead")), (Some(2), vec!["bad".to_owned()]));
    worker.touchy.heal();
    let unit = start(&worker, &DEAD).await;
    collected(&script, &["a!", "b!", "bad!", "c!"]).await;
    unit.stop().await;
}

#[tokio::test]
async fn a_batch_that_is_put_again_has_its_dead_letters_once() {
    let (worker, script) = worker();
    worker.append("t", &["a", "bad", "b"]);
    worker.touchy.fail("bad", ConnectError::data("not good"));
    *script.refusals.lock() = vec![ConnectError::retriable("busy"); 3];
    let unit = start(&worker, &[&DEAD[..], &[TOLERANT]].concat()).await;
    collected(&script, &["a!", "b!"]).await;
    unit.stop().await;
    assert_eq!((committed(&worker), worker.values("dead")), (Some(3), vec!["bad".to_owned()]));
}

#[tokio::test]
async fn no_offset_is_committed_before_its_dead_letter_is_written() {
    let (worker, script) = worker();
    worker.append("t", &["a", "bad"]);
    worker.touchy.fail("bad", ConnectError::data("not good"));
    worker.broker.create_topic("dead", 1);
    worker.broker.hold_deliveries(true);
    let unit = start(&worker, &[&DEAD[..], &[TOLERANT]].concat()).await;
    collected(&script, &["a!"]).await;
    let deadline = tokio::time::Instant::now() + Duration::from_millis(300);
    while tokio::time::Instant::now() < deadline {
        assert_eq!(committed(&worker), None);
        tokio::task::yield_now().await;
    }
    worker.broker.hold_deliveries(false);
    eventually("the commit", || committed(&worker) == Some(2)).await;
    assert_eq!(worker.values("dead"), ["bad"]);
    worker.append("t", &["b"]);
    collected(&script, &["a!", "b!"]).await;
    unit.stop().await;
}

#[tokio::test]
async fn a_dead_letter_that_is_not_taken_fails_the_task_before_its_record() {
    for is_late in [false, true] {
        let (worker, _) = worker();
        worker.append("t", &["a", "bad"]);
        worker.touchy.fail("bad", ConnectError::data("not good"));
        match is_late {
            true => drop(
                worker.troubles.failing.lock().insert("dead".to_owned(), kafka_error("NOT_ENOUGH_REPLICAS", false)),
            ),
            false => drop(worker.troubles.longest.lock().insert("dead".to_owned(), 1)),
        }
        let failure = spawn(&worker, &[&DEAD[..], &[TOLERANT]].concat()).failure().await;
        assert!(failure.contains("errors.deadletterqueue.topic.name") && failure.contains("t-0@1"), "{failure}");
        assert_eq!(committed(&worker), None);
    }
}

#[tokio::test]
async fn a_full_buffer_delays_dead_letters_and_repeats_none() {
    let (worker, script) = worker();
    worker.append("t", &["bad", "a", "bad", "b"]);
    worker.touchy.fail("bad", ConnectError::data("not good"));
    worker.troubles.full.lock().insert("dead".to_owned(), 3);
    let unit = start(&worker, &[&DEAD[..], &[TOLERANT]].concat()).await;
    collected(&script, &["a!", "b!"]).await;
    unit.stop().await;
    assert_eq!((committed(&worker), worker.values("dead")), (Some(4), vec!["bad".to_owned(); 2]));
}

#[tokio::test]
async fn a_failed_flush_reads_a_waiting_batch_of_another_partition_again() {
    let (worker, script) = worker();
    worker.append("t", &["a"]);
    worker.append("u", &["x"]);
    *script.refused.lock() = vec!["x!".to_owned()];
    let unit = start(&worker, &[("topics.regex", ".*"), ("consumer.override.max.poll.records", "1")]).await;
    eventually("the first record", || script.values.lock().contains(&"a!".to_owned())).await;
    eventually("the second one waits", || worker.touchy.has_seen("x")).await;
    script.fails_flush.store(true, Ordering::Relaxed);
    eventually("the flush failed", || !script.fails_flush.load(Ordering::Relaxed)).await;
    script.refused.lock().clear();
    eventually("the second record", || script.values.lock().contains(&"x!".to_owned())).await;
    eventually("its commit", || worker.broker.committed("connect-c", "u", 0) == Some(1)).await;
    unit.stop().await;
}

/// Reports "bad" twice, on another thread, and waits for both.
fn report_and_wait(script: &Script, answers: &Arc<Mutex<Vec<String>>>) {
    let answers = Arc::clone(answers);
    *script.on_put.lock() = Some(Box::new(move |batch, context| {
        let Some(row) = row_of(batch, "bad!") else { return Ok(()) };
        let reporter = context.errant_record_reporter().expect("a reporter");
        let answer = |reporter: &dyn ErrantRecordReporter| {
            let reported = reporter.report(batch, row, &ConnectError::data("refused by the store"));
            match reported.map(|completion: Box<dyn Completion>| completion.wait(DEADLINE)) {
                Ok(Some(Ok(()))) => "written".to_owned(),
                Ok(Some(Err(error))) | Err(error) => error.message,
                Ok(None) => "late".to_owned(),
            }
        };
        let found = std::thread::scope(|scope| {
            let thread = scope.spawn(|| [answer(&*reporter), answer(&*reporter)]);
            thread.join().expect("no panic")
        });
        answers.lock().extend(found);
        Ok(())
    }));
}

#[tokio::test]
async fn a_reported_record_has_one_dead_letter_that_can_be_waited_for_in_put() {
    let (worker, script) = worker();
    worker.append("t", &["a", "bad", "b"]);
    let answers = Arc::default();
    report_and_wait(&script, &answers);
    // The batch is put again: its reports are repeated, too.
    *script.refused.lock() = vec!["b!".to_owned()];
    let unit = start(&worker, &[&DEAD[..], &[TOLERANT]].concat()).await;
    eventually("two rounds", || answers.lock().len() >= 4).await;
    script.refused.lock().clear();
    collected(&script, &["a!", "bad!", "b!"]).await;
    unit.stop().await;
    assert!(answers.lock().iter().all(|answer| answer == "written"), "{answers:?}");
    assert_eq!((committed(&worker), worker.values("dead")), (Some(3), vec!["bad".to_owned()]));
}

#[tokio::test]
async fn a_report_beyond_the_tolerance_fails_the_task_though_it_swallows_the_answer() {
    let (worker, script) = worker();
    worker.append("t", &["a", "bad", "b"]);
    let answers = Arc::default();
    report_and_wait(&script, &answers);
    let failure = spawn(&worker, &[("topics", "t"), ("errors.log.enable", "true")]).failure().await;
    assert!(failure.contains("Tolerance exceeded in error handler (record t-0@1)"), "{failure}");
    assert!(failure.contains("refused by the store"), "{failure}");
    assert_eq!((committed(&worker), answers.lock().len()), (None, 2));
}

#[tokio::test]
async fn a_record_of_an_older_batch_cannot_be_reported() {
    let (worker, script) = worker();
    worker.append("t", &["a", "b"]);
    let (answers, older) = (Arc::new(Mutex::new(Vec::new())), Mutex::new(None::<RecordBatch>));
    let told = Arc::clone(&answers);
    *script.on_put.lock() = Some(Box::new(move |batch, context| {
        if let Some(older) = older.lock().replace(batch.clone()) {
            let reporter = context.errant_record_reporter().expect("a reporter");
            let answer = reporter.report(&older, 0, &ConnectError::data("late")).map(|_| ());
            told.lock().push(answer.map_err(|error| error.message));
            told.lock().push(
                reporter.report(batch, 99, &ConnectError::data("nobody")).map(|_| ()).map_err(|error| error.message),
            );
        }
        Ok(())
    }));
    let lines = [&DEAD[..], &[TOLERANT, ("consumer.override.max.poll.records", "1")]].concat();
    let unit = start(&worker, &lines).await;
    collected(&script, &["a!", "b!"]).await;
    unit.stop().await;
    let answers = answers.lock();
    assert!(
        answers.len() == 2
            && answers.iter().all(|answer| answer.as_ref().is_err_and(|text| text.contains("batch that is being put"))),
        "{answers:?}"
    );
    assert_eq!((committed(&worker), worker.values("dead").len()), (Some(2), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_severed_task_writes_no_more_dead_letters() {
    let (mut worker, script) = worker();
    // No commit by time, which would take the reports.
    worker.settings.insert("offset.flush.interval.ms".to_owned(), "60000".to_owned());
    worker.append("t", &["a", "bad"]);
    worker.touchy.fail("bad", ConnectError::data("not good"));
    worker.broker.create_topic("dead", 1);
    worker.broker.hold_deliveries(true);
    let mut unit = start(&worker, &[&DEAD[..], &[TOLERANT]].concat()).await;
    collected(&script, &["a!"]).await;
    unit.handle.sever();
    while unit.event().await != TaskEvent::Ended {}
    worker.broker.hold_deliveries(false);
    eventually("the thread is back", || worker.runtime.abandoned_threads() == 0).await;
    assert_eq!((committed(&worker), worker.values("dead").len()), (None, 0));
}
