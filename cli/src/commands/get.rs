//! `ferry get connectors|workers|plugins`.

use crate::{
    args::{Arguments, Format, Get},
    client::Client,
    failure::{Failure, Kind},
    output::{Output, shapes, table, time},
};
use proto::v1;

/// The server's limit.
const PAGE_SIZE: i32 = 1000;

pub(crate) async fn run(arguments: &Arguments, what: &Get, output: &mut Output<'_>) -> Result<(), Failure> {
    let mut client = Client::connect(arguments).await?;
    match what {
        Get::Connectors { names, watch, all_namespaces } => {
            let parent = if *all_namespaces { "namespaces/-".to_owned() } else { client.parent() };
            match names.as_slice() {
                [] if *watch => watched(&mut client, parent, *all_namespaces, output).await,
                [] => {
                    let found = listed(&mut client, parent).await?;
                    let table = || table::connectors(&found, *all_namespaces, &time::now());
                    output.show(table, &found.iter().cloned().map(shapes::connector).collect::<Vec<_>>())
                }
                names => named(&mut client, names, output).await,
            }
        }
        Get::Workers { names } => workers(&mut client, names, output).await,
        Get::Plugins => plugins(&mut client, output).await,
    }
}

async fn listed(client: &mut Client, parent: String) -> Result<Vec<v1::Connector>, Failure> {
    let mut found = Vec::new();
    let mut request = v1::ListConnectorsRequest { parent, page_size: PAGE_SIZE, page_token: String::new() };
    loop {
        let page = client.connectors.list_connectors(request.clone()).await?.into_inner();
        found.extend(page.connectors);
        if page.next_page_token.is_empty() {
            return Ok(found);
        }
        request.page_token = page.next_page_token;
    }
}

/// One name gives one value, several give a list.
async fn named(client: &mut Client, names: &[String], output: &mut Output<'_>) -> Result<(), Failure> {
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match client.get_connector(name).await {
            Ok(connector) => found.push(connector),
            Err(status) => failures.push(Failure::from(status)),
        }
    }
    let table = || table::connectors(&found, false, &time::now());
    let mut values: Vec<_> = found.iter().cloned().map(shapes::connector).collect();
    if names.len() == 1 {
        if let Some(value) = values.pop() {
            output.show(table, &value)?;
        }
    } else if !found.is_empty() {
        output.show(table, &values)?;
    }
    Failure::all(failures)
}

async fn workers(client: &mut Client, names: &[String], output: &mut Output<'_>) -> Result<(), Failure> {
    let mut found = Vec::new();
    for name in names {
        let request = v1::GetWorkerRequest { name: format!("workers/{name}") };
        found.extend(client.workers.get_worker(request).await?.into_inner().worker);
    }
    let mut request = v1::ListWorkersRequest { page_size: PAGE_SIZE, page_token: String::new() };
    while names.is_empty() {
        let page = client.workers.list_workers(request.clone()).await?.into_inner();
        found.extend(page.workers);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let table = || table::workers(&found, &time::now());
    output.show(table, &found.iter().cloned().map(shapes::worker).collect::<Vec<_>>())
}

async fn plugins(client: &mut Client, output: &mut Output<'_>) -> Result<(), Failure> {
    let mut found = Vec::new();
    let mut request = v1::ListPluginsRequest { page_size: PAGE_SIZE, page_token: String::new() };
    loop {
        let page = client.plugins.list_plugins(request.clone()).await?.into_inner();
        found.extend(page.plugins);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    output.show(|| table::plugins(&found), &found.iter().cloned().map(shapes::plugin).collect::<Vec<_>>())
}

/// The present as a table, then a row for each change; for programs, one value each.
async fn watched(
    client: &mut Client,
    parent: String,
    with_namespace: bool,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let request = v1::WatchConnectorsRequest { parent, ..Default::default() };
    let mut steps = client.connectors.watch_connectors(request).await?.into_inner();
    let mut present = Vec::new();
    let mut printed: Option<table::Table> = None;
    while let Some(step) = steps.message().await? {
        let connector = step.connector;
        if output.format != Format::Table {
            if let Some(connector) = connector {
                output.event(&Event { deleted: step.deleted, connector: shapes::connector(connector) })?;
            }
            continue;
        }
        match (&mut printed, connector) {
            (None, Some(connector)) => present.push(connector),
            (Some(table), Some(connector)) => {
                let row = table::connectors(std::slice::from_ref(&connector), with_namespace, &time::now());
                let note = if step.deleted { " (deleted)" } else { "" };
                output.line(&format!("{}{note}", table.later(row)))?;
            }
            (_, None) => {}
        }
        if step.synced && printed.is_none() {
            let table = table::connectors(&present, with_namespace, &time::now());
            output.line(&table.render(true))?;
            printed = Some(table);
        }
    }
    Err(Failure::new(Kind::Environment, "the control plane ended the watch; start it again"))
}

#[derive(serde::Serialize)]
struct Event {
    deleted: bool,
    connector: shapes::Connector,
}
