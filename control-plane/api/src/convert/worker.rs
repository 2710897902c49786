//! Workers, to the wire.

use super::timestamp;
use crate::service::WorkerView;
use control_plane_core::worker::WorkerState;
use proto::v1;

pub(crate) fn worker(view: WorkerView) -> v1::Worker {
    let state = state(&view);
    let etag = view.worker.etag();
    let stored = view.worker;
    v1::Worker {
        name: format!("workers/{}", stored.id),
        address: stored.address,
        state: state.into(),
        pool: stored.pool,
        zone: stored.zone,
        labels: stored.labels,
        capacity: stored.capacity,
        units: view.units,
        version: stored.version,
        start_time: Some(timestamp(stored.started)),
        last_heartbeat_time: view.last_heartbeat.map(timestamp),
        etag,
    }
}

/// An ended lease stays ended; else silence outweighs what is stored.
fn state(view: &WorkerView) -> v1::WorkerState {
    match view.worker.state {
        WorkerState::Expired => v1::WorkerState::Expired,
        _ if view.silent => v1::WorkerState::Unknown,
        WorkerState::Cordoned => v1::WorkerState::Cordoned,
        WorkerState::Draining | WorkerState::Leaving => v1::WorkerState::Draining,
        WorkerState::Active => v1::WorkerState::Ready,
    }
}
