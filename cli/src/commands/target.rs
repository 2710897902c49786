//! `ferry pause|resume|stop connector NAME…`.

use crate::{
    args::{Arguments, Connectors},
    client::Client,
    commands::for_each,
    failure::Failure,
    output::Output,
};
use proto::v1::{self, PauseConnectorRequest, ResumeConnectorRequest, StopConnectorRequest};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Verb {
    Pause,
    Resume,
    Stop,
}

pub(crate) async fn run(
    arguments: &Arguments,
    verb: Verb,
    what: &Connectors,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let client = Client::connect(arguments).await?;
    let outcome = match verb {
        Verb::Pause => "paused",
        Verb::Resume => "resumed",
        Verb::Stop => "stopped",
    };
    let act = async |mut client: Client, name: &str| set(&mut client, verb, name, "", false).await.map(drop);
    for_each(&client, what, output, outcome, act).await
}

/// Sets a target state; an empty etag means whatever is stored.
pub(crate) async fn set(
    client: &mut Client,
    verb: Verb,
    name: &str,
    etag: &str,
    validate_only: bool,
) -> Result<v1::Connector, tonic::Status> {
    let (name, etag) = (client.connector(name), etag.to_owned());
    let connectors = &mut client.connectors;
    let connector = match verb {
        Verb::Pause => {
            let request = PauseConnectorRequest { name, etag, validate_only };
            connectors.pause_connector(request).await?.into_inner().connector
        }
        Verb::Resume => {
            let request = ResumeConnectorRequest { name, etag, validate_only };
            connectors.resume_connector(request).await?.into_inner().connector
        }
        Verb::Stop => {
            let request = StopConnectorRequest { name, etag, validate_only };
            connectors.stop_connector(request).await?.into_inner().connector
        }
    };
    Ok(connector.unwrap_or_default())
}
