//! Cases recorded from Kafka Connect 4.3, run through Ferry's own code: the same input and config must give the same output,
//! or an error in the same stage and, where the class is one of Connect's or Kafka's, of the same class.
//!
//! The cases are in `cases/*.jsonl.gz`; `FERRY_GOLDEN_DIR` names a folder of other sets (`*.jsonl`) to run instead.

mod check;
mod components;
mod differences;
mod sets;
mod typed;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value as Json;
pub use sets::load;

/// How many cases of a component did and did not do as recorded.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// As recorded.
    pub passed: usize,
    /// Otherwise.
    pub failed: usize,
}

/// The outcome of a run.
#[derive(Debug, Default)]
pub struct Summary {
    /// By component, without the package.
    pub by_component: BTreeMap<String, Count>,
    /// Cases that differ on purpose, by reason.
    pub on_purpose: BTreeMap<&'static str, usize>,
    /// Id and difference of each case that failed.
    pub failures: Vec<(String, String)>,
}

/// Runs every case. A panic is a failure.
pub fn run(cases: impl IntoIterator<Item = Json>) -> Summary {
    let mut summary = Summary::default();
    for case in cases {
        let component = case["component"].as_str().unwrap_or("?");
        let short = component.strip_prefix("org.apache.kafka.").unwrap_or(component).to_owned();
        if let Some(reason) = differences::reason(&case) {
            *summary.on_purpose.entry(reason).or_default() += 1;
            continue;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| components::run(component, &case)));
        let outcome = outcome.unwrap_or_else(|_| Err("panicked".to_owned()));
        let count = summary.by_component.entry(short).or_default();
        match outcome {
            Ok(()) => count.passed += 1,
            Err(difference) => {
                count.failed += 1;
                summary.failures.push((case["id"].as_str().unwrap_or("?").to_owned(), difference));
            }
        }
    }
    summary
}
