//! What tasks have done and what failed, for the metrics of the worker.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::pipeline::ErrorCounts;

/// One task's counters, since its start.
#[derive(Debug)]
pub struct TaskCounters {
    /// The connector's name.
    pub connector: String,
    /// The task's number.
    pub task: u32,
    records: AtomicU64,
    errors: [AtomicU64; 7],
}

impl TaskCounters {
    /// Publishes what a task knows.
    pub fn set(&self, records: u64, counts: &ErrorCounts) {
        self.records.store(records, Ordering::Relaxed);
        let ErrorCounts { failures, errors, skipped, retries, logged, dead_letters, dead_letter_failures } = *counts;
        let values = [failures, errors, skipped, retries, logged, dead_letters, dead_letter_failures];
        for (slot, value) in self.errors.iter().zip(values) {
            slot.store(value, Ordering::Relaxed);
        }
    }

    /// Records whose outcome is durable.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// What failed.
    pub fn errors(&self) -> ErrorCounts {
        let value = |index: usize| self.errors[index].load(Ordering::Relaxed);
        ErrorCounts {
            failures: value(0),
            errors: value(1),
            skipped: value(2),
            retries: value(3),
            logged: value(4),
            dead_letters: value(5),
            dead_letter_failures: value(6),
        }
    }
}

/// The counters of all tasks that run.
#[derive(Debug, Default)]
pub struct Counters {
    tasks: Mutex<Vec<Weak<TaskCounters>>>,
}

impl Counters {
    /// Counters of a new task; they are shown until the task drops them, or is started anew.
    pub fn of(&self, connector: &str, task: u32) -> Arc<TaskCounters> {
        let counters = Arc::new(TaskCounters {
            connector: connector.to_owned(),
            task,
            records: AtomicU64::default(),
            errors: Default::default(),
        });
        let mut tasks = self.tasks.lock();
        let is_other = |known: &TaskCounters| (known.connector.as_str(), known.task) != (connector, task);
        tasks.retain(|known| known.upgrade().is_some_and(|known| is_other(&known)));
        tasks.push(Arc::downgrade(&counters));
        counters
    }

    /// All tasks.
    pub fn all(&self) -> Vec<Arc<TaskCounters>> {
        self.tasks.lock().iter().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_is_started_anew_is_shown_once_and_from_zero() {
        let counters = Counters::default();
        let (before, other) = (counters.of("c", 0), counters.of("c", 1));
        before.set(7, &ErrorCounts { errors: 2, ..ErrorCounts::default() });
        other.set(1, &ErrorCounts::default());
        // The one before may still be on its way out.
        let after = counters.of("c", 0);
        before.set(8, &ErrorCounts::default());
        let shown = |counters: &Counters| {
            counters.all().iter().map(|task| (task.task, task.records(), task.errors().errors)).collect::<Vec<_>>()
        };
        assert_eq!(shown(&counters), [(1, 1, 0), (0, 0, 0)]);
        drop(after);
        assert_eq!(shown(&counters), [(1, 1, 0)]);
    }
}
