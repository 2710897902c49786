//! A whole control plane on the embedded store, on loopback sockets, and who speaks to it.

use control_plane_core::{
    connector::{Config, Connector},
    ids::{ConnectorName, ConnectorUid},
    keys::{Key, encode},
    time::Wall,
    txn::Txn,
};
use control_plane_server::{
    limits::Limits,
    run::{Listen, Listening, run},
};
use control_plane_store::{Outcome, Store, embedded::EmbeddedStore};
use proto::{
    v1::{connector_service_client::ConnectorServiceClient, worker_service_client::WorkerServiceClient},
    worker_v1::{
        self as wire, session_request::Message as ToReplica, session_response::Message as FromReplica,
        session_service_client::SessionServiceClient,
    },
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

/// How long anything may take that must come.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A number that is not zero.
pub fn at_most(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

/// A control plane; it ends with this.
pub struct Up {
    pub listening: Listening,
    _stop: DropGuard,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Up {
    pub async fn start(limits: Limits) -> Up {
        Up::start_on(Arc::new(EmbeddedStore::in_memory().expect("store")), limits).await
    }

    pub async fn start_on(store: Arc<dyn Store>, limits: Limits) -> Up {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listen =
            Listen { grpc: anywhere, workers: anywhere, workers_advertised: None, rest: anywhere, admin: anywhere };
        let stop = CancellationToken::new();
        let (sender, mut receiver) = mpsc::channel(1);
        let serving = run(store, BTreeMap::new(), listen, limits, stop.clone(), move |listening| {
            sender.try_send(listening.clone()).expect("it is told once");
        });
        let task = tokio::spawn(serving);
        let listening = timeout(DEADLINE, receiver.recv()).await.expect("it starts in time").expect("it starts");
        Up { listening, _stop: stop.drop_guard(), task }
    }

    /// Why it ended by itself.
    pub async fn ended(self) -> anyhow::Error {
        self.task.await.expect("no panic").expect_err("nobody asked it to end")
    }

    /// A connection of the caller `127.0.0.<caller>`.
    pub async fn channel(&self, caller: u8) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.listening.grpc)).expect("an address");
        endpoint.local_address(Some(address(caller))).connect().await.expect("connected")
    }

    pub async fn connectors(&self, caller: u8) -> ConnectorServiceClient<Channel> {
        ConnectorServiceClient::new(self.channel(caller).await)
    }

    pub async fn workers(&self, caller: u8) -> WorkerServiceClient<Channel> {
        WorkerServiceClient::new(self.channel(caller).await)
    }

    /// An HTTP client of the caller `127.0.0.<caller>`.
    pub fn http(&self, caller: u8) -> reqwest::Client {
        reqwest::Client::builder().local_address(address(caller)).build().expect("a client")
    }

    /// The value of a metric, given with its labels; 0 where it is not there.
    pub async fn metric(&self, name: &str) -> f64 {
        let url = format!("http://{}/metrics", self.listening.admin);
        let text = reqwest::get(url).await.expect("metrics").text().await.expect("a text");
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("ferry_control_plane_{name} ")));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// A session that says this; gives what comes first.
    pub async fn session(&self, hello: wire::Hello) -> Result<(Session, FromReplica), Status> {
        let mut session = self.silent_session().await?;
        session.say(ToReplica::Hello(hello)).await;
        let first = session.next().await?;
        Ok((session, first))
    }

    /// A session that says nothing.
    pub async fn silent_session(&self) -> Result<Session, Status> {
        let url = format!("http://{}", self.listening.workers);
        let channel = Endpoint::from_shared(url).expect("an address").connect().await.expect("connected");
        let (outbox, queue) = mpsc::channel(1024);
        let stream = SessionServiceClient::new(channel).session(ReceiverStream::new(queue)).await?.into_inner();
        Ok(Session { outbox, stream })
    }
}

fn address(caller: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, caller).into()
}

/// A worker's side of a session.
pub struct Session {
    outbox: mpsc::Sender<wire::SessionRequest>,
    stream: Streaming<wire::SessionResponse>,
}

impl Session {
    pub async fn say(&self, message: ToReplica) {
        // The replica may have ended the session: what it said last is read.
        let _ = self.outbox.send(wire::SessionRequest { message: Some(message) }).await;
    }

    /// The next message; UNAVAILABLE where the session just ended.
    pub async fn next(&mut self) -> Result<FromReplica, Status> {
        let message = timeout(DEADLINE, self.stream.message()).await.expect("something comes in time")?;
        message.and_then(|message| message.message).ok_or_else(|| Status::unavailable("the session has ended"))
    }

    /// Waits for a heartbeat's acknowledgement.
    pub async fn acknowledged(&mut self, number: u64) {
        loop {
            match self.next().await.expect("the session goes on") {
                FromReplica::HeartbeatAck(ack) if ack.number >= number => return,
                _ => {}
            }
        }
    }

    /// Sends a heartbeat.
    pub async fn beat(&self, number: u64) {
        self.say(ToReplica::Heartbeat(wire::Heartbeat { number })).await;
    }
}

/// What worker `number` says, whose process is `instance`.
pub fn hello(number: u128, instance: u128) -> wire::Hello {
    wire::Hello {
        protocol_min: 1,
        protocol_max: 1,
        worker_id: Uuid::from_u128(number).to_string(),
        address: format!("127.0.0.1:{number}"),
        instance: Uuid::from_u128(instance).to_string(),
        ..wire::Hello::default()
    }
}

/// Connector `c<number>`, as it is stored.
pub fn connector(number: u128, config: Config) -> Connector {
    Connector {
        config,
        ..Connector::new(
            ConnectorUid(Uuid::from_u128(number)),
            ConnectorName::parse(format!("c{number}")).expect("a name"),
            "C".to_owned(),
            Wall(0),
        )
    }
}

/// Writes a connector past everybody.
pub async fn put(store: &dyn Store, connector: Connector) {
    let key = Key::Connector(connector.namespace.clone(), connector.name.clone());
    let outcome = store.commit(Txn::new().put(key, encode(&connector))).await.expect("stored");
    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
}
