//! What the hollow workers hold, all together.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// A task: uid of its connector, and its number.
pub(super) type TaskName = (String, u32);

#[derive(Default)]
struct State {
    sessions: usize,
    /// When connectors were sent, by name.
    created: HashMap<String, Instant>,
    /// Tasks whose RUNNING is stored, with the worker that has each.
    running: HashMap<TaskName, u32>,
    /// Tasks of a connector that have run, by uid.
    reached: HashMap<String, usize>,
    latencies: Vec<Duration>,
    twice: usize,
}

/// Between words to whoever waits.
const TELL: Duration = Duration::from_secs(10);

/// The fleet.
pub(super) struct Fleet {
    tasks: usize,
    state: Mutex<State>,
}

impl Fleet {
    /// A fleet for connectors of so many tasks.
    pub(super) fn new(tasks: usize) -> Self {
        Self { tasks, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn connected(&self) {
        self.state().sessions += 1;
    }

    pub(super) fn sessions(&self) -> usize {
        self.state().sessions
    }

    /// A connector is about to be sent.
    pub(super) fn created(&self, name: &str) {
        self.state().created.insert(name.to_owned(), Instant::now());
    }

    /// The control plane has stored that a task runs on a worker.
    pub(super) fn runs(&self, connector: &str, task: TaskName, worker: u32) {
        let mut state = self.state();
        let state = &mut *state;
        let uid = task.0.clone();
        if state.running.insert(task, worker).is_some_and(|other| other != worker) {
            state.twice += 1;
        }
        let reached = state.reached.entry(uid).or_default();
        *reached += 1;
        if *reached == self.tasks
            && let Some(created) = state.created.get(connector)
        {
            state.latencies.push(created.elapsed());
        }
    }

    /// A worker gave a task back.
    pub(super) fn ended(&self, task: &TaskName, worker: u32) {
        let mut state = self.state();
        if state.running.get(task) == Some(&worker) {
            state.running.remove(task);
        }
    }

    pub(super) fn running(&self) -> usize {
        self.state().running.len()
    }

    /// Tasks that were reported by two workers at a time.
    pub(super) fn twice(&self) -> usize {
        self.state().twice
    }

    /// Workers die: gives how many tasks ran there.
    pub(super) fn forget(&self, workers: Range<u32>) -> usize {
        let mut state = self.state();
        let before = state.running.len();
        state.running.retain(|_, worker| !workers.contains(worker));
        before - state.running.len()
    }

    /// From the request to the last task's RUNNING, sorted.
    pub(super) fn latencies(&self) -> Vec<Duration> {
        let mut latencies = self.state().latencies.clone();
        latencies.sort_unstable();
        latencies
    }

    /// Waits for a condition.
    pub(super) async fn until(&self, what: &str, limit: Duration, is_so: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        let mut told = Instant::now();
        while !is_so(self) {
            if told.elapsed() >= TELL {
                told = Instant::now();
                eprintln!("waiting for {what}: {} sessions, {} tasks run", self.sessions(), self.running());
            }
            if Instant::now() >= deadline {
                bail!("not so after {limit:?}: {what}; {} tasks run", self.running());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}
