//! How long a task is away when its worker is killed. `FERRY_FAILOVER_TRIALS=100 cargo e2e failover:: -- --nocapture`
//! measures for about ten minutes.

#![expect(clippy::print_stdout, reason = "the measured times are shown with --nocapture")]

use std::collections::BTreeMap;
use std::env;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use deploy_e2e::{BusyCores, Spread, SteadyLines};

use crate::cluster::LIMIT;
use crate::fleet::{Fleet, check};

const SOURCES: usize = 4;
/// Lines a second of each source.
const RATE: usize = 200;
/// Silence of a source that must be a takeover's: the lease alone lasts longer.
pub(crate) const SILENCE: Duration = Duration::from_millis(700);
/// What is promised of the median and of the 99th percentile.
const PROMISE: (Duration, Duration) = (Duration::from_millis(2200), Duration::from_secs(3));
/// What holds on any machine.
pub(crate) const ALWAYS: Duration = Duration::from_secs(10);

#[test]
fn failover_of_killed_workers() -> Result<()> {
    let trials = match env::var("FERRY_FAILOVER_TRIALS") {
        Ok(text) => text.parse().context("FERRY_FAILOVER_TRIALS")?,
        Err(_) => 8,
    };
    let mut fleet = Fleet::start(1, 2)?;
    let lines = SteadyLines::start(&fleet.files(SOURCES), RATE)?;
    fleet.copy_to("lines", SOURCES)?;
    let arrivals = fleet.follow(&["lines"])?;

    let mut arms = Vec::new();
    for arm in ["alone", "both cores busy"] {
        let _busy = (arm != "alone").then(BusyCores::start).transpose()?;
        let mut times = Vec::new();
        for _ in 0..trials {
            (0..SOURCES).try_for_each(|file| arrivals.wait_flowing(file, LIMIT))?;
            let places = fleet.wait_settled(0, 2 * SOURCES)?;
            // The one with most tasks, so that each trial gives several times.
            let mut tasks: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            for file in 0..SOURCES {
                tasks.entry(&places[&format!("s{file}/0")].worker_id).or_default().push(file);
            }
            let (owner, files) = tasks.into_iter().max_by_key(|(_, files)| files.len()).context("no tasks")?;
            let victim = fleet.worker_with(owner)?;
            let killed = Instant::now();
            fleet.workers[victim].process().kill()?;
            for file in files {
                times.push(arrivals.wait_after_silence(file, killed, SILENCE, LIMIT)?);
            }
            fleet.workers[victim].restart()?;
            fleet.wait_sessions()?;
        }
        arms.push((arm, Spread::of(&times)));
    }
    print_table(&arms);
    for (arm, spread) in &arms {
        ensure!(spread.max < ALWAYS, "{arm}: a task was away for {:.2} s", spread.max.as_secs_f64());
    }
    let written = lines.finish()?;
    (0..SOURCES).try_for_each(|file| arrivals.wait_for_line(file, written - 1, LIMIT))?;
    let duplicates = check(&arrivals.tally(), 0..SOURCES, written)?;
    println!("{written} lines of each source, none missing, {duplicates} duplicates");
    Ok(())
}

/// Times from a kill -9 to the successor's first record, beside what is promised.
pub(crate) fn print_table(arms: &[(&str, Spread)]) {
    println!("kill -9 of a worker to its successor's first record\n{:24}{}", "", Spread::HEAD);
    for (arm, spread) in arms {
        println!("{arm:24}{spread}");
    }
    let (p50, p99) = PROMISE;
    println!("{:24}{:5} {:8.2} {:8.2}", "promised (LEASE), below", "", p50.as_secs_f64(), p99.as_secs_f64());
}
