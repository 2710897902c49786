//! One hollow worker: a session that accepts everything at once and runs nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use proto::worker_v1::session_request::Message as ToReplica;
use proto::worker_v1::session_response::Message as FromReplica;
use proto::worker_v1::session_service_client::SessionServiceClient;
use proto::worker_v1::{
    self as wire, Assignment, CommandResult, FenceClass, Heartbeat, Hello, PluginInfo, ReportTaskSet, RunState,
    SessionRequest, TaskConfig, UnitEnded, UnitReport, ValidateResult, command, command_result,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use super::fleet::{Fleet, TaskName};

/// The connector that the workers say they have.
pub(super) const CLASS: &str = "org.apache.kafka.connect.file.FileStreamSourceConnector";

const OUTBOX: usize = 4096;
/// Tries to be welcome.
const GREETINGS: usize = 100;
const RETRY: Duration = Duration::from_millis(300);
const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// Starts a worker; aborting the handle kills it without a word.
pub(super) fn start(endpoint: String, number: u32, fleet: Arc<Fleet>) -> JoinHandle<()> {
    tokio::spawn(async move {
        // A thousand that come at once may be turned away for a moment, as real ones may.
        for attempt in 1.. {
            match live(&endpoint, number, &fleet).await {
                Ok(()) => return,
                Err(Ended::BeforeWelcome(_)) if attempt < GREETINGS => tokio::time::sleep(RETRY).await,
                Err(Ended::BeforeWelcome(error) | Ended::AfterWelcome(error)) => {
                    eprintln!("worker {number}, after {attempt} sessions: {error:#}");
                    return;
                }
            }
        }
    })
}

/// Why a worker's session ended.
enum Ended {
    /// It may try again.
    BeforeWelcome(anyhow::Error),
    /// It has lost its units.
    AfterWelcome(anyhow::Error),
}

struct Hollow<'a> {
    number: u32,
    fleet: &'a Fleet,
    outbox: mpsc::Sender<SessionRequest>,
    sequence: u64,
    /// RUNNING reports without an answer, by sequence: connector's name and task.
    reported: HashMap<u64, (String, TaskName)>,
    /// The highest epoch of each unit that was taken.
    taken: HashMap<(String, Option<u32>), u64>,
}

async fn live(endpoint: &str, number: u32, fleet: &Fleet) -> Result<(), Ended> {
    let (outbox, queue) = mpsc::channel(OUTBOX);
    let mut hollow = Hollow { number, fleet, outbox, sequence: 0, reported: HashMap::new(), taken: HashMap::new() };
    let (welcome, stream) = hollow.greet(endpoint, queue).await.map_err(Ended::BeforeWelcome)?;
    fleet.connected();
    hollow.work(welcome, stream).await.map_err(Ended::AfterWelcome)
}

impl Hollow<'_> {
    async fn greet(
        &self,
        endpoint: &str,
        queue: mpsc::Receiver<SessionRequest>,
    ) -> Result<(wire::Welcome, tonic::Streaming<wire::SessionResponse>)> {
        let endpoint =
            Endpoint::from_shared(endpoint.to_owned())?.tcp_nodelay(true).connect_timeout(Duration::from_secs(30));
        let channel = endpoint.connect().await.context("connecting")?;
        self.say(ToReplica::Hello(hello(self.number))).await?;
        let mut client = SessionServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let mut stream = client.session(ReceiverStream::new(queue)).await?.into_inner();
        match stream.message().await?.and_then(|first| first.message) {
            Some(FromReplica::Welcome(welcome)) => Ok((welcome, stream)),
            _ => Err(anyhow!("no welcome")),
        }
    }

    async fn work(
        &mut self,
        welcome: wire::Welcome,
        mut stream: tonic::Streaming<wire::SessionResponse>,
    ) -> Result<()> {
        let mut heartbeats = tokio::time::interval(Duration::from_millis(welcome.heartbeat_interval_ms.max(1).into()));
        let mut beat = 0;
        loop {
            tokio::select! {
                _ = heartbeats.tick() => {
                    beat += 1;
                    self.say(ToReplica::Heartbeat(Heartbeat { number: beat })).await?;
                }
                message = stream.message() => match message?.context("the replica ended the session")?.message {
                    Some(FromReplica::Expired(_)) => return Err(anyhow!("expired")),
                    Some(FromReplica::Refused(refused)) => return Err(anyhow!("refused: {}", refused.reason)),
                    Some(message) => self.hear(message).await?,
                    None => {}
                },
            }
        }
    }

    async fn say(&self, message: ToReplica) -> Result<()> {
        let said = self.outbox.send(SessionRequest { message: Some(message) }).await;
        said.map_err(|_| anyhow!("the session is closed"))
    }

    async fn hear(&mut self, message: FromReplica) -> Result<()> {
        match message {
            FromReplica::Document(document) => {
                for grant in document.removed {
                    if let Some(wire::Unit { connector_uid, task: Some(task) }) = grant.unit {
                        self.fleet.ended(&(connector_uid, task), self.number);
                    }
                }
                for assignment in document.assignments {
                    self.take(assignment).await?;
                }
            }
            FromReplica::ReportAck(ack) => {
                if let Some((connector, task)) = self.reported.remove(&ack.sequence)
                    && ack.accepted
                {
                    self.fleet.runs(&connector, task, self.number);
                }
            }
            FromReplica::Command(asked) => {
                let Some(command::Command::Validate(_)) = asked.command else { return Ok(()) };
                let result = ValidateResult {
                    config_infos_json: format!(r#"{{"name":"{CLASS}","error_count":0,"groups":[],"configs":[]}}"#),
                    connector_type: "source".to_owned(),
                    class: CLASS.to_owned(),
                    fence_class: FenceClass::Lease.into(),
                };
                let result = Some(command_result::Result::Validate(result));
                self.say(ToReplica::CommandResult(CommandResult { id: asked.id, result })).await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn take(&mut self, assignment: Assignment) -> Result<()> {
        let (Some(unit), Some(epoch)) = (assignment.unit, assignment.epoch) else { return Ok(()) };
        let known = self.taken.entry((unit.connector_uid.clone(), unit.task)).or_default();
        let is_new = epoch.counter > *known;
        *known = epoch.counter.max(*known);
        self.sequence += 1;
        let sequence = self.sequence;
        if assignment.revoking {
            if let Some(task) = unit.task {
                self.fleet.ended(&(unit.connector_uid.clone(), task), self.number);
            }
            let kind = wire::EndKind::Stopped.into();
            return self
                .say(ToReplica::UnitEnded(UnitEnded { sequence, unit: Some(unit), epoch: Some(epoch), kind }))
                .await;
        }
        if !is_new {
            return Ok(());
        }
        if let Some(task) = unit.task {
            self.reported.insert(sequence, (assignment.connector, (unit.connector_uid.clone(), task)));
        }
        let report = UnitReport {
            sequence,
            unit: Some(unit.clone()),
            epoch: Some(epoch),
            state: RunState::Running.into(),
            change: 1,
            ..UnitReport::default()
        };
        self.say(ToReplica::UnitReport(report)).await?;
        if unit.task.is_none() {
            let count: u32 = assignment.connector_config.get("tasks.max").and_then(|max| max.parse().ok()).unwrap_or(1);
            let config = |number: u32| [("task".to_owned(), number.to_string())].into();
            self.sequence += 1;
            let set = ReportTaskSet {
                sequence: self.sequence,
                connector_uid: unit.connector_uid,
                epoch: Some(epoch),
                config_generation: assignment.config_generation,
                tasks: (0..count).map(|number| TaskConfig { config: config(number) }).collect(),
                change: 1,
            };
            self.say(ToReplica::TaskSet(set)).await?;
        }
        Ok(())
    }
}

fn hello(number: u32) -> Hello {
    Hello {
        protocol_min: 1,
        protocol_max: 1,
        worker_id: uuid::Uuid::new_v4().to_string(),
        address: format!("127.0.0.1:{}", 20_000 + number % 40_000),
        plugins: vec![PluginInfo {
            kind: "source".to_owned(),
            class: CLASS.to_owned(),
            version: "4.3.0".to_owned(),
            aliases: vec![CLASS.to_owned(), "FileStreamSource".to_owned()],
            host: "builtin".to_owned(),
            config_def_json: "[]".to_owned(),
        }],
        version: "hollow".to_owned(),
        ..Hello::default()
    }
}
