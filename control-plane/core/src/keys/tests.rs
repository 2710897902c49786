//! Golden forms of keys and values: what stands in a cluster's etcd must stay readable.

use super::*;
use crate::ids::{Instance, UnitKind};
use crate::{
    connector::{ConnectorType, TargetState},
    lease::{FenceClass, GrantState},
    status::{PluginError, RecentFailure, RunState, Standstill},
    task::UnitDigest,
    time::Wall,
    worker::WorkerState,
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

fn uid() -> ConnectorUid {
    ConnectorUid(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001))
}

fn worker() -> WorkerId {
    WorkerId(Uuid::from_u128(7))
}

fn config() -> BTreeMap<String, String> {
    BTreeMap::from([("file".to_owned(), "/in".to_owned())])
}

#[track_caller]
fn golden<T: Serialize>(key: Key, text: &str, value: &T, entry: Entry, json: &str) {
    assert_eq!(key.to_string(), text);
    assert_eq!(Key::parse(text).expect("key"), key);
    assert_eq!(String::from_utf8(encode(value)).expect("utf-8"), json);
    assert_eq!(key.decode(json.as_bytes()).expect("value"), entry);
}

#[test]
fn connectors_are_kept_under_escaped_names() {
    let connector = Connector {
        uid: uid(),
        namespace: Namespace::default(),
        name: ConnectorName::parse("a/b%2F é").expect("name"),
        config: config(),
        config_generation: Generation(2),
        target: TargetState::Paused,
        target_generation: Generation(3),
        settings: SettingsId::default(),
        class: "C".to_owned(),
        connector_type: ConnectorType::Source,
        fence_class: FenceClass::Lease,
        created: Wall(1),
        updated: Wall(2),
        request_id: None,
    };
    golden(
        Key::Connector(connector.namespace.clone(), connector.name.clone()),
        "connectors/default/a%2Fb%252F é",
        &connector,
        Entry::Connector(connector.clone()),
        r#"{"v":1,"uid":"01920000-0000-7000-8000-000000000001","namespace":"default","name":"a/b%2F é","config":{"file":"/in"},"config_generation":2,"target":"PAUSED","target_generation":3,"settings":"default","class":"C","connector_type":"source","fence_class":"LEASE","created":1,"updated":2}"#,
    );
    assert_eq!(connector.etag(), "b630e4f3d72dc213");
}

#[test]
fn owners_are_tiny() {
    let owner = Owner {
        worker: worker(),
        epoch: Epoch { incarnation: 1, counter: 42 },
        state: GrantState::Revoking,
        fence_class: FenceClass::Lease,
        digest: UnitDigest::of(&SettingsId::default(), Generation(1), &config(), None),
    };
    let unit = Unit { connector: uid(), kind: UnitKind::Task(3) };
    golden(
        Key::Owner(unit),
        "owners/01920000-0000-7000-8000-000000000001/3",
        &owner,
        Entry::Owner(owner.clone()),
        r#"{"v":1,"worker":"00000000-0000-0000-0000-000000000007","epoch":{"incarnation":1,"counter":42},"state":"REVOKING","fence_class":"LEASE","digest":"afca6f252fd59594"}"#,
    );
}

#[test]
fn statuses_carry_the_error() {
    let status = UnitStatus {
        state: RunState::Failed,
        worker: worker(),
        epoch: Epoch { incarnation: 1, counter: 2 },
        since: Wall(5),
        error: Some(PluginError { class: "E".to_owned(), message: "m".to_owned(), ..PluginError::default() }),
        restarts: 1,
        next_attempt: Some(Wall(9)),
        version: "1".to_owned(),
        change: 4,
        recent_failures: Vec::new(),
        stalled: None,
        stop_blocked: None,
    };
    golden(
        Key::Status(Unit { connector: uid(), kind: UnitKind::Planner }),
        "status/01920000-0000-7000-8000-000000000001/planner",
        &status,
        Entry::Status(status.clone()),
        r#"{"v":1,"state":"FAILED","worker":"00000000-0000-0000-0000-000000000007","epoch":{"incarnation":1,"counter":2},"since":5,"error":{"class":"E","message":"m","causes":[],"trace":"","retriable":false},"restarts":1,"next_attempt":9,"version":"1","change":4}"#,
    );
}

#[test]
fn statuses_carry_where_a_unit_stands_still() {
    let standstill = |place: &str| Some(Standstill { since: Wall(3), place: place.to_owned() });
    let status = UnitStatus {
        state: RunState::Running,
        worker: worker(),
        epoch: Epoch { incarnation: 1, counter: 2 },
        since: Wall(5),
        error: None,
        restarts: 1,
        next_attempt: None,
        version: "1".to_owned(),
        change: 4,
        recent_failures: vec![RecentFailure { at: Wall(2), class: "E".to_owned(), message: "m".to_owned() }],
        stalled: standstill("put"),
        stop_blocked: standstill("stop"),
    };
    golden(
        Key::Status(Unit { connector: uid(), kind: UnitKind::Task(0) }),
        "status/01920000-0000-7000-8000-000000000001/0",
        &status,
        Entry::Status(status.clone()),
        r#"{"v":1,"state":"RUNNING","worker":"00000000-0000-0000-0000-000000000007","epoch":{"incarnation":1,"counter":2},"since":5,"restarts":1,"version":"1","change":4,"recent_failures":[{"at":2,"class":"E","message":"m"}],"stalled":{"since":3,"place":"put"},"stop_blocked":{"since":3,"place":"stop"}}"#,
    );
}

#[test]
fn workers_and_replicas() {
    let entry = Worker {
        id: worker(),
        address: "127.0.0.1:1".to_owned(),
        pool: String::new(),
        zone: String::new(),
        labels: BTreeMap::new(),
        capacity: 0,
        settings: BTreeSet::new(),
        connectors: BTreeSet::from(["C".to_owned()]),
        connector_versions: BTreeMap::from([("C".to_owned(), BTreeSet::from(["1.2".to_owned()]))]),
        version: "0.1.0".to_owned(),
        state: WorkerState::Active,
        started: Wall(1),
        incarnation: 1,
        known_replicas: BTreeSet::from(["http://127.0.0.1:2".to_owned()]),
        instance: None,
    };
    golden(
        Key::Worker(worker()),
        "workers/00000000-0000-0000-0000-000000000007",
        &entry,
        Entry::Worker(entry.clone()),
        r#"{"v":1,"id":"00000000-0000-0000-0000-000000000007","address":"127.0.0.1:1","pool":"","zone":"","labels":{},"capacity":0,"settings":[],"connectors":["C"],"connector_versions":{"C":["1.2"]},"version":"0.1.0","state":"ACTIVE","started":1,"incarnation":1,"known_replicas":["http://127.0.0.1:2"]}"#,
    );
    let older = br#"{"v":1,"id":"00000000-0000-0000-0000-000000000007","address":"127.0.0.1:1","connectors":["C"],"version":"0.1.0","state":"ACTIVE","started":1,"incarnation":1}"#;
    let without = Worker { connector_versions: BTreeMap::new(), known_replicas: BTreeSet::new(), ..entry.clone() };
    assert_eq!(Key::Worker(worker()).decode(older).expect("an older entry"), Entry::Worker(without));
    let cordoned = Worker {
        state: WorkerState::Cordoned,
        instance: Some(Instance(Uuid::from_u128(8))),
        connector_versions: BTreeMap::new(),
        known_replicas: BTreeSet::new(),
        ..entry
    };
    golden(
        Key::Worker(worker()),
        "workers/00000000-0000-0000-0000-000000000007",
        &cordoned,
        Entry::Worker(cordoned.clone()),
        r#"{"v":1,"id":"00000000-0000-0000-0000-000000000007","address":"127.0.0.1:1","pool":"","zone":"","labels":{},"capacity":0,"settings":[],"connectors":["C"],"version":"0.1.0","state":"CORDONED","started":1,"incarnation":1,"known_replicas":[],"instance":"00000000-0000-0000-0000-000000000008"}"#,
    );
    let replica = Replica {
        id: ReplicaId(Uuid::from_u128(9)),
        address: "http://127.0.0.1:2".to_owned(),
        beats: BTreeMap::from([(worker(), 17)]),
    };
    golden(
        Key::Replica(replica.id),
        "replicas/00000000-0000-0000-0000-000000000009",
        &replica,
        Entry::Replica(replica.clone()),
        r#"{"v":1,"id":"00000000-0000-0000-0000-000000000009","address":"http://127.0.0.1:2","beats":{"00000000-0000-0000-0000-000000000007":17}}"#,
    );
}

#[test]
fn a_later_schema_version_is_refused() {
    let error = Key::Epoch.decode(br#"{"v":2,"incarnation":1,"counter":1}"#).expect_err("too new");
    assert!(error.to_string().contains("upgrade"), "{error}");
    assert!(Key::Epoch.decode(b"{}").is_err());
    assert!(Key::parse("owners/x").is_err());
    assert!(Key::parse("owners/01920000-0000-7000-8000-000000000001/3/4").is_err());
}
