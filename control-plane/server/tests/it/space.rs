//! A control plane on a real etcd whose space runs out, filled by somebody else.

use crate::{
    etcd_process::{self, Etcd},
    up::{DEADLINE, Session, Up, connector, hello, put},
};
use control_plane_server::limits::Limits;
use control_plane_store::etcd::EtcdStore;
use etcd_client::Client;
use proto::{
    v1,
    worker_v1::{self as wire, session_request::Message as ToReplica, session_response::Message as FromReplica},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Of etcd.
const QUOTA_BYTES: u64 = 16 << 20;
/// Written at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// Of a session: heartbeats, so that the lease holds.
const BEAT: Duration = Duration::from_millis(200);

/// Somebody else who uses the same etcd.
struct Neighbour {
    client: Client,
    written: u32,
}

impl Neighbour {
    /// False: etcd has no space left.
    async fn write(&mut self) -> bool {
        self.written += 1;
        let key = format!("/neighbour/{}", self.written);
        self.client.put(key, vec![0; CHUNK_BYTES], None).await.is_ok()
    }

    async fn used(&mut self) -> u64 {
        self.client.status().await.expect("a status").db_size() as u64
    }
}

/// A worker that takes what it is given, and reports when it is told to.
struct Worker {
    session: Session,
    beats: u64,
    reports: u64,
    answered: Vec<u64>,
    holds: usize,
    planner: Option<(wire::Unit, wire::Epoch)>,
}

impl Worker {
    /// A heartbeat, and whatever comes until it is answered.
    async fn beat(&mut self) {
        self.beats += 1;
        self.session.beat(self.beats).await;
        loop {
            match self.session.next().await.expect("the session goes on") {
                FromReplica::HeartbeatAck(ack) => {
                    self.holds += usize::from(ack.hold);
                    if ack.number >= self.beats {
                        return;
                    }
                }
                FromReplica::ReportAck(ack) => self.answered.push(ack.sequence),
                FromReplica::Document(document) => {
                    for given in document.assignments {
                        self.planner = given.unit.zip(given.epoch);
                    }
                }
                _ => {}
            }
        }
    }

    /// Goes on for a while.
    async fn live(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.beat().await;
            sleep(BEAT).await;
        }
    }

    async fn report(&mut self, state: wire::RunState) -> u64 {
        self.reports += 1;
        let (unit, epoch) = self.planner.clone().expect("a grant");
        let report = wire::UnitReport {
            sequence: self.reports,
            unit: Some(unit),
            epoch: Some(epoch),
            state: state.into(),
            change: self.reports,
            ..wire::UnitReport::default()
        };
        self.session.say(ToReplica::UnitReport(report)).await;
        self.reports
    }

    async fn until(&mut self, what: &str, is_so: impl AsyncFn(&Worker) -> bool) {
        let waiting = async {
            while !is_so(self).await {
                self.live(1).await;
            }
        };
        timeout(DEADLINE * 2, waiting).await.unwrap_or_else(|_| panic!("not so: {what}"));
    }
}

fn name(connector: &str) -> String {
    format!("namespaces/default/connectors/{connector}")
}

async fn planner(up: &Up, connector: &str) -> v1::UnitState {
    let get = v1::GetConnectorRequest { name: name(connector) };
    let got = up.connectors(2).await.get_connector(get).await.expect("a connector").into_inner();
    got.connector.expect("a connector").planner.expect("a planner").state()
}

async fn ready(up: &Up) -> (u16, String) {
    let url = format!("http://{}/readyz", up.listening.admin);
    let answer = reqwest::get(url).await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a text"))
}

#[track_caller]
fn check_out_of_space(status: &Status) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(status.get_error_details().error_info().expect("ErrorInfo").reason, "STORE_OUT_OF_SPACE");
    assert!(status.message().contains("defrag") && status.message().contains("quota"), "{}", status.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_while_etcds_space_runs_out() {
    for binary in etcd_process::binaries() {
        let quota = QUOTA_BYTES.to_string();
        // Each write counts at once, so that it can be stopped in time.
        let etcd = Etcd::start(&binary, &["--quota-backend-bytes", &quota, "--backend-batch-limit", "1"]);
        let store = EtcdStore::connect(&[etcd.url()], "/ferry", DEADLINE).await.expect("connect");
        let store = Arc::new(store.with_quota(QUOTA_BYTES));
        let client = Client::connect([etcd.url()], None).await.expect("connect");
        runs_out(&Up::start_on(store.clone(), Limits::default()).await, &store, Neighbour { client, written: 0 }).await;
    }
}

async fn runs_out(up: &Up, store: &EtcdStore, mut neighbour: Neighbour) {
    let config = BTreeMap::from([("connector.class".to_owned(), "C".to_owned())]);
    let source = wire::PluginInfo { kind: "source".into(), class: "C".into(), ..Default::default() };
    let (session, _) = up.session(wire::Hello { plugins: vec![source], ..hello(1, 1) }).await.expect("a session");
    let mut worker = Worker { session, beats: 0, reports: 0, answered: Vec::new(), holds: 0, planner: None };
    let mut users = up.connectors(2).await;

    // Enough space.
    put(store, connector(1, config.clone())).await;
    worker.until("a planner is granted", async |worker| worker.planner.is_some()).await;
    let report = worker.report(wire::RunState::Running).await;
    worker.until("the report is stored", async |worker| worker.answered.contains(&report)).await;
    assert_eq!(planner(up, "c1").await, v1::UnitState::Running);
    assert_eq!(ready(up).await.0, 200);

    // Low.
    while neighbour.used().await < QUOTA_BYTES * 82 / 100 {
        assert!(neighbour.write().await, "etcd has space yet");
        worker.beat().await;
    }
    worker.until("the control plane knows", async |_| up.metric("store_space_level").await == 1.0).await;
    let create = || v1::CreateConnectorRequest {
        parent: "namespaces/default".into(),
        connector_id: "new".into(),
        connector: Some(v1::Connector { config: config.clone(), ..Default::default() }),
        ..Default::default()
    };
    check_out_of_space(&users.create_connector(create()).await.expect_err("no new connector"));
    let mut changed = config.clone();
    changed.insert("more".to_owned(), "1".to_owned());
    let update = v1::UpdateConnectorRequest {
        connector: Some(v1::Connector { name: name("c1"), config: changed, ..Default::default() }),
        ..Default::default()
    };
    check_out_of_space(&users.update_connector(update).await.expect_err("no new config"));
    assert_eq!(planner(up, "c1").await, v1::UnitState::Running, "what is stored is true still");
    let report = worker.report(wire::RunState::Failed).await;
    worker
        .until("a state that is true no more is not shown", async |_| planner(up, "c1").await == v1::UnitState::Unknown)
        .await;
    worker.live(3).await;
    assert!(!worker.answered.contains(&report), "the worker has to repeat it");
    assert_eq!(worker.holds, 0, "heartbeats are stored");
    let pause = v1::PauseConnectorRequest { name: name("c1"), ..Default::default() };
    users.pause_connector(pause).await.expect("paused");
    worker.planner = None;
    put(store, connector(2, config.clone())).await;
    worker.until("grants go on", async |worker| worker.planner.is_some()).await;
    let delete = v1::DeleteConnectorRequest { name: name("c2"), ..Default::default() };
    users.delete_connector(delete).await.expect("deleted");
    assert_eq!(ready(up).await.0, 200);

    // Full.
    while neighbour.write().await {
        worker.beat().await;
    }
    worker.until("the control plane knows", async |_| up.metric("store_space_level").await == 2.0).await;
    let (code, text) = ready(up).await;
    assert_eq!(code, 503);
    assert!(text.contains("quota of 16 MiB") && text.contains("defrag"), "{text}");
    let pause = v1::StopConnectorRequest { name: name("c1"), ..Default::default() };
    check_out_of_space(&users.stop_connector(pause).await.expect_err("nothing is stored"));
    worker.holds = 0;
    worker.until("the session runs on, by HOLD", async |worker| worker.holds > 5).await;
    assert_eq!(planner(up, "c1").await, v1::UnitState::Unknown);
}
