//! The admin listener: liveness, readiness, metrics.

use crate::{
    supervisor::SharedGlance,
    task::{Runtime, TaskCounters},
};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use prometheus_client::{
    encoding::text::encode,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use std::sync::Arc;

/// A number of one task.
type OfTask = fn(&TaskCounters) -> u64;

/// What is shown of each task, since its start; the errors are Connect's `task-error-metrics`. Sampled about every second.
const TASK_COUNTERS: [(&str, &str, OfTask); 8] = [
    ("task_records", "Records whose outcome is durable", |task| task.records()),
    ("task_record_failures", "Operations on records that failed, retried ones included", |task| task.errors().failures),
    ("task_record_errors", "Records that failed for good", |task| task.errors().errors),
    ("task_records_skipped", "Records skipped by errors.tolerance=all", |task| task.errors().skipped),
    ("task_retries", "Operations on records that were tried again", |task| task.errors().retries),
    ("task_errors_logged", "Failures logged by errors.log.enable", |task| task.errors().logged),
    ("task_dead_letters", "Dead letters handed to the producer", |task| task.errors().dead_letters),
    ("task_dead_letter_failures", "Dead letters that were not written", |task| task.errors().dead_letter_failures),
];

/// What the answers are made from.
#[derive(Clone)]
pub struct Admin {
    /// The worker at a glance.
    pub glance: SharedGlance,
    /// Its runners.
    pub runtime: Arc<Runtime>,
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
    match admin.glance.lock().leased {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "no control plane has acknowledged a heartbeat in time"),
    }
}

async fn metrics(State(admin): State<Admin>) -> Result<String, (StatusCode, String)> {
    let glance = admin.glance.lock().clone();
    let numbers: [(&str, &str, i64); 6] = [
        ("leased", "1 if the worker's lease holds", glance.leased.into()),
        ("sessions", "Replicas of the control plane with an open session", glance.sessions as i64),
        ("units", "Planners and tasks held", glance.units as i64),
        ("units_failed", "Planners and tasks that failed and wait", glance.failed as i64),
        ("records", "Records handed over since the start (sampled)", glance.records as i64),
        ("threads_abandoned", "Threads in plugin calls that never returned", admin.runtime.abandoned_threads() as i64),
    ];
    let mut registry = Registry::with_prefix("ferry_worker");
    for (name, help, value) in numbers {
        let gauge: Gauge = Gauge::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    }
    for (name, help, value) in TASK_COUNTERS {
        let family = Family::<Vec<(String, String)>, Gauge>::default();
        for task in admin.runtime.counters.all() {
            let labels =
                vec![("connector".to_owned(), task.connector.clone()), ("task".to_owned(), task.task.to_string())];
            family.get_or_create(&labels).set(i64::try_from(value(&task)).unwrap_or(i64::MAX));
        }
        registry.register(name, help, family);
    }
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(text)
}
