//! What happens to every request before it is routed: a trailing slash is dropped, an answer in JSON must be welcome,
//! and nobody waits longer than Kafka Connect would let them.

use crate::errors::RestError;
use axum::{
    Router,
    extract::Request,
    http::{StatusCode, Uri, header, uri::PathAndQuery},
    response::{IntoResponse as _, Response},
};
use std::time::Duration;
use tower::ServiceExt as _;

/// Kafka Connect's own limit.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

pub(crate) fn wrap(inner: Router) -> Router {
    // A layer of the inner router would run after its routing, too late for the path to change.
    Router::new().fallback(move |request: Request| handle(inner, request))
}

async fn handle(inner: Router, mut request: Request) -> Response {
    if !accepts_json(&request) {
        return RestError::of_status(StatusCode::NOT_ACCEPTABLE).into_response();
    }
    if let Some(uri) = without_trailing_slash(request.uri()) {
        *request.uri_mut() = uri;
    }
    match tokio::time::timeout(REQUEST_TIMEOUT, inner.oneshot(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_elapsed) => {
            let text = format!("Request timed out. It took longer than {} s", REQUEST_TIMEOUT.as_secs());
            RestError::new(StatusCode::GATEWAY_TIMEOUT, text).into_response()
        }
    }
}

fn without_trailing_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let shorter = path.trim_end_matches('/');
    if shorter.len() == path.len() || path == "/" {
        return None;
    }
    let shorter = if shorter.is_empty() { "/" } else { shorter };
    let whole = match uri.query() {
        Some(query) => format!("{shorter}?{query}"),
        None => shorter.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(whole).ok()?);
    Uri::from_parts(parts).ok()
}

/// No Accept header accepts everything.
fn accepts_json(request: &Request) -> bool {
    let mut given = request.headers().get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    given.peek().is_none()
        || given.flat_map(|value| value.split(',')).any(|range| {
            let range = range.split(';').next().unwrap_or_default().trim();
            ["*/*", "application/*", "application/json"].iter().any(|json| range.eq_ignore_ascii_case(json))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trailing_slashes_go() {
        let check = |from: &str, to: Option<&str>| {
            let uri = without_trailing_slash(&from.parse().unwrap());
            assert_eq!(uri.map(|uri| uri.to_string()).as_deref(), to, "{from}");
        };
        check("/", None);
        check("/connectors", None);
        check("/connectors/?expand=info", Some("/connectors?expand=info"));
        check("/connectors/a%2F/", Some("/connectors/a%2F"));
        check("//", Some("/"));
    }
}
