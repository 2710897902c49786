//! `ferry rollback connector NAME --to N`.

use crate::{
    args::{Arguments, Rollback},
    client::Client,
    failure::Failure,
    output::{Output, shapes::Outcome},
};
use proto::v1::RollbackConnectorRequest;
use uuid::Uuid;

pub(crate) async fn run(
    arguments: &Arguments,
    Rollback::Connector { name, to, reason, dry_run }: &Rollback,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let mut client = Client::connect(arguments).await?;
    let request = RollbackConnectorRequest {
        name: client.connector(name),
        revision: *to,
        etag: String::new(),
        request_id: Uuid::new_v4().to_string(),
        validate_only: *dry_run,
        reason: reason.clone().unwrap_or_default(),
    };
    let changed = client.connectors.rollback_connector(request).await?.into_inner().changed;
    let outcome = if changed { format!("rolled back to revision {to}") } else { "unchanged".to_owned() };
    output.done(&[Outcome { kind: "connector", name: name.clone(), outcome, dry_run: *dry_run }])
}
