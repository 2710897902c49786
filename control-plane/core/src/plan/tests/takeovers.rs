//! Who may be expired, by whom and when; what is taken over early, slowly, or some at a time; what a store that has
//! forgotten grants leads to.

use super::*;
use crate::incarnation::{LaterEpoch, StoreIdentity};

const REPLICA: u128 = 99;

impl Cluster {
    fn replica(&mut self, n: u128, workers: &[u128]) {
        let beats = workers.iter().map(|worker| (worker_id(*worker), self.revision as u64 + 1)).collect();
        let replica = Replica { id: ReplicaId(Uuid::from_u128(n)), address: format!("http://{n}"), beats };
        self.put(Key::Replica(replica.id), Entry::Replica(replica));
    }

    fn fence(&mut self, n: u128, class: FenceClass) {
        let mut connector = self.world.connectors[&uid(n)].value.clone();
        connector.fence_class = class;
        self.put(Key::Connector(connector.namespace.clone(), connector.name.clone()), Entry::Connector(connector));
    }

    fn with_tasks(&mut self, tasks: usize) {
        self.connector(1, "c", &[]);
        let none: &[(&str, &str)] = &[];
        self.tasks(1, &[], &vec![none; tasks]);
        self.settle();
    }

    fn owned_by(&self, n: u128) -> usize {
        self.world.owners.values().filter(|owner| owner.value.worker == worker_id(n)).count()
    }
}

#[test]
fn who_leaves_gives_up_some_units_at_a_time_also_where_nobody_else_is() {
    let mut cluster = Cluster::new();
    cluster.policy.drain_at_a_time = 3;
    cluster.worker(1);
    cluster.with_tasks(10);
    cluster.change_worker(1, |worker| worker.state = WorkerState::Leaving);
    let mut rounds = 0;
    while cluster.owned_by(1) > 0 {
        while cluster.step() {}
        let revoking = cluster.acknowledge();
        assert!((1..=3).contains(&revoking), "{revoking} at a time");
        rounds += 1;
    }
    assert_eq!(rounds, 4, "11 units, 3 at a time");
}

#[test]
fn who_drains_keeps_what_nobody_else_can_run() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.with_tasks(3);
    cluster.change_worker(1, |worker| worker.state = WorkerState::Draining);
    assert!(cluster.plan().is_empty());
    cluster.worker(2);
    assert_eq!(cluster.plan().revoke.len(), 4);
}

#[test]
fn units_that_are_fenced_by_epoch_are_taken_over_from_a_suspect_at_once_and_others_are_not() {
    for (class, early) in [(FenceClass::Lease, 0), (FenceClass::TargetEpoch, 2), (FenceClass::Transactional, 2)] {
        let mut cluster = Cluster::new();
        cluster.replica(REPLICA, &[]);
        cluster.worker(1);
        cluster.connector(1, "c", &[]);
        cluster.fence(1, class);
        cluster.tasks(1, &[], &[&[], &[]]);
        cluster.now = Monotonic(20_000);
        cluster.replica(REPLICA, &[1]);
        cluster.settle();
        cluster.worker(2);
        cluster.replica(REPLICA, &[]);
        assert_eq!(cluster.plan().free_early, [], "it may come back");
        cluster.now = Monotonic(20_250);
        assert_eq!(cluster.plan().free_early.len(), early, "{class:?}");
        assert_eq!(cluster.plan().expire, [], "its lease holds");

        let plan = cluster.plan();
        let txns = plan.txns(&cluster.world);
        cluster.replica(REPLICA, &[1]);
        assert!(cluster.plan().free_early.is_empty(), "it came back");
        let frees = |txn: &Txn| txn.writes.iter().any(|write| matches!(write, Write::Delete(Key::Owner(_))));
        assert!(txns.iter().filter(|txn| frees(txn)).all(|txn| !cluster.commit(txn)), "a word unseen refuses it");
    }
}

#[test]
fn many_suspects_and_a_replica_that_is_gone_make_nobody_suspect() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.worker(2);
    cluster.connector(1, "c", &[]);
    cluster.fence(1, FenceClass::Transactional);
    cluster.tasks(1, &[], &[&[], &[]]);
    cluster.now = Monotonic(20_000);
    cluster.replica(REPLICA, &[1, 2]);
    cluster.settle();
    let before = cluster.world.clone();
    cluster.replica(REPLICA, &[]);
    cluster.now = Monotonic(20_300);
    assert_eq!(cluster.world.cut_off.len(), 2);
    assert_eq!(cluster.plan().free_early, [], "both of two: it is not they");
    cluster.world = before;
    cluster.world.delete(&Key::Replica(ReplicaId(Uuid::from_u128(REPLICA))), Revision(cluster.revision + 1));
    assert!(cluster.world.cut_off.is_empty(), "nobody saw a session end");
}

#[test]
fn a_leader_that_a_worker_does_not_count_on_leaves_its_expiry_to_another() {
    let mut cluster = Cluster::new();
    cluster.replica(REPLICA, &[]);
    cluster.worker(1);
    cluster.change_worker(1, |worker| worker.known_replicas = BTreeSet::from(["http://98".to_owned()]));
    cluster.now = Monotonic(60_000);
    let plan = cluster.plan();
    assert!(plan.expire.is_empty() && !plan.resign, "nobody can, and nobody may");
    cluster.replica(98, &[]);
    let plan = cluster.plan();
    assert!(plan.expire.is_empty() && plan.resign);
    assert!(plan.txns(&cluster.world).iter().all(|txn| cluster.commit(txn)));
    assert_eq!(cluster.world.leader, None);
    cluster.put(Key::Leader, Entry::Leader(Leader { replica: ReplicaId(Uuid::from_u128(98)) }));
    assert_eq!(cluster.plan().expire, [worker_id(1)]);
}

#[test]
fn a_mass_loss_is_taken_over_at_a_limited_rate() {
    let mut cluster = Cluster::new();
    (cluster.policy.mass_loss_burst, cluster.policy.mass_loss_rate) = (10, 20);
    cluster.policy.lease_ttl = Duration::from_secs(3600);
    (1..=4).for_each(|worker| cluster.worker(worker));
    cluster.with_tasks(79);
    cluster.now = Monotonic(20_000);
    for worker in [1, 2] {
        cluster.change_worker(worker, |worker| worker.state = WorkerState::Expired);
    }
    assert!(cluster.world.mass_loss.is_some());
    let lost = cluster.owned_by(1) + cluster.owned_by(2);
    assert!(lost >= 30, "{lost}");
    while cluster.step() {}
    assert_eq!(cluster.owned_by(1) + cluster.owned_by(2), lost - 10, "the burst");
    assert_eq!(cluster.plan().again_at, Some(Monotonic(20_100)));
    cluster.now = Monotonic(20_500);
    while cluster.step() {}
    assert_eq!(cluster.owned_by(1) + cluster.owned_by(2), lost - 20, "and 20 a second");
    cluster.now = Monotonic(30_000);
    while cluster.step() {}
    assert_eq!((cluster.owned_by(1) + cluster.owned_by(2), cluster.world.mass_loss), (0, None));
}

#[test]
fn one_lost_worker_of_three_is_no_mass_loss() {
    let mut cluster = Cluster::new();
    (1..=3).for_each(|worker| cluster.worker(worker));
    cluster.with_tasks(5);
    cluster.change_worker(1, |worker| worker.state = WorkerState::Expired);
    assert_eq!(cluster.world.mass_loss, None);
}

#[test]
fn a_store_that_has_forgotten_grants_gets_a_new_incarnation_before_anything_else() {
    let mut cluster = Cluster::new();
    cluster.replica(REPLICA, &[]);
    cluster.worker(1);
    cluster.with_tasks(2);
    assert_eq!(cluster.world.raise_incarnation(), None);
    let (task, later) = (Unit { connector: uid(1), kind: UnitKind::Task(0) }, Epoch { incarnation: 1, counter: 900 });
    let granted = cluster.world.owners[&task].value.epoch;
    assert!(!cluster.world.has_forgotten(task, granted) && cluster.world.has_forgotten(task, later));
    let a_later_one = Epoch { counter: granted.counter + 1, ..granted };
    assert!(cluster.world.has_forgotten(task, a_later_one), "the unit's own grant is older, whatever was given since");
    assert!(cluster.world.saw_forgotten(later.incarnation));
    cluster.worker(2);
    assert!(cluster.plan().is_empty(), "what the store says is not what was granted");
    let raise = cluster.world.raise_incarnation().expect("to be raised");
    assert!(cluster.commit(&raise));
    assert_eq!((cluster.world.incarnation(), cluster.world.raise_incarnation()), (2, None));

    let plan = cluster.plan();
    assert_eq!(plan.expire, [worker_id(1), worker_id(2)], "both are of the first incarnation");
    assert!(plan.free.is_empty() && plan.grant.is_empty());
    assert!(plan.txns(&cluster.world).iter().all(|txn| cluster.commit(txn)));
    cluster.worker(3);
    cluster.change_worker(3, |worker| worker.incarnation = 2);
    assert!(cluster.plan().is_empty(), "the void may run on for a lease");
    assert_eq!(cluster.plan().again_at, Some(cluster.now + cluster.policy.lease_ttl));
    cluster.now = cluster.now + cluster.policy.lease_ttl;
    cluster.replica(REPLICA, &[3]);
    cluster.settle();
    assert_eq!(cluster.owned_by(3), 3);
    assert!(cluster.world.owners.values().all(|owner| owner.value.epoch.incarnation == 2));
}

#[test]
fn a_store_that_went_back_is_noticed_by_whoever_saw_more_of_it() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.with_tasks(1);
    let leader = (Key::Leader, Entry::Leader(Leader { replica: ReplicaId(Uuid::from_u128(REPLICA)) }), Revision(1));
    let epoch = |incarnation| (Key::Epoch, Entry::Epoch(Epoch { incarnation, counter: 0 }), Revision(2));
    let (now, seen) = (cluster.now, cluster.world.clone());
    cluster.world.reset(vec![leader.clone()], Revision(2), now);
    assert!(cluster.world.is_rewound() && cluster.plan().is_empty());
    // Of an emptied store too, all epochs are above all that were granted.
    let raise = cluster.world.raise_incarnation().expect("to be raised");
    assert!(cluster.commit(&raise) && cluster.world.incarnation() == 2);
    cluster.world = seen;
    cluster.world.reset(vec![leader, epoch(2)], Revision(3), now);
    assert!(!cluster.world.is_rewound(), "another replica was faster");
}

#[test]
fn a_leader_that_finds_another_store_raises_the_incarnation_before_it_grants() {
    let mut cluster = Cluster::new();
    let identity = |cluster, term| StoreIdentity { cluster, term };
    for (present, incarnation) in [
        (identity(7, 3), 1),
        (identity(7, 3), 1),
        (identity(7, 5), 1),
        // A snapshot that was restored begins to count anew.
        (identity(7, 2), 2),
        (identity(8, 9), 3),
    ] {
        if let Some(txn) = cluster.world.identify(present) {
            assert!(cluster.commit(&txn));
        }
        assert_eq!((cluster.world.incarnation(), cluster.world.identify(present)), (incarnation, None), "{present:?}");
    }
}

#[test]
fn a_store_that_went_back_twice_gets_an_incarnation_that_never_was() {
    let mut cluster = Cluster::new();
    cluster.with_tasks(1);
    let epoch = |incarnation| (Key::Epoch, Entry::Epoch(Epoch { incarnation, counter: 7 }), Revision(2));
    let now = cluster.now;
    cluster.world.reset(vec![epoch(3)], Revision(50), now);
    cluster.world.reset(vec![epoch(1)], Revision(4), now);
    // Another replica that did not see so much raised it, to what was there before.
    cluster.world.apply(Key::Epoch, Entry::Epoch(Epoch { incarnation: 2, counter: 0 }), Revision(5), now);
    assert!(cluster.world.is_rewound());
    let raise = cluster.world.raise_incarnation().expect("to be raised");
    assert!(cluster.commit(&raise));
    assert_eq!((cluster.world.incarnation(), cluster.world.raise_incarnation()), (4, None));
}

#[test]
fn what_was_seen_before_the_incarnation_was_raised_raises_it_no_more() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.with_tasks(1);
    let task = Unit { connector: uid(1), kind: UnitKind::Task(0) };
    let held = Epoch { incarnation: 1, counter: 900 };
    assert!(cluster.world.saw_forgotten(1));
    let raise = cluster.world.raise_incarnation().expect("to be raised");
    assert!(cluster.commit(&raise));
    // Its owner is still as it was: another worker shows its grants to another replica.
    assert!(cluster.world.owners[&task].value.epoch < held);
    assert!(!cluster.world.has_forgotten(task, held) && !cluster.world.saw_forgotten(1));
    assert_eq!(cluster.world.raise_incarnation(), None);
    assert!(!cluster.world.saw_forgotten(u32::MAX), "nobody uses all incarnations up");
    assert!(cluster.world.saw_forgotten(5));
    let raise = cluster.world.raise_incarnation().expect("to be raised");
    assert!(cluster.commit(&raise) && cluster.world.incarnation() == 6);
}

#[test]
fn a_later_epoch_of_another_task_is_no_forgotten_grant() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.with_tasks(2);
    let [first, second] = [0, 1].map(|number| Unit { connector: uid(1), kind: UnitKind::Task(number) });
    let [mine, later] = [first, second].map(|unit| cluster.world.owners[&unit].value.epoch);
    assert!(mine < later);
    let ahead = Epoch { counter: 900, ..later };
    let means =
        |world: &crate::world::World, granted, later, is_stored| world.what_of_later(first, granted, later, is_stored);
    assert_eq!(means(&cluster.world, mine, later, true), LaterEpoch::IsPassed);
    assert_eq!(means(&cluster.world, mine, ahead, true), LaterEpoch::IsForgotten);
    assert_eq!(means(&cluster.world, mine, later, false), LaterEpoch::IsForgotten, "the unit itself had it");
    assert_eq!(means(&cluster.world, later, ahead, true), LaterEpoch::IsNothing, "that is not its grant");
    assert_eq!(means(&cluster.world, mine, mine, true), LaterEpoch::IsNothing);
}

#[test]
fn a_void_worker_is_expired_only_by_whom_it_counts_on() {
    let mut cluster = Cluster::new();
    cluster.replica(REPLICA, &[]);
    cluster.worker(1);
    cluster.change_worker(1, |worker| worker.known_replicas = ["elsewhere".to_owned()].into());
    cluster.with_tasks(1);
    assert!(cluster.world.saw_forgotten(1));
    let raise = cluster.world.raise_incarnation().expect("to be raised");
    assert!(cluster.commit(&raise));
    // All that it counts on refuse its connections: it goes on.
    let plan = cluster.plan();
    assert!(plan.expire.is_empty() && !plan.resign);
    let here = cluster.world.leader_address().expect("a leader").to_owned();
    cluster.change_worker(1, |worker| worker.known_replicas.extend([here.clone()]));
    assert_eq!(cluster.plan().expire, [worker_id(1)]);
}

#[test]
fn a_hold_keeps_the_lease_of_the_worker_that_got_it_and_of_no_other() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.worker(2);
    cluster.with_tasks(4);
    cluster.beat(1, 1);
    cluster.beat(2, 1);
    let ttl = cluster.policy.lease_ttl;
    cluster.now = cluster.now + cluster.policy.settle + ttl;
    cluster.world.held([worker_id(2)].into_iter(), cluster.now);
    assert_eq!(cluster.plan().expire, [worker_id(1)], "the other one was told HOLD just now");
    cluster.now = cluster.now + ttl;
    assert_eq!(cluster.plan().expire, [worker_id(1), worker_id(2)]);
}

#[test]
fn a_void_worker_is_expired_whatever_is_stored_meanwhile_and_nothing_is_granted_before() {
    let mut cluster = Cluster::new();
    cluster.replica(REPLICA, &[]);
    cluster.worker(1);
    cluster.with_tasks(2);
    cluster.world.saw_forgotten(1);
    let raise = cluster.world.raise_incarnation().expect("to be raised");
    assert!(cluster.commit(&raise));
    cluster.worker(2);
    cluster.change_worker(2, |worker| worker.incarnation = 2);
    // A lease later the expiry is not stored yet.
    cluster.now = cluster.now + cluster.policy.lease_ttl + cluster.policy.settle;
    cluster.replica(REPLICA, &[1, 2]);
    let plan = cluster.plan();
    assert_eq!(plan.expire, [worker_id(1)]);
    assert!(plan.free.is_empty() && plan.grant.is_empty(), "it may run on until it is told");
    let txns = plan.txns(&cluster.world);
    cluster.replica(REPLICA, &[1, 2]);
    assert!(txns.iter().all(|txn| cluster.commit(txn)), "a heartbeat of the void does not matter");
}

#[test]
fn a_void_worker_that_no_replica_can_expire_keeps_its_own_units_and_holds_nobody_else_back() {
    let mut cluster = Cluster::new();
    cluster.replica(REPLICA, &[]);
    cluster.worker_as(1, |worker| worker.known_replicas = BTreeSet::from(["http://gone".to_owned()]));
    cluster.with_tasks(2);
    cluster.world.saw_forgotten(1);
    let raise = cluster.world.raise_incarnation().expect("to be raised");
    assert!(cluster.commit(&raise));
    cluster.put(Key::Leader, Entry::Leader(Leader { replica: ReplicaId(Uuid::from_u128(REPLICA)) }));
    cluster.worker_as(2, |worker| worker.incarnation = 2);
    cluster.connector(2, "d", &[]);
    cluster.now = cluster.now + cluster.policy.lease_ttl + cluster.policy.settle;
    cluster.replica(REPLICA, &[2]);
    let plan = cluster.plan();
    assert!(plan.expire.is_empty() && plan.free.is_empty());
    assert_eq!(plan.grant.len(), 1, "the other connector's planner");
}
