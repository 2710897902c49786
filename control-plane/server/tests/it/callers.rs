//! Callers who ask for too much, beside others who do not.

use crate::up::{DEADLINE, Up, at_most, connector, put};
use control_plane_core::connector::Config;
use control_plane_server::limits::Limits;
use control_plane_store::embedded::EmbeddedStore;
use proto::v1;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::AsyncReadExt as _,
    net::TcpSocket,
    time::{Instant, timeout},
};
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;

/// How long a call may take that nothing holds up, on a machine with other things to do.
const USUAL: Duration = Duration::from_secs(1);

fn list() -> v1::ListConnectorsRequest {
    v1::ListConnectorsRequest { parent: "namespaces/default".into(), ..Default::default() }
}

#[track_caller]
fn check_refused(status: &Status, reason: &str) {
    let details = status.get_error_details();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let info = details.error_info().expect("ErrorInfo");
    assert_eq!((info.domain.as_str(), info.reason.as_str()), ("ferry", reason), "{status:?}");
    let retry = details.retry_info().expect("RetryInfo").retry_delay.expect("a delay");
    assert!(retry > Duration::ZERO && retry <= Duration::from_secs(10), "{retry:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_refused_and_others_are_served_as_before() {
    let limits = Limits { call_rate: at_most(20), call_burst: at_most(40), ..Limits::default() };
    let up = Up::start(limits).await;
    let flooding = (0..4).map(|_| async {
        let mut flooder = up.connectors(2).await;
        let (mut served, mut refused) = (0, Vec::new());
        for _ in 0..500 {
            match flooder.list_connectors(list()).await {
                Ok(_) => served += 1,
                Err(status) => refused.push(status),
            }
        }
        (served, refused)
    });
    let began = Instant::now();
    let others = async {
        let (mut other, mut slowest) = (up.connectors(3).await, Duration::ZERO);
        for _ in 0..20 {
            let asked = Instant::now();
            other.list_connectors(list()).await.expect("the other caller is served");
            slowest = slowest.max(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        slowest
    };
    let (floods, slowest) = tokio::join!(futures::future::join_all(flooding), others);
    let allowed = 40.0 + 20.0 * began.elapsed().as_secs_f64() + 1.0;
    let served: i32 = floods.iter().map(|(served, _)| served).sum();
    let refused: Vec<&Status> = floods.iter().flat_map(|(_, refused)| refused).collect();
    assert!(served >= 40 && f64::from(served) <= allowed, "{served} of {allowed}");
    refused.iter().for_each(|status| check_refused(status, "CALL_RATE"));
    assert!(slowest < USUAL, "{slowest:?}");
    let counted = up.metric("over_limit_total{limit=\"CallRate\"}").await;
    assert_eq!(counted as usize, refused.len());

    let mut health = HealthClient::new(up.channel(2).await);
    for _ in 0..100 {
        let request = HealthCheckRequest { service: "ferry.v1.ConnectorService".into() };
        health.check(request).await.expect("health is always told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_has_the_same_limits_in_kafka_connects_words() {
    let limits = Limits { call_rate: at_most(1), call_burst: at_most(3), ..Limits::default() };
    let up = Up::start(limits).await;
    let url = |path: &str| format!("http://{}{path}", up.listening.rest);
    let client = up.http(2);
    // What is done over gRPC counts as well.
    up.connectors(2).await.list_connectors(list()).await.expect("within the burst");
    let mut refused = None;
    for n in 0..4 {
        let answer = client.get(url("/connectors")).send().await.expect("an answer");
        match answer.status().as_u16() {
            200 if n < 3 => {}
            429 if n > 0 => refused = Some(answer),
            other => panic!("call {n}: {other}"),
        }
    }
    let refused = refused.expect("four calls in a moment are more than three, less one");
    assert_eq!(refused.headers()["retry-after"], "1");
    let body: serde_json::Value = refused.json().await.expect("JSON");
    assert_eq!(body["error_code"], 429);
    assert!(body["message"].as_str().unwrap().contains("--max-call-rate"), "{body}");
    for _ in 0..5 {
        let health = client.get(url("/health")).send().await.expect("an answer");
        assert_ne!(health.status(), 429);
    }
    assert_eq!(up.http(3).get(url("/connectors")).send().await.expect("an answer").status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_are_bounded_and_make_place_when_they_end() {
    let limits = Limits { watches: at_most(3), watches_per_caller: at_most(2), ..Limits::default() };
    let up = Up::start(limits).await;
    let watch = || v1::WatchConnectorsRequest { parent: "namespaces/default".into(), ..Default::default() };
    let (mut one, mut other) = (up.connectors(2).await, up.connectors(3).await);
    let first = one.watch_connectors(watch()).await.expect("a place");
    let _second = one.watch_connectors(watch()).await.expect("a place");
    check_refused(
        &one.watch_connectors(watch()).await.expect_err("the third of one caller"),
        "TOO_MANY_WATCHES_OF_CALLER",
    );
    let _third = other.watch_connectors(watch()).await.expect("another caller's place");
    check_refused(&other.watch_connectors(watch()).await.expect_err("the fourth in all"), "TOO_MANY_WATCHES");
    one.list_connectors(list()).await.expect("calls are counted apart");

    drop(first);
    let again = async {
        while other.watch_connectors(watch()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, again).await.expect("a watch that ended makes place");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_caller_cannot_take_all_connections() {
    let limits = Limits { connections: at_most(8), connections_per_caller: at_most(3), ..Limits::default() };
    let up = Up::start(limits).await;
    for listener in [up.listening.grpc, up.listening.rest] {
        let mut open = Vec::new();
        for _ in 0..4 {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
            open.push(socket.connect(listener).await.unwrap());
        }
        let mut last = open.pop().unwrap();
        // gRPC's server speaks first, REST's waits: only a closed connection ends at once in both.
        let read = timeout(DEADLINE, last.read(&mut [0; 64])).await.expect("it is closed");
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        let asked = Instant::now();
        if listener == up.listening.grpc {
            up.connectors(3).await.list_connectors(list()).await.expect("another caller is served");
        } else {
            let url = format!("http://{listener}/connectors");
            assert_eq!(up.http(3).get(url).send().await.expect("an answer").status(), 200);
        }
        assert!(asked.elapsed() < USUAL, "{:?}", asked.elapsed());
    }
    assert_eq!(up.metric("over_limit_total{limit=\"ConnectionsPerCaller\"}").await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_that_do_not_read_slow_nobody() {
    let store = Arc::new(EmbeddedStore::in_memory().expect("store"));
    let up = Up::start_on(store.clone(), Limits::default()).await;
    let watch = || v1::WatchConnectorsRequest { parent: "namespaces/-".into(), ..Default::default() };
    let mut slow = up.connectors(2).await;
    let mut unread = Vec::new();
    for _ in 0..50 {
        unread.push(slow.watch_connectors(watch()).await.expect("a place").into_inner());
    }
    // Far more than all that lies between the two: windows, buffers and queues.
    let large = Config::from([("large".to_owned(), "x".repeat(50_000))]);
    let mut reader = up.connectors(3).await.watch_connectors(watch()).await.expect("a place").into_inner();
    for number in 1..=200 {
        put(&*store, connector(number, large.clone())).await;
    }
    let last = "namespaces/default/connectors/c200";
    let told = async {
        loop {
            let step = reader.message().await.expect("the watch goes on").expect("the watch goes on");
            if step.connector.is_some_and(|connector| connector.name == last) {
                return;
            }
        }
    };
    timeout(DEADLINE, told).await.expect("who reads is told all");
    let asked = Instant::now();
    let get = v1::GetConnectorRequest { name: last.into() };
    up.connectors(4).await.get_connector(get).await.expect("served");
    assert!(asked.elapsed() < USUAL, "{:?}", asked.elapsed());
}
