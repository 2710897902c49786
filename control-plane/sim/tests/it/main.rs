//! The simulator itself: it is repeatable, quiet where all rules are kept, and notices each rule that is left out.

use control_plane_sim::{Mutation, run};
use std::collections::BTreeMap;

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..5 {
        assert_eq!(run(seed, None, true), run(seed, None, true));
    }
    assert_ne!(run(1, None, false).digest, run(2, None, false).digest);
}

#[test]
fn all_invariants_hold_and_the_runs_are_not_vacuous() {
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in 0..100 {
        let outcome = run(seed, None, false);
        let lines = outcome.lines.join("\n");
        assert_eq!(outcome.violation, None, "seed {seed}\n{lines}");
        outcome.counts.iter().for_each(|(what, count)| *counts.entry(what).or_insert(0) += count);
    }
    let expected = [
        "workers killed",
        "workers stopped",
        "replicas killed",
        "replicas stopped",
        "partitions",
        "etcd down",
        "holds",
        "self-fences",
        "workers expired",
        "hung stops cut off",
        "offsets landed late",
        "connectors created again",
        "goodbyes",
        "planned transactions refused",
    ];
    for what in expected {
        assert!(counts.get(what).is_some_and(|count| *count > 0), "no {what} in a hundred seeds: {counts:?}");
    }
    assert!(counts["offsets committed"] > 50_000, "{counts:?}");
}

/// Seeds tried for a mutation.
const LIMIT: u64 = 400;

fn caught(mutation: Mutation, by: &[&str]) {
    let violation = (0..LIMIT).find_map(|seed| run(seed, Some(mutation), false).violation);
    let violation = violation.unwrap_or_else(|| panic!("{mutation:?} was not noticed in {LIMIT} seeds"));
    assert!(by.iter().any(|by| violation.invariant.contains(by)), "{mutation:?}: {violation:?}");
}

#[test]
#[ignore]
fn probe() {
    for mutation in Mutation::ALL {
        let mut found = Vec::new();
        for seed in 0..LIMIT {
            if let Some(violation) = run(seed, Some(mutation), false).violation {
                found.push((seed, violation.invariant));
            }
        }
        println!("{mutation:?}: {} {:?}", found.len(), &found[..found.len().min(4)]);
    }
}
