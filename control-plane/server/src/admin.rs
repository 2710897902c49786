//! The admin listener: liveness, readiness, metrics.

use crate::{cache::Cache, limits::refusals::Refusals, sessions::Sessions};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use control_plane_core::{ids::ReplicaId, lease::GrantState};
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
}

/// The admin routes.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    match admin.cache.progress().live {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer"),
    }
}

async fn metrics(State(admin): State<Admin>) -> Result<String, (StatusCode, String)> {
    let mut registry = Registry::with_prefix("ferry_control_plane");
    let progress = admin.cache.progress();
    {
        let world = admin.cache.world();
        let leads = world.leader.as_ref().is_some_and(|leader| leader.value.replica == admin.replica);
        let revoking = world.owners.values().filter(|owner| owner.value.state == GrantState::Revoking).count();
        let numbers: [(&str, &str, i64); 9] = [
            ("store_live", "1 if the store answers this replica", progress.live.into()),
            ("store_revision", "Revision of the store that this replica has seen", progress.revision.0),
            ("leader", "1 if this replica leads", leads.into()),
            ("sessions", "Workers connected to this replica", admin.sessions.len() as i64),
            ("workers", "Workers in the cluster", world.workers.len() as i64),
            ("connectors", "Connectors", world.connectors.len() as i64),
            ("units_owned", "Planners and tasks that a worker owns", world.owners.len() as i64),
            ("units_revoking", "Planners and tasks that are being taken back", revoking as i64),
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
