//! kill -9 of a worker, of the control plane, of etcd, of both: nothing is lost, and data keeps flowing.

#![expect(clippy::print_stdout, reason = "the measured times are shown with --nocapture")]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use deploy_e2e::wait_until;

use crate::cluster::{Cluster, LIMIT};

/// Lines that flow during a test, at the least.
const LINES: usize = 1_000_000;
/// How long the control plane, etcd, or both are away.
const AWAY: Duration = Duration::from_secs(30);

/// Appends lines to a file until it is told to end.
struct Writer {
    written: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Writer {
    /// About `per_second` lines a second.
    fn start(cluster: &Cluster, per_second: usize) -> Writer {
        let (written, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let path = cluster.path("in.txt");
        let (count, stopped) = (Arc::clone(&written), Arc::clone(&stop));
        let thread = thread::spawn(move || -> Result<()> {
            use std::io::Write as _;
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
            let begun = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                let done = count.load(Ordering::Relaxed);
                let due = (begun.elapsed().as_secs_f64() * per_second as f64) as usize;
                let block: String = (done..due.max(done)).map(|number| format!("line {number} ß\n")).collect();
                file.write_all(block.as_bytes())?;
                count.store(due.max(done), Ordering::Relaxed);
                // The pace of the writer, not a wait for something.
                thread::park_timeout(Duration::from_millis(20));
            }
            Ok(())
        });
        Writer { written, stop, thread: Some(thread) }
    }

    /// Ends; how many lines there are.
    fn finish(mut self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| anyhow!("the writer panicked"))??;
        }
        Ok(self.written.load(Ordering::Relaxed))
    }
}

/// Every line that was written is in `out.txt`; some may be there twice.
fn all_arrived(cluster: &Cluster, lines: usize) -> Result<()> {
    let last = format!("line {} ß\n", lines - 1);
    wait_until(LIMIT, "the last line at the destination", || Ok(cluster.read("out.txt")?.ends_with(last.as_bytes())))?;
    let text = String::from_utf8(cluster.read("out.txt")?)?;
    let arrived: HashSet<&str> = text.lines().collect();
    let missing = (0..lines).filter(|number| !arrived.contains(format!("line {number} ß").as_str())).count();
    ensure!(missing == 0, "{missing} of {lines} lines are missing");
    ensure!(arrived.len() == lines, "{} lines arrived that nobody wrote", arrived.len() - lines);
    Ok(())
}

/// Waits until more has arrived than now.
fn wait_flowing(cluster: &Cluster, what: &str) -> Result<()> {
    let before = cluster.size("out.txt");
    wait_until(LIMIT, what, || Ok(cluster.size("out.txt") > before))
}

#[test]
fn a_killed_workers_units_move_and_no_line_is_lost() -> Result<()> {
    let mut cluster = Cluster::start(2)?;
    let writer = Writer::start(&cluster, 50_000);
    cluster.apply_copy()?;
    cluster.wait_running(&["in", "out"])?;
    wait_flowing(&cluster, "the first lines")?;

    for connector in ["in", "out"] {
        let (_, address, epoch) = cluster.task(connector)?;
        let victim = cluster.worker_at(&address)?;
        cluster.workers[victim].process().kill()?;
        let killed = Instant::now();
        wait_until(LIMIT, "the task on the other worker", || {
            let (state, now, newer) = cluster.task(connector)?;
            Ok(state == "RUNNING" && now != address && newer != epoch)
        })?;
        wait_flowing(&cluster, "lines after the take-over")?;
        println!("kill -9 of the worker of {connector}: flowing again after {:.2} s", killed.elapsed().as_secs_f64());
        assert!(killed.elapsed() < Duration::from_secs(20), "promised: about 2 s");
        cluster.workers.remove(victim);
        cluster.add_worker()?;
        cluster.wait_for_workers(2)?;
        cluster.wait_running(&["in", "out"])?;
    }
    wait_until(LIMIT, "a million lines", || Ok(writer.written.load(Ordering::Relaxed) >= LINES))?;
    let lines = writer.finish()?;
    all_arrived(&cluster, lines)
}

#[test]
fn data_flows_on_while_the_control_plane_and_etcd_are_away() -> Result<()> {
    let mut cluster = Cluster::start(2)?;
    let writer = Writer::start(&cluster, 15_000);
    cluster.apply_copy()?;
    cluster.wait_running(&["in", "out"])?;
    wait_flowing(&cluster, "the first lines")?;
    let before = (cluster.task("in")?, cluster.task("out")?);

    for (control_plane, etcd) in [(true, false), (false, true), (true, true)] {
        if control_plane {
            cluster.control_plane.process().kill()?;
        }
        if etcd {
            cluster.etcd.process().kill()?;
        }
        let killed = Instant::now();
        let mut longest = Duration::ZERO;
        while killed.elapsed() < AWAY {
            let look = Instant::now();
            wait_flowing(&cluster, "lines while nobody plans")?;
            longest = longest.max(look.elapsed());
        }
        if etcd {
            cluster.etcd.restart()?;
        }
        if control_plane {
            cluster.control_plane.restart()?;
        }
        // The sessions are picked up: the same workers run the same tasks under the same epochs.
        wait_until(LIMIT, "the statuses as they were", || Ok((cluster.task("in")?, cluster.task("out")?) == before))?;
        wait_flowing(&cluster, "lines afterwards")?;
        println!(
            "control plane away: {control_plane}, etcd away: {etcd}: longest gap at the destination {:.2} s",
            longest.as_secs_f64()
        );
    }
    // Nothing is moved when the leader has settled, either: a change goes through without another's epoch changing.
    cluster.cli()?.succeed(&["restart", "connector", "out", "--tasks"])?;
    wait_until(LIMIT, "a new epoch of the sink's task", || {
        let (state, _, epoch) = cluster.task("out")?;
        Ok(state == "RUNNING" && epoch != before.1.2)
    })?;
    assert_eq!(cluster.task("in")?, before.0);

    wait_until(LIMIT, "a million lines", || Ok(writer.written.load(Ordering::Relaxed) >= LINES))?;
    let lines = writer.finish()?;
    all_arrived(&cluster, lines)
}
