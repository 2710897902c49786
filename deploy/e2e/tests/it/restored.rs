//! A store that goes back: restored from a backup, or emptied, while Kafka and the workers go on. No line is lost, few are
//! repeated, and what is stored from then on counts.

#![expect(clippy::print_stdout, reason = "the measured times are shown with --nocapture")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use deploy_e2e::{Arrivals, Etcd, Kafka, Process, Spec, SteadyLines, Tally, binary, free_port, wait_until};
use tempfile::TempDir;

use crate::cluster::{LIMIT, turn};
use crate::fleet::Fleet;
use crate::stored::StoredOffsets;

/// Lines a second of each source.
const RATE: usize = 200;
/// Sources s0 and s1, each with a topic t0… and a sink k0… of its own.
const COPIES: usize = 2;
/// Planners and tasks of one copy.
const UNITS: usize = 4;
/// Lines that may be repeated at a hop for each time that all was stopped: what was not committed yet.
const REPEATED: u64 = 2 * RATE as u64;

struct Copying {
    fleet: Fleet<Etcd>,
    lines: SteadyLines,
    arrivals: Arrivals,
}

impl Copying {
    /// The first copy flows.
    fn start() -> Result<Self> {
        let fleet = Fleet::start(2, 2)?;
        let lines = SteadyLines::start(&fleet.files(COPIES), RATE)?;
        add(&fleet, 0)?;
        fleet.wait_settled(0, UNITS)?;
        let arrivals = fleet.follow(&["t0"])?;
        arrivals.wait_flowing(0, LIMIT)?;
        Ok(Self { fleet, lines, arrivals })
    }

    /// What the backup does not have: another copy, restarts, moves.
    fn go_on(&self) -> Result<()> {
        add(&self.fleet, 1)?;
        self.fleet.wait_settled(0, COPIES * UNITS)?;
        let cli = self.fleet.replicas.all()[0].cli()?;
        for connector in ["s0", "k0", "s1"] {
            cli.succeed(&["restart", "connector", connector, "--tasks"])?;
        }
        let id = self.fleet.workers[0].id();
        cli.succeed(&["drain", "worker", id])?;
        wait_until(LIMIT, "the units' move", || self.fleet.moved_from(id))?;
        cli.succeed(&["uncordon", "worker", id])?;
        self.fleet.wait_settled(0, COPIES * UNITS)?;
        self.arrivals.wait_flowing(0, LIMIT)
    }

    /// All flows again; the connectors that the store has forgotten are created again. Says how long the first copy stood.
    fn recover(&self, what: &str, since: Instant, forgotten: &[usize]) -> Result<()> {
        let expected = (COPIES - forgotten.len()) * UNITS;
        if expected > 0 {
            self.fleet.wait_settled(0, expected).context("what the store still knows")?;
        }
        forgotten.iter().try_for_each(|index| add(&self.fleet, *index))?;
        self.fleet.wait_settled(0, COPIES * UNITS)?;
        self.arrivals.wait_for_line(0, self.lines.written().saturating_sub(1), LIMIT)?;
        let stood = self.arrivals.longest_gap(0, since);
        println!("{what}: the copy stood for {:.2} s", stood.as_secs_f64());
        Ok(())
    }

    /// Nothing is missing, little is repeated, and the offsets that count were stored under this incarnation.
    fn finish(self, incarnation: u64, stops: u64) -> Result<()> {
        let Self { fleet, lines, arrivals } = self;
        let written = lines.finish()?;
        arrivals.wait_for_line(0, written - 1, LIMIT)?;
        for file in 0..COPIES {
            let sink = fleet.path(&format!("k{file}.txt"));
            let mut in_file = 0;
            wait_until(LIMIT, &format!("all lines in {}", sink.display()), || {
                let tally = Tally::of(&fs::read_to_string(&sink)?);
                tally.is_whole(file, written)?;
                in_file = tally.duplicates(file);
                Ok(true)
            })?;
            let in_topic = fleet.check_topic(&format!("t{file}"), file..file + 1, written)?;
            println!("s{file}: {written} lines; repeated: {in_topic} in the topic, {in_file} in the sink's file");
            ensure!(in_topic <= stops * REPEATED && in_file <= 2 * stops * REPEATED, "too many are repeated");

            let source = fleet.path(&format!("s{file}.txt"));
            let stored = StoredOffsets::new(&fleet, &source);
            let end = fs::metadata(&source)?.len();
            wait_until(LIMIT, "the offset of the last line", || Ok(stored.position()? == Some(end)))?;
            stored.never_moved_back()?;
            let epoch = stored.epoch()?.context("no epoch")?;
            ensure!(epoch.0 == incarnation, "stored under {epoch:?}, which is not of incarnation {incarnation}");
        }
        for replica in fleet.replicas.all() {
            let admin = replica.admin()?;
            let [owned, revoking] = ["owned", "revoking"].map(|name| format!("ferry_control_plane_units_{name}"));
            let (owned, revoking) = (admin.metric(&owned)?, admin.metric(&revoking)?);
            ensure!(owned == (COPIES * UNITS) as f64 && revoking == 0.0, "{owned} owned, {revoking} revoking");
        }
        Ok(())
    }
}

fn add(fleet: &Fleet<Etcd>, index: usize) -> Result<()> {
    let rest = fleet.replicas.all()[0].rest()?;
    // A store that has just come back may refuse once.
    wait_until(LIMIT, "the connectors", || {
        fleet.add_source(&rest, index, &format!("t{index}"))?;
        fleet.add_sink(&rest, index, &format!("t{index}"))?;
        Ok(true)
    })
}

#[test]
fn an_older_copy_of_etcds_data_under_everything_that_runs_on() -> Result<()> {
    let mut copying = Copying::start()?;
    let backup = copying.fleet.path("backup");
    copying.fleet.store.back_up(&backup)?;
    copying.fleet.wait_settled(0, UNITS)?;
    copying.go_on()?;

    let since = Instant::now();
    copying.fleet.store.replace_data(Some(&backup))?;
    copying.fleet.store.restart()?;
    copying.recover("an older copy of etcd's data", since, &[1])?;
    copying.finish(2, 3)
}

#[test]
fn a_restored_snapshot_and_replicas_that_start_anew() -> Result<()> {
    let mut copying = Copying::start()?;
    let snapshot = copying.fleet.path("snapshot.db");
    copying.fleet.store.save_snapshot(&snapshot)?;
    copying.go_on()?;

    let since = Instant::now();
    for index in 0..copying.fleet.replicas.count() {
        copying.fleet.replicas.get(index).process().kill()?;
    }
    if !copying.fleet.store.restore_snapshot(&snapshot)? {
        println!("no program here restores a snapshot of etcd: not tried");
        return Ok(());
    }
    copying.fleet.store.restart()?;
    for index in 0..copying.fleet.replicas.count() {
        copying.fleet.replicas.get(index).restart()?;
    }
    copying.recover("a restored snapshot, replicas started anew", since, &[1])?;
    copying.finish(2, 3)
}

#[test]
fn an_emptied_store_and_the_same_kafka() -> Result<()> {
    let mut copying = Copying::start()?;
    copying.go_on()?;

    let since = Instant::now();
    copying.fleet.store.replace_data(None)?;
    copying.fleet.store.restart()?;
    copying.recover("an emptied store", since, &[0, 1])?;

    // What was stored since counts for whoever starts next.
    for index in 0..copying.fleet.workers.len() {
        copying.fleet.workers[index].restart()?;
    }
    copying.fleet.wait_settled(0, COPIES * UNITS)?;
    copying.arrivals.wait_flowing(0, LIMIT)?;
    copying.finish(2, 4)
}

#[test]
fn ferry_dev_goes_on_where_its_last_run_ended() -> Result<()> {
    let _turn = turn();
    let kafka = Kafka::start()?;
    let folder = TempDir::new()?;
    let input = folder.path().join("in.txt");
    let manifest = format!(
        "kind: Connector\nname: in\nconfig:\n  connector.class: FileStreamSource\n  topic: dev\n  file: {}\n",
        input.display()
    );
    fs::write(folder.path().join("in.yaml"), manifest)?;
    for run in 1..=3 {
        append(&input, &format!("{run}\n"))?;
        let spec = Spec::new("ferry-dev", binary("ferry")?, folder.path())
            .arg("dev")
            .flag("--bootstrap-servers", kafka.bootstrap())
            .flag("--grpc-listen", format!("127.0.0.1:{}", free_port()))
            .flag("--rest-listen", format!("127.0.0.1:{}", free_port()))
            .arg(folder.path().join("in.yaml"));
        let mut process = Process::start_ready(spec, "ready", LIMIT)?;
        let begun = Instant::now();
        // A line that is written while it runs, too: what it stores itself counts in the next run.
        append(&input, &format!("{run} again\n"))?;
        kafka.kcat().consume("dev", 2 * run, LIMIT)?;
        println!("run {run}: its lines were there after {:.2} s", begun.elapsed().as_secs_f64());
        process.stop(LIMIT)?;
    }
    let values: Vec<_> = kafka.kcat().read_all("dev")?.into_iter().filter_map(|message| message.value).collect();
    ensure!(values == ["1", "1 again", "2", "2 again", "3", "3 again"], "{values:?}");
    Ok(())
}

fn append(path: &Path, text: &str) -> Result<()> {
    Ok(fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(text.as_bytes())?)
}
