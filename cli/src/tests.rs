//! Commands against a real gRPC server on the fake service.

use crate::{
    args::Arguments,
    output::{describe, table},
    run,
};
use clap::Parser as _;
use control_plane_api::{
    fake::{FakeService, START_MS, WORKER},
    routes,
    service::{ServiceError, UnitState},
};
use control_plane_core::status::PluginError;
use prost_types::Timestamp;
use proto::v1;
use std::{
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

struct Up {
    fake: Arc<FakeService>,
    server: JoinHandle<()>,
    address: String,
    folder: TempDir,
}

impl Drop for Up {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A writer that another task can look at.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Up {
    async fn start() -> Up {
        let fake = Arc::new(FakeService::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let routes = routes(fake.clone(), 4 << 20);
        let server = tokio::spawn(async move {
            Server::builder().add_routes(routes).serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        Up { fake, server, address, folder: TempDir::new().unwrap() }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Exit code, standard output, standard error.
    async fn ferry(&self, words: &[&str]) -> (u8, String, String) {
        ferry(&self.address, words).await
    }

    async fn check(&self, words: &[&str], out: &str) {
        assert_eq!(self.ferry(words).await, (0, out.to_owned(), String::new()), "{words:?}");
    }

    async fn refused(&self, words: &[&str], code: u8, err: &str) {
        assert_eq!(self.ferry(words).await, (code, String::new(), err.to_owned()), "{words:?}");
    }

    async fn two(&self) {
        let file = self.file("two.yaml", TWO);
        self.check(&["apply", "-f", &file], "connector/in created\nconnector/out created\n").await;
    }
}

async fn ferry(server: &str, words: &[&str]) -> (u8, String, String) {
    let arguments = Arguments::parse_from(["ferry", "--server", server].iter().chain(words));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(arguments, &mut out, &mut err, false).await;
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

const TWO: &str = "kind: Connector\nname: in\nconfig:\n  connector.class: FileStreamSource\n  file: /tmp/in\n  topic: t\n\
                   ---\nkind: Connector\nname: out\ntargetState: paused\nconfig:\n  connector.class: FileStreamSink\n  \
                   file: /tmp/out\n  tasks.max: 2\n  topics: t\n";

#[tokio::test]
async fn apply_creates_changes_and_leaves_alone() {
    let up = Up::start().await;
    let file = up.file("two.yaml", TWO);
    let dry = "connector/in created (dry run)\nconnector/out created (dry run)\n";
    up.check(&["apply", "--dry-run", "-f", &file], dry).await;
    up.two().await;
    up.check(&["apply", "-f", &file], "connector/in unchanged\nconnector/out unchanged\n").await;
    let changed = up.file("two.yaml", &TWO.replace("topic: t", "topic: u").replace("paused", "running"));
    let dry = "connector/in configured (dry run)\nconnector/out configured (dry run)\n";
    up.check(&["apply", "-f", &changed, "--dry-run"], dry).await;
    up.check(&["apply", "-f", &changed], "connector/in configured\nconnector/out configured\n").await;
    up.check(&["apply", "-f", &changed], "connector/in unchanged\nconnector/out unchanged\n").await;
    let (_, out, _) = up.ferry(&["get", "connector", "in", "-o", "json"]).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap()["config"]["topic"], "u");
    let both = up.file("both.yaml", &TWO.replace("topic: t", "topic: w").replace("paused", "stopped"));
    let (code, out, _) = up.ferry(&["-o", "json", "apply", "-f", &both]).await;
    let outcome = |name: &str| serde_json::json!({"kind": "connector", "name": name, "outcome": "configured"});
    let expected = serde_json::json!([outcome("in"), outcome("out")]);
    assert_eq!((code, serde_json::from_str::<serde_json::Value>(&out).unwrap()), (0, expected));
}

#[tokio::test]
async fn what_get_prints_can_be_applied() {
    let up = Up::start().await;
    up.two().await;
    for format in ["json", "yaml"] {
        let (_, out, _) = up.ferry(&["-o", format, "get", "connector", "out"]).await;
        let file = up.file(&format!("out.{format}"), &out);
        up.check(&["apply", "-f", &file], "connector/out unchanged\n").await;
    }
    let properties = up.file("c.properties", "name=in\nconnector.class=FileStreamSource\nfile=/tmp/in\ntopic=t\n");
    up.check(&["apply", "-f", &properties], "connector/in unchanged\n").await;
}

#[tokio::test]
async fn nothing_is_applied_when_one_document_is_wrong() {
    let up = Up::start().await;
    let file = up.file("bad.yaml", &TWO.replace("targetState: paused", "colour: red"));
    let allowed = "apiVersion, kind, name, metadata, config, targetState, status";
    let err = format!("error: {file}: document 2 (line 10): colour: unknown field; allowed are {allowed}\n");
    up.refused(&["apply", "-f", &file], 2, &err).await;
    let file = up.file("bad.yaml", &TWO.replace("tasks.max: 2", "tasks.max: many"));
    let err = "error: connector/out: config.tasks.max: Invalid value many for configuration tasks.max: Not a number of \
               type INT\n";
    up.refused(&["apply", "-f", &file], 2, err).await;
    up.check(&["get", "connectors", "-o", "json"], "[]\n").await;
}

#[tokio::test]
async fn validate_tells_each_error() {
    let up = Up::start().await;
    let good = up.file("good.yaml", TWO);
    up.check(&["validate", "-f", &good], "connector/in valid\nconnector/out valid\n").await;
    let bad = up.file("bad.yaml", &TWO.replace("tasks.max: 2", "tasks.max: 0"));
    let (code, out, err) = up.ferry(&["validate", "-f", &bad]).await;
    assert_eq!((code, out.as_str()), (2, "connector/in valid\n"));
    assert_eq!(
        err,
        "error: connector/out: config.tasks.max: Invalid value 0 for configuration tasks.max: Value must be at least 1\n"
    );
}

#[tokio::test]
async fn verbs_and_their_errors() {
    let up = Up::start().await;
    up.two().await;
    up.check(&["stop", "connector", "in", "out"], "connector/in stopped\nconnector/out stopped\n").await;
    up.check(&["resume", "connectors", "in"], "connector/in resumed\n").await;
    up.check(&["pause", "connector", "in"], "connector/in paused\n").await;
    up.check(&["restart", "connector", "in", "--tasks", "--only-failed"], "connector/in restarted\n").await;
    up.check(&["restart", "task", "in/0"], "task/in/0 restarted\n").await;
    up.refused(&["restart", "task", "in/7"], 2, "error: Task in-7 not found\n").await;
    up.check(&["cordon", "worker", WORKER], &format!("worker/{WORKER} cordoned\n")).await;
    up.check(&["uncordon", "worker", WORKER], &format!("worker/{WORKER} uncordoned\n")).await;
    up.check(&["drain", "worker", WORKER], &format!("worker/{WORKER} draining\n")).await;
    up.check(&["expire", "worker", WORKER], &format!("worker/{WORKER} expired\n")).await;
    let (code, out, err) = up.ferry(&["delete", "connector", "nope", "in"]).await;
    assert_eq!((code, out.as_str()), (2, "connector/in deleted\n"));
    assert_eq!(err, "error: connector/nope: Connector nope not found\n");
    up.refused(&["-n", "other", "describe", "connector", "out"], 2, "error: Connector out not found\n").await;
    let err = "error: parent: a namespace cannot be \"Other\": it has 1 to 63 characters out of a-z, 0-9 and -\n";
    up.refused(&["-n", "Other", "get", "connectors"], 2, err).await;
    up.fake.fail_with(Some(ServiceError::Internal("a defect".into())));
    up.refused(&["get", "connectors"], 1, "error: a defect\n").await;
    up.fake.fail_with(Some(ServiceError::Unavailable("the store is away".into())));
    up.refused(&["get", "workers"], 3, "error: the store is away\n").await;
}

#[tokio::test]
async fn configs_have_a_history_and_go_back() {
    let up = Up::start().await;
    up.two().await;
    let changed = up.file("in.yaml", &TWO.split("---").next().unwrap().replace("topic: t", "topic: u"));
    let apply = ["apply", "-f", &changed, "--reason", "t is full\nsince noon"];
    up.check(&apply, "connector/in configured\n").await;

    let (_, out, _) = up.ferry(&["history", "connector", "in"]).await;
    let rows: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["REVISION", "AGE", "AUTHOR", "CHANGES", "REASON"]);
    assert_eq!((rows[1][0], rows[1][3], rows[1][4..].join(" ").as_str()), ("2", "1", "t is full…"), "{out}");
    assert!(rows[1][2].contains('@'), "{out}");
    assert_eq!((rows[2][0], rows[2][3], rows[2][4]), ("1", "4", "-"));
    let (_, out, _) = up.ferry(&["history", "connector", "in", "-o", "json"]).await;
    let listed: serde_json::Value = serde_json::from_str(&out).unwrap();
    let change = serde_json::json!([{"key": "topic", "kind": "changed", "old": "t", "new": "u"}]);
    assert_eq!((&listed[0]["changes"], &listed[0]["reason"]), (&change, &serde_json::json!("t is full\nsince noon")));

    let diff = "--- in revision 1\n+++ in revision 2\n@@ -1,4 +1,4 @@\n connector.class = FileStreamSource\n \
                file = /tmp/in\n name = in\n-topic = t\n+topic = u\n";
    up.check(&["history", "connector", "in", "--diff", "2"], diff).await;
    up.check(&["history", "connector", "in", "--diff", "1:2"], diff).await;
    up.check(&["history", "connector", "in", "--diff", "2:2"], "").await;
    let (_, out, _) = up.ferry(&["history", "connector", "in", "--diff", "1", "-o", "yaml"]).await;
    assert!(out.starts_with("- key: connector.class\n  kind: added\n  new: FileStreamSource\n"), "{out}");

    let dry = ["rollback", "connector", "in", "--to", "1", "--dry-run"];
    up.check(&dry, "connector/in rolled back to revision 1 (dry run)\n").await;
    let back = ["rollback", "connector", "in", "--to", "1", "--reason", "u is worse"];
    up.check(&back, "connector/in rolled back to revision 1\n").await;
    up.check(&back, "connector/in unchanged\n").await;
    let (_, out, _) = up.ferry(&["history", "connector", "in", "--revision", "3"]).await;
    assert!(out.contains("Reason:       rollback to revision 1: u is worse\nConfig:\n"), "{out}");
    assert!(out.ends_with("  topic = t\n"), "{out}");

    let err = "error: connector in has no revision 9; 1 to 3 are kept\n";
    up.refused(&["rollback", "connector", "in", "--to", "9"], 2, err).await;
    up.refused(&["history", "connector", "in", "--revision", "9"], 2, err).await;
    let reason = "x".repeat(1001);
    let words = ["rollback", "connector", "in", "--to", "2", "--reason", &reason];
    up.refused(&words, 2, "error: reason: it has 1001 characters; give at most 1000\n").await;
    up.refused(&["history", "connector", "x"], 2, "error: Connector x not found\n").await;

    let (_, out, _) = up.ferry(&["history", "connector", "in", "--revision", "2", "-o", "yaml"]).await;
    let file = up.file("second.yaml", &out);
    up.check(&["apply", "-f", &file], "connector/in configured\n").await;
    up.check(&["history", "connector", "in", "--diff", "2:4"], "").await;
}

#[tokio::test]
async fn an_unreachable_server_is_named_with_the_fix() {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (code, out, err) = ferry(&format!("http://{address}"), &["get", "connectors"]).await;
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.starts_with(&format!("error: nobody answers at http://{address}: ")), "{err}");
    assert!(err.ends_with("give its address with --server or FERRY_SERVER\n"), "{err}");
    let (code, _, err) = ferry("localhost:7400", &["get", "connectors"]).await;
    assert_eq!(
        (code, err.as_str()),
        (2, "error: --server: \"localhost:7400\" is not an address; give it as http://HOST:PORT\n")
    );
}

#[tokio::test]
async fn tables_of_workers_and_plugins() {
    let up = Up::start().await;
    up.two().await;
    let (_, out, _) = up.ferry(&["get", "workers"]).await;
    let words: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["NAME", "STATE", "UNITS", "POOL", "ZONE", "VERSION", "AGE", "ID"]);
    assert_eq!(words[1][..6], [WORKER, "READY", "5", "-", "a", "0.1.0"]);
    let (_, out, _) = up.ferry(&["get", "worker", WORKER, "-o", "yaml"]).await;
    assert!(out.contains("labels:\n    disk: ssd\n"), "{out}");
    let (_, out, _) = up.ferry(&["get", "plugins"]).await;
    assert_eq!(
        out.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>(),
        [
            "org.apache.kafka.connect.file.FileStreamSinkConnector",
            "sink",
            "4.3.0",
            "1",
            "FileStreamSinkConnector,FileStreamSink",
        ]
    );
    let (_, out, _) = up.ferry(&["completions", "bash"]).await;
    assert!(out.contains("complete -F _ferry"), "{out}");
}

#[tokio::test]
async fn waiting() {
    let up = Up::start().await;
    up.two().await;
    up.check(&["wait", "connector", "in", "--for", "running"], "connector/in running\n").await;
    up.check(&["wait", "connector", "out", "--for", "paused"], "connector/out paused\n").await;
    up.fake.report("in", |view| {
        view.tasks[0].state = UnitState::Failed;
        view.tasks[0].error = Some(PluginError { class: "E".into(), message: "m".into(), ..Default::default() });
    });
    let words = ["wait", "connector", "in", "--for", "running", "--timeout", "150ms"];
    let err = "error: connector/in is not running after 0.15 s: connector RUNNING, task 0 FAILED (E: m)\n";
    up.refused(&words, 1, err).await;
    let waiting = up.ferry(&["wait", "connector", "in", "--for", "stopped", "--timeout", "10s"]);
    let stop = up.ferry(&["stop", "connector", "in"]);
    assert_eq!(tokio::join!(waiting, stop).0, (0, "connector/in stopped\n".to_owned(), String::new()));
    up.refused(&["wait", "connector", "x", "--for", "running"], 2, "error: Connector x not found\n").await;
}

#[tokio::test]
async fn watching_prints_the_present_then_changes() {
    let up = Up::start().await;
    up.two().await;
    let out = Shared::default();
    let arguments = Arguments::parse_from(["ferry", "--server", &up.address, "get", "connectors", "--watch"]);
    let (mut writer, mut errors) = (out.clone(), io::sink());
    let changes = async {
        until(|| out.text().lines().count() == 3).await;
        up.fake.report("in", |view| view.tasks[0].state = UnitState::Failed);
        up.check(&["delete", "connector", "out"], "connector/out deleted\n").await;
        until(|| out.text().lines().count() == 5).await;
    };
    tokio::select! {
        code = run(arguments, &mut writer, &mut errors, false) => panic!("the watch ended with {code}"),
        () = changes => {}
    }
    let text = out.text();
    let lines: Vec<&str> = text.lines().collect();
    let column = lines[0].find("STATE").unwrap();
    assert!(lines[1].starts_with("in ") && lines[1][column..].starts_with("RUNNING"), "{text}");
    assert!(lines[3].starts_with("in ") && lines[3][column..].starts_with("FAILED"), "{text}");
    assert!(lines[4].starts_with("out ") && lines[4].ends_with("(deleted)"), "{text}");
}

async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "it did not come to pass");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp { seconds: START_MS / 1000 + seconds, nanos: 0 }
}

fn failure(seconds: i64, message: &str) -> v1::RecentFailure {
    v1::RecentFailure { time: Some(at(seconds)), class: "ConnectException".into(), message: message.into() }
}

fn failed() -> v1::Connector {
    let unit = |task, state: v1::UnitState| v1::UnitStatus {
        task,
        state: state.into(),
        worker: WORKER.into(),
        worker_id: "w1".into(),
        epoch: "1.7".into(),
        since: Some(at(0)),
        version: "4.3.0".into(),
        ..Default::default()
    };
    let error = v1::PluginError {
        class: "ConnectException".into(),
        message: "cannot open".into(),
        causes: vec!["no such file".into()],
        trace: "at open\nat start".into(),
        retriable: false,
    };
    v1::Connector {
        name: "namespaces/team-a/connectors/orders".into(),
        uid: "u1".into(),
        config: [("file".to_owned(), "/tmp/in".to_owned()), ("name".to_owned(), "orders".to_owned())].into(),
        target_state: v1::TargetState::Running.into(),
        etag: "e1".into(),
        config_generation: 2,
        target_generation: 1,
        r#type: "source".into(),
        create_time: Some(at(0)),
        update_time: Some(at(60)),
        planner: Some(unit(None, v1::UnitState::Running)),
        tasks: vec![
            v1::UnitStatus {
                records: 42,
                positions: vec![v1::Position {
                    partition: "{\"filename\":\"/tmp/in\"}".into(),
                    offset: "{\"position\":7}".into(),
                }],
                ..unit(Some(0), v1::UnitState::Running)
            },
            v1::UnitStatus {
                error: Some(error),
                restarts: 3,
                next_attempt: Some(at(400)),
                recent_failures: vec![failure(200, "cannot open"), failure(280, "no such file")],
                ..unit(Some(1), v1::UnitState::Failed)
            },
        ],
    }
}

#[test]
fn the_table_of_connectors() {
    let stopped = v1::Connector {
        name: "namespaces/b/connectors/x".into(),
        r#type: "sink".into(),
        planner: Some(v1::UnitStatus { state: v1::UnitState::Unassigned.into(), ..Default::default() }),
        ..Default::default()
    };
    let connectors = [failed(), stopped];
    assert_eq!(
        table::connectors(&connectors, true, &at(300)).render(true),
        "NAMESPACE   NAME     TYPE     STATE        TASKS   WORKER           AGE   NOTE\n\
         team-a      orders   source   FAILED       1/2     127.0.0.1:7403   5m    task 1 restarted 3 times, last: no such file\n\
         b           x        sink     UNASSIGNED   0/0     -                -"
    );
    assert_eq!(table::connectors(&[], false, &at(0)).render(true), "NAME   TYPE   STATE   TASKS   WORKER   AGE   NOTE");
}

#[test]
fn what_stands_still_is_noted_first() {
    let standstill = |place: &str| Some(v1::Standstill { since: Some(at(100)), place: place.into() });
    let shown = |change: &dyn Fn(&mut v1::UnitStatus)| {
        let mut connector = failed();
        change(&mut connector.tasks[0]);
        let row = table::connectors(std::slice::from_ref(&connector), false, &at(300)).render(false);
        let mut out = Vec::new();
        describe::connector(&mut out, &connector, &at(300)).unwrap();
        let text = String::from_utf8(out).unwrap();
        let line = text.split("Task 0:\n").nth(1).and_then(|rest| rest.lines().next()).unwrap_or_default().trim();
        (row.split("5m").nth(1).unwrap_or_default().trim().to_owned(), line.to_owned())
    };
    assert_eq!(
        shown(&|unit| unit.stalled = standstill("put")),
        (
            "task 0 stalled in put for 3m".to_owned(),
            "State:      RUNNING (stalled in put since 2023-11-14T22:15:00Z)".to_owned()
        )
    );
    let blocked = |unit: &mut v1::UnitStatus| {
        unit.set_state(v1::UnitState::StopBlocked);
        unit.stop_blocked = standstill("retrying put");
    };
    assert_eq!(
        shown(&blocked),
        (
            "task 0 does not stop, retrying put for 3m".to_owned(),
            "State:      STOP_BLOCKED (retrying put since 2023-11-14T22:15:00Z)".to_owned()
        )
    );
}

#[test]
fn the_description_of_a_connector() {
    let mut out = Vec::new();
    describe::connector(&mut out, &failed(), &at(300)).unwrap();
    let expected = "\
Name:         orders
Namespace:    team-a
Uid:          u1
Type:         source
Target state: RUNNING
State:        FAILED
Created:      2023-11-14T22:13:20Z (5m ago)
Updated:      2023-11-14T22:14:20Z (4m ago)
Generation:   config 2, target 1
Etag:         e1
Connector:
  State:      RUNNING
  Since:      2023-11-14T22:13:20Z (5m ago)
  Worker:     127.0.0.1:7403 (id w1, epoch 1.7)
  Version:    4.3.0
Task 0:
  State:      RUNNING
  Since:      2023-11-14T22:13:20Z (5m ago)
  Worker:     127.0.0.1:7403 (id w1, epoch 1.7)
  Version:    4.3.0
  Records:    42
  Position:   {\"filename\":\"/tmp/in\"} -> {\"position\":7}
Task 1:
  State:      FAILED
  Since:      2023-11-14T22:13:20Z (5m ago)
  Worker:     127.0.0.1:7403 (id w1, epoch 1.7)
  Version:    4.3.0
  Records:    0
  Restarts:   3
  Next try:   2023-11-14T22:20:00Z
  Failures:   2023-11-14T22:18:00Z (20s ago) ConnectException: no such file
              2023-11-14T22:16:40Z (100s ago) ConnectException: cannot open
  Error:      ConnectException: cannot open
              caused by: no such file
              at open
              at start
Config:
  file = /tmp/in
  name = orders
";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}
