//! `ferry dev`: both planes in one process against a Kafka of one's own, for trying things out.

use crate::{
    args::Dev,
    documents,
    failure::Failure,
    output::Output,
    single::{self, Single},
};
use std::collections::BTreeMap;

pub(super) async fn run(arguments: &Dev, output: &mut Output<'_>) -> Result<(), Failure> {
    let string = "org.apache.kafka.connect.storage.StringConverter";
    let settings: BTreeMap<String, String> = [
        ("bootstrap.servers", arguments.bootstrap_servers.as_str()),
        ("group.id", "ferry-dev"),
        ("key.converter", string),
        ("value.converter", string),
        ("offset.storage.topic", "ferry-dev-offsets"),
        ("offset.storage.replication.factor", "-1"),
        ("offset.flush.interval.ms", "1000"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    let connectors = match arguments.connectors.as_slice() {
        [] => Vec::new(),
        files => documents::load(files)?.into_iter().map(|document| (document.name, document.config)).collect(),
    };
    let single = Single {
        settings,
        state: arguments.state.clone(),
        grpc: arguments.grpc_listen,
        rest: arguments.rest_listen,
        connectors,
    };
    single::run(single, |listening| {
        // Whoever waits for the line reads it; nobody else is hurt by its loss.
        let _ = output.line(&format!(
            "ferry dev ready: rest {}, grpc {}\ntry: ferry --server http://{} get connectors",
            listening.rest, listening.grpc, listening.grpc
        ));
    })
    .await
}
