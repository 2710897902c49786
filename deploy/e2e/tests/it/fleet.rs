//! A Ferry of several replicas and workers that copies numbered lines, and where its units are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::MutexGuard;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use deploy_e2e::{
    Arrivals, ControlPlane, ControlPlaneOptions, Etcd, Kafka, Replicas, Rest, Tally, Worker, WorkerOptions,
    wait_settled, wait_until,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::{LIMIT, list, turn};

/// How long units must have stood still to be called settled: longer than a move takes.
const QUIET: Duration = Duration::from_millis(700);

/// Where a unit is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) worker_id: String,
    pub(crate) epoch: String,
}

/// A planner or task, as `connector` or `connector/task`.
pub(crate) type Places = BTreeMap<String, Place>;

/// `S` is what holds the store.
pub(crate) struct Fleet<S> {
    // Ended in this order.
    pub(crate) workers: Vec<Worker>,
    pub(crate) replicas: Replicas,
    pub(crate) store: S,
    pub(crate) kafka: Kafka,
    pub(crate) folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Fleet<Etcd> {
    pub(crate) fn start(replicas: usize, workers: usize) -> Result<Self> {
        let turn = turn();
        let etcd = Etcd::start()?;
        let endpoint = etcd.endpoint();
        Self::start_on(turn, etcd, &endpoint, replicas, workers)
    }
}

impl<S> Fleet<S> {
    /// On a store that runs; `turn` was taken before it was started.
    pub(crate) fn start_on(
        turn: MutexGuard<'static, ()>,
        store: S,
        endpoints: &str,
        replicas: usize,
        workers: usize,
    ) -> Result<Self> {
        let kafka = Kafka::start()?;
        let mut options = ControlPlaneOptions::new(endpoints, &kafka.bootstrap());
        options.properties.push(("offset.flush.interval.ms".to_owned(), "500".to_owned()));
        let replicas = Replicas::start(&options, replicas)?;
        let folder = TempDir::with_prefix("ferry-e2e-")?;
        let mut fleet = Self { workers: Vec::new(), replicas, store, kafka, folder, _turn: turn };
        for _ in 0..workers {
            fleet.add_worker(WorkerOptions::default())?;
        }
        fleet.wait_sessions()?;
        Ok(fleet)
    }

    /// A worker of all replicas.
    pub(crate) fn add_worker(&mut self, options: WorkerOptions) -> Result<()> {
        let control_planes = self.replicas.worker_endpoints();
        self.workers.push(Worker::start(&WorkerOptions { control_planes, ..options })?);
        Ok(())
    }

    /// Waits until each replica has a session of each worker, and knows no other worker.
    pub(crate) fn wait_sessions(&self) -> Result<()> {
        for replica in self.replicas.all() {
            let admin = replica.admin()?;
            wait_until(LIMIT, "sessions of all workers to all replicas", || {
                let sessions = admin.metric("ferry_control_plane_sessions")?;
                ensure!(sessions == self.workers.len() as f64, "{sessions} sessions");
                Ok(true)
            })?;
        }
        Ok(())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The files of so many sources.
    pub(crate) fn files(&self, sources: usize) -> Vec<PathBuf> {
        (0..sources).map(|index| self.path(&format!("s{index}.txt"))).collect()
    }

    /// Creates source `s<index>` from file `s<index>.txt` to a topic.
    pub(crate) fn add_source(&self, rest: &Rest, index: usize, topic: &str) -> Result<()> {
        let file = self.path(&format!("s{index}.txt"));
        let config =
            [("connector.class", "FileStreamSource"), ("tasks.max", "1"), ("file", text(&file)?), ("topic", topic)];
        rest.put_config(&format!("s{index}"), &config).map(drop)
    }

    /// Creates sink `k<index>` from a topic to file `k<index>.txt`.
    pub(crate) fn add_sink(&self, rest: &Rest, index: usize, topic: &str) -> Result<()> {
        let file = self.path(&format!("k{index}.txt"));
        let config =
            [("connector.class", "FileStreamSink"), ("tasks.max", "1"), ("file", text(&file)?), ("topics", topic)];
        rest.put_config(&format!("k{index}"), &config).map(drop)
    }

    /// Sources 0 to `count` to one topic, RUNNING and settled.
    pub(crate) fn copy_to(&self, topic: &str, count: usize) -> Result<()> {
        let rest = self.replicas.all()[0].rest()?;
        for index in 0..count {
            self.add_source(&rest, index, topic)?;
        }
        self.wait_settled(0, 2 * count).map(drop)
    }

    /// What the replica with this number says of all units; an error while one is not RUNNING on a worker, or there are
    /// not so many units.
    pub(crate) fn running(&self, replica: usize, units: usize) -> Result<Places> {
        let found = places(&self.replicas.all()[replica], |name, unit| {
            let is_running = unit["state"].as_str().is_some_and(|state| state.eq_ignore_ascii_case("running"));
            ensure!(is_running && unit["workerId"] != "", "{name}: {unit}");
            Ok(())
        })?;
        ensure!(found.len() == units, "{} of {units} units: {:?}", found.len(), found.keys());
        Ok(found)
    }

    /// Waits until all units run and none has moved for a while.
    pub(crate) fn wait_settled(&self, replica: usize, units: usize) -> Result<Places> {
        wait_settled(LIMIT, QUIET, "the units", || self.running(replica, units))
    }

    /// Where these units are now, whatever others there are and whatever state they are in.
    pub(crate) fn owners_of(&self, units: &Places) -> Result<Places> {
        let all = places(&self.replicas.all()[0], |_, _| Ok(()))?;
        Ok(all.into_iter().filter(|(name, _)| units.contains_key(name)).collect())
    }

    /// Whether no unit is on this worker any more.
    pub(crate) fn moved_from(&self, worker_id: &str) -> Result<bool> {
        let all = places(&self.replicas.all()[0], |_, _| Ok(()))?;
        Ok(all.values().all(|place| place.worker_id != worker_id))
    }

    /// The ids of all workers that the first replica lists.
    pub(crate) fn worker_ids(&self) -> Result<Vec<String>> {
        let printed = self.replicas.all()[0].cli()?.json(&["get", "workers"])?;
        let id = |worker: &Value| worker["id"].as_str().map(str::to_owned).context("a worker without an id");
        list(&printed).iter().map(id).collect()
    }

    /// Follows topics, which are waited for.
    pub(crate) fn follow(&self, topics: &[&str]) -> Result<Arrivals> {
        let kcat = self.kafka.kcat();
        wait_until(LIMIT, "the topics", || {
            let there = kcat.topics()?;
            Ok(topics.iter().all(|topic| there.iter().any(|name| name == topic)))
        })?;
        Arrivals::follow(&self.kafka.bootstrap(), topics)
    }

    /// Index of the worker with this id.
    pub(crate) fn worker_with(&self, id: &str) -> Result<usize> {
        let found = self.workers.iter().position(|worker| worker.id() == id);
        found.ok_or_else(|| anyhow!("no worker has the id {id}"))
    }

    /// The topic as it is now has each of the first `lines` lines of these files, and nothing else; gives the duplicates.
    pub(crate) fn check_topic(&self, topic: &str, files: impl Iterator<Item = usize>, lines: usize) -> Result<u64> {
        let printed = self.kafka.kcat().run(&["-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%s\n"], b"")?;
        check(&Tally::of(&printed), files, lines).with_context(|| format!("topic {topic}"))
    }
}

/// The tally is whole in these files; gives the duplicates.
pub(crate) fn check(tally: &Tally, files: impl Iterator<Item = usize>, lines: usize) -> Result<u64> {
    let mut duplicates = 0;
    for file in files {
        tally.is_whole(file, lines)?;
        duplicates += tally.duplicates(file);
    }
    Ok(duplicates)
}

fn text(path: &std::path::Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

/// All units as a replica shows them; `judge` may refuse one.
fn places(replica: &ControlPlane, judge: impl Fn(&str, &Value) -> Result<()>) -> Result<Places> {
    let printed = replica.cli()?.json(&["get", "connectors"])?;
    let mut found = Places::new();
    for connector in list(&printed) {
        let name = connector["name"].as_str().context("a connector without a name")?;
        let tasks = connector["status"]["tasks"].as_array().into_iter().flatten();
        for unit in tasks.chain([&connector["status"]["connector"]]) {
            let name = match unit["task"].as_u64() {
                Some(task) => format!("{name}/{task}"),
                None => name.to_owned(),
            };
            judge(&name, unit)?;
            let field = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            found.insert(name, Place { worker_id: field(&unit["workerId"]), epoch: field(&unit["epoch"]) });
        }
    }
    Ok(found)
}

/// A fault, or a load, that lasts for a time.
pub(crate) fn last(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}
