//! How long plans of the largest world take: `cargo test --release -p control-plane-core speed -- --ignored --nocapture`.

use super::*;
use crate::placement::{ANTI_AFFINITY, SPREAD, TASK_WEIGHT, WORKER_SELECTOR};
use std::time::Instant;

const WORKERS: u128 = 1000;
const CONNECTORS: u128 = 1000;
const TASKS: usize = 100;
/// Of a plan under no rules, or under rules of a third of the connectors against each other.
const LIMITS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(100)];

fn largest(rules: &[(&str, &str)], every: u128) -> Cluster {
    let mut cluster = Cluster::new();
    for n in 1..=WORKERS {
        cluster.worker_as(n, |worker| worker.zone = if n % 10 == 0 { "eu" } else { "us" }.to_owned());
    }
    for n in 1..=CONNECTORS {
        let rules = if n % every == 0 { rules } else { &[] };
        cluster.connector_of(n, &format!("c{n}"), rules, TASKS);
    }
    cluster
}

/// The least of a few, so that a busy machine does not count.
fn timed(cluster: &Cluster, what: &str) -> Plan {
    let limit = LIMITS[usize::from(what.starts_with("all rules"))];
    let mut least = Duration::MAX;
    let mut planned = Plan::default();
    for _ in 0..5 {
        let start = Instant::now();
        planned = cluster.plan();
        least = least.min(start.elapsed());
    }
    eprintln!("{what}: {least:?}: {} grants, {} revocations", planned.grant.len(), planned.revoke.len());
    assert!(least < limit, "{what}: {least:?}");
    planned
}

#[test]
#[ignore = "measures; for release builds on a quiet machine"]
fn speed_of_plans_of_the_largest_world() {
    let mixed = [(TASK_WEIGHT, "7"), (WORKER_SELECTOR, "zone=eu"), (ANTI_AFFINITY, "c1,c2"), (SPREAD, "require")];
    for (name, rules) in [("no rules", &[][..]), ("selectors", &mixed[..2]), ("all rules", &mixed[..])] {
        let mut cluster = largest(rules, 3);
        timed(&cluster, &format!("{name}: from nothing"));
        while cluster.world.owners.len() < 98_000 && cluster.step() {}
        timed(&cluster, &format!("{name}: the last"));
        cluster.settle();
        assert_eq!(
            timed(&cluster, &format!("{name}: nothing to do")),
            Plan { again_at: cluster.plan().again_at, ..Plan::default() }
        );
        cluster.worker(WORKERS + 1);
        timed(&cluster, &format!("{name}: a new worker"));
        (1..=20).for_each(|n| cluster.change_worker(n, |worker| worker.state = WorkerState::Draining));
        timed(&cluster, &format!("{name}: 20 drain"));
    }
}
