//! The services over a real connection, on the fake.

use crate::{fake::FakeService, routes, service::UnitState};
use proto::v1::{
    self, connector_service_client::ConnectorServiceClient, plugin_service_client::PluginServiceClient,
    worker_service_client::WorkerServiceClient,
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::{StreamExt as _, wrappers::TcpListenerStream};
use tonic::{
    Code, Status,
    transport::{Channel, Server},
};
use tonic_types::StatusExt as _;

struct Up {
    fake: Arc<FakeService>,
    channel: Channel,
    server: JoinHandle<()>,
}

impl Drop for Up {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Up {
    async fn start() -> Up {
        let fake = Arc::new(FakeService::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = routes(fake.clone(), 4 << 20);
        let server = tokio::spawn(async move {
            Server::builder().add_routes(routes).serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        Up { fake, channel, server }
    }

    fn connectors(&self) -> ConnectorServiceClient<Channel> {
        ConnectorServiceClient::new(self.channel.clone())
    }

    async fn create(&self, id: &str, config: &[(&str, &str)]) -> Result<v1::Connector, Status> {
        let answer = self.connectors().create_connector(create(id, config)).await?;
        Ok(answer.into_inner().connector.unwrap())
    }
}

const SOURCE: &[(&str, &str)] = &[("connector.class", "FileStreamSource"), ("file", "/tmp/in"), ("topic", "t")];

fn create(id: &str, config: &[(&str, &str)]) -> v1::CreateConnectorRequest {
    v1::CreateConnectorRequest {
        parent: "namespaces/default".into(),
        connector_id: id.into(),
        connector: Some(v1::Connector { config: map(config), ..Default::default() }),
        ..Default::default()
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn name(id: &str) -> String {
    format!("namespaces/default/connectors/{id}")
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().expect("ErrorInfo").reason.clone()
}

fn first_field(status: &Status) -> String {
    status.get_error_details().bad_request().expect("BadRequest").field_violations[0].field.clone()
}

#[tokio::test]
async fn a_connectors_life() {
    let up = Up::start().await;
    let created = up.create("a", SOURCE).await.unwrap();
    assert_eq!(created.name, name("a"));
    assert_eq!(created.config["name"], "a");
    assert_eq!(created.r#type, "source");
    assert_eq!(created.create_time.unwrap().seconds, crate::fake::START_MS / 1000);

    let get = v1::GetConnectorRequest { name: name("a") };
    let got = up.connectors().get_connector(get.clone()).await.unwrap().into_inner().connector.unwrap();
    assert_eq!(got.etag, created.etag);
    assert_eq!(got.planner.as_ref().unwrap().state(), v1::UnitState::Running);
    assert_eq!((got.tasks.len(), got.tasks[0].task, got.tasks[0].records), (1, Some(0), 42));

    let mut config = map(SOURCE);
    config.insert("topic".into(), "u".into());
    let connector = v1::Connector { name: name("a"), config, etag: got.etag.clone(), ..Default::default() };
    let update = v1::UpdateConnectorRequest { connector: Some(connector), ..Default::default() };
    let updated = up.connectors().update_connector(update.clone()).await.unwrap().into_inner();
    assert!(!updated.created);
    assert_ne!(updated.connector.unwrap().etag, got.etag);
    let stale = up.connectors().update_connector(update).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "STALE_ETAG"));

    let pause = v1::PauseConnectorRequest { name: name("a"), ..Default::default() };
    let paused = up.connectors().pause_connector(pause).await.unwrap().into_inner().connector.unwrap();
    assert_eq!(paused.target_state(), v1::TargetState::Paused);
    let stop = v1::StopConnectorRequest { name: name("a"), ..Default::default() };
    let stopped = up.connectors().stop_connector(stop).await.unwrap().into_inner().connector.unwrap();
    assert_eq!(stopped.planner.unwrap().state(), v1::UnitState::Stopped);
    let resume = v1::ResumeConnectorRequest { name: name("a"), ..Default::default() };
    let resumed = up.connectors().resume_connector(resume).await.unwrap().into_inner().connector.unwrap();
    assert_eq!(resumed.target_state(), v1::TargetState::Running);

    let delete = v1::DeleteConnectorRequest { name: name("a"), ..Default::default() };
    up.connectors().delete_connector(delete.clone()).await.unwrap();
    let gone = up.connectors().delete_connector(delete).await.unwrap_err();
    assert_eq!((gone.code(), reason(&gone).as_str()), (Code::NotFound, "CONNECTOR_NOT_FOUND"));
}

#[tokio::test]
async fn creation_is_checked_and_repeatable() {
    let up = Up::start().await;
    let request_id = "6ba7b810-9dad-41d1-80b4-00c04fd430c8".to_owned();
    let request = v1::CreateConnectorRequest { request_id, ..create("a", SOURCE) };
    let dry = v1::CreateConnectorRequest { validate_only: true, ..request.clone() };
    up.connectors().create_connector(dry).await.unwrap();
    let first = up.connectors().create_connector(request.clone()).await.unwrap().into_inner();
    let again = up.connectors().create_connector(request).await.unwrap().into_inner();
    assert_eq!(first.connector.unwrap().uid, again.connector.unwrap().uid);

    let taken = up.create("a", SOURCE).await.unwrap_err();
    assert_eq!((taken.code(), reason(&taken).as_str()), (Code::AlreadyExists, "CONNECTOR_ALREADY_EXISTS"));
    let bad = up.create("b", &[("connector.class", "FileStreamSource"), ("tasks.max", "x")]).await.unwrap_err();
    assert_eq!((bad.code(), first_field(&bad).as_str()), (Code::InvalidArgument, "config.tasks.max"));
    let misnamed = up.create("b", &[("name", "c")]).await.unwrap_err();
    assert_eq!(first_field(&misnamed), "connector.config.name");
    let unnamed = up.create("", SOURCE).await.unwrap_err();
    assert_eq!(first_field(&unnamed), "connector_id");
    let parent = v1::CreateConnectorRequest { parent: "default".into(), ..create("b", SOURCE) };
    assert_eq!(first_field(&up.connectors().create_connector(parent).await.unwrap_err()), "parent");
    let target = v1::Connector { target_state: 99, ..Default::default() };
    let target = v1::CreateConnectorRequest { connector: Some(target), ..create("b", SOURCE) };
    assert_eq!(first_field(&up.connectors().create_connector(target).await.unwrap_err()), "connector.target_state");
}

#[tokio::test]
async fn configs_have_a_history_and_go_back() {
    let up = Up::start().await;
    let mut create = tonic::Request::new(v1::CreateConnectorRequest { reason: "new".into(), ..create("a", SOURCE) });
    create.metadata_mut().insert("ferry-user", "ann@host".parse().unwrap());
    up.connectors().create_connector(create).await.unwrap();
    let connector = v1::Connector { name: name("a"), config: map(&[("topic", "u")]), ..Default::default() };
    let mask = prost_types::FieldMask { paths: vec!["config.topic".into()] };
    let update = v1::UpdateConnectorRequest {
        connector: Some(connector),
        update_mask: Some(mask),
        reason: "it moves".into(),
        ..Default::default()
    };
    up.connectors().update_connector(update.clone()).await.unwrap();

    let list = v1::ListConnectorRevisionsRequest { parent: name("a"), ..Default::default() };
    let found = up.connectors().list_connector_revisions(list.clone()).await.unwrap().into_inner().revisions;
    let notes: Vec<_> = found.iter().map(|r| (r.name.clone(), r.author.as_str(), r.reason.as_str())).collect();
    let revision = |n: u32| format!("{}/revisions/{n}", name("a"));
    assert_eq!(notes, [(revision(2), "grpc:127.0.0.1", "it moves"), (revision(1), "ann@host", "new")]);
    assert!(found.iter().all(|revision| revision.config.is_empty() && !revision.previous_dropped));
    let change = &found[0].changes[0];
    assert_eq!((change.key.as_str(), change.kind()), ("topic", v1::ChangeKind::Changed));
    assert_eq!((change.old_value.as_str(), change.new_value.as_str()), ("t", "u"));
    let full = v1::ListConnectorRevisionsRequest { view: v1::RevisionView::Full.into(), page_size: 1, ..list.clone() };
    let full = up.connectors().list_connector_revisions(full).await.unwrap().into_inner();
    assert_eq!((full.revisions[0].config["topic"].as_str(), full.next_page_token.as_str()), ("u", "2"));

    let get = v1::GetConnectorRevisionRequest { name: revision(1), ..Default::default() };
    let first = up.connectors().get_connector_revision(get).await.unwrap().into_inner().revision.unwrap();
    assert_eq!((first.generation, first.config["topic"].as_str(), first.changes.len()), (1, "t", 4));
    let get = v1::GetConnectorRevisionRequest { name: revision(9), ..Default::default() };
    let missing = up.connectors().get_connector_revision(get).await.unwrap_err();
    assert_eq!((missing.code(), reason(&missing).as_str()), (Code::NotFound, "REVISION_NOT_FOUND"));
    assert_eq!(missing.message(), "connector a has no revision 9; 1 to 2 are kept");

    let rollback = v1::RollbackConnectorRequest { name: name("a"), revision: 1, ..Default::default() };
    let back = up.connectors().rollback_connector(rollback.clone()).await.unwrap().into_inner();
    let connector = back.connector.unwrap();
    assert!(back.changed && connector.config["topic"] == "t" && connector.config_generation == 3);
    assert!(!up.connectors().rollback_connector(rollback.clone()).await.unwrap().into_inner().changed);

    let field = async |request| first_field(&up.connectors().rollback_connector(request).await.unwrap_err());
    assert_eq!(field(v1::RollbackConnectorRequest { revision: 0, ..rollback.clone() }).await, "revision");
    assert_eq!(field(v1::RollbackConnectorRequest { request_id: "x".into(), ..rollback.clone() }).await, "request_id");
    assert_eq!(field(v1::RollbackConnectorRequest { reason: "x".repeat(1001), ..rollback }).await, "reason");
    let wrong = v1::ListConnectorRevisionsRequest { view: 9, ..list };
    assert_eq!(first_field(&up.connectors().list_connector_revisions(wrong).await.unwrap_err()), "view");
    let long = v1::UpdateConnectorRequest { reason: "a\u{7}".into(), ..update };
    assert_eq!(first_field(&up.connectors().update_connector(long).await.unwrap_err()), "reason");
}

#[tokio::test]
async fn lists_are_paged_and_split_when_too_large() {
    let up = Up::start().await;
    for number in 0..5 {
        // Five of these do not fit in one message.
        let large = "x".repeat(700_000);
        up.create(&format!("c{number}"), &[SOURCE, &[("large", &large)]].concat()).await.unwrap();
    }
    let mut token = String::new();
    let mut names = Vec::new();
    loop {
        let parent = "namespaces/-".to_owned();
        let request = v1::ListConnectorsRequest { parent, page_size: 0, page_token: token };
        let page = up.connectors().list_connectors(request).await.unwrap().into_inner();
        names.extend(page.connectors.into_iter().map(|connector| connector.name));
        if page.next_page_token.is_empty() {
            break;
        }
        token = page.next_page_token;
    }
    assert_eq!(names, (0..5).map(|number| name(&format!("c{number}"))).collect::<Vec<_>>());
    let request = v1::ListConnectorsRequest { parent: "namespaces/-".into(), page_size: -1, ..Default::default() };
    assert_eq!(first_field(&up.connectors().list_connectors(request).await.unwrap_err()), "page_size");
}

#[tokio::test]
async fn a_watch_tells_the_present_then_changes_and_refuses_what_is_too_old() {
    let up = Up::start().await;
    up.create("a", SOURCE).await.unwrap();
    let request = v1::WatchConnectorsRequest { parent: "namespaces/default".into(), ..Default::default() };
    let mut steps = up.connectors().watch_connectors(request.clone()).await.unwrap().into_inner();
    let first = steps.next().await.unwrap().unwrap();
    assert_eq!(first.connector.unwrap().name, name("a"));
    assert!(steps.next().await.unwrap().unwrap().synced);

    up.fake.report("a", |view| view.tasks[0].state = UnitState::Failed);
    let changed = steps.next().await.unwrap().unwrap();
    assert_eq!(changed.connector.unwrap().tasks[0].state(), v1::UnitState::Failed);
    let delete = v1::DeleteConnectorRequest { name: name("a"), ..Default::default() };
    up.connectors().delete_connector(delete).await.unwrap();
    let deleted = steps.next().await.unwrap().unwrap();
    assert!(deleted.deleted && deleted.connector.unwrap().name == name("a"));

    up.fake.compact();
    let resume_token = changed.resume_token;
    let old = v1::WatchConnectorsRequest { resume_token, ..request.clone() };
    let status = up.connectors().watch_connectors(old).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::OutOfRange, "RESUME_TOKEN_TOO_OLD"));
    let wrong = v1::WatchConnectorsRequest { resume_token: "x".into(), ..request };
    assert_eq!(first_field(&up.connectors().watch_connectors(wrong).await.unwrap_err()), "resume_token");
}

#[tokio::test]
async fn restarts_workers_and_plugins() {
    let up = Up::start().await;
    up.create("a", SOURCE).await.unwrap();
    let restart = v1::RestartConnectorRequest { name: name("a"), include_tasks: true, ..Default::default() };
    let shown = up.connectors().restart_connector(restart).await.unwrap().into_inner().connector.unwrap();
    assert_eq!(shown.tasks[0].state(), v1::UnitState::Restarting);
    let stale = v1::RestartConnectorRequest { name: name("a"), etag: "old".into(), ..Default::default() };
    assert_eq!(reason(&up.connectors().restart_connector(stale).await.unwrap_err()), "STALE_ETAG");
    let stale = v1::RestartTaskRequest { name: name("a"), etag: "old".into(), ..Default::default() };
    assert_eq!(reason(&up.connectors().restart_task(stale).await.unwrap_err()), "STALE_ETAG");
    let task = v1::RestartTaskRequest { name: name("a"), task: 7, ..Default::default() };
    assert_eq!(reason(&up.connectors().restart_task(task).await.unwrap_err()), "TASK_NOT_FOUND");

    let mut workers = WorkerServiceClient::new(up.channel.clone());
    let listed = workers.list_workers(v1::ListWorkersRequest::default()).await.unwrap().into_inner();
    assert_eq!((listed.workers[0].units, listed.workers[0].state()), (2, v1::WorkerState::Ready));
    let drain = v1::DrainWorkerRequest { name: format!("workers/{}", crate::fake::WORKER), ..Default::default() };
    let drained = workers.drain_worker(drain).await.unwrap().into_inner().worker.unwrap();
    assert_eq!(drained.state(), v1::WorkerState::Draining);
    let worker = format!("workers/{}", crate::fake::WORKER);
    let dry = v1::UncordonWorkerRequest { name: worker.clone(), validate_only: true, ..Default::default() };
    let dry = workers.uncordon_worker(dry).await.unwrap().into_inner().worker.unwrap();
    assert_eq!(dry.state(), v1::WorkerState::Ready);
    let cordon = v1::CordonWorkerRequest { name: worker.clone(), ..Default::default() };
    let cordoned = workers.cordon_worker(cordon).await.unwrap().into_inner().worker.unwrap();
    assert_eq!(cordoned.state(), v1::WorkerState::Cordoned);
    let kept = workers.get_worker(v1::GetWorkerRequest { name: worker }).await.unwrap().into_inner().worker.unwrap();
    assert_eq!(kept.state(), v1::WorkerState::Cordoned, "a dry run changes nothing, a cordon does");
    let expire = v1::ExpireWorkerRequest { name: format!("workers/{}", crate::fake::WORKER), ..Default::default() };
    let expired = workers.expire_worker(expire).await.unwrap().into_inner().worker.unwrap();
    assert_eq!(expired.state(), v1::WorkerState::Expired);
    let wrong = workers.get_worker(v1::GetWorkerRequest { name: "x".into() }).await.unwrap_err();
    assert_eq!(first_field(&wrong), "name");

    let mut plugins = PluginServiceClient::new(up.channel.clone());
    let listed = plugins.list_plugins(v1::ListPluginsRequest { page_size: 1, ..Default::default() }).await.unwrap();
    assert_eq!(listed.get_ref().next_page_token, "1");
    let keys = plugins.get_config_def(v1::GetConfigDefRequest { plugin: "FileStreamSink".into() }).await.unwrap();
    assert_eq!(keys.into_inner().keys[0].name, "file");
    let config = map(&[("connector.class", "FileStreamSink"), ("tasks.max", "0")]);
    let validate = v1::ValidateConfigRequest { plugin: String::new(), config };
    let answer = plugins.validate_config(validate).await.unwrap().into_inner();
    assert_eq!(answer.error_count, 1);
    let value = answer.configs[0].value.as_ref().unwrap();
    assert_eq!(value.errors, ["Invalid value 0 for configuration tasks.max: Value must be at least 1"]);
}
