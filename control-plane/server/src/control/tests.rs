//! Histories and rollbacks, on the embedded store, with a worker that finds fine every config without the key `bad`.

mod guards;

use super::Control;
use crate::{
    cache::Cache,
    clock::Clock,
    hub::{self, Hub, ToHub},
    progress::ProgressTable,
    reports::Reports,
    sessions::{OUTBOX, Sessions},
    space::SpaceView,
    view::Viewer,
};
use control_plane_api::service::{
    ConfigChange, ConnectorRef, ConnectorView, CreateConnector, PageRequest, RevisionView, RollbackConnector, Service,
    ServiceError, UpdateConnector,
};
use control_plane_core::{
    connector::{Config, TargetState},
    history::{Author, ConfigRevision, KeyChange, REVISIONS_KEPT, Reason},
    ids::{ConnectorName, ConnectorUid, Generation, Namespace, ReplicaId, WorkerId},
    keys::{Key, encode},
    policy::Policy,
    time::Wall,
    txn::Txn,
};
use control_plane_store::{Outcome, Store, embedded::EmbeddedStore};
use proto::worker_v1 as wire;
use serde_json::json;
use std::sync::Arc;
use tokio::{sync::mpsc, task::JoinSet};
use uuid::Uuid;

struct Up {
    control: Control,
    /// Ends the hub and the worker when it goes.
    _tasks: JoinSet<()>,
    _to_hub: mpsc::Sender<ToHub>,
}

async fn start() -> Up {
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::in_memory().unwrap());
    let (cache, clock, sessions) = (Cache::default(), Clock::new(), Sessions::new(1));
    let progress = ProgressTable::default();
    let replica = ReplicaId(Uuid::from_u128(1));
    let address = "http://127.0.0.1:1".to_owned();
    let hub = Hub::new(store.clone(), cache.clone(), clock, sessions.clone(), progress.clone(), replica, address);
    let (to_hub, inbox) = mpsc::channel(hub::INBOX);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { drop(hub.run(inbox).await) });
    cache.subscribe().wait_for(|progress| progress.live).await.unwrap();

    let (outbox, mut commands) = mpsc::channel(OUTBOX);
    let worker = WorkerId(Uuid::from_u128(2));
    let plugin = wire::PluginInfo { kind: "source".into(), class: "C".into(), ..Default::default() };
    sessions.insert(worker, outbox, vec![plugin]);
    let answers = sessions.clone();
    tasks.spawn(async move {
        while let Some(Ok(message)) = commands.recv().await {
            if let Some(wire::session_response::Message::Command(command)) = message.message {
                answers.answered(worker, validated(command));
            }
        }
    });

    let space = SpaceView::default();
    let reports = Reports { store: store.clone(), cache: cache.clone(), clock, space: space.clone() };
    let viewer = Viewer { clock, progress, policy: Policy::default(), space };
    Up { control: Control { store, cache, clock, sessions, viewer, reports }, _tasks: tasks, _to_hub: to_hub }
}

fn validated(command: wire::Command) -> wire::CommandResult {
    let Some(wire::command::Command::Validate(asked)) = command.command else { panic!("{command:?}") };
    let errors: Vec<&str> = asked.config.get("bad").map(|_| "it is bad").into_iter().collect();
    let value = json!({"name": "bad", "value": null, "recommended_values": [], "errors": errors, "visible": true});
    let infos = json!({
        "name": "C",
        "error_count": errors.len(),
        "groups": [],
        "configs": [{"definition": null, "value": value}],
    });
    let result = wire::ValidateResult {
        config_infos_json: infos.to_string(),
        connector_type: "source".into(),
        class: "C".into(),
        ..Default::default()
    };
    wire::CommandResult { id: command.id, result: Some(wire::command_result::Result::Validate(result)) }
}

fn name() -> ConnectorName {
    ConnectorName::parse("a").unwrap()
}

fn config(pairs: &[(&str, &str)]) -> Config {
    let common = [("connector.class", "C"), ("name", "a")];
    common.iter().chain(pairs).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn rollback(to: u64) -> RollbackConnector {
    RollbackConnector {
        namespace: Namespace::default(),
        name: name(),
        revision: Generation(to),
        etag: None,
        request_id: None,
        validate_only: false,
        author: Author::parse("eve").unwrap(),
        reason: Reason::default(),
    }
}

impl Up {
    async fn create(&self, pairs: &[(&str, &str)]) -> ConnectorView {
        let request = CreateConnector {
            namespace: Namespace::default(),
            name: name(),
            config: config(pairs),
            target: TargetState::Running,
            request_id: None,
            validate_only: false,
            author: Author::parse("ann").unwrap(),
            reason: Reason::parse("new").unwrap(),
        };
        self.control.create_connector(request).await.unwrap()
    }

    async fn update(&self, pairs: &[(&str, &str)], reason: &str) -> ConnectorView {
        let request = UpdateConnector {
            namespace: Namespace::default(),
            name: name(),
            change: ConfigChange::Replace(config(pairs)),
            etag: None,
            allow_missing: false,
            validate_only: false,
            request_id: None,
            author: Author::parse("bob").unwrap(),
            reason: Reason::parse(reason).unwrap(),
        };
        self.control.update_connector(request).await.unwrap().0
    }

    async fn list(&self) -> Vec<RevisionView> {
        let page = self.control.list_revisions(&Namespace::default(), &name(), PageRequest::default()).await.unwrap();
        assert_eq!(page.next, None);
        page.items
    }

    async fn generations(&self) -> Vec<u64> {
        self.list().await.iter().map(|view| view.revision.generation.0).collect()
    }

    /// Writes a revision as if it had been made at `time`.
    async fn put(&self, connector: ConnectorUid, generation: u64, pairs: &[(&str, &str)], time: Wall) {
        let revision = ConfigRevision {
            generation: Generation(generation),
            config: config(pairs),
            author: Author::default(),
            time,
            reason: Reason::default(),
            request_id: None,
        };
        let txn = Txn::new().put(Key::Revision(connector, revision.generation), encode(&revision));
        assert!(matches!(self.control.store.commit(txn).await, Ok(Outcome::Committed(_))));
    }
}

#[tokio::test]
async fn each_change_of_a_config_is_a_revision() {
    let up = start().await;
    up.create(&[("file", "1")]).await;
    up.update(&[("file", "2")], "a larger disk").await;
    up.update(&[("file", "2")], "nothing changes").await;
    up.update(&[("topic", "t")], "").await;
    let reference = ConnectorRef { namespace: Namespace::default(), name: name(), etag: None, validate_only: false };
    up.control.set_target(reference, TargetState::Paused).await.unwrap();

    let list = up.list().await;
    let notes: Vec<_> = list
        .iter()
        .map(|view| (view.revision.generation.0, view.revision.author.as_str(), view.revision.reason.as_str()))
        .collect();
    assert_eq!(notes, [(3, "bob", ""), (2, "bob", "a larger disk"), (1, "ann", "new")]);
    assert_eq!(list[2].changes.as_ref().unwrap().len(), 3, "all of the first config is new");
    let changed = KeyChange::Changed { old: "1".into(), new: "2".into() };
    assert_eq!(list[1].changes, Some([("file".to_owned(), changed)].into()));
    let (removed, added) = (KeyChange::Removed { old: "2".into() }, KeyChange::Added { new: "t".into() });
    assert_eq!(list[0].changes, Some([("file".to_owned(), removed), ("topic".to_owned(), added)].into()));

    let second = up.control.get_revision(&Namespace::default(), &name(), Generation(2)).await.unwrap();
    assert_eq!((&second, &second.revision.config), (&list[1], &config(&[("file", "2")])));
    let unknown = up.control.get_revision(&Namespace::default(), &name(), Generation(4)).await.unwrap_err();
    assert_eq!(unknown.to_string(), "connector a has no revision 4; 1 to 3 are kept");
    let page = PageRequest { size: 2, token: String::new() };
    let first = up.control.list_revisions(&Namespace::default(), &name(), page).await.unwrap();
    assert_eq!((first.items.len(), first.next.as_deref()), (2, Some("2")));
    let other = ConnectorName::parse("other").unwrap();
    let missing = up.control.list_revisions(&Namespace::default(), &other, PageRequest::default()).await.unwrap_err();
    assert!(matches!(missing, ServiceError::NotFound { what: "Connector", .. }), "{missing:?}");
}

#[tokio::test]
async fn a_rollback_is_an_update_to_an_older_config() {
    let up = start().await;
    let created = up.create(&[("file", "1")]).await.connector;
    let updated = up.update(&[("file", "2")], "").await.connector;

    let stale = RollbackConnector { etag: Some(created.etag()), ..rollback(1) };
    let stale = up.control.rollback_connector(stale).await.unwrap_err();
    assert!(matches!(stale, ServiceError::StaleEtag { .. }), "{stale:?}");
    let dry = RollbackConnector { validate_only: true, ..rollback(1) };
    let (dry, changed) = up.control.rollback_connector(dry).await.unwrap();
    assert_eq!((dry.connector.config, changed), (created.config.clone(), true));
    assert_eq!(up.generations().await, [2, 1], "a dry run stores nothing");

    let request = RollbackConnector {
        etag: Some(updated.etag()),
        request_id: Some("6ba7b810-9dad-41d1-80b4-00c04fd430c8".into()),
        reason: Reason::parse("2 was slow").unwrap(),
        ..rollback(1)
    };
    let (back, changed) = up.control.rollback_connector(request.clone()).await.unwrap();
    assert!(changed && back.connector.etag() != updated.etag());
    assert_eq!((back.connector.config_generation, &back.connector.config), (Generation(3), &created.config));
    let newest = up.list().await.swap_remove(0).revision;
    assert_eq!(newest.reason.as_str(), "rollback to revision 1: 2 was slow");
    assert_eq!((newest.author.as_str(), newest.config), ("eve", created.config));

    let (again, changed) = up.control.rollback_connector(request).await.unwrap();
    assert!(changed && again.connector == back.connector, "the same request again changes nothing, stale etag or not");
    let (same, changed) = up.control.rollback_connector(rollback(3)).await.unwrap();
    assert!(!changed && same.connector == back.connector, "it is that already");
    assert_eq!(up.generations().await, [3, 2, 1]);
}

#[tokio::test]
async fn a_rollback_to_what_is_invalid_now_is_refused() {
    let up = start().await;
    let created = up.create(&[("file", "1")]).await.connector;
    up.update(&[("file", "2")], "").await;
    // As if the plugin had found it fine then.
    up.put(created.uid, 1, &[("bad", "x")], created.created).await;
    let refused = up.control.rollback_connector(rollback(1)).await.unwrap_err();
    assert!(matches!(&refused, ServiceError::InvalidConfig { violations, .. } if violations[0].field == "config.bad"));
    assert_eq!(up.generations().await, [2, 1]);
}

#[tokio::test]
async fn a_placement_rule_that_is_none_is_refused_by_name_beside_the_workers_errors() {
    let up = start().await;
    up.create(&[("ferry.task.weight", "7"), ("ferry.spread", "require")]).await;
    let pairs = [("bad", "x"), ("ferry.task.weight", "heavy"), ("ferry.worker.selector", "zone=eu,")];
    let request = UpdateConnector {
        namespace: Namespace::default(),
        name: name(),
        change: ConfigChange::Replace(config(&pairs)),
        etag: None,
        allow_missing: false,
        validate_only: true,
        request_id: None,
        author: Author::parse("bob").unwrap(),
        reason: Reason::default(),
    };
    let refused = up.control.update_connector(request).await.unwrap_err();
    let ServiceError::InvalidConfig { message, violations } = refused else { panic!("{refused:?}") };
    let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["config.bad", "config.ferry.task.weight", "config.ferry.worker.selector"]);
    assert!(violations[1].description.contains("an integer from 1 to 1000"), "{violations:?}");
    assert!(message.contains("the following 3 error(s)"), "{message}");

    let infos = up.control.validate_config(None, config(&pairs)).await.unwrap();
    let last = infos.configs.last().map(|info| (info.value.name.as_str(), info.value.value.as_deref()));
    assert_eq!((infos.error_count, last), (3, Some(("ferry.worker.selector", Some("zone=eu,")))));
}

#[tokio::test]
async fn histories_are_bounded_and_say_what_was_dropped() {
    let up = start().await;
    up.create(&[("n", "1")]).await;
    for n in 2..=REVISIONS_KEPT + 5 {
        up.update(&[("n", &n.to_string())], "").await;
    }
    let list = up.list().await;
    assert_eq!(list.len() as u64, REVISIONS_KEPT);
    assert_eq!((list[0].revision.generation.0, list[list.len() - 1].revision.generation.0), (55, 6));
    assert_eq!(list[list.len() - 1].changes, None, "revision 5 is no longer kept");
    let dropped = up.control.rollback_connector(rollback(5)).await.unwrap_err();
    assert_eq!(dropped.to_string(), "connector a has no revision 5; 6 to 55 are kept");
    let (back, _) = up.control.rollback_connector(rollback(6)).await.unwrap();
    assert_eq!(back.connector.config["n"], "6");
    assert_eq!(up.generations().await.last(), Some(&7));
}

#[tokio::test]
async fn old_revisions_go_with_the_next_change_but_the_newest_two_stay() {
    let up = start().await;
    let created = up.create(&[("n", "1")]).await.connector;
    up.update(&[("n", "2")], "").await;
    up.update(&[("n", "3")], "").await;
    for generation in 1..=3 {
        up.put(created.uid, generation, &[("n", &generation.to_string())], Wall(generation as i64)).await;
    }
    assert_eq!(up.generations().await, [3, 2, 1], "only a change drops");
    up.update(&[("n", "4")], "").await;
    assert_eq!(up.generations().await, [4, 3]);
}

#[tokio::test]
async fn changes_at_the_same_time_leave_no_gap() {
    let up = start().await;
    up.create(&[("n", "0")]).await;
    let race = (1..=5).map(|n: u64| {
        let up = &up;
        async move { up.update(&[("n", &n.to_string())], "").await }
    });
    futures::future::join_all(race).await;
    assert_eq!(up.generations().await, [6, 5, 4, 3, 2, 1]);
    assert!(up.list().await.iter().all(|view| view.changes.is_some()));
}
