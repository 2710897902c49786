//! A rolling upgrade of the workers, under load.

#![expect(clippy::print_stdout, reason = "the measured times are shown with --nocapture")]

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use deploy_e2e::{Spread, SteadyLines, WorkerOptions};

use crate::cluster::LIMIT;
use crate::fleet::{Fleet, check};

/// The longest time that a task may be without a line at the destination.
const GAP_LIMIT: Duration = Duration::from_secs(1);
const SOURCES: usize = 12;
const WORKERS: usize = 3;
/// Lines a second of each source.
const RATE: usize = 100;

#[test]
fn a_rolling_upgrade_of_the_workers_is_hardly_felt() -> Result<()> {
    let mut fleet = Fleet::start(1, WORKERS)?;
    let lines = SteadyLines::start(&fleet.files(SOURCES), RATE)?;
    fleet.copy_to("lines", SOURCES)?;
    let arrivals = fleet.follow(&["lines"])?;
    (0..SOURCES).try_for_each(|file| arrivals.wait_flowing(file, LIMIT))?;
    let settled = fleet.wait_settled(0, 2 * SOURCES)?;

    let since = Instant::now();
    for round in 0..WORKERS {
        let begun = Instant::now();
        let id = fleet.workers[0].id().to_owned();
        let units = fleet.owners_of(&settled)?.values().filter(|place| place.worker_id == id).count();
        let status = fleet.workers[0].process().stop(LIMIT)?;
        ensure!(status.success(), "worker {round} ended with {status}");
        println!("worker {round} with {units} units ended after {:.2} s", begun.elapsed().as_secs_f64());
        fleet.workers.remove(0);
        fleet.add_worker(WorkerOptions::default())?;
        fleet.wait_sessions()?;
    }
    fleet.wait_settled(0, 2 * SOURCES)?;
    let newest = lines.written() - 1;
    (0..SOURCES).try_for_each(|file| arrivals.wait_for_line(file, newest, LIMIT))?;
    let gaps: Vec<Duration> = (0..SOURCES).map(|file| arrivals.longest_gap(file, since)).collect();
    for (file, gap) in gaps.iter().enumerate() {
        println!("s{file}: longest gap {:.2} s", gap.as_secs_f64());
    }
    let spread = Spread::of(&gaps);
    println!("longest gap of each task\n{}\n{spread}", Spread::HEAD);
    ensure!(spread.max < GAP_LIMIT, "a task was away for {:.2} s", spread.max.as_secs_f64());

    let written = lines.finish()?;
    (0..SOURCES).try_for_each(|file| arrivals.wait_for_line(file, written - 1, LIMIT))?;
    let duplicates = check(&arrivals.tally(), 0..SOURCES, written)?;
    println!("{written} lines of each source, none missing, {duplicates} duplicates");
    ensure!(duplicates == 0, "an orderly hand-over repeats nothing");
    Ok(())
}
