//! `sim`: runs seeds and says what did not hold. Traces and figures are its output: it prints.
#![allow(clippy::print_stdout, reason = "this program's output is what it prints")]

use control_plane_sim::{Mutation, Outcome, run};
use std::{collections::BTreeMap, process::ExitCode};

const USAGE: &str = "usage: sim [--seeds N] [--first-seed S] [--mutations] | --seed N";
/// Trace lines shown of a failing seed.
const SHOWN: usize = 60;

fn main() -> ExitCode {
    let (mut seeds, mut first, mut only, mut mutates) = (100, 0, None, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        if flag == "--mutations" {
            mutates = true;
            continue;
        }
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
    if mutates {
        return mutations(first, seeds);
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

/// How many seeds notice each rule that is left out.
fn mutations(first: u64, seeds: u64) -> ExitCode {
    let mut is_any_missed = false;
    for mutation in Mutation::ALL {
        let mut noticed: BTreeMap<&'static str, u64> = BTreeMap::new();
        for violation in (first..first + seeds).filter_map(|seed| run(seed, Some(mutation), false).violation) {
            *noticed.entry(violation.invariant).or_insert(0) += 1;
        }
        println!("{mutation:?} is noticed in {} of {seeds} seeds", noticed.values().sum::<u64>());
        noticed.iter().for_each(|(invariant, count)| println!("{count:>9} {invariant}"));
        is_any_missed |= noticed.is_empty();
    }
    if is_any_missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
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
            println!("replay the first with: cargo sim --seed {seed}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

fn print_counts(counts: &BTreeMap<&'static str, u64>) {
    counts.iter().for_each(|(what, count)| println!("{count:>9} {what}"));
}
