//! The same limits on the REST listener: 429 with Retry-After, in Kafka Connect's error body.

use super::calls::{Caller, Calls, Kind};
use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use control_plane_gateway::RestError;
use std::net::SocketAddr;

/// Kafka Connect's own health check is served whatever else goes on.
const HEALTH: &str = "/health";

/// For `axum::middleware::from_fn_with_state`.
pub async fn within_limits(
    State(calls): State<Calls>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let kind = if request.uri().path() == HEALTH { Kind::Free } else { Kind::Call };
    match calls.admit(Caller::of(peer.ip()), kind) {
        Ok(_admitted) => next.run(request).await,
        Err(overloaded) => RestError::from(overloaded).into_response(),
    }
}
