//! No false takeover: what is slow, full, stopped for a moment or hung keeps its units.

#![expect(clippy::print_stdout, reason = "the measured times are shown with --nocapture")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use anyhow::{Context, Result, ensure};
use deploy_e2e::{Arrivals, BusyCores, Etcd, SteadyLines, WorkerOptions, wait_settled, wait_until};

use crate::cluster::LIMIT;
use crate::fleet::{Fleet, Places, check, last};
use crate::stored::StoredOffsets;

/// Lines a second of each source.
const RATE: usize = 200;

/// All sources' lines flow on: the longest gap since then.
fn longest_gap(lines: &SteadyLines, arrivals: &Arrivals, sources: usize, since: Instant) -> Result<Duration> {
    let newest = lines.written().saturating_sub(1);
    (0..sources).try_for_each(|file| arrivals.wait_for_line(file, newest, LIMIT))?;
    Ok((0..sources).map(|file| arrivals.longest_gap(file, since)).max().unwrap_or_default())
}

fn nothing_moved(fleet: &Fleet<Etcd>, before: &Places, what: &str) -> Result<()> {
    let now = fleet.wait_settled(0, before.len())?;
    ensure!(now == *before, "{what}: units have moved from {before:?} to {now:?}");
    Ok(())
}

/// Two sources to one topic, flowing.
fn two_sources(fleet: &Fleet<Etcd>) -> Result<(SteadyLines, Arrivals)> {
    let lines = SteadyLines::start(&fleet.files(2), RATE)?;
    fleet.copy_to("lines", 2)?;
    let arrivals = fleet.follow(&["lines"])?;
    (0..2).try_for_each(|file| arrivals.wait_flowing(file, LIMIT))?;
    Ok((lines, arrivals))
}

#[test]
fn a_worker_whose_log_nobody_reads_keeps_its_units() -> Result<()> {
    const UNREAD: Duration = Duration::from_secs(6);
    let mut fleet = Fleet::start(1, 0)?;
    for _ in 0..2 {
        // It writes much, so that it is the full pipe that is tried and not a quiet log.
        let env = vec![("FERRY_LOG".to_owned(), "debug".to_owned())];
        fleet.add_worker(WorkerOptions { is_unread: true, env, ..WorkerOptions::default() })?;
    }
    fleet.wait_sessions()?;
    let (lines, arrivals) = two_sources(&fleet)?;
    let before = fleet.wait_settled(0, 4)?;
    let since = Instant::now();
    last(UNREAD);
    // The loss of a session is what a worker tells about at the default level, too.
    fleet.replicas.get(0).restart()?;
    fleet.wait_sessions()?;
    let gap = longest_gap(&lines, &arrivals, 2, since)?;
    println!("a log that nobody reads: longest gap {:.2} s", gap.as_secs_f64());
    nothing_moved(&fleet, &before, "a log that nobody reads")?;
    for worker in &fleet.workers {
        ensure!(worker.admin()?.get("/livez")?.status == 200);
    }
    // Asked to end, it ends.
    for worker in &mut fleet.workers {
        ensure!(worker.process().stop(LIMIT)?.success());
    }
    Ok(())
}

/// `FERRY_BUSY_SECONDS=1800 cargo e2e slow_disk -- --nocapture` runs for half an hour.
#[test]
fn busy_cores_and_a_slow_disk_under_etcd_move_nothing() -> Result<()> {
    const SOURCES: usize = 2;
    /// etcd as its clients see it while one fsync lasts so long; reads wait here, too.
    const STALL: Duration = Duration::from_millis(500);
    let seconds: u64 = match env::var("FERRY_BUSY_SECONDS") {
        Ok(text) => text.parse().context("FERRY_BUSY_SECONDS")?,
        Err(_) => 30,
    };
    let mut fleet = Fleet::start(3, 2)?;
    let lines = SteadyLines::start(&fleet.files(SOURCES), RATE)?;
    fleet.copy_to("lines", SOURCES)?;
    fleet.add_sink(&fleet.replicas.all()[0].rest()?, 0, "lines")?;
    let arrivals = fleet.follow(&["lines"])?;
    (0..SOURCES).try_for_each(|file| arrivals.wait_flowing(file, LIMIT))?;
    let before = fleet.wait_settled(0, 2 * SOURCES + 2)?;

    let since = Instant::now();
    let mut stalls = 0;
    {
        let _busy = BusyCores::start()?;
        while since.elapsed() < Duration::from_secs(seconds) {
            last(Duration::from_millis(fastrand::u64(500..3000)));
            fleet.store.process().pause()?;
            last(STALL);
            fleet.store.process().resume()?;
            stalls += 1;
        }
    }
    let gap = longest_gap(&lines, &arrivals, SOURCES, since)?;
    println!("busy cores for {seconds} s, etcd away {stalls} times: longest gap {:.2} s", gap.as_secs_f64());
    nothing_moved(&fleet, &before, "busy cores and a slow disk")?;
    let written = lines.finish()?;
    (0..SOURCES).try_for_each(|file| arrivals.wait_for_line(file, written - 1, LIMIT))?;
    let duplicates = fleet.check_topic("lines", 0..SOURCES, written)?;
    ensure!(duplicates == 0, "{duplicates} lines arrived twice, though nothing moved");
    Ok(())
}

#[test]
fn short_stops_of_a_worker_move_nothing() -> Result<()> {
    /// A worker may stand still for its lease (1.3 s) less the age of its last heartbeat (0.3 s and its way to etcd).
    const STOP: Duration = Duration::from_millis(800);
    let mut fleet = Fleet::start(1, 2)?;
    let (lines, arrivals) = two_sources(&fleet)?;
    let before = fleet.wait_settled(0, 4)?;
    for round in 0..6 {
        let since = Instant::now();
        let victim = fleet.worker_with(&before[&format!("s{}/0", round % 2)].worker_id)?;
        fleet.workers[victim].process().pause()?;
        last(STOP);
        fleet.workers[victim].process().resume()?;
        let gap = longest_gap(&lines, &arrivals, 2, since)?;
        println!("SIGSTOP for {} ms: longest gap {:.2} s", STOP.as_millis(), gap.as_secs_f64());
        nothing_moved(&fleet, &before, "a short stop")?;
    }
    let written = lines.finish()?;
    (0..2).try_for_each(|file| arrivals.wait_for_line(file, written - 1, LIMIT))?;
    let duplicates = fleet.check_topic("lines", 0..2, written)?;
    ensure!(duplicates == 0, "{duplicates} lines arrived twice, though nothing moved");
    Ok(())
}

#[test]
fn a_sleeper_with_a_full_queue_repeats_no_more_than_it_held() -> Result<()> {
    /// What a task's producer may hold, as ARCHITECTURE.md promises.
    const HELD_BYTES: u64 = 32 << 20;
    /// More than that.
    const BURST_LINES: usize = 1_000_000;
    /// No line is shorter.
    const LINE_BYTES: u64 = 60;
    let mut fleet = Fleet::start(1, 2)?;
    let path = fleet.path("s0.txt");
    append(&path, 0..1000)?;
    fleet.copy_to("lines", 1)?;
    let arrivals = fleet.follow(&["lines"])?;
    arrivals.wait_for_line(0, 999, LIMIT)?;
    let owner = fleet.wait_settled(0, 2)?["s0/0"].clone();
    let victim = fleet.worker_with(&owner.worker_id)?;
    let stored = StoredOffsets::new(&fleet, &path);
    wait_until(LIMIT, "a stored offset", || Ok(stored.position()?.is_some()))?;

    fleet.kafka.process().pause()?;
    append(&path, 1000..BURST_LINES)?;
    let pid = fleet.workers[victim].process().id();
    let read = wait_settled(LIMIT, Duration::from_secs(1), "the source's position in its file", || {
        let position = position_in(pid, &path)?;
        ensure!(position > 1 << 20, "it has read {position} bytes only");
        Ok(position)
    })?;
    println!("the source has read {} MB before its queue was full", read >> 20);
    fleet.workers[victim].process().pause()?;
    let since = Instant::now();
    wait_until(LIMIT, "the end of the sleeper's lease", || {
        let admin = fleet.replicas.all()[0].admin()?;
        Ok(admin.metric("ferry_control_plane_workers")? < 2.0 || fleet.moved_from(&owner.worker_id)?)
    })?;
    println!("the sleeper's lease ended after {:.2} s", since.elapsed().as_secs_f64());
    fleet.kafka.process().resume()?;
    arrivals.wait_for_line(0, BURST_LINES - 1, LIMIT)?;
    let by_successor = arrivals.count(0);
    let file_end = fs::metadata(&path)?.len();
    wait_until(LIMIT, "the successor's last offset", || Ok(stored.position()? == Some(file_end)))?;

    fleet.workers[victim].process().resume()?;
    let address = fleet.workers[victim].admin()?;
    wait_until(LIMIT, "the sleeper under a new id", || {
        Ok(fleet.worker_ids()?.len() == 2
            && !fleet.worker_ids()?.contains(&owner.worker_id)
            && address.get("/readyz")?.status == 200)
    })?;
    // A line that is written now goes through the successor, behind whatever the sleeper still sends.
    append(&path, BURST_LINES..BURST_LINES + 1)?;
    arrivals.wait_for_line(0, BURST_LINES, LIMIT)?;
    let total = wait_settled(LIMIT, Duration::from_secs(2), "the topic", || fleet.kafka.kcat().end_offset("lines", 0))?;
    let repeated = fleet.check_topic("lines", 0..1, BURST_LINES + 1)?;
    println!(
        "{total} records of {} lines: {} repeated, {} of them before the sleeper woke",
        BURST_LINES + 1,
        repeated,
        by_successor.saturating_sub(BURST_LINES),
    );
    ensure!(repeated * LINE_BYTES <= HELD_BYTES, "{} MB were repeated", (repeated * LINE_BYTES) >> 20);
    let file_end = fs::metadata(&path)?.len();
    wait_until(LIMIT, "the offset of the last line", || Ok(stored.position()? == Some(file_end)))?;
    stored.never_moved_back()
}

#[test]
fn a_task_that_hangs_in_open_or_write_costs_nobody_else_anything() -> Result<()> {
    const HUNG: Duration = Duration::from_secs(5);
    // One worker: whatever hangs, hangs beside everything else.
    let fleet = Fleet::start(1, 1)?;
    let (lines, arrivals) = two_sources(&fleet)?;
    let before = fleet.wait_settled(0, 4)?;
    let rest = fleet.replicas.all()[0].rest()?;

    let since = Instant::now();
    // k0: nobody opens the pipe for reading, so that opening it for writing hangs. s7: nobody writes. k1: somebody opens
    // it and does not read, so that writing hangs once it is full.
    for name in ["k0.txt", "k1.txt", "s7.txt"] {
        let made = Command::new("mkfifo").arg(fleet.path(name)).status().context("mkfifo")?;
        ensure!(made.success());
    }
    let (reader, opened) = std::sync::mpsc::channel();
    let pipe = fleet.path("k1.txt");
    std::thread::spawn(move || reader.send(fs::File::open(pipe)));
    for sink in 0..2 {
        fleet.add_sink(&rest, sink, "lines")?;
    }
    fleet.add_source(&rest, 7, "none")?;
    rest.wait_running("k1", 1, LIMIT)?;
    let mut unread = opened.recv_timeout(LIMIT)??;
    last(HUNG);
    let gap = longest_gap(&lines, &arrivals, 2, since)?;
    println!("tasks that hang in open and in write: longest gap of the others {:.2} s", gap.as_secs_f64());
    ensure!(gap < Duration::from_secs(1), "a gap of {:.2} s", gap.as_secs_f64());
    ensure!(fleet.owners_of(&before)? == before, "the others' units have moved");

    // Deleted, the source is cut off. What a sink's thread still does to its target nobody can undo: a sink's task stays
    // its worker's until the thread is back.
    let since = Instant::now();
    for connector in ["k0", "k1", "s7"] {
        rest.delete(connector)?;
    }
    let admin = fleet.replicas.all()[0].admin()?;
    let owned_besides = |count: usize| -> Result<bool> {
        Ok(admin.metric("ferry_control_plane_units_owned")? == (before.len() + count) as f64)
    };
    wait_until(LIMIT, "only the hung sinks' tasks", || owned_besides(2))?;
    println!("deleted while they hang: all but the sinks' tasks gone after {:.2} s", since.elapsed().as_secs_f64());
    let _reader = fs::File::open(fleet.path("k0.txt"))?;
    std::thread::spawn(move || io::copy(&mut unread, &mut io::sink()));
    wait_until(LIMIT, "nothing of what was deleted", || owned_besides(0))?;
    let gap = longest_gap(&lines, &arrivals, 2, since)?;
    ensure!(gap < Duration::from_secs(1), "a gap of {:.2} s while hung tasks were deleted", gap.as_secs_f64());
    nothing_moved(&fleet, &before, "hung tasks")?;
    let written = lines.finish()?;
    (0..2).try_for_each(|file| arrivals.wait_for_line(file, written - 1, LIMIT))?;
    check(&arrivals.tally(), 0..2, written).map(drop)
}

fn append(path: &Path, numbers: std::ops::Range<usize>) -> Result<()> {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
    let text: String = numbers.map(|number| deploy_e2e::numbered_line(0, number)).collect();
    Ok(file.write_all(text.as_bytes())?)
}

/// How far a process has read a file that it holds open.
fn position_in(pid: u32, path: &Path) -> Result<u64> {
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let descriptor = entry?;
        // One may have been closed meanwhile.
        if fs::read_link(descriptor.path()).is_ok_and(|target| target == path) {
            let info = fs::read_to_string(Path::new(&format!("/proc/{pid}/fdinfo")).join(descriptor.file_name()))?;
            let position = info.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok());
            return position.context("no position");
        }
    }
    anyhow::bail!("the process does not hold {} open", path.display())
}
