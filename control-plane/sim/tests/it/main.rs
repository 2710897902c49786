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

/// Seeds that together meet everything that happens.
const SEEDS: u64 = 300;

#[test]
fn all_invariants_hold_and_the_runs_are_not_vacuous() {
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in 0..SEEDS {
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
        "leases ended",
        "sessions replaced",
        "scenes",
        "backups restored",
        "incarnations raised",
        "clock jumps",
        "resignations",
        "task sets made",
        "producers initialised",
        "fenced by another producer",
    ];
    for what in expected {
        assert!(counts.get(what).is_some_and(|count| *count > 0), "no {what} in {SEEDS} seeds: {counts:?}");
    }
    assert!(counts["offsets committed"] > 500 * SEEDS, "{counts:?}");
}

/// Seeds tried for a mutation.
const LIMIT: u64 = 400;

/// Some seed breaks this invariant, and holds with all rules kept.
fn caught(mutation: Mutation, invariant: &str) {
    let seed = (0..LIMIT).find(|seed| {
        let violation = run(*seed, Some(mutation), false).violation;
        violation.is_some_and(|violation| violation.invariant.contains(invariant))
    });
    let seed = seed.unwrap_or_else(|| panic!("{mutation:?} was not noticed in {LIMIT} seeds"));
    assert_eq!(run(seed, None, false).violation, None, "seed {seed}");
}

#[test]
fn a_worker_that_does_not_fence_itself_is_noticed() {
    caught(Mutation::SkipSelfFence, "at most one unfenced worker");
}

#[test]
fn acknowledging_before_the_commit_is_noticed() {
    caught(Mutation::AckBeforeCommit, "at most one unfenced worker");
}

#[test]
fn a_leader_with_a_shorter_lease_is_noticed() {
    caught(Mutation::ShortLease, "at most one unfenced worker");
}

#[test]
fn a_warm_up_that_joins_is_noticed() {
    caught(Mutation::WarmUpJoins, "nobody else is disturbed");
}

#[test]
fn taking_a_lease_unit_early_is_noticed() {
    caught(Mutation::TakeLeaseEarly, "at most one unfenced worker");
}

#[test]
fn forgetting_what_is_being_revoked_is_noticed() {
    caught(Mutation::ForgetRevoking, "at most one unfenced worker");
}

#[test]
fn ignoring_the_epoch_of_offsets_is_noticed() {
    caught(Mutation::IgnoreEpochOfOffsets, "offset never moves back");
}

#[test]
fn ignoring_the_epoch_of_ends_is_noticed() {
    caught(Mutation::IgnoreEpochOfEnds, "at most one unfenced worker");
}

#[test]
fn running_unconfirmed_is_noticed() {
    caught(Mutation::RunUnconfirmed, "at most one unfenced worker");
}

#[test]
fn a_leader_that_does_not_settle_is_noticed() {
    caught(Mutation::SkipSettling, "at most one unfenced worker");
}

#[test]
fn taking_silence_for_a_refusal_is_noticed() {
    caught(Mutation::ExtendOnSilence, "at most one unfenced worker");
}

#[test]
fn committing_what_is_not_acknowledged_is_noticed() {
    caught(Mutation::CommitUnacknowledged, "no acknowledged record is lost");
}

#[test]
fn a_namesake_that_does_not_wait_is_noticed() {
    caught(Mutation::ForgetDeleted, "at most one unfenced worker");
}

#[test]
fn reports_in_the_order_of_their_coming_are_noticed() {
    caught(Mutation::IgnoreOrderOfReports, "a status is true");
}

#[test]
fn a_replica_that_waits_for_a_slow_store_is_noticed() {
    caught(Mutation::WaitForTheStore, "no lease ends for a slow disk");
}
