//! The rules of placement, one test each.

use super::*;
use crate::placement::{ANTI_AFFINITY, PLUGIN_VERSION, SPREAD, TASK_WEIGHT, WORKER_SELECTOR};

impl Cluster {
    /// A connector with so many tasks, all different.
    pub(super) fn connector_of(&mut self, n: u128, name: &str, rules: &[(&str, &str)], tasks: usize) {
        self.connector(n, name, rules);
        self.numbered_tasks(n, tasks);
    }

    pub(super) fn numbered_tasks(&mut self, n: u128, tasks: usize) {
        let connector_config = self.world.connectors[&uid(n)].value.config.clone();
        let set = TaskSet {
            connector: uid(n),
            said: None,
            number: Generation::FIRST,
            config_generation: Generation::FIRST,
            connector_config,
            settings: SettingsId::default(),
            tasks: (0..tasks).map(|number| config(&[("t", &number.to_string())])).collect(),
        };
        self.put(Key::TaskSet(uid(n)), Entry::TaskSet(set));
    }

    fn zone(&mut self, n: u128, zone: &str) {
        self.worker_as(n, |worker| worker.zone = zone.to_owned());
    }

    /// Numbers of the workers of a connector's tasks, -1 for none.
    fn at(&self, n: u128, tasks: u32) -> Vec<i128> {
        let kinds = (0..tasks).map(UnitKind::Task);
        kinds.map(|kind| self.owner(n, kind).map_or(-1, |(worker, _)| worker.0.as_u128() as i128)).collect()
    }

    pub(super) fn epochs(&self) -> BTreeMap<Unit, u64> {
        self.world.owners.iter().map(|(unit, owner)| (*unit, owner.value.epoch.counter)).collect()
    }
}

#[test]
fn tasks_are_balanced_by_weight() {
    let mut cluster = Cluster::new();
    (1..=2).for_each(|n| cluster.worker(n));
    cluster.connector_of(1, "heavy", &[(TASK_WEIGHT, "5")], 1);
    cluster.connector_of(2, "light", &[], 5);
    cluster.settle();
    let heavy = cluster.at(1, 1)[0];
    assert!(cluster.at(2, 5).iter().all(|worker| *worker != heavy), "5 and 1+1+1+1+1");
}

#[test]
fn the_tasks_of_each_connector_spread_when_a_worker_joins() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    for n in 1..=4 {
        cluster.connector_of(n, &format!("c{n}"), &[], 4);
    }
    cluster.settle();
    cluster.worker(2);
    cluster.settle();
    for n in 1..=4 {
        assert_eq!(cluster.at(n, 4).iter().filter(|worker| **worker == 2).count(), 2, "connector {n}");
    }
}

#[test]
fn a_unit_goes_where_the_selector_lets_it_and_follows_the_labels() {
    let mut cluster = Cluster::new();
    cluster.zone(1, "eu");
    cluster.zone(2, "us");
    cluster.connector_of(1, "c", &[(WORKER_SELECTOR, "zone=us")], 3);
    cluster.settle();
    assert_eq!((cluster.load(1), cluster.load(2)), (0, 4));
    let before = cluster.epochs();
    cluster.change_worker(2, |worker| worker.zone = "eu".to_owned());
    cluster.settle();
    assert_eq!(cluster.epochs(), before, "it runs on: nobody else may run it");
    cluster.zone(3, "us");
    cluster.settle();
    assert_eq!((cluster.load(2), cluster.load(3)), (0, 4));
}

#[test]
fn a_label_of_the_name_outweighs_the_workers_zone() {
    let mut cluster = Cluster::new();
    cluster.zone(1, "us");
    cluster.worker_as(2, |worker| {
        worker.zone = "us".to_owned();
        worker.labels = BTreeMap::from([("zone".to_owned(), "eu".to_owned())]);
    });
    cluster.connector_of(1, "c", &[(WORKER_SELECTOR, "zone=eu,!pool")], 2);
    cluster.settle();
    assert_eq!((cluster.load(1), cluster.load(2)), (0, 3));
}

#[test]
fn a_connector_runs_where_its_version_is() {
    let versions = |list: &[&str]| {
        let versions = list.iter().map(|version| (*version).to_owned()).collect();
        BTreeMap::from([("C".to_owned(), versions)])
    };
    let mut cluster = Cluster::new();
    cluster.worker_as(1, |worker| worker.connector_versions = versions(&["1.9"]));
    cluster.worker_as(2, |worker| worker.connector_versions = versions(&["1.9", "2.1"]));
    cluster.connector_of(1, "new", &[(PLUGIN_VERSION, "[2.0,3.0)")], 2);
    cluster.connector_of(2, "old", &[(PLUGIN_VERSION, "1.9")], 2);
    cluster.connector_of(3, "none", &[(PLUGIN_VERSION, "3.0")], 2);
    cluster.connector_of(4, "any", &[], 1);
    cluster.settle();
    assert_eq!(cluster.at(1, 2), [2, 2]);
    assert_eq!(cluster.at(2, 2), [1, 1], "2 has two tasks already");
    assert_eq!(cluster.owner(3, UnitKind::Planner), None);
    assert_ne!(cluster.at(4, 1), [-1]);
}

#[test]
fn connectors_that_are_apart_share_no_worker_whoever_says_so() {
    for names_the_other in [1, 2] {
        let mut cluster = Cluster::new();
        (1..=2).for_each(|n| cluster.worker(n));
        let rules =
            |n: u128| if n == names_the_other { vec![(ANTI_AFFINITY, if n == 1 { "b" } else { "a" })] } else { vec![] };
        cluster.connector_of(1, "a", &rules(1), 3);
        cluster.connector_of(2, "b", &rules(2), 3);
        cluster.settle();
        let (a, b): (BTreeSet<i128>, BTreeSet<i128>) =
            (cluster.at(1, 3).into_iter().collect(), cluster.at(2, 3).into_iter().collect());
        assert!(a.is_disjoint(&b), "{a:?} {b:?}");
    }
}

#[test]
fn of_two_that_must_part_the_fewer_units_move_and_none_if_there_is_no_room() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.connector_of(1, "many", &[], 5);
    cluster.connector_of(2, "few", &[], 1);
    cluster.settle();
    let before = cluster.epochs();
    cluster.connector(2, "few", &[(ANTI_AFFINITY, "many")]);
    cluster.settle();
    let planner = Unit { connector: uid(2), kind: UnitKind::Planner };
    let stay = |cluster: &Cluster, uids: &[u128]| {
        let after = cluster.epochs();
        let units =
            before.iter().filter(|(unit, _)| **unit != planner && uids.iter().any(|n| unit.connector == uid(*n)));
        units.into_iter().all(|(unit, epoch)| after.get(unit) == Some(epoch))
    };
    assert!(stay(&cluster, &[1, 2]), "nobody else is there");
    assert_eq!(cluster.owner(2, UnitKind::Planner), None, "its config has changed: it may not start beside the other");
    cluster.worker_with(2, 1);
    cluster.settle();
    assert_eq!(cluster.owner(2, UnitKind::Planner).map(|(worker, _)| worker), Some(worker_id(2)));
    assert!(stay(&cluster, &[1, 2]), "there is no room for more");
    cluster.change_worker(2, |worker| worker.capacity = 2);
    cluster.settle();
    assert_eq!(cluster.at(2, 1), [2]);
    assert!(stay(&cluster, &[1]));
}

#[test]
fn tasks_that_must_spread_are_one_a_worker_and_the_rest_waits() {
    let mut cluster = Cluster::new();
    (1..=2).for_each(|n| cluster.worker(n));
    cluster.connector_of(1, "c", &[(SPREAD, "require")], 3);
    cluster.settle();
    let at = |cluster: &Cluster| cluster.at(1, 3).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(at(&cluster), BTreeSet::from([-1, 1, 2]));
    cluster.worker(3);
    cluster.settle();
    assert_eq!(at(&cluster), BTreeSet::from([1, 2, 3]));
    // All are restarted where they are.
    cluster.connector_of(1, "c", &[(SPREAD, "require"), ("x", "y")], 3);
    cluster.settle();
    assert_eq!(at(&cluster), BTreeSet::from([1, 2, 3]));
}

#[test]
fn a_draining_worker_keeps_what_nobody_has_room_for() {
    let mut cluster = Cluster::new();
    cluster.worker(1);
    cluster.connector_of(1, "c", &[], 3);
    cluster.settle();
    cluster.worker_with(2, 1);
    cluster.settle();
    cluster.change_worker(1, |worker| worker.state = WorkerState::Draining);
    cluster.settle();
    assert_eq!((cluster.load(1), cluster.load(2)), (3, 1));
    cluster.change_worker(2, |worker| worker.capacity = 3);
    cluster.settle();
    assert_eq!((cluster.load(1), cluster.load(2)), (1, 3));
}

#[test]
fn a_unit_restarts_on_a_full_worker() {
    let mut cluster = Cluster::new();
    cluster.worker_with(1, 2);
    cluster.connector_of(1, "c", &[], 1);
    cluster.settle();
    cluster.connector_of(1, "c", &[("x", "y")], 1);
    cluster.settle();
    assert_eq!(cluster.load(1), 2);
}
