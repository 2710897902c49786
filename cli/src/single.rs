//! Both planes in one process, on the embedded store: `ferry standalone` and `ferry dev`.
//!
//! They speak to each other over loopback as they do across machines; nothing is special but the store.

use crate::{
    caller::Caller,
    failure::{Failure, Kind},
};
use control_plane_server::{
    limits::Limits,
    run::{Listen, Listening, run as run_control_plane},
};
use control_plane_store::embedded::EmbeddedStore;
use data_plane_worker::run::{Options, run as run_worker};
use proto::v1::{self, connector_service_client::ConnectorServiceClient};
use std::{
    collections::BTreeMap,
    io::IsTerminal,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::{Code, transport::Endpoint};
use tracing_appender::non_blocking::NonBlockingBuilder;
use tracing_subscriber::EnvFilter;

/// How long the two planes may take to find each other.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// Lines of the log that may wait for whoever reads standard error. More are dropped: a reader that does not read stops no
/// heartbeat.
const LOG_LINES: usize = 10_000;

/// What to run.
pub(crate) struct Single {
    /// Worker properties.
    pub(crate) settings: BTreeMap<String, String>,
    /// Where the state is kept; None: in memory, gone with the process.
    pub(crate) state: Option<PathBuf>,
    /// Users' gRPC.
    pub(crate) grpc: SocketAddr,
    /// Kafka Connect's REST API.
    pub(crate) rest: SocketAddr,
    /// Connectors to create, or to change to this: names and configs.
    pub(crate) connectors: Vec<(String, BTreeMap<String, String>)>,
}

/// Runs until SIGTERM or Ctrl-C. `ready` is called when everything listens and the connectors are created.
pub(crate) async fn run(single: Single, ready: impl FnOnce(&Listening)) -> Result<(), Failure> {
    let filter = EnvFilter::try_from_env("FERRY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    // Dropped at the end, it writes what waits.
    let (log, _log) = NonBlockingBuilder::default().buffered_lines_limit(LOG_LINES).finish(std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(log).init();
    let store = match &single.state {
        Some(path) => EmbeddedStore::open(path),
        None => EmbeddedStore::in_memory(),
    };
    let store = Arc::new(store.map_err(|error| environment(error.to_string()))?);
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listen =
        Listen { grpc: single.grpc, workers: anywhere, workers_advertised: None, rest: single.rest, admin: anywhere };
    let (stop_control_plane, stop_worker) = (CancellationToken::new(), CancellationToken::new());
    let (told, listening) = oneshot::channel();
    let mut control_plane = tokio::spawn(run_control_plane(
        store,
        single.settings,
        listen,
        Limits::default(),
        stop_control_plane.clone(),
        move |listening| drop(told.send(listening.clone())),
    ));
    let Ok(listening) = listening.await else { return Err(ended("the control plane", control_plane.await)) };
    let options = Options {
        control_planes: vec![format!("http://{}", listening.workers)],
        admin_listen: anywhere,
        // Kafka Connect's worker_id in standalone mode is the address of its REST API.
        admin_advertise: Some(listening.rest.to_string()),
        pool: String::new(),
        zone: String::new(),
        labels: BTreeMap::new(),
        capacity: 0,
    };
    let mut worker = tokio::spawn(run_worker(options, stop_worker.clone(), |_, _| {}));

    let result = async {
        apply(&listening, &single.connectors).await?;
        ready(&listening);
        tokio::select! {
            ended_early = &mut control_plane => Err(ended("the control plane", ended_early)),
            ended_early = &mut worker => Err(ended("the worker", ended_early)),
            signalled = signal() => signalled,
        }
    }
    .await;
    // The worker first, so that it commits what it has and gives its tasks back.
    stop_worker.cancel();
    if !worker.is_finished() {
        // Its own deadline bounds this.
        let _ = worker.await;
    }
    stop_control_plane.cancel();
    if !control_plane.is_finished() {
        let _ = control_plane.await;
    }
    result
}

/// Creates the connectors, or changes them to what the files say.
async fn apply(listening: &Listening, connectors: &[(String, BTreeMap<String, String>)]) -> Result<(), Failure> {
    if connectors.is_empty() {
        return Ok(());
    }
    let unreached = |error| environment(format!("the control plane in this process is not reached: {error}"));
    let endpoint = Endpoint::from_shared(format!("http://{}", listening.grpc)).map_err(unreached)?;
    let channel = endpoint.connect().await.map_err(unreached)?;
    let mut client = ConnectorServiceClient::with_interceptor(channel, Caller::of_this_process());
    let deadline = Instant::now() + START_PATIENCE;
    for (name, config) in connectors {
        loop {
            let request = v1::UpdateConnectorRequest {
                connector: Some(v1::Connector {
                    name: format!("namespaces/default/connectors/{name}"),
                    config: config.clone(),
                    ..v1::Connector::default()
                }),
                allow_missing: true,
                ..v1::UpdateConnectorRequest::default()
            };
            match client.update_connector(request).await {
                Ok(_) => break,
                // The worker has not said hello yet.
                Err(status) if is_early(&status) && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(status) => return Err(Failure::from(status).about(name)),
            }
        }
    }
    Ok(())
}

fn is_early(status: &tonic::Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::FailedPrecondition) && status.message().contains("no worker")
}

async fn signal() -> Result<(), Failure> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|error| environment(format!("SIGTERM cannot be handled: {error}")))?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}

fn environment(text: String) -> Failure {
    Failure::new(Kind::Environment, text)
}

fn ended(what: &str, result: Result<anyhow::Result<()>, tokio::task::JoinError>) -> Failure {
    match result {
        Ok(Ok(())) => Failure::new(Kind::Runtime, format!("{what} ended by itself")),
        Ok(Err(error)) => Failure::new(Kind::Runtime, format!("{error:#}")),
        Err(error) => Failure::new(Kind::Runtime, format!("{what} failed: {error}")),
    }
}
