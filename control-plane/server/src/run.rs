//! Puts the parts together and runs them until they are told to end.

use crate::{
    admin::{self, Admin},
    cache::Cache,
    clock::Clock,
    control::Control,
    hub::{self, Hub, ToHub},
    leader::LeaderLoop,
    limits::{
        Limits, calls::Calls, connections::CountedListener, grpc::CallLimitLayer, refusals::Refusals,
        rest::within_limits, sessions::SessionLimits,
    },
    progress::ProgressTable,
    reports::Reports,
    session::WorkerSessions,
    sessions::Sessions,
    space::{self, SpaceView},
    view::Viewer,
};
use anyhow::{Context, anyhow};
use axum::serve::ListenerExt;
use control_plane_api::service::Service;
use control_plane_core::{
    connector::{Config, Settings},
    ids::{Generation, ReplicaId, SettingsId},
    keys::{Key, encode},
    policy::Policy,
    txn::{Compare, Txn},
};
use control_plane_store::{Outcome, Store};
use proto::worker_v1::session_service_server::SessionServiceServer;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Where to listen; port 0 takes a free one.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Users' gRPC.
    pub grpc: SocketAddr,
    /// Workers.
    pub workers: SocketAddr,
    /// Where workers reach that, if not there.
    pub workers_advertised: Option<String>,
    /// Kafka Connect's REST API.
    pub rest: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
}

/// Where a running control plane listens.
#[derive(Debug, Clone)]
pub struct Listening {
    /// Its id.
    pub replica: ReplicaId,
    /// Users' gRPC.
    pub grpc: SocketAddr,
    /// Workers.
    pub workers: SocketAddr,
    /// Kafka Connect's REST API.
    pub rest: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
}

/// How often dead HTTP/2 connections are looked for.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// Largest message to a worker, as workers take it: a whole document has all of its units' configs.
const MAX_MESSAGE_TO_WORKER_BYTES: usize = 256 << 20;
/// Pause before missing settings are stored again.
const SETTINGS_AGAIN: Duration = Duration::from_secs(1);
/// How long open requests may take once the process is asked to end.
const CLOSING: Duration = Duration::from_millis(500);
/// How long the store may take to be read at the start.
const FIRST_READ: Duration = Duration::from_secs(60);

/// Runs a control plane on `store` until `stop` is cancelled or something breaks for good. `ready` is called once all
/// listeners are open and the store was read.
pub async fn run(
    store: Arc<dyn Store>,
    settings: Config,
    listen: Listen,
    limits: Limits,
    stop: CancellationToken,
    ready: impl FnOnce(&Listening),
) -> anyhow::Result<()> {
    if listen.workers.ip().is_unspecified() && listen.workers_advertised.is_none() {
        return Err(anyhow!(
            "--worker-listen {} does not say where workers reach this replica; give --worker-advertise, such as \
             http://control-plane-0:{}",
            listen.workers,
            listen.workers.port()
        ));
    }
    let admin_listener = bind(listen.admin, "--admin-listen").await?;
    let grpc_listener = bind(listen.grpc, "--grpc-listen").await?;
    let rest_listener = bind(listen.rest, "--rest-listen").await?;
    // Tried now so that a taken port is told at once, and opened last: a worker must be refused, not left without an
    // answer, while nobody serves it.
    let workers = bind(listen.workers, "--worker-listen").await?.local_addr()?;
    let listening = Listening {
        replica: ReplicaId(Uuid::new_v4()),
        grpc: grpc_listener.local_addr()?,
        workers,
        rest: rest_listener.local_addr()?,
        admin: admin_listener.local_addr()?,
    };
    let advertised = listen.workers_advertised.unwrap_or_else(|| format!("http://{}", listening.workers));

    let clock = Clock::new();
    let cache = Cache::default();
    let refusals = Refusals::default();
    let sessions = Sessions::new(limits.sessions.get() as usize);
    let progress = ProgressTable::default();
    let policy = Policy::default();
    let (to_hub, inbox) = mpsc::channel::<ToHub>(hub::INBOX);
    let hub = Hub::new(
        store.clone(),
        cache.clone(),
        clock,
        sessions.clone(),
        progress.clone(),
        listening.replica,
        advertised.clone(),
    );
    let mut hub = tokio::spawn(hub.run(inbox));
    tokio::select! {
        error = &mut hub => return Err(hub_ended(error)),
        read = tokio::time::timeout(FIRST_READ, first_read(&cache)) => {
            read.map_err(|_| anyhow!("the store was not read within {} s", FIRST_READ.as_secs()))?;
        }
    }
    store_settings(&*store, &cache, settings.clone()).await?;
    let keeping_settings = tokio::spawn(keep_settings(store.clone(), cache.clone(), settings));
    let worker_listener = bind(workers, "--worker-listen").await?;

    let space = SpaceView::default();
    let mut watching_space = tokio::spawn(space::watch(store.clone(), space.clone(), clock));
    let reports = Reports { store: store.clone(), cache: cache.clone(), clock, space: space.clone() };
    let leader = LeaderLoop {
        store: store.clone(),
        cache: cache.clone(),
        clock,
        replica: listening.replica,
        address: advertised.clone(),
        policy: policy.clone(),
    };
    let mut leader = tokio::spawn(leader.run());
    let worker_sessions = WorkerSessions {
        cache: cache.clone(),
        clock,
        sessions: sessions.clone(),
        progress: progress.clone(),
        reports: reports.clone(),
        hub: to_hub,
        replica: listening.replica,
        address: advertised,
        policy: policy.clone(),
        limits: SessionLimits::new(limits.clone(), refusals.clone()),
    };
    let viewer = Viewer { clock, progress, policy, space: space.clone() };
    let leaving = store.clone();
    let control: Arc<dyn Service> =
        Arc::new(Control { store, cache: cache.clone(), clock, sessions: sessions.clone(), viewer, reports });

    // The listeners close after the leader has ended: who is refused by them may count on nobody planning.
    let closing = CancellationToken::new();
    let calls = Calls::new(limits.clone(), refusals.clone());
    let worker_listener = CountedListener::new(worker_listener, limits.worker_connections(), None, refusals.clone());
    let for_users = |listener| {
        CountedListener::new(listener, limits.connections, Some(limits.connections_per_caller), refusals.clone())
    };
    let workers = serve_workers(worker_listener, worker_sessions, &limits, closing.clone());
    let grpc = serve_grpc(for_users(grpc_listener), control.clone(), calls.clone(), closing.clone());
    let rest = serve_rest(for_users(rest_listener), control, calls, closing.clone());
    let admin = Admin { cache, sessions, replica: listening.replica, refusals: refusals.clone(), space };
    let admin = serve_http(admin_listener, admin::router(admin), closing.clone());
    ready(&listening);
    let listeners = async { tokio::try_join!(workers, grpc, rest, admin).map(|_| ()) };
    tokio::pin!(listeners);
    let result = tokio::select! {
        error = &mut hub => Err(hub_ended(error)),
        _ = &mut leader => Err(anyhow!("the leader's loop has ended")),
        _ = &mut watching_space => Err(anyhow!("the watch over the store's space has ended")),
        result = &mut listeners => result,
        () = stop.cancelled() => Ok(()),
    };
    leader.abort();
    // Aborted: how it ended says nothing.
    let _ = leader.await;
    closing.cancel();
    if result.is_ok() {
        // Sessions are streams without an end: they are not waited for.
        let _ = tokio::time::timeout(CLOSING, listeners).await;
    }
    watching_space.abort();
    keeping_settings.abort();
    hub.abort();
    // Nobody waits for this leader's session to run out.
    leaving.leave().await;
    result
}

async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("{address} cannot be listened on; another process may have the port: free it, or change {flag}")
    })
}

async fn first_read(cache: &Cache) {
    let mut progress = cache.subscribe();
    // The hub holds the sender for as long as it runs.
    let _ = progress.wait_for(|progress| progress.live).await;
}

fn hub_ended(ended: Result<control_plane_store::StoreError, tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok(error) => anyhow::Error::new(error).context("the view of the store has ended"),
        Err(error) => anyhow::Error::new(error).context("the view of the store has failed"),
    }
}

/// The file's settings become the stored ones; a change raises their generation.
async fn store_settings(store: &dyn Store, cache: &Cache, properties: Config) -> anyhow::Result<()> {
    let key = Key::Settings(SettingsId::default());
    for _ in 0..10 {
        let known = cache.world().settings.get(&SettingsId::default()).cloned();
        let (guard, generation) = match known {
            Some(known) if known.value.properties == properties => return Ok(()),
            Some(known) => (Compare::Unchanged(key.clone(), known.revision), known.value.generation.next()),
            None => (Compare::Absent(key.clone()), Generation::FIRST),
        };
        let settings = Settings { generation, properties: properties.clone() };
        let txn = Txn::new().when(guard).put(key.clone(), encode(&settings));
        match store.commit(txn).await? {
            Outcome::Committed(revision) => return Ok(cache.reach(revision).await?),
            Outcome::Refused => cache.up_to_date(store).await?,
        }
    }
    Err(anyhow!("the settings are being changed by others again and again"))
}

/// A store that was emptied has no settings: a replica that runs on stores its own again. What is there stays as it is.
async fn keep_settings(store: Arc<dyn Store>, cache: Cache, properties: Config) {
    let mut progress = cache.subscribe();
    while progress.wait_for(|progress| progress.live).await.is_ok() {
        let is_missing = !cache.world().settings.contains_key(&SettingsId::default());
        if is_missing && let Err(error) = store_settings(&*store, &cache, properties.clone()).await {
            tracing::warn!(%error, "the settings could not be stored again");
            tokio::time::sleep(SETTINGS_AGAIN).await;
            continue;
        }
        if progress.changed().await.is_err() {
            return;
        }
    }
}

async fn serve_workers(
    listener: CountedListener,
    sessions: WorkerSessions,
    limits: &Limits,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<SessionServiceServer<WorkerSessions>>().await;
    let service = SessionServiceServer::new(sessions)
        .max_decoding_message_size(limits.worker_message_bytes.get() as usize)
        .max_encoding_message_size(MAX_MESSAGE_TO_WORKER_BYTES);
    http2(limits)
        .add_service(health_service)
        .add_service(reflection()?)
        .add_service(old_reflection()?)
        .add_service(service)
        .serve_with_incoming_shutdown(listener.into_stream(), stop.cancelled_owned())
        .await
        .context("the workers' listener failed")
}

async fn serve_grpc(
    listener: CountedListener,
    control: Arc<dyn Service>,
    calls: Calls,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_service_status("", tonic_health::ServingStatus::Serving).await;
    for service in ["ferry.v1.ConnectorService", "ferry.v1.WorkerService", "ferry.v1.PluginService"] {
        health.set_service_status(service, tonic_health::ServingStatus::Serving).await;
    }
    let max_message_bytes = calls.limits().message_bytes.get() as usize;
    let routes = control_plane_api::routes(control, max_message_bytes).add_service(health_service);
    let routes = routes.add_service(reflection()?).add_service(old_reflection()?);
    http2(calls.limits())
        .layer(CallLimitLayer { calls })
        .add_routes(routes)
        .serve_with_incoming_shutdown(listener.into_stream(), stop.cancelled_owned())
        .await
        .context("the users' gRPC listener failed")
}

/// What every connection is held to.
fn http2(limits: &Limits) -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_concurrent_streams(limits.streams.get())
        .http2_max_header_list_size(limits.header_bytes.get())
}

fn reflection() -> anyhow::Result<
    tonic_reflection::server::v1::ServerReflectionServer<impl tonic_reflection::server::v1::ServerReflection>,
> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .context("the descriptors for reflection are unreadable")
}

/// Many tools ask for no other.
fn old_reflection() -> anyhow::Result<
    tonic_reflection::server::v1alpha::ServerReflectionServer<impl tonic_reflection::server::v1alpha::ServerReflection>,
> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1alpha()
        .context("the descriptors for reflection are unreadable")
}

async fn serve_rest(
    listener: CountedListener,
    control: Arc<dyn Service>,
    calls: Calls,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let max_body_bytes = calls.limits().message_bytes.get() as usize;
    let router = control_plane_gateway::router(control, max_body_bytes)
        .layer(axum::middleware::from_fn_with_state(calls, within_limits));
    // Tapped for nothing: axum tells the peer's address of its own kinds of listeners only.
    let listener = listener.tap_io(|_| {});
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .context("the REST listener failed")
}

async fn serve_http(listener: TcpListener, router: axum::Router, stop: CancellationToken) -> anyhow::Result<()> {
    let listener = listener.tap_io(|stream| {
        // A connection that is gone already is noticed by whoever reads it.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .context("the admin listener failed")
}
