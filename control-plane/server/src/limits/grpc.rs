//! The tower layer on the users' gRPC listener: a call that is over a limit is answered before anything is read of it.

use super::{
    calls::{Caller, Calls, Kind},
    refusals::{Limit, Refusals},
};
use control_plane_api::errors::status;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use std::{
    num::NonZeroU32,
    task::{Context, Poll},
};
use tonic::{Code, Status, body::Body, transport::server::TcpConnectInfo};
use tower::{Layer, Service};

/// The path of the one call that stays open.
const WATCH: &str = "/ferry.v1.ConnectorService/WatchConnectors";
/// Served whatever else goes on.
const FREE: [&str; 2] = ["/grpc.health.", "/grpc.reflection."];

/// Puts [`CallLimit`] around a service.
#[derive(Clone)]
pub struct CallLimitLayer {
    /// Who decides.
    pub calls: Calls,
}

/// Serves what is within the limits.
#[derive(Clone)]
pub struct CallLimit<S> {
    inner: S,
    calls: Calls,
}

impl<S> Layer<S> for CallLimitLayer {
    type Service = CallLimit<S>;

    fn layer(&self, inner: S) -> CallLimit<S> {
        CallLimit { inner, calls: self.calls.clone() }
    }
}

impl<S, B> Service<Request<B>> for CallLimit<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let peer = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
        let caller = peer.map_or(Caller::Others, |peer| Caller::of(peer.ip()));
        let admitted = match self.calls.admit(caller, kind(request.uri().path())) {
            Ok(admitted) => admitted,
            Err(overloaded) => return Box::pin(std::future::ready(Ok(status(overloaded).into_http()))),
        };
        let answer = self.inner.call(request);
        let (refusals, limit) = (self.calls.refusals().clone(), self.calls.limits().message_bytes);
        Box::pin(async move {
            let mut response = answer.await?;
            name_the_size_limit(response.headers_mut(), &refusals, Limit::MessageBytes, limit);
            // A caller that reads slowly keeps its place until it has read all.
            Ok(response.map(|body| {
                Body::new(body.map_frame(move |mut frame| {
                    let _ = &admitted;
                    if let Some(trailers) = frame.trailers_mut() {
                        name_the_size_limit(trailers, &refusals, Limit::MessageBytes, limit);
                    }
                    frame
                }))
            }))
        })
    }
}

fn kind(path: &str) -> Kind {
    match path {
        WATCH => Kind::Watch,
        _ if FREE.iter().any(|free| path.starts_with(free)) => Kind::Free,
        _ => Kind::Call,
    }
}

/// tonic's own status for a message that is too large names no flag, and has another code than every other limit.
fn name_the_size_limit(headers: &mut HeaderMap, refusals: &Refusals, limit: Limit, bytes: NonZeroU32) {
    if !headers.contains_key("grpc-status") {
        return;
    }
    let Some(found) = Status::from_header_map(headers).filter(is_too_large) else { return };
    let named = too_large(&found, refusals, limit, bytes);
    // Texts that cannot be a header are encoded: there is nothing left that could fail.
    drop(named.add_header(headers));
}

/// Whether tonic refused a message for its size.
pub fn is_too_large(status: &Status) -> bool {
    status.code() == Code::OutOfRange && status.message().contains("message length too large")
}

/// The status for that.
pub fn too_large(found: &Status, refusals: &Refusals, limit: Limit, bytes: NonZeroU32) -> Status {
    tracing::debug!(found = found.message(), "a message is too large");
    status(refusals.too_large(limit, bytes))
}
