//! Messages and headers that are too large: who sent one is told the limit and the flag.

use crate::up::{Up, at_most, connector, hello, put};
use control_plane_server::limits::Limits;
use control_plane_store::embedded::EmbeddedStore;
use proto::{
    v1,
    worker_v1::{self as wire, session_request::Message as ToReplica},
};
use std::{collections::BTreeMap, sync::Arc};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

#[track_caller]
fn check_too_large(status: &Status, flag: &str, limit: &str) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.message().contains(flag) && status.message().contains(limit), "{}", status.message());
    let details = status.get_error_details();
    let info = details.error_info().expect("ErrorInfo");
    assert_eq!((info.reason.as_str(), info.metadata["limit"].as_str()), ("MESSAGE_TOO_LARGE", limit));
    assert!(details.retry_info().is_none(), "the same would be refused again");
}

fn config(bytes: usize) -> BTreeMap<String, String> {
    BTreeMap::from([("connector.class".to_owned(), "C".to_owned()), ("large".to_owned(), "x".repeat(bytes))])
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_answers_have_a_size() {
    let store = Arc::new(EmbeddedStore::in_memory().unwrap());
    put(&*store, connector(1, config(20_000))).await;
    let up = Up::start_on(store, Limits { message_bytes: at_most(10_000), ..Limits::default() }).await;
    let mut client = up.connectors(2).await;

    let create = v1::CreateConnectorRequest {
        parent: "namespaces/default".into(),
        connector_id: "a".into(),
        connector: Some(v1::Connector { config: config(20_000), ..Default::default() }),
        ..Default::default()
    };
    let refused = client.create_connector(create).await.expect_err("the request is too large");
    check_too_large(&refused, "--max-message-bytes", "10000");
    let get = v1::GetConnectorRequest { name: "namespaces/default/connectors/c1".into() };
    let refused = client.get_connector(get).await.expect_err("the answer is too large");
    check_too_large(&refused, "--max-message-bytes", "10000");
    assert_eq!(up.metric("over_limit_total{limit=\"MessageBytes\"}").await, 2.0);

    let url = format!("http://{}/connectors", up.listening.rest);
    let body = serde_json::json!({"name": "a", "config": config(20_000)});
    let refused = up.http(2).post(url).json(&body).send().await.expect("an answer");
    assert_eq!(refused.status(), 413);
    let body: serde_json::Value = refused.json().await.expect("JSON");
    assert!(body["message"].as_str().unwrap().contains("10000"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workers_message_has_a_size() {
    let up = Up::start(Limits { worker_message_bytes: at_most(10_000), ..Limits::default() }).await;
    let (mut session, first) = up.session(hello(1, 1)).await.expect("a session");
    assert!(matches!(first, wire::session_response::Message::Welcome(_)), "{first:?}");
    let large = wire::PluginError { trace: "x".repeat(20_000), ..Default::default() };
    session.say(ToReplica::UnitReport(wire::UnitReport { error: Some(large), ..Default::default() })).await;
    let ended = loop {
        if let Err(status) = session.next().await {
            break status;
        }
    };
    check_too_large(&ended, "--max-worker-message-bytes", "10000");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_have_a_size() {
    let up = Up::start(Limits { header_bytes: at_most(2000), ..Limits::default() }).await;
    let mut client = up.connectors(2).await;
    let with = |bytes: usize| {
        let mut request =
            Request::new(v1::ListConnectorsRequest { parent: "namespaces/-".into(), ..Default::default() });
        request.metadata_mut().insert("x", "y".repeat(bytes).parse().expect("a header"));
        request
    };
    client.list_connectors(with(1000)).await.expect("small enough");
    client.list_connectors(with(4000)).await.expect_err("too large");
    client.list_connectors(with(1000)).await.expect("the next one is served");
}
