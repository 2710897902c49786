//! `ferry standalone worker.properties connector.properties…`: Kafka Connect's standalone mode.

use crate::{
    args::Standalone,
    documents,
    failure::{Failure, Kind},
    output::Output,
    single::{self, Single},
};
use control_plane_server::properties;
use data_plane_worker::task::FileOffsetStore;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs},
    path::Path,
};

/// Kafka Connect's default port.
const DEFAULT_REST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8083);

pub(super) async fn run(arguments: &Standalone, output: &mut Output<'_>) -> Result<(), Failure> {
    let settings = properties::standalone(&arguments.worker_properties)
        .map_err(|error| Failure::new(Kind::Caller, error.to_string()))?;
    let rest =
        match settings.get("listeners").map(|listeners| listeners.trim()).filter(|listeners| !listeners.is_empty()) {
            Some(listeners) => listener(listeners)?,
            None => DEFAULT_REST,
        };
    if let Some(file) = settings.get("offset.storage.file.filename") {
        // An unreadable file is refused before anything runs, and stays as it is.
        FileOffsetStore::open(Path::new(file)).map_err(|error| {
            Failure::new(Kind::Environment, format!("offset.storage.file.filename: {}", error.message))
        })?;
    }
    let connectors = match arguments.connectors.as_slice() {
        [] => Vec::new(),
        files => documents::load(files)?.into_iter().map(|document| (document.name, document.config)).collect(),
    };
    let single = Single { settings, state: arguments.state.clone(), grpc: arguments.grpc_listen, rest, connectors };
    single::run(single, |listening| {
        // Whoever waits for the line reads it; nobody else is hurt by its loss.
        let _ = output.line(&format!("ferry standalone ready: rest {}, grpc {}", listening.rest, listening.grpc));
    })
    .await
}

/// The first of Kafka Connect's `listeners`, such as `http://:8083`.
fn listener(listeners: &str) -> Result<SocketAddr, Failure> {
    let bad = |why: &str| {
        Failure::new(
            Kind::Caller,
            format!("listeners cannot be {listeners:?}: {why}; it is like http://127.0.0.1:8083"),
        )
    };
    let first = listeners.split(',').next().unwrap_or_default().trim();
    let lower = first.to_ascii_lowercase();
    let address = match lower.strip_prefix("http://") {
        Some(_) => &first["http://".len()..],
        None => return Err(bad("only http is served")),
    };
    let address = match address.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => address.to_owned(),
    };
    let mut found = address.to_socket_addrs().map_err(|error| bad(&error.to_string()))?;
    found.next().ok_or_else(|| bad("the name has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_as_kafka_connect_writes_them() {
        assert_eq!(listener("http://:8084").expect("good"), SocketAddr::from(([0, 0, 0, 0], 8084)));
        assert_eq!(listener("HTTP://127.0.0.1:1,https://:2").expect("good"), SocketAddr::from(([127, 0, 0, 1], 1)));
        assert!(listener("https://:8443").is_err());
        assert!(listener("http://127.0.0.1").is_err());
    }
}
