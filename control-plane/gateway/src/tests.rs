//! The REST API on the fake; texts and codes are those recorded from Kafka Connect 4.3.0 unless a test says otherwise.

use crate::router;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use control_plane_api::{
    fake::{FakeService, WORKER},
    service::{PageRequest, Service as _, ServiceError, UnitState},
};
use control_plane_core::{
    ids::{ConnectorName, Namespace},
    status::{PluginError, RecentFailure, Standstill},
    time::Wall,
};
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt as _;

const MAX_BODY_BYTES: usize = 4 << 20;

struct Api {
    fake: Arc<FakeService>,
    router: Router,
}

struct Answer {
    status: StatusCode,
    headers: header::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {:?}", self.text))
    }
}

impl Api {
    fn new() -> Api {
        let fake = Arc::new(FakeService::default());
        Api { router: router(fake.clone(), MAX_BODY_BYTES), fake }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    /// `"PUT /path"` with a body as text.
    async fn raw(&self, line: &str, body: &str) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path).header("host", "h:1");
        let request = match body {
            "" => request,
            _ => request.header("content-type", "application/json; charset=utf-8"),
        };
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn call(&self, line: &str) -> Answer {
        self.raw(line, "").await
    }

    async fn check(&self, line: &str, body: Value, status: u16, expected: Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.raw(line, &body).await;
        assert_eq!(answer.status.as_u16(), status, "{line} {body}: {}", answer.text);
        let found = if answer.text.is_empty() { Value::Null } else { answer.json() };
        assert_eq!(found, expected, "{line} {body}");
    }

    async fn refused(&self, line: &str, body: Value, status: u16, message: &str) {
        self.check(line, body, status, json!({"error_code": status, "message": message})).await;
    }

    async fn create(&self, name: &str) {
        let answer = self.raw("POST /connectors", &json!({"name": name, "config": source()}).to_string()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    }
}

fn source() -> Value {
    json!({"connector.class": "FileStreamSource", "tasks.max": "1", "file": "/in", "topic": "t"})
}

fn with(mut config: Value, key: &str, value: Value) -> Value {
    config[key] = value;
    config
}

fn stored(name: &str) -> Value {
    with(source(), "name", json!(name))
}

#[tokio::test]
async fn changes_note_who_and_why_by_headers() {
    let api = Api::new();
    api.create("a").await;
    let put = |user: &'static str, reason: &'static str, topic: &str| {
        let mut config = source();
        config["topic"] = json!(topic);
        let request =
            Request::builder().method("PUT").uri("/connectors/a/config").header("Ferry-User", user.as_bytes());
        let request = request.header("Ferry-Reason", reason.as_bytes()).header("content-type", "application/json");
        request.body(Body::from(config.to_string())).unwrap()
    };
    assert_eq!(api.send(put("zoë", "it moves", "u")).await.status, StatusCode::OK);
    let name = ConnectorName::parse("a").unwrap();
    let found = api.fake.list_revisions(&Namespace::default(), &name, PageRequest::default()).await.unwrap();
    let notes: Vec<_> =
        found.items.iter().map(|view| (view.revision.author.as_str(), view.revision.reason.as_str())).collect();
    assert_eq!(notes, [("zoë", "it moves"), ("rest", "")]);
    let answer = api.send(put("zoë", "a\tb\u{9b}", "v")).await;
    let text = "ferry-reason: it has the control character '\\u{9b}'; leave that out";
    assert_eq!((answer.status, &answer.json()["message"]), (StatusCode::BAD_REQUEST, &json!(text)));
}

#[tokio::test]
async fn root_and_health() {
    let api = Api::new();
    let about = json!({"version": "4.3.0", "commit": "fake", "kafka_cluster_id": "fake-cluster"});
    api.check("GET /?pretty=true", Value::Null, 200, about.clone()).await;
    api.check("GET /namespaces/team-a", Value::Null, 200, about.clone()).await;
    api.check("GET /namespaces/team-a/", Value::Null, 200, about).await;
    let text = "Worker has completed startup and is ready to handle requests.";
    api.check("GET /health?x=1&y", Value::Null, 200, json!({"status": "healthy", "message": text})).await;
    api.fake.fail_with(Some(ServiceError::Unavailable("etcd is away".into())));
    api.check("GET /health", Value::Null, 500, json!({"status": "unhealthy", "message": "etcd is away"})).await;
    api.refused("GET /connectors", Value::Null, 503, "etcd is away").await;
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there() {
    let api = Api::new();
    for line in ["GET /nope", "GET /connectors/a/nope", "GET /health/deep", "POST /nope", "GET /connectors/a/tasks/0"] {
        api.refused(line, Value::Null, 404, "HTTP 404 Not Found").await;
    }
    api.refused("GET /namespaces/a/nope", Value::Null, 404, "HTTP 404 Not Found").await;
    for line in ["DELETE /", "PUT /connectors/a", "GET /connectors/a/pause", "POST /connectors/a/stop", "PUT /health"] {
        api.refused(line, Value::Null, 405, "HTTP 405 Method Not Allowed").await;
    }
    api.refused("DELETE /namespaces/a/connectors", Value::Null, 405, "HTTP 405 Method Not Allowed").await;
    let options = api.call("OPTIONS /connectors").await;
    assert_eq!((options.status.as_u16(), &options.headers["allow"]), (200, &"GET,HEAD,OPTIONS,POST".parse().unwrap()));
    let head = api.call("HEAD /connectors/").await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn bodies_are_declared_as_json_and_answers_are_json() {
    let api = Api::new();
    let request = |content: &str, accept: &str| {
        let body = json!({"name": "a", "config": source()}).to_string();
        let request = Request::post("/connectors").header("content-type", content).header("accept", accept);
        request.body(Body::from(body)).unwrap()
    };
    for content in ["text/plain", "application/x-www-form-urlencoded"] {
        let answer = api.send(request(content, "*/*")).await;
        assert_eq!(answer.json(), json!({"error_code": 415, "message": "HTTP 415 Unsupported Media Type"}));
    }
    let answer = api.send(request("application/json", "text/html")).await;
    assert_eq!(answer.status, StatusCode::NOT_ACCEPTABLE);
    let answer = api.send(request("application/json", "text/html, application/json;q=0.5")).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.headers["content-type"], "application/json");
    let too_large = api.raw("POST /connectors", &"x".repeat(5 * 1024 * 1024)).await;
    assert_eq!((too_large.status.as_u16(), too_large.json()["error_code"].as_u64()), (413, Some(413)));
}

#[tokio::test]
async fn creation() {
    let api = Api::new();
    let body = json!({"name": " a b ", "config": with(source(), "tasks.max", json!(1)), "initial_state": null});
    let answer = api.raw("POST /connectors/", &body.to_string()).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["location"]),
        (201, &"http://h:1/connectors/a%20b".parse().unwrap())
    );
    assert_eq!(answer.json(), json!({"name": "a b", "config": stored("a b"), "tasks": [], "type": "source"}));
    api.refused("POST /connectors", json!({"name": "a b", "config": source()}), 409, "Connector a b already exists")
        .await;
    let config = with(source(), "name", json!("other"));
    let text = "Connector name configuration (other) doesn't match connector name in the URL (x)";
    api.refused("POST /connectors", json!({"name": "x", "config": config}), 400, text).await;
    api.refused("PUT /connectors/x/config", config, 400, text).await;
    let body = json!({"name": "x", "config": {}});
    api.refused("POST /connectors", body, 400, "Connector config {name=x} contains no connector type").await;
    let list = "You can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`";
    let head = "Connector configuration is invalid and contains the following 1 error(s):";
    for name in [json!(null), json!(""), json!("   ")] {
        let text = format!("{head}\nInvalid value  for configuration name: String may not be empty\n{list}");
        api.refused("POST /connectors", json!({"name": name, "config": source()}), 400, &text).await;
    }
    let text = format!(
        "{head}\nInvalid value a\tb for configuration name: String may not contain control sequences but had the \
         following ASCII chars: 9\n{list}"
    );
    api.refused("POST /connectors", json!({"name": "a\tb", "config": source()}), 400, &text).await;
    let bad = json!({"name": "x", "config": with(source(), "tasks.max", json!(0))});
    let text = format!("{head}\nInvalid value 0 for configuration tasks.max: Value must be at least 1\n{list}");
    api.refused("POST /connectors", bad, 400, &text).await;
}

#[tokio::test]
async fn values_become_text_and_mistakes_are_the_callers() {
    let api = Api::new();
    let body = r#"{"name":"a","config":{"connector.class":"FileStreamSource","n":1.50,"big":123456789012345678901234567890,"flag":true}}"#;
    assert_eq!(api.raw("POST /connectors", body).await.status, StatusCode::CREATED);
    let config = api.call("GET /connectors/a/config").await.json();
    assert_eq!((&config["n"], &config["flag"]), (&json!("1.50"), &json!("true")));
    assert_eq!(config["big"], "123456789012345678901234567890");
    // Kafka Connect answers these with 500.
    for (line, body) in [
        ("POST /connectors", "{"),
        ("POST /connectors", ""),
        ("POST /connectors", "[]"),
        ("POST /connectors", r#"{"name":"x"}"#),
        ("POST /connectors", r#"{"name":"x","config":null}"#),
        ("POST /connectors", r#"{"name":"x","config":{"a":{}}}"#),
        ("POST /connectors", r#"{"name":"x","config":{"a":null}}"#),
        ("POST /connectors", r#"{"name":"x","config":{},"extra":1}"#),
        ("POST /connectors", r#"{"name":"x","config":{},"initial_state":"FAILED"}"#),
        ("PUT /connectors/x/config", r#"{"a":null}"#),
        ("PUT /connectors/x/config", "null"),
        ("PUT /connectors/x/config", ""),
        ("PATCH /connectors/a/config", r#"{"l":[]}"#),
        ("PUT /connector-plugins/FileStreamSource/config/validate", r#""{}""#),
    ] {
        let answer = api.raw(line, body).await;
        assert_eq!((answer.status.as_u16(), answer.json()["error_code"].as_u64()), (400, Some(400)), "{line} {body}");
    }
}

#[tokio::test]
async fn reading_and_changing_a_config() {
    let api = Api::new();
    let created = api.raw("PUT /connectors/a/config/", &source().to_string()).await;
    assert_eq!(
        (created.status.as_u16(), &created.headers["location"]),
        (201, &"http://h:1/connectors/a".parse().unwrap())
    );
    let tasks = json!([{"connector": "a", "task": 0}]);
    let info = json!({"name": "a", "config": stored("a"), "tasks": tasks, "type": "source"});
    api.check("PUT /connectors/a/config", source(), 200, info.clone()).await;
    api.check("GET /connectors/a/", Value::Null, 200, info).await;
    api.check("GET /connectors/a/config", Value::Null, 200, stored("a")).await;
    let task = json!([{"id": {"connector": "a", "task": 0}, "config": stored("a")}]);
    api.check("GET /connectors/a/tasks", Value::Null, 200, task).await;

    let patched = api.raw("PATCH /connectors/a/config", r#"{"topic": null, "b": 3}"#).await;
    assert_eq!(patched.status, StatusCode::OK);
    assert_eq!(
        patched.json()["config"],
        json!({"b": "3", "connector.class": "FileStreamSource", "file": "/in", "name": "a", "tasks.max": "1"})
    );
    api.refused("PATCH /connectors/x/config", json!({"b": "1"}), 404, "Connector x not found").await;
    assert_eq!(api.raw("PATCH /connectors/a/config", r#"{"name": null}"#).await.status, StatusCode::BAD_REQUEST);

    api.check("DELETE /connectors/a", Value::Null, 204, Value::Null).await;
    for line in ["DELETE /connectors/a", "GET /connectors/a", "GET /connectors/a/config", "GET /connectors/a/tasks"] {
        api.refused(line, Value::Null, 404, "Connector a not found").await;
    }
    api.refused("GET /connectors/a/status", Value::Null, 404, "No status found for connector a").await;
    api.refused("GET /connectors/a/tasks/0/status", Value::Null, 404, "No status found for task a-0").await;
}

#[tokio::test]
async fn lists_and_expansions() {
    let api = Api::new();
    api.check("GET /connectors", Value::Null, 200, json!([])).await;
    api.create("b").await;
    api.create("a").await;
    api.check("GET /connectors/", Value::Null, 200, json!(["a", "b"])).await;
    api.check("GET /connectors?expand", Value::Null, 200, json!({"a": {}, "b": {}})).await;
    let both = api.call("GET /connectors?expand=info&expand=status&expand=info").await.json();
    assert_eq!(both["a"]["info"]["config"], stored("a"));
    assert_eq!(both["b"]["status"]["tasks"][0]["id"], 0);
    assert_eq!(api.call("GET /connectors?expand=status").await.json()["a"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn states_as_connects_clients_know_them() {
    let api = Api::new();
    api.create("a").await;
    let unit = |state: &str| json!({"state": state, "worker_id": WORKER, "version": "4.3.0"});
    let task = |state: &str| json!({"id": 0, "state": state, "worker_id": WORKER, "version": "4.3.0"});
    let state =
        |connector: Value, tasks: Value| json!({"name": "a", "connector": connector, "tasks": tasks, "type": "source"});
    api.check("GET /connectors/a/status", Value::Null, 200, state(unit("RUNNING"), json!([task("RUNNING")]))).await;
    api.check("PUT /connectors/a/pause", json!({"x": 1}), 202, Value::Null).await;
    api.check("GET /connectors/a/status", Value::Null, 200, state(unit("PAUSED"), json!([task("PAUSED")]))).await;
    api.check("PUT /connectors/a/stop", Value::Null, 204, Value::Null).await;
    api.check("GET /connectors/a/status", Value::Null, 200, state(unit("STOPPED"), json!([]))).await;
    api.check("PUT /connectors/a/resume/", Value::Null, 202, Value::Null).await;
    for verb in ["pause", "resume", "stop"] {
        api.refused(&format!("PUT /connectors/x/{verb}"), Value::Null, 404, "Unknown connector x").await;
    }

    let error =
        PluginError { class: "E".into(), message: "m".into(), trace: "E: m\n\tat x".into(), ..Default::default() };
    api.fake.report("a", |view| {
        view.planner.state = UnitState::Unknown;
        view.tasks[0].state = UnitState::Failed;
        view.tasks[0].error = Some(error);
    });
    let failed = with(task("FAILED"), "trace", json!("E: m\n\tat x"));
    api.check("GET /connectors/a/status", Value::Null, 200, state(unit("UNASSIGNED"), json!([failed.clone()]))).await;
    api.check("GET /connectors/a/tasks/0/status", Value::Null, 200, failed).await;
    // What Connect has no word for changes nothing of its answers.
    let put = Some(Standstill { since: Wall(1), place: "put".into() });
    api.fake.report("a", |view| {
        view.planner.state = UnitState::Running;
        view.tasks[0].error = None;
        (view.tasks[0].state, view.tasks[0].stalled) = (UnitState::Running, put.clone());
        view.tasks[0].recent_failures = vec![RecentFailure { at: Wall(1), class: "E".into(), message: "m".into() }];
    });
    api.check("GET /connectors/a/tasks/0/status", Value::Null, 200, task("RUNNING")).await;
    api.fake.report("a", |view| {
        (view.tasks[0].state, view.tasks[0].stop_blocked) = (UnitState::StopBlocked, put.clone());
    });
    api.check("GET /connectors/a/tasks/0/status", Value::Null, 200, task("RESTARTING")).await;
    api.fake.report("a", |view| (view.planner.state, view.planner.worker) = (UnitState::Starting, None));
    assert_eq!(api.call("GET /connectors/a/status").await.json()["connector"]["worker_id"], "");
    api.refused("GET /connectors/a/tasks/1/status", Value::Null, 404, "No status found for task a-1").await;
    api.refused("GET /connectors/a/tasks/x/status", Value::Null, 404, "HTTP 404 Not Found").await;
}

#[tokio::test]
async fn restarts() {
    let api = Api::new();
    api.create("a").await;
    for query in ["", "?includeTasks=abc", "?includeTasks=", "?includeTasks=1&onlyFailed=0", "?INCLUDETASKS=true"] {
        api.check(&format!("POST /connectors/a/restart{query}"), Value::Null, 204, Value::Null).await;
    }
    let answer = api.call("POST /connectors/a/restart?includeTasks=TRUE").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["tasks"][0]["state"]), (202, &json!("RESTARTING")));
    let answer = api.call("POST /connectors/a/restart?onlyFailed=true").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["connector"]["state"]), (202, &json!("RUNNING")));
    api.refused("POST /connectors/x/restart", Value::Null, 404, "Unknown connector: x").await;
    api.check("POST /connectors/a/tasks/0/restart", Value::Null, 204, Value::Null).await;
    api.refused("POST /connectors/a/tasks/9/restart", Value::Null, 404, "Unknown task: a-9").await;
    api.refused("POST /connectors/x/tasks/0/restart", Value::Null, 404, "Unknown connector: x").await;
}

#[tokio::test]
async fn plugins() {
    let api = Api::new();
    let listed = api.call("GET /connector-plugins/").await.json();
    assert_eq!(
        listed[0],
        json!({"class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "type": "sink", "version": "4.3.0"})
    );
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(api.call("GET /connector-plugins?connectorsOnly=").await.json().as_array().unwrap().len(), 2);
    assert_eq!(api.call("GET /connector-plugins?connectorsOnly=0").await.json().as_array().unwrap().len(), 3);
    let keys = api.call("GET /connector-plugins/FileStreamSource/config").await.json();
    assert_eq!(keys[0]["name"], "file");
    assert_eq!(keys[0]["default_value"], Value::Null);
    api.refused("GET /connector-plugins/Nope/config", Value::Null, 404, "Unknown plugin Nope.").await;

    let path = "PUT /connector-plugins/FileStreamSource/config/validate";
    let full = "org.apache.kafka.connect.file.FileStreamSourceConnector";
    let valid = api.raw(path, &with(source(), "connector.class", json!(full)).to_string()).await;
    assert_eq!((valid.status.as_u16(), &valid.json()["error_count"]), (200, &json!(0)));
    let invalid = api.raw(path, &with(source(), "tasks.max", json!("x")).to_string()).await.json();
    assert_eq!((&invalid["error_count"], &invalid["name"]), (&json!(1), &json!("FileStreamSource")));
    let text = "Included connector type FileStreamSink does not match request type FileStreamSource";
    api.refused(path, json!({"connector.class": "FileStreamSink"}), 400, text).await;
    api.refused(path, json!({}), 400, "Connector config {} contains no connector type").await;
}

#[tokio::test]
async fn names_with_any_character_can_be_addressed() {
    let api = Api::new();
    for (name, segment) in
        [("a?b", "a%3Fb"), ("a&b=c;d:e@f,g", "a&b=c;d:e@f,g"), ("a%b", "a%25b"), ("a/b", "a%2Fb"), ("ä", "%C3%A4")]
    {
        let answer = api.raw("POST /connectors", &json!({"name": name, "config": source()}).to_string()).await;
        assert_eq!(answer.headers["location"].to_str().unwrap(), format!("http://h:1/connectors/{segment}"));
        assert_eq!(api.call(&format!("GET /connectors/{segment}/status")).await.json()["name"], name);
    }
    api.refused("GET /connectors/a%01", Value::Null, 404, "Connector a\u{1} not found").await;
}

#[tokio::test]
async fn namespaces_are_apart() {
    let api = Api::new();
    api.create("a").await;
    let body = json!({"name": "a", "config": source()}).to_string();
    let answer = api.raw("POST /namespaces/team-a/connectors/", &body).await;
    assert_eq!(answer.headers["location"], "http://h:1/namespaces/team-a/connectors/a");
    api.check("DELETE /namespaces/team-a/connectors/a", Value::Null, 204, Value::Null).await;
    api.check("GET /namespaces/team-a/connectors", Value::Null, 200, json!([])).await;
    api.check("GET /connectors", Value::Null, 200, json!(["a"])).await;
    assert_eq!(api.call("GET /namespaces/Team/connectors").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_services_errors_have_their_codes() {
    let api = Api::new();
    let text = || "why".to_owned();
    for (error, status) in [
        (ServiceError::Contended, 409),
        (ServiceError::FailedPrecondition(text()), 409),
        (ServiceError::NoWorker(text()), 503),
        (ServiceError::Timeout(text()), 504),
        (ServiceError::TooLarge(text()), 413),
        (ServiceError::OutOfSpace(text()), 507),
        (ServiceError::Internal(text()), 500),
    ] {
        let message = error.to_string();
        api.fake.fail_with(Some(error));
        api.refused("PUT /connectors/a/pause", Value::Null, status, &message).await;
    }
}

#[tokio::test]
async fn it_serves_until_told_to_stop() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async move { drop(stopped.await) };
    let server = tokio::spawn(crate::serve(listener, Arc::new(FakeService::default()), MAX_BODY_BYTES, shutdown));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = b"GET /connectors HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, request).await.unwrap();
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("[]"), "{answer}");
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}
