//! A seeded random sequence of kills and stops of everything but Kafka, under load: at the end all is healed and no line is
//! lost.
//!
//! `FERRY_CHAOS_SECONDS=600 FERRY_CHAOS_SEED=7 cargo e2e chaos:: -- --nocapture` runs for ten minutes with that seed. The
//! seed fixes what is done and when; what the machine makes of it differs from run to run.

#![expect(clippy::print_stdout, reason = "the faults and the measured times are shown with --nocapture")]

use std::env;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use deploy_e2e::{Arrivals, Etcd, Spread, SteadyLines, Tally, wait_until};
use fastrand::Rng;

use crate::cluster::LIMIT;
use crate::failover::{ALWAYS, SILENCE, print_table};
use crate::fleet::{Fleet, last};
use crate::stored::StoredOffsets;

const REPLICAS: usize = 3;
const WORKERS: usize = 3;
/// Sources s0…, each with a topic t0… and a sink k0… of its own.
const SOURCES: usize = 4;
/// Planners and tasks of these.
const UNITS: usize = 4 * SOURCES;
/// Lines a second of each source.
const RATE: usize = 300;
/// How long what a fault has done is felt after its end: a lease, an election, the settling time.
const AFTERMATH: Duration = Duration::from_secs(6);

/// What may be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Worker(usize),
    Replica(usize),
    Etcd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// kill -9, and later a start.
    Kill,
    /// SIGSTOP, and later SIGCONT.
    Stop,
}

/// A part that is away, or was.
#[derive(Clone, Copy, Debug)]
struct Outage {
    part: Part,
    fault: Fault,
    from: Instant,
    until: Instant,
    is_over: bool,
}

/// A source's task whose worker was killed.
#[derive(Clone, Copy, Debug)]
struct Orphan {
    file: usize,
    killed: Instant,
}

struct Chaos {
    fleet: Fleet<Etcd>,
    random: Rng,
    begun: Instant,
    outages: Vec<Outage>,
    orphans: Vec<Orphan>,
}

impl Chaos {
    /// Takes things away and brings them back for so long, and then brings back what is still away.
    fn run(&mut self, time: Duration) -> Result<()> {
        let mut next_fault = self.begun;
        while self.begun.elapsed() < time {
            if Instant::now() >= next_fault {
                self.fault()?;
                next_fault = Instant::now() + self.between(500, 4000);
            }
            self.heal(Instant::now())?;
            let next_end = self.outages.iter().filter(|outage| !outage.is_over).map(|outage| outage.until).min();
            let next = next_end.unwrap_or(next_fault).min(next_fault);
            last(next.saturating_duration_since(Instant::now()).max(Duration::from_millis(20)));
        }
        while self.outages.iter().any(|outage| !outage.is_over) {
            self.heal(self.begun + time * 2 + AFTERMATH)?;
        }
        Ok(())
    }

    fn fault(&mut self) -> Result<()> {
        let (part, fault, away) = match self.random.u8(0..100) {
            0..35 => (Part::Worker(self.random.usize(0..WORKERS)), Fault::Kill, self.between(200, 4000)),
            // Longer than the lease.
            35..55 => (Part::Worker(self.random.usize(0..WORKERS)), Fault::Stop, self.between(2000, 5000)),
            55..70 => (Part::Replica(self.random.usize(0..REPLICAS)), Fault::Kill, self.between(200, 4000)),
            70..85 => (Part::Replica(self.random.usize(0..REPLICAS)), Fault::Stop, self.between(1000, 6000)),
            _ => (Part::Etcd, Fault::Kill, self.between(200, 3000)),
        };
        let workers_away = self.away().filter(|outage| matches!(outage.part, Part::Worker(_))).count();
        let is_last_worker = matches!(part, Part::Worker(_)) && workers_away + 1 == WORKERS;
        if self.is_away(part) || is_last_worker {
            return Ok(());
        }
        println!("{:7.2} s  {fault:?} {part:?} for {:.2} s", self.begun.elapsed().as_secs_f64(), away.as_secs_f64());
        let orphans = match (part, fault) {
            (Part::Worker(index), Fault::Kill) => self.sources_of(index),
            _ => Vec::new(),
        };
        let from = Instant::now();
        self.orphans.extend(orphans.into_iter().map(|file| Orphan { file, killed: from }));
        let process = match part {
            Part::Worker(index) => self.fleet.workers[index].process(),
            Part::Replica(index) => self.fleet.replicas.get(index).process(),
            Part::Etcd => self.fleet.store.process(),
        };
        match fault {
            Fault::Kill => process.kill()?,
            Fault::Stop => process.pause()?,
        }
        self.outages.push(Outage { part, fault, from, until: from + away, is_over: false });
        Ok(())
    }

    /// Brings back what was to be away until `now` at the latest.
    fn heal(&mut self, now: Instant) -> Result<()> {
        for index in 0..self.outages.len() {
            let Outage { part, fault, until, is_over, .. } = self.outages[index];
            // A replica does not start without etcd.
            let must_wait = matches!((part, fault), (Part::Replica(_), Fault::Kill)) && self.is_away(Part::Etcd);
            if is_over || until > now || must_wait {
                continue;
            }
            match (part, fault) {
                (Part::Worker(worker), Fault::Kill) => self.fleet.workers[worker].restart()?,
                (Part::Worker(worker), Fault::Stop) => self.fleet.workers[worker].process().resume()?,
                (Part::Replica(replica), Fault::Kill) => self.fleet.replicas.get(replica).restart()?,
                (Part::Replica(replica), Fault::Stop) => self.fleet.replicas.get(replica).process().resume()?,
                (Part::Etcd, _) => self.fleet.store.restart()?,
            }
            self.outages[index].is_over = true;
            self.outages[index].until = Instant::now();
        }
        Ok(())
    }

    /// The sources whose tasks a worker runs, if a replica is there to say it.
    fn sources_of(&self, worker: usize) -> Vec<usize> {
        let asked = (0..REPLICAS).find(|replica| !self.is_away(Part::Replica(*replica)));
        let Some(asked) = asked.filter(|_| !self.is_away(Part::Etcd)) else { return Vec::new() };
        let Ok(places) = self.fleet.running(asked, UNITS) else { return Vec::new() };
        let id = self.fleet.workers[worker].id();
        (0..SOURCES).filter(|file| places[&format!("s{file}/0")].worker_id == id).collect()
    }

    fn away(&self) -> impl Iterator<Item = &Outage> {
        self.outages.iter().filter(|outage| !outage.is_over)
    }

    fn is_away(&self, part: Part) -> bool {
        self.away().any(|outage| outage.part == part)
    }

    fn between(&mut self, least_ms: u64, most_ms: u64) -> Duration {
        Duration::from_millis(self.random.u64(least_ms..=most_ms))
    }

    /// Whether nothing else was wrong from the kill until the takeover.
    fn was_alone(&self, orphan: Orphan, time: Duration) -> bool {
        let others = self.outages.iter().filter(|outage| outage.from != orphan.killed);
        let felt = |outage: &Outage| outage.from < orphan.killed + time && orphan.killed < outage.until + AFTERMATH;
        !others.into_iter().any(felt)
    }

    fn failovers(&self, arrivals: &Arrivals) -> Result<()> {
        let (mut alone, mut among_others) = (Vec::new(), Vec::new());
        for orphan in &self.orphans {
            let time = arrivals.wait_after_silence(orphan.file, orphan.killed, SILENCE, LIMIT)?;
            match self.was_alone(*orphan, time) {
                true => alone.push(time),
                false => among_others.push(time),
            }
        }
        let arms = [("nothing else wrong", Spread::of(&alone)), ("among other faults", Spread::of(&among_others))];
        print_table(&arms);
        ensure!(arms[0].1.max < ALWAYS, "a task was away for {:.2} s", arms[0].1.max.as_secs_f64());
        Ok(())
    }
}

#[test]
fn everything_heals_and_no_line_is_lost() -> Result<()> {
    let seconds: u64 = match env::var("FERRY_CHAOS_SECONDS") {
        Ok(text) => text.parse().context("FERRY_CHAOS_SECONDS")?,
        Err(_) => 60,
    };
    let seed: u64 = match env::var("FERRY_CHAOS_SEED") {
        Ok(text) => text.parse().context("FERRY_CHAOS_SEED")?,
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64,
    };
    println!("FERRY_CHAOS_SECONDS={seconds} FERRY_CHAOS_SEED={seed}");

    let fleet = Fleet::start(REPLICAS, WORKERS)?;
    let lines = SteadyLines::start(&fleet.files(SOURCES), RATE)?;
    let rest = fleet.replicas.all()[0].rest()?;
    for index in 0..SOURCES {
        fleet.add_source(&rest, index, &format!("t{index}"))?;
        fleet.add_sink(&rest, index, &format!("t{index}"))?;
    }
    fleet.wait_settled(0, UNITS)?;
    let arrivals = fleet.follow(&["t0", "t1", "t2", "t3"])?;
    (0..SOURCES).try_for_each(|file| arrivals.wait_flowing(file, LIMIT))?;

    let random = Rng::with_seed(seed);
    let mut chaos = Chaos { fleet, random, begun: Instant::now(), outages: Vec::new(), orphans: Vec::new() };
    chaos.run(Duration::from_secs(seconds))?;

    let healing = Instant::now();
    chaos.fleet.wait_sessions()?;
    chaos.fleet.wait_settled(0, UNITS)?;
    (0..SOURCES).try_for_each(|file| arrivals.wait_flowing(file, LIMIT))?;
    println!("{} faults; healed after {:.2} s", chaos.outages.len(), healing.elapsed().as_secs_f64());
    let written = lines.finish()?;
    nothing_is_lost(&chaos.fleet, &arrivals, written)?;
    chaos.failovers(&arrivals)
}

fn nothing_is_lost(fleet: &Fleet<Etcd>, arrivals: &Arrivals, written: usize) -> Result<()> {
    for file in 0..SOURCES {
        arrivals.wait_for_line(file, written - 1, LIMIT)?;
        let in_topic = fleet.check_topic(&format!("t{file}"), file..file + 1, written)?;
        let path = fleet.path(&format!("k{file}.txt"));
        let mut in_file = 0;
        wait_until(LIMIT, &format!("all lines in {}", path.display()), || {
            let tally = Tally::of(&std::fs::read_to_string(&path)?);
            tally.is_whole(file, written)?;
            in_file = tally.duplicates(file);
            Ok(true)
        })?;
        let source = fleet.path(&format!("s{file}.txt"));
        let stored = StoredOffsets::new(fleet, &source);
        let end = std::fs::metadata(&source)?.len();
        wait_until(LIMIT, "the offset of the last line", || Ok(stored.position()? == Some(end)))?;
        stored.never_moved_back()?;
        println!("s{file}: {written} lines; repeated: {in_topic} in the topic, {in_file} in the sink's file");
    }
    for replica in fleet.replicas.all() {
        let admin = replica.admin()?;
        let (owned, revoking) =
            (admin.metric("ferry_control_plane_units_owned")?, admin.metric("ferry_control_plane_units_revoking")?);
        ensure!(owned == UNITS as f64 && revoking == 0.0, "{owned} units owned, {revoking} of them revoking");
    }
    Ok(())
}
