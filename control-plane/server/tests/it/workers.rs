//! Workers that are too many, too fast, or not who they say they are.

use crate::up::{DEADLINE, Up, at_most, hello};
use control_plane_core::{
    ids::WorkerId,
    keys::{Key, encode},
    time::Wall,
    txn::Txn,
    worker::Worker,
};
use control_plane_server::limits::Limits;
use control_plane_store::{Outcome, Store, embedded::EmbeddedStore};
use proto::{
    v1,
    worker_v1::{self as wire, session_response::Message as FromReplica},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

#[track_caller]
fn check_refused(status: &Status, reason: &str) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let details = status.get_error_details();
    assert_eq!(details.error_info().expect("ErrorInfo").reason, reason);
    assert!(details.retry_info().expect("RetryInfo").retry_delay.expect("a delay") > Duration::ZERO);
}

#[track_caller]
fn check_unwanted(first: &FromReplica, words: &[&str]) {
    let FromReplica::Refused(refused) = first else { panic!("{first:?}") };
    for word in words {
        assert!(refused.reason.contains(word), "{}", refused.reason);
    }
}

async fn states(up: &Up) -> Vec<v1::WorkerState> {
    let listed = up.workers(2).await.list_workers(v1::ListWorkersRequest::default()).await.expect("workers");
    listed.into_inner().workers.iter().map(v1::Worker::state).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_bounded_and_a_worker_may_always_come_back() {
    let up = Up::start(Limits { sessions: at_most(1), ..Limits::default() }).await;
    let (held, first) = up.session(hello(1, 1)).await.expect("a place");
    assert!(matches!(first, FromReplica::Welcome(_)), "{first:?}");
    check_refused(&up.session(hello(2, 2)).await.map(|_| ()).expect_err("no place"), "TOO_MANY_SESSIONS");
    assert_eq!(states(&up).await.len(), 1, "one that was refused is not registered");

    let again = wire::Hello { registered: true, ..hello(1, 1) };
    let (mut again, first) = up.session(again).await.expect("its own place");
    assert!(matches!(first, FromReplica::Welcome(_)), "{first:?}");
    again.beat(1).await;
    again.acknowledged(1).await;
    drop((held, again));
    let place = async {
        while up.session(hello(2, 2)).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, place).await.expect("a session that ended makes place");
    assert!(up.metric("over_limit_total{limit=\"Sessions\"}").await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_no_hello_takes_few_places_and_keeps_nobody_out_for_long() {
    let up = Up::start(Limits { greetings: at_most(1), ..Limits::default() }).await;
    let (_held, _) = up.session(hello(1, 1)).await.expect("a place");
    let silent = up.silent_session().await.expect("a place without Hello");
    let refused = up.silent_session().await.map(|_| ()).expect_err("the second without Hello");
    check_refused(&refused, "TOO_MANY_SESSIONS_WITHOUT_HELLO");
    drop(silent);
    let place = async {
        while up.session(hello(2, 2)).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, place).await.expect("a place is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_floods_is_read_slowly_and_others_are_not() {
    let up = Up::start(Limits { session_rate: at_most(50), ..Limits::default() }).await;
    let (mut flooder, _) = up.session(hello(1, 1)).await.expect("a session");
    let (mut other, _) = up.session(hello(2, 2)).await.expect("a session");
    let began = Instant::now();
    for number in 1..=150 {
        flooder.beat(number).await;
    }
    for number in 1..=5 {
        let sent = Instant::now();
        other.beat(number).await;
        other.acknowledged(number).await;
        assert!(sent.elapsed() < Duration::from_secs(1), "{:?}", sent.elapsed());
    }
    flooder.acknowledged(150).await;
    // 50 at once, the rest at 50 a second.
    assert!(began.elapsed() > Duration::from_millis(1800), "{:?}", began.elapsed());
    assert!(up.metric("over_limit_total{limit=\"SessionRate\"}").await >= 50.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_belongs_to_one_process() {
    let up = Up::start(Limits::default()).await;
    let (mut session, first) = up.session(hello(1, 1)).await.expect("a session");
    assert!(matches!(first, FromReplica::Welcome(_)), "{first:?}");
    session.beat(1).await;
    session.acknowledged(1).await;

    let (_, first) = up.session(hello(1, 2)).await.expect("an answer");
    check_unwanted(&first, &["belongs to another process", "127.0.0.1:1", "same units"]);
    let registered = wire::Hello { registered: true, ..hello(1, 2) };
    let (_, first) = up.session(registered).await.expect("an answer");
    check_unwanted(&first, &["belongs to another process"]);
    let unnamed = wire::Hello { instance: String::new(), ..hello(1, 1) };
    let (_, first) = up.session(unnamed).await.expect("an answer");
    check_unwanted(&first, &["belongs to another process"]);

    session.beat(2).await;
    session.acknowledged(2).await;
    let again = wire::Hello { registered: true, ..hello(1, 1) };
    let (mut again, first) = up.session(again).await.expect("the same process may come back");
    assert!(matches!(first, FromReplica::Welcome(_)), "{first:?}");
    again.beat(3).await;
    again.acknowledged(3).await;
    assert_eq!(states(&up).await, [v1::WorkerState::Ready]);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_of_another_protocol_are_told_so() {
    let up = Up::start(Limits::default()).await;
    let old = wire::Hello { protocol_min: 0, protocol_max: 0, ..hello(1, 1) };
    check_unwanted(&up.session(old).await.expect("an answer").1, &["speaks protocol 1", "0 to 0", "upgrade the older"]);
    let new = wire::Hello { protocol_min: 7, protocol_max: 9, ..hello(1, 1) };
    check_unwanted(&up.session(new).await.expect("an answer").1, &["speaks protocol 1", "7 to 9"]);
    let nameless = wire::Hello { worker_id: "x".into(), ..hello(1, 1) };
    check_unwanted(&up.session(nameless).await.expect("an answer").1, &["worker_id"]);
    let wrong = wire::Hello { instance: "x".into(), ..hello(1, 1) };
    check_unwanted(&up.session(wrong).await.expect("an answer").1, &["instance"]);
    assert_eq!(states(&up).await, []);
    let (_session, first) = up.session(wire::Hello { protocol_max: 9, ..hello(1, 1) }).await.expect("an answer");
    assert!(matches!(first, FromReplica::Welcome(_)), "one that speaks ours too: {first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_cordoned_drained_and_taken_back() {
    let up = Up::start(Limits::default()).await;
    let (mut session, _) = up.session(hello(1, 1)).await.expect("a session");
    session.beat(1).await;
    session.acknowledged(1).await;
    let mut workers = up.workers(2).await;
    let name = || "workers/127.0.0.1:1".to_owned();
    let drain = || v1::DrainWorkerRequest { name: name(), ..Default::default() };
    let cordon = |validate_only| v1::CordonWorkerRequest { name: name(), validate_only, ..Default::default() };
    let uncordon = |validate_only| v1::UncordonWorkerRequest { name: name(), validate_only, ..Default::default() };
    let state = |worker: Option<v1::Worker>| worker.expect("a worker").state();
    use v1::WorkerState::{Cordoned, Draining, Ready};

    // The lease is kept for as long as the test lasts.
    let beating = async {
        for number in 2.. {
            session.beat(number).await;
            session.acknowledged(number).await;
            sleep(Duration::from_millis(100)).await;
        }
    };
    let verbs = async {
        let dry = workers.cordon_worker(cordon(true)).await.expect("a dry run").into_inner();
        assert_eq!(state(dry.worker), Cordoned);
        assert_eq!(states(&up).await, [Ready], "a dry run stores nothing");
        for _ in 0..2 {
            let done = workers.cordon_worker(cordon(false)).await.expect("cordoned").into_inner();
            assert_eq!(state(done.worker), Cordoned);
        }
        assert_eq!(states(&up).await, [Cordoned]);
        let read = v1::GetWorkerRequest { name: name() };
        let read = workers.get_worker(read).await.expect("a worker").into_inner().worker.expect("a worker");
        let with_etag = v1::UncordonWorkerRequest { etag: read.etag, ..uncordon(false) };
        let done = workers.uncordon_worker(with_etag.clone()).await.expect("uncordoned").into_inner();
        assert_eq!(state(done.worker), Ready);
        let stale = workers.uncordon_worker(with_etag).await.expect_err("it has changed since");
        assert_eq!(stale.code(), Code::Aborted, "{stale:?}");
        let done = workers.drain_worker(drain()).await.expect("drained").into_inner();
        assert_eq!(state(done.worker), Draining);
        let done = workers.cordon_worker(cordon(false)).await.expect("it gets nothing new already").into_inner();
        assert_eq!(state(done.worker), Draining);
        let dry = workers.uncordon_worker(uncordon(true)).await.expect("a dry run").into_inner();
        assert_eq!(state(dry.worker), Ready);
        assert_eq!(states(&up).await, [Draining]);
        let done = workers.uncordon_worker(uncordon(false)).await.expect("a drain is taken back").into_inner();
        assert_eq!(state(done.worker), Ready);
    };
    tokio::select! {
        () = beating => {}
        () = verbs => {}
    }

    session.say(wire::session_request::Message::DrainMe(wire::DrainMe {})).await;
    let leaving = async {
        while states(&up).await != [Draining] {
            sleep(Duration::from_millis(10)).await;
        }
        workers.uncordon_worker(uncordon(false)).await.expect_err("its process ends")
    };
    let refused = timeout(DEADLINE, leaving).await.expect("in time");
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    let unknown = v1::CordonWorkerRequest { name: "workers/nobody:1".into(), ..Default::default() };
    assert_eq!(workers.cordon_worker(unknown).await.expect_err("nobody").code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_replicas_are_all_gone_is_expired_by_word_and_one_that_lives_is_not() {
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::in_memory().expect("a store"));
    let dead = WorkerId(Uuid::from_u128(7));
    let known_replicas = ["http://gone".to_owned()].into();
    let entry = Worker { known_replicas, ..Worker::new(dead, "127.0.0.1:7".to_owned(), Wall(0)) };
    let stored = store.commit(Txn::new().put(Key::Worker(dead), encode(&entry))).await.expect("an answer");
    assert!(matches!(stored, Outcome::Committed(_)));
    let up = Up::start_on(store, Limits::default()).await;
    let (mut session, _) = up.session(hello(1, 1)).await.expect("a session");
    session.beat(1).await;
    session.acknowledged(1).await;
    let mut workers = up.workers(2).await;
    let expire = |name: &str| v1::ExpireWorkerRequest { name: format!("workers/{name}"), ..Default::default() };
    let refused = workers.expire_worker(expire("127.0.0.1:1")).await.expect_err("its heartbeats arrive");
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    drop(session);

    let silent = async {
        loop {
            let asked = v1::ExpireWorkerRequest { validate_only: true, ..expire(&dead.to_string()) };
            match workers.expire_worker(asked).await {
                Ok(dry) => return dry.into_inner().worker.expect("a worker").state(),
                Err(status) => assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert_eq!(timeout(DEADLINE, silent).await.expect("in time"), v1::WorkerState::Expired);
    let read = v1::GetWorkerRequest { name: format!("workers/{dead}") };
    let read = workers.get_worker(read).await.expect("a worker").into_inner().worker.expect("a worker");
    assert_eq!(read.state(), v1::WorkerState::Unknown, "a dry run stores nothing");
    let done = workers.expire_worker(expire("127.0.0.1:7")).await.expect("expired").into_inner();
    assert_eq!(done.worker.expect("a worker").state(), v1::WorkerState::Expired);
}
