//! What holds in every world, on worlds made up by proptest.

use super::*;
use crate::placement::{ANTI_AFFINITY, PLUGIN_VERSION, SPREAD, TASK_WEIGHT, WORKER_SELECTOR};
use proptest::{collection::vec, prelude::*, test_runner::RngSeed};

/// Rounds of planning, obeying and acknowledging after which a world is at rest.
const ROUNDS: usize = 400;

/// Workers acknowledge all at once.
const PROMPT: u64 = 0;

#[derive(Debug, Clone)]
struct WorkerSpec {
    zone: usize,
    capacity: u32,
    version: usize,
}

#[derive(Debug, Clone)]
struct ConnectorSpec {
    tasks: usize,
    weight: u32,
    selector: usize,
    version: usize,
    apart_from: Option<usize>,
    must_spread: bool,
}

#[derive(Debug, Clone)]
enum Change {
    AddWorker(WorkerSpec),
    AddConnector(ConnectorSpec),
    Configure(usize, ConnectorSpec),
    Relabel(usize, usize),
    Limit(usize, u32),
    Drain(usize),
    Expire(usize),
}

const ZONES: [&str; 3] = ["", "eu", "us"];
const SELECTORS: [&str; 6] = ["", "zone=eu", "zone!=eu", "zone in (eu,us)", "!zone", ""];
const VERSIONS: [&str; 2] = ["1.0", "2.0"];
const WANTED_VERSIONS: [&str; 4] = ["latest", "1.0", "[2.0,)", "[1.0,)"];

fn worker_spec() -> impl Strategy<Value = WorkerSpec> {
    let capacity = prop_oneof![3 => Just(0), 1 => 1..12_u32];
    (0..ZONES.len(), capacity, 0..VERSIONS.len()).prop_map(|(zone, capacity, version)| WorkerSpec {
        zone,
        capacity,
        version,
    })
}

fn weight() -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(1), 2 => 1..10_u32, 1 => 1..=1000_u32]
}

fn free_connector(weight: impl Strategy<Value = u32>) -> impl Strategy<Value = ConnectorSpec> {
    (0..9_usize, weight).prop_map(|(tasks, weight)| ConnectorSpec {
        tasks,
        weight,
        selector: 0,
        version: 0,
        apart_from: None,
        must_spread: false,
    })
}

fn connector_spec() -> impl Strategy<Value = ConnectorSpec> {
    let foe = prop_oneof![3 => Just(None), 1 => (0..12_usize).prop_map(Some)];
    (free_connector(weight()), 0..SELECTORS.len(), 0..WANTED_VERSIONS.len(), foe, prop::bool::weighted(0.2)).prop_map(
        |(free, selector, version, apart_from, must_spread)| ConnectorSpec {
            selector,
            version,
            apart_from,
            must_spread,
            ..free
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => worker_spec().prop_map(Change::AddWorker),
        4 => connector_spec().prop_map(Change::AddConnector),
        2 => (0..12_usize, connector_spec()).prop_map(|(n, spec)| Change::Configure(n, spec)),
        2 => (0..12_usize, 0..ZONES.len()).prop_map(|(n, zone)| Change::Relabel(n, zone)),
        1 => (0..12_usize, 0..8_u32).prop_map(|(n, capacity)| Change::Limit(n, capacity)),
        1 => (0..12_usize).prop_map(Change::Drain),
        1 => (0..12_usize).prop_map(Change::Expire),
    ]
}

impl Cluster {
    fn add_worker(&mut self, spec: &WorkerSpec) {
        let n = self.world.workers.keys().last().map_or(1, |id| id.0.as_u128() + 1);
        self.worker_as(n, |worker| {
            worker.zone = ZONES[spec.zone].to_owned();
            worker.capacity = spec.capacity;
            let versions = VERSIONS[..=spec.version].iter().map(|version| (*version).to_owned()).collect();
            worker.connector_versions = BTreeMap::from([("C".to_owned(), versions)]);
        });
    }

    fn put_connector(&mut self, n: u128, spec: &ConnectorSpec) {
        let weight = spec.weight.to_string();
        let foe = spec.apart_from.map(|foe| format!("c{}", foe + 1)).unwrap_or_default();
        let rules = [
            (TASK_WEIGHT, weight.as_str()),
            (WORKER_SELECTOR, SELECTORS[spec.selector]),
            (PLUGIN_VERSION, WANTED_VERSIONS[spec.version]),
            (ANTI_AFFINITY, &foe),
            (SPREAD, if spec.must_spread { "require" } else { "prefer" }),
        ];
        self.connector_of(n, &format!("c{n}"), &rules, spec.tasks);
    }

    fn add_connector(&mut self, spec: &ConnectorSpec) {
        let n = self.world.connectors.len() as u128 + 1;
        self.put_connector(n, spec);
    }

    /// The number of one of the workers.
    fn one_worker(&self, n: usize) -> Option<u128> {
        let workers = &self.world.workers;
        workers.keys().nth(n.checked_rem(workers.len())?).map(|id| id.0.as_u128())
    }

    fn make(&mut self, change: &Change) {
        let connectors = self.world.connectors.len();
        match change {
            Change::AddWorker(spec) => self.add_worker(spec),
            Change::AddConnector(spec) => self.add_connector(spec),
            Change::Configure(n, spec) if connectors > 0 => self.put_connector((n % connectors) as u128 + 1, spec),
            Change::Configure(..) => {}
            Change::Relabel(n, zone) => self.change_one(*n, |worker| worker.zone = ZONES[*zone].to_owned()),
            Change::Limit(n, capacity) => self.change_one(*n, |worker| worker.capacity = *capacity),
            Change::Drain(n) => self.change_one(*n, |worker| {
                if worker.state == WorkerState::Active {
                    worker.state = WorkerState::Draining;
                }
            }),
            Change::Expire(n) => self.change_one(*n, |worker| worker.state = WorkerState::Expired),
        }
    }

    fn change_one(&mut self, n: usize, change: impl FnOnce(&mut Worker)) {
        if let Some(worker) = self.one_worker(n) {
            self.change_worker(worker, change);
        }
    }

    /// No grant of a plan breaks a rule, given all that is owned when it is made.
    fn check_grants(&self, plan: &Plan) {
        let mut there: Vec<(Unit, WorkerId)> =
            self.world.owners.iter().map(|(unit, owner)| (*unit, owner.value.worker)).collect();
        for grant in &plan.grant {
            let worker = &self.world.workers[&grant.worker].value;
            let connector = &self.world.connectors[&grant.unit.connector].value;
            let rules = self.world.placement_rules(connector.uid);
            assert_eq!(worker.state, WorkerState::Active, "{grant:?}");
            assert!(rules.allow(connector, worker), "{grant:?}");
            let beside: Vec<Unit> =
                there.iter().filter(|(_, other)| *other == grant.worker).map(|(unit, _)| *unit).collect();
            assert!(worker.capacity == 0 || beside.len() < worker.capacity as usize, "{grant:?}: {beside:?}");
            for unit in beside {
                let (Some(other), others) =
                    (self.world.connectors.get(&unit.connector), self.world.placement_rules(unit.connector))
                else {
                    continue;
                };
                let other = &other.value;
                let are_foes = other.uid != connector.uid
                    && (rules.apart_from.contains(&other.name) || others.apart_from.contains(&connector.name));
                assert!(!are_foes, "{grant:?} beside {unit}");
                let are_tasks = unit.kind != UnitKind::Planner && grant.unit.kind != UnitKind::Planner;
                let must_spread = rules.spread == crate::placement::Spread::Require;
                assert!(!(other.uid == connector.uid && are_tasks && must_spread), "{grant:?} beside {unit}");
            }
            there.push((grant.unit, grant.worker));
        }
    }

    /// Comes to rest although workers acknowledge one by one, or all at a time where there is no patience; checks each plan. Returns the units that moved or started.
    fn come_to_rest(&mut self, mut patience: u64) -> BTreeSet<Unit> {
        let before = self.epochs();
        let is_prompt = patience == PROMPT;
        for _ in 0..ROUNDS {
            let plan = self.plan();
            self.check_grants(&plan);
            assert_eq!(plan, self.plan());
            self.step();
            let revoking: Vec<Unit> = self
                .world
                .owners
                .iter()
                .filter(|(_, owner)| owner.value.state == GrantState::Revoking)
                .map(|(unit, _)| *unit)
                .collect();
            if plan.is_empty() && revoking.is_empty() {
                let moved = self.epochs().into_iter().filter(|(unit, epoch)| before.get(unit) != Some(epoch));
                return moved.map(|(unit, _)| unit).collect();
            }
            for (at, unit) in revoking.iter().enumerate() {
                // A cheap hash: some of them, and always one.
                patience = patience.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                if at == 0 || patience >> 62 == 0 || is_prompt {
                    self.revision += 1;
                    self.world.delete(&Key::Owner(*unit), Revision(self.revision));
                }
            }
        }
        panic!("no rest after {ROUNDS} rounds: {:?}", self.plan());
    }

    /// By lane: weights on each active worker, and the largest single weight.
    fn weights(&self) -> [(Vec<u64>, u64); 2] {
        [true, false].map(|planners| {
            let mut loads: BTreeMap<WorkerId, u64> = self
                .world
                .workers
                .values()
                .filter(|worker| worker.value.state == WorkerState::Active)
                .map(|worker| (worker.value.id, 0))
                .collect();
            let mut largest = 0;
            for (unit, owner) in &self.world.owners {
                let is_planner = unit.kind == UnitKind::Planner;
                let weight = self.weight(unit);
                if is_planner == planners {
                    largest = largest.max(weight);
                    *loads.entry(owner.value.worker).or_default() += weight;
                }
            }
            (loads.into_values().collect(), largest)
        })
    }

    fn weight(&self, unit: &Unit) -> u64 {
        match unit.kind {
            UnitKind::Planner => 1,
            UnitKind::Task(_) => self.world.placement_rules(unit.connector).task_weight.get().into(),
        }
    }

    fn check_balance(&self) {
        for (loads, largest) in self.weights() {
            let (least, most) = (loads.iter().min(), loads.iter().max());
            assert!(most.unwrap_or(&0) - least.unwrap_or(&0) <= largest, "{loads:?}, largest {largest}");
        }
    }

    fn with(workers: usize, connectors: &[ConnectorSpec]) -> Cluster {
        let mut cluster = Cluster::new();
        (0..workers).for_each(|n| cluster.worker(n as u128 + 1));
        connectors.iter().for_each(|spec| cluster.add_connector(spec));
        cluster
    }

    /// What these units weigh, planners and tasks, and all.
    fn shares(&self, moved: &BTreeSet<Unit>) -> [(u64, u64, u64); 2] {
        [true, false].map(|planners| {
            let of_lane = |unit: &&Unit| (unit.kind == UnitKind::Planner) == planners;
            let sum = |units: Vec<&Unit>| units.iter().map(|unit| self.weight(unit)).sum();
            let all: Vec<&Unit> = self.world.owners.keys().filter(of_lane).collect();
            let largest = all.iter().map(|unit| self.weight(unit)).max().unwrap_or(0);
            (sum(moved.iter().filter(of_lane).collect()), sum(all), largest)
        })
    }
}

proptest! {
    // The same worlds in every run; more of them, and others, when something here is changed.
    #![proptest_config(ProptestConfig {
        cases: 256,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_rule_is_broken_and_every_world_comes_to_rest(changes in vec(change(), 1..30), patience: u64) {
        let mut cluster = Cluster::new();
        for change in changes {
            cluster.make(&change);
            cluster.come_to_rest(patience);
        }
    }

    #[test]
    fn changes_that_come_before_rest_break_nothing_either(changes in vec(change(), 1..40), patience: u64) {
        let mut cluster = Cluster::new();
        for change in changes {
            cluster.make(&change);
            let plan = cluster.plan();
            cluster.check_grants(&plan);
            cluster.step();
        }
        cluster.come_to_rest(patience);
    }

    #[test]
    fn what_runs_keeps_running_when_a_worker_drains_or_its_labels_change(
        changes in vec(change(), 1..30), worker: usize, zone in prop::option::of(0..ZONES.len()), patience: u64,
    ) {
        let mut cluster = Cluster::new();
        for change in changes {
            cluster.make(&change);
            cluster.come_to_rest(patience);
        }
        let before: Vec<Unit> = cluster.world.owners.keys().copied().collect();
        cluster.make(&zone.map_or(Change::Drain(worker), |zone| Change::Relabel(worker, zone)));
        // One by one, what is granted first may take the last room of what comes later.
        cluster.come_to_rest(PROMPT);
        prop_assert!(before.iter().all(|unit| cluster.world.owners.contains_key(unit)));
    }

    #[test]
    fn loads_differ_by_one_units_weight_at_most(
        workers in 1..9_usize, connectors in vec(free_connector(weight()), 0..20), patience: u64,
    ) {
        let mut cluster = Cluster::with(workers, &connectors);
        cluster.come_to_rest(patience);
        cluster.check_balance();
        cluster.add_worker(&WorkerSpec { zone: 0, capacity: 0, version: 1 });
        cluster.come_to_rest(patience);
        cluster.check_balance();
        cluster.make(&Change::Expire(0));
        cluster.come_to_rest(patience);
        cluster.check_balance();
    }

    #[test]
    fn a_new_worker_takes_its_share_and_nothing_else_moves(
        workers in 1..9_usize, connectors in vec(free_connector(Just(1)), 0..20), patience: u64,
    ) {
        let mut cluster = Cluster::with(workers, &connectors);
        cluster.come_to_rest(patience);
        cluster.add_worker(&WorkerSpec { zone: 0, capacity: 0, version: 1 });
        let moved = cluster.come_to_rest(patience);
        for (moved, all, _) in cluster.shares(&moved) {
            prop_assert!(moved <= all.div_ceil(workers as u64 + 1), "{moved} of {all}");
        }
    }

    #[test]
    fn a_new_worker_moves_no_more_weight_than_its_share_and_one_unit(
        workers in 1..9_usize, connectors in vec(free_connector(weight()), 0..20), patience: u64,
    ) {
        let mut cluster = Cluster::with(workers, &connectors);
        cluster.come_to_rest(patience);
        cluster.add_worker(&WorkerSpec { zone: 0, capacity: 0, version: 1 });
        let moved = cluster.come_to_rest(patience);
        for (moved, all, largest) in cluster.shares(&moved) {
            prop_assert!(moved <= all.div_ceil(workers as u64 + 1) + largest, "{moved} of {all}, largest {largest}");
        }
    }

    #[test]
    fn only_what_was_on_a_worker_moves_when_it_goes(
        workers in 2..9_usize, connectors in vec(free_connector(weight()), 0..20), gone: usize, is_drained: bool,
        patience: u64,
    ) {
        let mut cluster = Cluster::with(workers, &connectors);
        cluster.come_to_rest(patience);
        let worker = worker_id(cluster.one_worker(gone).expect("there are some"));
        let on_it: BTreeSet<Unit> =
            cluster.world.owners.iter().filter(|(_, owner)| owner.value.worker == worker).map(|(unit, _)| *unit).collect();
        cluster.make(&if is_drained { Change::Drain(gone) } else { Change::Expire(gone) });
        let moved = cluster.come_to_rest(patience);
        prop_assert!(moved.is_superset(&on_it));
        // Where weights differ and some arrive before others, a few more move to even it out.
        for (others, all, largest) in cluster.shares(&moved.difference(&on_it).copied().collect()) {
            let limit = if largest > 1 { all.div_ceil(workers as u64) } else { 0 };
            prop_assert!(others <= limit, "{others} of {all}");
        }
    }

    #[test]
    fn a_new_connector_disturbs_nobody(
        workers in 1..9_usize, connectors in vec(free_connector(weight()), 0..20), added in free_connector(weight()),
        patience: u64,
    ) {
        let mut cluster = Cluster::with(workers, &connectors);
        cluster.come_to_rest(patience);
        cluster.add_connector(&added);
        let uid = uid(connectors.len() as u128 + 1);
        prop_assert!(cluster.come_to_rest(patience).iter().all(|unit| unit.connector == uid));
    }
}
