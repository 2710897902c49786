//! The rules of a move, one test each, on worlds that are kept by executing the planned transactions.

mod placement;
mod placement_holds;
mod placement_speed;

use super::*;
use crate::{
    connector::{Config, DeletedConnector},
    ids::{ConnectorName, Generation, Namespace, ReplicaId, SettingsId},
    keys::Entry,
    task::TaskSet,
    time::Wall,
    txn::Write,
    worker::{Leader, Replica},
};
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

mod takeovers;

/// A world with a store that obeys: transactions are applied in order, guards checked.
struct Cluster {
    world: World,
    revision: i64,
    now: Monotonic,
    policy: Policy,
}

fn worker_id(n: u128) -> WorkerId {
    WorkerId(Uuid::from_u128(n))
}

fn uid(n: u128) -> ConnectorUid {
    ConnectorUid(Uuid::from_u128(n))
}

fn config(pairs: &[(&str, &str)]) -> Config {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

impl Cluster {
    fn new() -> Cluster {
        let mut cluster =
            Cluster { world: World::default(), revision: 0, now: Monotonic(10_000), policy: Policy::default() };
        let replica = ReplicaId(Uuid::from_u128(99));
        cluster.put(Key::Leader, Entry::Leader(Leader { replica }));
        cluster
    }

    fn put(&mut self, key: Key, entry: Entry) {
        self.revision += 1;
        self.world.apply(key, entry, Revision(self.revision), self.now);
    }

    fn worker(&mut self, n: u128) {
        self.worker_with(n, 0);
    }

    fn worker_with(&mut self, n: u128, capacity: u32) {
        self.worker_as(n, |worker| worker.capacity = capacity);
    }

    fn worker_as(&mut self, n: u128, change: impl FnOnce(&mut Worker)) {
        let connectors = BTreeSet::from(["C".to_owned()]);
        let mut worker = Worker { connectors, ..Worker::new(worker_id(n), format!("127.0.0.1:{n}"), Wall(0)) };
        change(&mut worker);
        self.put(Key::Worker(worker.id), Entry::Worker(worker));
    }

    fn change_worker(&mut self, n: u128, change: impl FnOnce(&mut Worker)) {
        let mut worker = self.world.workers[&worker_id(n)].value.clone();
        change(&mut worker);
        self.put(Key::Worker(worker.id), Entry::Worker(worker));
    }

    fn connector(&mut self, n: u128, name: &str, pairs: &[(&str, &str)]) {
        let connector = Connector {
            config: config(pairs),
            ..Connector::new(uid(n), ConnectorName::parse(name).expect("name"), "C".to_owned(), Wall(0))
        };
        self.put(Key::Connector(connector.namespace.clone(), connector.name.clone()), Entry::Connector(connector));
    }

    fn tasks(&mut self, n: u128, connector: &[(&str, &str)], tasks: &[&[(&str, &str)]]) {
        let set = TaskSet {
            connector: uid(n),
            said: None,
            number: Generation::FIRST,
            config_generation: Generation::FIRST,
            connector_config: config(connector),
            settings: SettingsId::default(),
            tasks: tasks.iter().map(|pairs| config(pairs)).collect(),
        };
        self.put(Key::TaskSet(uid(n)), Entry::TaskSet(set));
    }

    fn target(&mut self, n: u128, target: TargetState) {
        let mut connector = self.world.connectors[&uid(n)].value.clone();
        connector.target = target;
        self.put(Key::Connector(connector.namespace.clone(), connector.name.clone()), Entry::Connector(connector));
    }

    fn plan(&self) -> Plan {
        plan(&self.world, &self.policy, self.now)
    }

    fn commit(&mut self, txn: &Txn) -> bool {
        let revision_of = |key: &Key| -> Option<Revision> {
            match key {
                Key::Owner(unit) => self.world.owners.get(unit).map(|stored| stored.revision),
                Key::Worker(id) => self.world.workers.get(id).map(|stored| stored.revision),
                Key::Connector(namespace, name) => self.world.connector(namespace, name).map(|stored| stored.revision),
                Key::Leader => self.world.leader.as_ref().map(|stored| stored.revision),
                Key::Epoch => self.world.epoch.as_ref().map(|stored| stored.revision),
                Key::TaskSet(uid) => self.world.task_sets.get(uid).map(|stored| stored.revision),
                Key::Status(unit) => self.world.statuses.get(unit).map(|stored| stored.revision),
                Key::Deleted(uid) => self.world.deleted.get(uid).map(|stored| stored.revision),
                Key::Identity => self.world.identity.as_ref().map(|stored| stored.revision),
                other => panic!("no test reads {other}"),
            }
        };
        let holds = txn.compares.iter().all(|compare| match compare {
            Compare::Unchanged(key, revision) => revision_of(key) == Some(*revision),
            Compare::Absent(key) => revision_of(key).is_none(),
            Compare::NoReplicaNewer(revision) => self.world.replicas_revision <= *revision,
        });
        if holds {
            self.revision += 1;
            for write in &txn.writes {
                match write {
                    Write::Put(key, value) => {
                        let entry = key.decode(value).expect("what we encoded");
                        self.world.apply(key.clone(), entry, Revision(self.revision), self.now);
                    }
                    Write::Delete(key) => self.world.delete(key, Revision(self.revision)),
                }
            }
        }
        holds
    }

    /// Executes one plan; says whether it did anything.
    fn step(&mut self) -> bool {
        let plan = self.plan();
        let before = self.world.clone();
        for txn in plan.txns(&before) {
            assert!(self.commit(&txn), "a plan for this very world holds: {txn:?}");
        }
        let mut chain = plan.grant_chain(&before);
        while let Some(txn) = chain.next_txn() {
            assert!(self.commit(&txn), "a plan for this very world holds: {txn:?}");
            chain.committed(Revision(self.revision));
        }
        !plan.is_empty()
    }

    /// Workers acknowledge all revocations.
    fn acknowledge(&mut self) -> usize {
        let revoking: Vec<Unit> = self
            .world
            .owners
            .iter()
            .filter(|(_, owner)| owner.value.state == GrantState::Revoking)
            .map(|(unit, _)| *unit)
            .collect();
        self.revision += 1;
        for unit in &revoking {
            self.world.delete(&Key::Owner(*unit), Revision(self.revision));
        }
        revoking.len()
    }

    fn settle(&mut self) {
        for _ in 0..50 {
            let moved = self.step();
            if self.acknowledge() == 0 && !moved {
                return;
            }
        }
        panic!("the plan does not come to rest: {:?}", self.plan());
    }

    fn beat(&mut self, n: u128, number: u64) {
        let replica = Replica {
            id: ReplicaId(Uuid::from_u128(99)),
            address: String::new(),
            beats: BTreeMap::from([(worker_id(n), number)]),
        };
        self.put(Key::Replica(replica.id), Entry::Replica(replica));
    }

    fn owner(&self, n: u128, kind: UnitKind) -> Option<(WorkerId, u64)> {
        self.world
            .owners
            .get(&Unit { connector: uid(n), kind })
            .map(|owner| (owner.value.worker, owner.value.epoch.counter))
    }

    fn load(&self, n: u128) -> usize {
        self.world.owners.values().filter(|owner| owner.value.worker == worker_id(n)).count()
    }
}

#[test]
fn tasks_spread_and_an_unchanged_world_is_left_alone() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.worker(2);
    for n in 1..=10 {
        cluster.connector(n, &format!("c{n}"), &[]);
        cluster.tasks(n, &[], &[&[("t", "0")], &[("t", "1")], &[("t", "2")], &[("t", "3")]]);
    }
    cluster.settle();
    assert_eq!((cluster.load(1), cluster.load(2)), (25, 25));
    assert!(cluster.plan().is_empty());
    let counters: BTreeSet<u64> = cluster.world.owners.values().map(|owner| owner.value.epoch.counter).collect();
    assert_eq!(counters.len(), 50, "every grant has its own epoch");
    assert_eq!(cluster.world.epoch.as_ref().map(|stored| stored.value.counter), Some(50));
}

#[test]
fn a_large_world_is_placed_by_several_plans_as_evenly_as_by_one() {
    let mut cluster = Cluster::new();
    cluster.policy.grants_per_plan = 4;
    (1..=3).for_each(|n| cluster.worker(n));
    cluster.connector(7, "c", &[]);
    let tasks: Vec<&[(&str, &str)]> = vec![&[]; 11];
    cluster.tasks(7, &[], &tasks);
    assert_eq!(cluster.plan().grant.len(), 4);
    cluster.settle();
    assert_eq!((cluster.load(1), cluster.load(2), cluster.load(3)), (4, 4, 4));
    assert!(cluster.plan().is_empty());
}

#[test]
fn a_new_worker_gets_its_share_and_no_more_is_moved() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.connector(1, "c", &[]);
    let tasks: Vec<Config> = (0..9).map(|n| config(&[("t", &n.to_string())])).collect();
    let pairs: Vec<Vec<(&str, &str)>> =
        tasks.iter().map(|task| task.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()).collect();
    cluster.tasks(1, &[], &pairs.iter().map(Vec::as_slice).collect::<Vec<_>>());
    cluster.settle();
    let before: BTreeMap<Unit, u64> =
        cluster.world.owners.iter().map(|(unit, owner)| (*unit, owner.value.epoch.counter)).collect();
    cluster.worker(2);
    cluster.settle();
    let moved = cluster.world.owners.iter().filter(|(unit, owner)| owner.value.epoch.counter != before[unit]).count();
    assert_eq!(moved, 4, "9 tasks: 5 and 4; the planner stays");
    assert_eq!(cluster.load(2), 4);
}

#[test]
fn a_silent_worker_is_expired_after_its_ttl_and_its_units_move() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.worker(2);
    cluster.connector(1, "c", &[]);
    cluster.tasks(1, &[], &[&[]]);
    cluster.settle();
    let (first, epoch) = cluster.owner(1, UnitKind::Task(0)).expect("granted");
    let other = if first == worker_id(1) { 2 } else { 1 };
    cluster.now = cluster.now + Duration::from_millis(1499);
    cluster.beat(other, 5);
    assert_eq!(cluster.plan().expire, []);
    assert_eq!(cluster.plan().again_at, Some(cluster.now + Duration::from_millis(1)));
    cluster.now = cluster.now + Duration::from_millis(1);
    assert_eq!(cluster.plan().expire, [first]);
    cluster.settle();
    let (second, later) = cluster.owner(1, UnitKind::Task(0)).expect("granted again");
    assert_eq!(second, worker_id(other));
    assert!(later > epoch);
    assert!(!cluster.world.workers.contains_key(&first), "forgotten when it owns nothing");
}

#[test]
fn nobody_is_expired_before_a_new_leader_has_settled() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.now = cluster.now + Duration::from_secs(60);
    cluster.world.restart_timers(cluster.now);
    assert!(cluster.plan().expire.is_empty());
    cluster.now = cluster.now + Duration::from_millis(2999);
    assert!(cluster.plan().expire.is_empty());
    cluster.now = cluster.now + Duration::from_millis(1);
    assert_eq!(cluster.plan().expire, [worker_id(1)]);
}

#[test]
fn a_heartbeat_that_is_stored_but_not_seen_forbids_the_expiry() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.now = cluster.now + Duration::from_secs(10);
    let planned = cluster.world.clone();
    let plan = cluster.plan();
    assert_eq!(plan.expire, [worker_id(1)]);
    cluster.beat(1, 1);
    assert!(plan.txns(&planned).iter().all(|txn| !cluster.commit(txn)));
}

#[test]
fn changed_tasks_all_stop_before_one_starts_and_unchanged_ones_run_on() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.worker(2);
    cluster.connector(1, "c", &[]);
    cluster.tasks(1, &[], &[&[("t", "a")], &[("t", "b")], &[("t", "c")], &[("t", "d")]]);
    cluster.settle();
    let kept = cluster.owner(1, UnitKind::Task(0));
    cluster.tasks(1, &[], &[&[("t", "a")], &[("t", "B")], &[("t", "C")]]);
    let plan = cluster.plan();
    assert_eq!(plan.revoke.len(), 3, "two changed, one removed");
    assert!(plan.grant.is_empty());
    cluster.step();
    // One of the three is acknowledged: nothing starts yet.
    let first = plan.revoke[0];
    cluster.revision += 1;
    let revision = Revision(cluster.revision);
    cluster.world.delete(&Key::Owner(first), revision);
    assert!(cluster.plan().grant.is_empty());
    cluster.settle();
    assert_eq!(cluster.owner(1, UnitKind::Task(0)), kept);
    assert!(cluster.owner(1, UnitKind::Task(2)).is_some());
    assert_eq!(cluster.owner(1, UnitKind::Task(3)), None);
}

#[test]
fn a_stopped_connector_keeps_its_planner_only() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.connector(1, "c", &[]);
    cluster.tasks(1, &[], &[&[], &[]]);
    cluster.settle();
    cluster.target(1, TargetState::Stopped);
    cluster.settle();
    assert!(cluster.owner(1, UnitKind::Planner).is_some());
    assert_eq!(cluster.load(1), 1);
    cluster.target(1, TargetState::Paused);
    cluster.settle();
    assert_eq!(cluster.load(1), 3);
}

#[test]
fn a_recreated_connector_waits_for_its_namesake() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.connector(1, "c", &[]);
    cluster.settle();
    let old = cluster.world.connectors[&uid(1)].value.clone();
    cluster.revision += 1;
    let revision = Revision(cluster.revision);
    cluster.world.delete(&Key::Connector(old.namespace.clone(), old.name.clone()), revision);
    cluster.put(
        Key::Deleted(uid(1)),
        Entry::Deleted(DeletedConnector {
            namespace: old.namespace,
            name: old.name,
            settings: old.settings,
            config_generation: Generation(3),
        }),
    );
    cluster.connector(2, "c", &[]);
    cluster.step();
    assert_eq!(cluster.owner(2, UnitKind::Planner), None, "the old planner still runs");
    cluster.settle();
    assert!(cluster.owner(2, UnitKind::Planner).is_some());
    assert!(cluster.world.deleted.is_empty());
}

#[test]
fn a_deleted_connectors_history_goes_with_it() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.settle();
    let deleted = DeletedConnector {
        namespace: Namespace::default(),
        name: ConnectorName::parse("c").unwrap(),
        settings: SettingsId::default(),
        config_generation: Generation(70),
    };
    cluster.put(Key::Deleted(uid(1)), Entry::Deleted(deleted));
    let writes: Vec<Write> = cluster.plan().txns(&cluster.world).into_iter().flat_map(|txn| txn.writes).collect();
    for generation in 21..=70 {
        assert!(writes.contains(&Write::Delete(Key::Revision(uid(1), Generation(generation)))), "{generation}");
    }
}

#[test]
fn capacity_is_a_hard_limit() {
    let mut cluster = Cluster::new();
    cluster.worker_with(1, 2);
    cluster.connector(1, "c", &[]);
    cluster.tasks(1, &[], &[&[], &[], &[]]);
    cluster.settle();
    assert_eq!(cluster.load(1), 2);
}

#[test]
fn a_draining_worker_hands_over_what_others_can_run() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.connector(1, "c", &[]);
    cluster.tasks(1, &[], &[&[], &[]]);
    cluster.settle();
    cluster.change_worker(1, |worker| worker.state = WorkerState::Draining);
    cluster.settle();
    assert_eq!(cluster.load(1), 3, "nobody else is there");
    cluster.worker(2);
    cluster.settle();
    assert_eq!((cluster.load(1), cluster.load(2)), (0, 3));
}

#[test]
fn a_cordoned_worker_keeps_what_it_has_and_gets_nothing_new() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.connector(1, "c", &[]);
    cluster.tasks(1, &[], &[&[], &[]]);
    cluster.settle();
    let mut worker = cluster.world.workers[&worker_id(1)].value.clone();
    worker.state = WorkerState::Cordoned;
    cluster.put(Key::Worker(worker.id), Entry::Worker(worker.clone()));
    cluster.connector(2, "d", &[]);
    cluster.settle();
    assert_eq!(cluster.load(1), 3, "nobody else is there, and it gets nothing all the same");
    cluster.worker(2);
    cluster.settle();
    assert_eq!((cluster.load(1), cluster.load(2)), (3, 1), "the new goes elsewhere, the old stays, also for balance");
    worker.state = WorkerState::Active;
    cluster.put(Key::Worker(worker.id), Entry::Worker(worker));
    cluster.connector(3, "e", &[]);
    cluster.connector(4, "f", &[]);
    cluster.settle();
    assert_eq!((cluster.load(1), cluster.load(2)), (3, 3));
}
