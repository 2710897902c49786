//! Puts the worker together and runs it, one life after another.

use crate::{
    admin::{self, Admin},
    guard::Guard,
    plugins::built_in,
    supervisor::{Ended, Identity, SharedGlance, Supervisor},
    task::{Deadline, Runtime},
};
use anyhow::{Context, anyhow};
use data_plane_broker::kafka::KafkaBroker;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What a worker is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The control plane's worker listeners.
    pub control_planes: Vec<String>,
    /// Where the admin listener is.
    pub admin_listen: SocketAddr,
    /// Shown to users in place of that.
    pub admin_advertise: Option<String>,
    /// Placement.
    pub pool: String,
    /// Placement.
    pub zone: String,
    /// Placement.
    pub labels: BTreeMap<String, String>,
    /// Most units; 0: no limit.
    pub capacity: u32,
}

/// Runs a worker until `stop` is cancelled. `ready` is called with the address that users know it by, and the admin
/// listener's, once that is open and the first session was dialled.
///
/// # Errors
/// When the admin address cannot be listened on, or a control plane refuses the worker for good.
pub async fn run(
    options: Options,
    stop: CancellationToken,
    ready: impl FnOnce(&str, SocketAddr),
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(options.admin_listen).await.with_context(|| {
        format!(
            "{} cannot be listened on; another process may have the port: free it, or change --admin-listen",
            options.admin_listen
        )
    })?;
    let listening = listener.local_addr()?;
    let identity = Identity {
        instance: Uuid::new_v4(),
        control_planes: options.control_planes,
        address: options.admin_advertise.unwrap_or_else(|| listening.to_string()),
        pool: options.pool,
        zone: options.zone,
        labels: options.labels,
        capacity: options.capacity,
    };
    let plugins = Arc::new(built_in());
    let deadline = Deadline::default();
    let runtime = Runtime::new(plugins.clone(), Arc::new(KafkaBroker), deadline.clone());
    let guard = Guard::start(deadline).context("the lease guard's thread cannot be started")?;
    let glance = SharedGlance::default();
    let admin = Admin { glance: glance.clone(), runtime: runtime.clone() };
    let admin_stop = stop.clone();
    let admin = tokio::spawn(async move {
        axum::serve(listener, admin::router(admin)).with_graceful_shutdown(admin_stop.cancelled_owned()).await
    });
    let mut ready = Some(ready);
    loop {
        let supervisor =
            Supervisor::new(identity.clone(), plugins.clone(), runtime.clone(), guard.clone(), glance.clone());
        if let Some(ready) = ready.take() {
            ready(&glance.lock().worker_id.clone(), listening);
        }
        match supervisor.run(stop.clone()).await {
            Ok(Ended::Asked) => break,
            Ok(Ended::Expired) if stop.is_cancelled() => break,
            Ok(Ended::Expired) => {}
            Err(reason) => return Err(anyhow!("the control plane refuses this worker: {reason}")),
        }
    }
    admin.abort();
    Ok(())
}
