//! A seeded simulator that drives the cores of both planes: one loop, virtual time, no sockets, no clock.
//!
//! The shells around the cores (hub, leader, sessions, supervisor, runners) are written again here, event by event, as
//! the real ones work; the decisions are the cores' own. Every run is a function of its seed.

mod etcd;
mod faults;
mod invariants;
mod kafka;
mod links;
mod messages;
mod mutation;
mod replica;
mod rng;
mod sim;
mod trace;
mod users;
mod worker;

pub use invariants::Violation;
pub use mutation::Mutation;

use std::collections::BTreeMap;

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What did not hold, if anything.
    pub violation: Option<Violation>,
    /// The whole trace, or its last lines.
    pub lines: Vec<String>,
    /// Of the whole trace.
    pub digest: u64,
    /// What happened, and how often.
    pub counts: BTreeMap<&'static str, u64>,
}

/// Runs one seed, with one rule left out or none. `keep_all` keeps the whole trace.
pub fn run(seed: u64, mutation: Option<Mutation>, keep_all: bool) -> Outcome {
    let mut sim = sim::Sim::new(seed, mutation, keep_all);
    sim.run();
    Outcome {
        seed,
        violation: sim.violation,
        lines: sim.trace.lines().map(str::to_owned).collect(),
        digest: sim.trace.digest(),
        counts: sim.trace.counts().clone(),
    }
}
