//! `ferry history connector NAME`: its revisions, one of them, or what differs between two.

use crate::{
    args::{Arguments, Format, History},
    client::Client,
    failure::Failure,
    output::{Output, difference, revisions, table::Table, time},
};
use proto::v1::{ConnectorRevision, GetConnectorRevisionRequest, ListConnectorRevisionsRequest};
use std::collections::BTreeMap;
use tonic::Status;

pub(crate) async fn run(
    arguments: &Arguments,
    History::Connector { name, revision, diff }: &History,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let mut client = Client::connect(arguments).await?;
    match (revision, diff) {
        (Some(revision), _) => one(&mut client, name, *revision, output).await,
        (None, Some((from, to))) => differences(&mut client, name, *from, *to, output).await,
        (None, None) => all(&mut client, name, output).await,
    }
}

async fn all(client: &mut Client, name: &str, output: &mut Output<'_>) -> Result<(), Failure> {
    let mut request = ListConnectorRevisionsRequest { parent: client.connector(name), ..Default::default() };
    let mut found = Vec::new();
    loop {
        let page = client.connectors.list_connector_revisions(request.clone()).await?.into_inner();
        found.extend(page.revisions);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let table = || revisions::table(&found, &time::now());
    output.show(table, &found.iter().cloned().map(revisions::revision).collect::<Vec<_>>())
}

async fn one(client: &mut Client, name: &str, revision: u64, output: &mut Output<'_>) -> Result<(), Failure> {
    let found = get(client, name, revision).await?;
    if output.format == Format::Table {
        return Ok(revisions::describe(output.writer(), &found, &time::now())?);
    }
    output.show(Table::default, &revisions::document(found))
}

/// From one to another, or from the one before.
async fn differences(
    client: &mut Client,
    name: &str,
    from: u64,
    to: Option<u64>,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let (from, to) = match to {
        Some(to) => (from, to),
        None => (from - 1, from),
    };
    // Before the first there was nothing.
    let before = if from == 0 { BTreeMap::new() } else { get(client, name, from).await?.config };
    let after = get(client, name, to).await?.config;
    if output.format != Format::Table {
        return output.show(Table::default, &revisions::difference(&before, &after));
    }
    let title = |number| format!("{name} revision {number}");
    let (from, to) = (title(from), title(to));
    let text = difference::unified((&from, &before), (&to, &after), output.colours);
    output.writer().write_all(text.as_bytes())?;
    Ok(())
}

async fn get(client: &mut Client, name: &str, revision: u64) -> Result<ConnectorRevision, Status> {
    let name = format!("{}/revisions/{revision}", client.connector(name));
    let request = GetConnectorRevisionRequest { name, ..Default::default() };
    Ok(client.connectors.get_connector_revision(request).await?.into_inner().revision.unwrap_or_default())
}
