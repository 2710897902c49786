//! The runners of the units that are held: started, stopped, started again after failures; as the worker does it.

use super::{LOOK, RunnerKey, runner::Runner};
use crate::{
    messages::{Report, Work},
    mutation::Mutation,
    say,
    sim::{CALM_AT, Sim, What},
};
use control_plane_core::status::RunState;
use data_plane_core::{
    assignment::{Assigned, Target},
    backoff::{Backoff, BackoffPolicy},
};
use std::{rc::Rc, time::Duration};

/// As the worker's.
const BACKOFF: BackoffPolicy = BackoffPolicy {
    first: Duration::from_secs(1),
    cap: Duration::from_secs(60),
    healthy_after: Duration::from_secs(60),
};

/// How long a stop may take, and then the margin, in ms.
const GRACE: u64 = 2000;

/// A unit that is held.
pub(super) struct Held {
    pub(super) work: Rc<Work>,
    pub(super) target: Target,
    pub(super) confirmed: bool,
    /// Its target fences it: it does not need the lease.
    pub(super) outlives_lease: bool,
    pub(super) runner: Option<Runner>,
    pub(super) stop_since: Option<u64>,
    state: RunState,
    /// Numbers what there is to say of it, and what was said.
    change: u64,
    said: u64,
    backoff: Backoff,
    restart_at: Option<u64>,
    /// A planner's latest task set.
    pub(super) task_set: Option<Report>,
}

impl Held {
    pub(super) fn enter(&mut self, state: RunState) {
        if self.state != state {
            self.state = state;
            self.change += 1;
        }
    }

    pub(super) fn say_again(&mut self) {
        self.said = 0;
    }

    pub(super) fn take_report(&mut self) -> Option<(u64, RunState)> {
        (std::mem::replace(&mut self.said, self.change) < self.change).then_some((self.change, self.state))
    }

    /// Whether it was open.
    pub(super) fn close_gate(&mut self) -> bool {
        self.runner.as_mut().is_some_and(|runner| std::mem::take(&mut runner.is_open))
    }

    /// It may hand something over.
    pub(super) fn is_active(&self) -> bool {
        self.confirmed && self.runner.as_ref().is_some_and(|runner| runner.is_open)
    }
}

impl Sim {
    pub(super) fn start_unit(&mut self, index: usize, assigned: Assigned<Rc<Work>>) {
        say!(self, "w{index}: starts {} {} under {}", assigned.work.connector, assigned.unit, assigned.epoch);
        self.trace.count("units started");
        let key = (assigned.unit, assigned.epoch);
        let held = Held {
            work: assigned.work,
            target: assigned.target,
            confirmed: self.mutation == Some(Mutation::RunUnconfirmed),
            outlives_lease: assigned.outlives_lease,
            runner: None,
            stop_since: None,
            state: RunState::Starting,
            change: 1,
            said: 0,
            backoff: Backoff::new(BACKOFF),
            restart_at: None,
            task_set: None,
        };
        self.workers[index].held.insert(key.clone(), held);
        self.run_unit(index, &key);
        self.check_owners();
    }

    fn run_unit(&mut self, index: usize, key: &RunnerKey) {
        let serial = self.number();
        let (threads, now) = (self.workers[index].to_threads(), self.now);
        let Some(held) = self.workers[index].held.get_mut(key) else { return };
        held.restart_at = None;
        held.runner = Some(Runner::new(serial, now));
        held.enter(RunState::Starting);
        self.after(LOOK, threads, What::Guard);
        let delay = self.rng.between(1, 20);
        self.after(delay, threads, What::Step { key: key.clone(), serial });
    }

    pub(super) fn confirm_unit(&mut self, index: usize, key: RunnerKey) {
        if let Some(held) = self.workers[index].held.get_mut(&key) {
            held.confirmed = true;
            self.check_owners();
        }
    }

    pub(super) fn set_unit_target(&mut self, index: usize, key: &RunnerKey, target: Target) {
        let now = self.now;
        if let Some(held) = self.workers[index].held.get_mut(key) {
            held.target = target;
            // A failed unit has no state of its own to show until it is started.
            held.restart_at = held.restart_at.map(|_| now);
        }
    }

    /// A planner's latest task set.
    pub(super) fn planned_set(&self, index: usize, key: &RunnerKey) -> Option<Report> {
        self.workers[index].held.get(key).and_then(|held| held.task_set.clone())
    }

    /// Stops a unit in order, or cuts it off.
    pub(super) fn end_unit(&mut self, index: usize, key: RunnerKey, is_severed: bool) {
        let now = self.now;
        say!(self, "w{index}: {} {} {}", if is_severed { "severs" } else { "stops" }, key.0, key.1);
        let hangs = now < CALM_AT && self.rng.chance(8);
        let hangs_until = if hangs { now + self.rng.between(500, 6000) } else { 0 };
        let worker = &mut self.workers[index];
        let Some(held) = worker.held.get_mut(&key) else { return };
        held.stop_since.get_or_insert(now);
        held.restart_at = None;
        match &mut held.runner {
            Some(runner) => {
                runner.is_stopping = true;
                runner.hangs_until = runner.hangs_until.max(hangs_until);
                runner.is_open &= !is_severed;
            }
            None => worker.ended.push_back(key),
        }
    }

    pub(super) fn forget_unit(&mut self, index: usize, key: &RunnerKey) {
        self.workers[index].held.remove(key);
    }

    pub(super) fn runner_ended(&mut self, index: usize, key: RunnerKey, serial: u64) {
        let now = self.now;
        let worker = &mut self.workers[index];
        let Some(held) = worker.held.get_mut(&key) else { return };
        let Some(runner) = held.runner.take_if(|runner| runner.serial == serial) else { return };
        if held.stop_since.is_some() {
            worker.ended.push_back(key);
            return;
        }
        if runner.is_refused {
            // It may begin again once it is sure that the unit is still its own.
            held.confirmed = false;
            let (unit, epoch) = &key;
            worker.holdings.refused(unit, *epoch, worker.lease.next_number());
            worker.is_urgent = true;
            self.trace.count("fenced by another producer");
        }
        held.enter(RunState::Failed);
        held.change += 1;
        let wait = held.backoff.after_failure(Duration::from_millis(now - runner.started));
        held.restart_at = Some(now + wait.as_millis() as u64);
        self.trace.count("units failed");
    }

    pub(super) fn overdue(&mut self, index: usize) -> Vec<RunnerKey> {
        let now = self.now;
        let mut overdue = Vec::new();
        for (key, held) in &mut self.workers[index].held {
            if held.stop_since.is_some_and(|since| now > since + GRACE) {
                held.stop_since = Some(now);
                overdue.push(key.clone());
            }
        }
        overdue
    }

    pub(super) fn restart_due(&mut self, index: usize) {
        let now = self.now;
        let held = self.workers[index].held.iter();
        let due: Vec<RunnerKey> =
            held.filter(|(_, held)| held.restart_at.is_some_and(|at| now >= at)).map(|(key, _)| key.clone()).collect();
        for key in due {
            self.run_unit(index, &key);
            self.check_owners();
        }
    }
}
