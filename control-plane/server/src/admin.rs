//! The admin listener: liveness, readiness, metrics.

use crate::{cache::Cache, limits::refusals::Refusals, sessions::Sessions, space::SpaceView};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use control_plane_core::{
    ids::ReplicaId,
    lease::GrantState,
    space::{Level, Space},
    worker::WorkerState,
};
use prometheus_client::{encoding::text::encode, metrics::gauge::Gauge, registry::Registry};

/// What the answers are made from.
#[derive(Clone)]
pub struct Admin {
    /// What is known of the store.
    pub cache: Cache,
    /// Connected workers.
    pub sessions: Sessions,
    /// Who we are.
    pub replica: ReplicaId,
    /// What was over a limit.
    pub refusals: Refusals,
    /// What the store has left.
    pub space: SpaceView,
}

/// The admin routes.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, String) {
    match (admin.cache.progress().live, admin.space.level()) {
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer".to_owned()),
        (true, Level::Full) => (StatusCode::SERVICE_UNAVAILABLE, admin.space.text()),
        (true, Level::Low | Level::Normal) => (StatusCode::OK, "ok".to_owned()),
    }
}

async fn metrics(State(admin): State<Admin>) -> Result<String, (StatusCode, String)> {
    let mut registry = Registry::with_prefix("ferry_control_plane");
    let progress = admin.cache.progress();
    let bytes =
        |of: fn(&Space) -> u64| admin.space.space().map_or(0, |space| i64::try_from(of(&space)).unwrap_or(i64::MAX));
    let (used, quota) = (bytes(|space| space.used_bytes), bytes(|space| space.quota_bytes));
    let level = match admin.space.level() {
        Level::Normal => 0,
        Level::Low => 1,
        Level::Full => 2,
    };
    {
        let world = admin.cache.world();
        let leads = world.leader.as_ref().is_some_and(|leader| leader.value.replica == admin.replica);
        let revoking = world.owners.values().filter(|owner| owner.value.state == GrantState::Revoking).count();
        let expired = world.workers.values().filter(|worker| worker.value.state == WorkerState::Expired).count();
        let numbers: [(&str, &str, i64); 16] = [
            ("store_live", "1 if the store answers this replica", progress.live.into()),
            ("store_revision", "Revision of the store that this replica has seen", progress.revision.0),
            ("leader", "1 if this replica leads", leads.into()),
            ("sessions", "Workers connected to this replica", admin.sessions.len() as i64),
            ("workers", "Workers in the cluster", world.workers.len() as i64),
            ("workers_expired", "Workers whose lease has ended and whose units are not all freed", expired as i64),
            ("workers_cut_off", "Workers of which a replica saw the session end", world.cut_off.len() as i64),
            (
                "mass_loss",
                "1 while takeovers are limited, because many workers are lost",
                world.mass_loss.is_some().into(),
            ),
            ("incarnation", "Raised each time that the store had forgotten grants", world.incarnation().into()),
            ("connectors", "Connectors", world.connectors.len() as i64),
            ("units_owned", "Planners and tasks that a worker owns", world.owners.len() as i64),
            ("units_revoking", "Planners and tasks that are being taken back", revoking as i64),
            ("store_used_bytes", "Size of the store, free space inside included; 0: not known", used),
            ("store_quota_bytes", "What the store may have; 0: no limit known", quota),
            ("store_space_level", "0: enough, 1: low, configs and statuses are refused, 2: nothing is stored", level),
            ("epoch", "Counter of the last epoch granted", world.epoch.as_ref().map_or(0, |e| e.value.counter as i64)),
        ];
        for (name, help, value) in numbers {
            let gauge: Gauge = Gauge::default();
            gauge.set(value);
            registry.register(name, help, gauge);
        }
    }
    registry.register("over_limit", "Calls, sessions, connections and messages over a limit", admin.refusals.metric());
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(text)
}
