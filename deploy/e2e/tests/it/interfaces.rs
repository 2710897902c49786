//! gRPC as a generated client sees it, and the admin listeners.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use deploy_e2e::wait_until;
use proto::v1::{
    self, connector_service_client::ConnectorServiceClient, plugin_service_client::PluginServiceClient,
    worker_service_client::WorkerServiceClient,
};
use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

use crate::cluster::{Cluster, LIMIT};

const PARENT: &str = "namespaces/default";

fn connector(name: &str, file: &str) -> v1::Connector {
    let config = BTreeMap::from([
        ("connector.class".to_owned(), "FileStreamSource".to_owned()),
        ("topic".to_owned(), "t".to_owned()),
        ("file".to_owned(), file.to_owned()),
    ]);
    v1::Connector { name: format!("{PARENT}/connectors/{name}"), config, ..v1::Connector::default() }
}

fn create(name: &str, request_id: &str) -> v1::CreateConnectorRequest {
    v1::CreateConnectorRequest {
        parent: PARENT.to_owned(),
        connector_id: name.to_owned(),
        connector: Some(connector(name, "/tmp/none")),
        request_id: request_id.to_owned(),
        ..v1::CreateConnectorRequest::default()
    }
}

#[test]
fn generated_clients_and_monitors_find_what_they_expect() -> Result<()> {
    let cluster = Cluster::start(1)?;
    for (name, admin) in [("control plane", cluster.control_plane.admin()?), ("worker", cluster.workers[0].admin()?)] {
        ensure!(admin.get("/livez")?.status == 200, "{name}");
        wait_until(LIMIT, "readiness", || Ok(admin.get("/readyz")?.status == 200))?;
        let metrics = admin.get("/metrics")?.body;
        ensure!(metrics.as_str().is_some_and(|text| text.contains("# TYPE ferry_")), "{name}: {metrics}");
    }
    let endpoint = cluster.control_plane.grpc_endpoint();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let channel = Channel::from_shared(endpoint)?.connect().await?;
        health_and_reflection(channel.clone()).await?;
        pages_etags_and_request_ids(channel.clone()).await?;
        a_watch_tells_of_changes(channel.clone()).await?;
        workers_and_plugins(channel).await
    })?;
    configs_have_a_history_and_go_back(&cluster)
}

/// Two changes with reasons; a rollback that Kafka Connect's REST API shows as the old config.
fn configs_have_a_history_and_go_back(cluster: &Cluster) -> Result<()> {
    let (ferry, rest) = (cluster.cli()?, cluster.control_plane.rest()?);
    let file = cluster.path("h.yaml");
    let path = cluster.text("h.yaml");
    for (topic, reason) in [("one", "a first try"), ("two", "more room"), ("three", "")] {
        let source = cluster.text("h.txt");
        let text =
            format!("name: h\nconfig:\n  connector.class: FileStreamSource\n  file: {source}\n  topic: {topic}\n");
        std::fs::write(&file, text)?;
        ferry.succeed(&["apply", "-f", &path, "--reason", reason])?;
    }
    let listed = ferry.json(&["history", "connector", "h"])?;
    let reasons: Vec<_> = (0..3).map(|index| listed[index]["reason"].as_str()).collect();
    ensure!(reasons == [Some(""), Some("more room"), Some("a first try")], "{listed}");
    ensure!(listed[0]["author"].as_str().is_some_and(|author| author.contains('@')), "{listed}");
    ensure!(listed[0]["changes"][0]["old"] == "two" && listed[0]["changes"][0]["new"] == "three", "{listed}");

    let first = rest.get("/connectors/h")?.body["config"].clone();
    ferry.succeed(&["rollback", "connector", "h", "--to", "1", "--reason", "two was wrong"])?;
    let config = rest.get("/connectors/h/config")?.body;
    ensure!(config["topic"] == "one" && first["topic"] == "three", "{config}");
    let newest = ferry.json(&["history", "connector", "h", "--revision", "4"])?;
    ensure!(newest["status"]["reason"] == "rollback to revision 1: two was wrong", "{newest}");
    ensure!(newest["config"] == config, "{newest}");
    rest.wait_running("h", 1, LIMIT)?;
    let unknown = ferry.run(&["rollback", "connector", "h", "--to", "9"])?;
    ensure!(unknown.code == 2 && unknown.stderr.contains("1 to 4 are kept"), "{unknown:?}");
    rest.delete("h")?;
    Ok(())
}

async fn health_and_reflection(channel: Channel) -> Result<()> {
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "ferry.v1.ConnectorService"] {
        let answer = health.check(HealthCheckRequest { service: service.to_owned() }).await?.into_inner();
        ensure!(answer.status() == ServingStatus::Serving, "{service:?}: {answer:?}");
    }
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let mut answers = reflection.server_reflection_info(tokio_stream::once(request)).await?.into_inner();
    let answer = answers.message().await?.and_then(|answer| answer.message_response);
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { return Err(anyhow!("{answer:?}")) };
    let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    ensure!(names.iter().any(|name| name == "ferry.v1.ConnectorService"), "{names:?}");
    Ok(())
}

async fn pages_etags_and_request_ids(channel: Channel) -> Result<()> {
    let mut client = ConnectorServiceClient::new(channel);
    let id = "00000000-0000-4000-8000-000000000001";
    let first = client.create_connector(create("a", id)).await?.into_inner().connector.unwrap_or_default();
    let again = client.create_connector(create("a", id)).await?.into_inner().connector.unwrap_or_default();
    ensure!(first.uid == again.uid, "the same request again is the same connector");
    let taken = client.create_connector(create("a", "")).await.expect_err("the name is taken");
    ensure!(taken.code() == Code::AlreadyExists, "{taken:?}");
    for name in ["b", "c"] {
        client.create_connector(create(name, "")).await?;
    }

    let mut names = Vec::new();
    let mut token = String::new();
    loop {
        let request = v1::ListConnectorsRequest { parent: PARENT.to_owned(), page_size: 2, page_token: token };
        let page = client.list_connectors(request).await?.into_inner();
        ensure!(page.connectors.len() <= 2, "a page of 2");
        names.extend(page.connectors.into_iter().map(|connector| connector.name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    ensure!(names == ["a", "b", "c"].map(|name| format!("{PARENT}/connectors/{name}")), "{names:?}");

    let update = |etag: &str, file: &str| v1::UpdateConnectorRequest {
        connector: Some(v1::Connector { etag: etag.to_owned(), ..connector("a", file) }),
        ..v1::UpdateConnectorRequest::default()
    };
    let changed = client.update_connector(update(&first.etag, "/tmp/other")).await?.into_inner();
    let changed = changed.connector.unwrap_or_default();
    ensure!(changed.etag != first.etag && changed.config_generation == first.config_generation + 1);
    let stale = client.update_connector(update(&first.etag, "/tmp/third")).await.expect_err("stale");
    ensure!(stale.code() == Code::Aborted, "{stale:?}");
    let reason = stale.get_error_details().error_info().map(|info| (info.domain.clone(), info.reason.clone()));
    ensure!(reason.as_ref().is_some_and(|(domain, _)| domain == "ferry"), "{reason:?}");
    let kept = client.get_connector(v1::GetConnectorRequest { name: first.name.clone() }).await?.into_inner();
    ensure!(kept.connector.unwrap_or_default().config == changed.config, "a refused update changes nothing");

    let bad = v1::CreateConnectorRequest { connector_id: "x".to_owned(), ..create("x", "not a uuid") };
    let refused = client.create_connector(bad).await.expect_err("a bad request id");
    let details = refused.get_error_details();
    let fields: Vec<&str> = details
        .bad_request()
        .map(|bad| bad.field_violations.iter().map(|violation| violation.field.as_str()).collect())
        .unwrap_or_default();
    ensure!(fields == ["request_id"], "{refused:?}");
    Ok(())
}

async fn a_watch_tells_of_changes(channel: Channel) -> Result<()> {
    let mut client = ConnectorServiceClient::new(channel.clone());
    let request = v1::WatchConnectorsRequest { parent: PARENT.to_owned(), ..v1::WatchConnectorsRequest::default() };
    let mut stream = client.watch_connectors(request).await?.into_inner();
    let mut present = 0;
    let resume = loop {
        let step = next(&mut stream).await?;
        if step.synced {
            break step.resume_token;
        }
        present += usize::from(step.connector.is_some());
    };
    ensure!(present >= 3, "{present} connectors at the start");
    let name = format!("{PARENT}/connectors/b");
    client.delete_connector(v1::DeleteConnectorRequest { name: name.clone(), ..Default::default() }).await?;
    let is_deletion = |step: &v1::WatchConnectorsResponse| {
        step.deleted && step.connector.as_ref().is_some_and(|connector| connector.name == name)
    };
    while !is_deletion(&next(&mut stream).await?) {}

    let request = v1::WatchConnectorsRequest {
        parent: PARENT.to_owned(),
        resume_token: resume,
        ..v1::WatchConnectorsRequest::default()
    };
    let mut resumed = client.watch_connectors(request).await?.into_inner();
    while !is_deletion(&next(&mut resumed).await?) {}
    Ok(())
}

async fn next(stream: &mut tonic::Streaming<v1::WatchConnectorsResponse>) -> Result<v1::WatchConnectorsResponse> {
    let step = tokio::time::timeout(LIMIT, stream.next()).await?;
    step.ok_or_else(|| anyhow!("the watch ended"))?.map_err(Into::into)
}

async fn workers_and_plugins(channel: Channel) -> Result<()> {
    let workers = WorkerServiceClient::new(channel.clone())
        .list_workers(v1::ListWorkersRequest::default())
        .await?
        .into_inner()
        .workers;
    ensure!(workers.len() == 1 && workers[0].state() == v1::WorkerState::Ready, "{workers:?}");
    let mut plugins = PluginServiceClient::new(channel);
    for name in
        ["FileStreamSource", "FileStreamSourceConnector", "org.apache.kafka.connect.file.FileStreamSourceConnector"]
    {
        let found = plugins.get_config_def(v1::GetConfigDefRequest { plugin: name.to_owned() }).await?.into_inner();
        ensure!(found.keys.iter().any(|key| key.name == "batch.size"), "{name}: {found:?}");
    }
    let validated = plugins
        .validate_config(v1::ValidateConfigRequest { plugin: "FileStreamSource".to_owned(), config: BTreeMap::new() })
        .await?
        .into_inner();
    ensure!(validated.error_count >= 1, "{validated:?}");
    let deadline = Duration::from_millis(1);
    let mut request = tonic::Request::new(v1::GetConfigDefRequest { plugin: "NoSuch".to_owned() });
    request.set_timeout(LIMIT + deadline);
    ensure!(plugins.get_config_def(request).await.expect_err("unknown").code() == Code::NotFound);
    Ok(())
}
