//! `sim`: runs seeds and says what did not hold. Traces and figures are its output: it prints.
#![allow(clippy::print_stdout, reason = "this program's output is what it prints")]

use control_plane_sim::{Outcome, run};
use std::{collections::BTreeMap, process::ExitCode};

const USAGE: &str = "usage: sim [--seeds N] [--first-seed S] | --seed N";
/// Trace lines shown of a failing seed.
const SHOWN: usize = 60;

fn main() -> ExitCode {
    let (mut seeds, mut first, mut only) = (100, 0, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let Some(number) = arguments.next().and_then(|text| text.parse::<u64>().ok()) else {
            eprintln!("{flag} takes a number; {USAGE}");
            return ExitCode::from(2);
        };
        match flag.as_str() {
            "--seeds" => seeds = number,
            "--first-seed" => first = number,
            "--seed" => only = Some(number),
            _ => {
                eprintln!("{flag} is not known; {USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let probe = only.unwrap_or(first);
    let (once, again) = (run(probe, None, true), run(probe, None, true));
    if once != again {
        println!("seed {probe} gave two different runs: a simulation that is not repeatable proves nothing");
        return ExitCode::FAILURE;
    }
    match only {
        Some(_) => replay(&once),
        None => sweep(first, seeds),
    }
}

fn replay(outcome: &Outcome) -> ExitCode {
    outcome.lines.iter().for_each(|line| println!("{line}"));
    print_counts(&outcome.counts);
    match &outcome.violation {
        Some(violation) => {
            println!("seed {}: {}: {}", outcome.seed, violation.invariant, violation.text);
            ExitCode::FAILURE
        }
        None => {
            println!("seed {}: all invariants held", outcome.seed);
            ExitCode::SUCCESS
        }
    }
}

fn sweep(first: u64, seeds: u64) -> ExitCode {
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut failed = Vec::new();
    for seed in first..first + seeds {
        let outcome = run(seed, None, false);
        outcome.counts.iter().for_each(|(what, count)| *counts.entry(what).or_insert(0) += count);
        if let Some(violation) = &outcome.violation {
            if failed.is_empty() {
                let skipped = outcome.lines.len().saturating_sub(SHOWN);
                outcome.lines.iter().skip(skipped).for_each(|line| println!("{line}"));
            }
            println!("seed {seed}: {}: {}", violation.invariant, violation.text);
            failed.push(seed);
        }
    }
    print_counts(&counts);
    println!("{} passed, {} failed", seeds - failed.len() as u64, failed.len());
    match failed.first() {
        Some(seed) => {
            println!("replay the first with: sim --seed {seed}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

fn print_counts(counts: &BTreeMap<&'static str, u64>) {
    counts.iter().for_each(|(what, count)| println!("{count:>9} {what}"));
}
