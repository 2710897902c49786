//! The last line: when the lease ends, every unit's gate is closed, whatever else the process is doing.
//!
//! A thread of its own that touches no disk, no log and no plugin.

use crate::{
    clock,
    task::{Deadline, TaskHandle},
};
use data_plane_core::time::Monotonic;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How often the thread looks, at the least.
const LOOK: Duration = Duration::from_millis(50);

/// Knows the deadline and the gates.
#[derive(Clone, Default)]
pub struct Guard {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    deadline: Deadline,
    gates: Mutex<Vec<Weak<TaskHandle>>>,
    /// How often gates were closed.
    cuts: AtomicU64,
}

impl Guard {
    /// Starts the thread; it ends when the last handle is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(deadline: Deadline) -> std::io::Result<Guard> {
        let guard = Guard { inner: Arc::new(Inner { deadline, ..Inner::default() }) };
        let watched = Arc::downgrade(&guard.inner);
        std::thread::Builder::new().name("lease-guard".to_owned()).spawn(move || watch(&watched))?;
        Ok(guard)
    }

    /// The lease holds until then.
    pub fn set_deadline(&self, deadline: Monotonic) {
        self.inner.deadline.set(deadline);
    }

    /// How often the deadline has closed gates.
    pub fn cuts(&self) -> u64 {
        self.inner.cuts.load(Ordering::Acquire)
    }

    /// There is no lease yet: a worker that starts over is not cut off by its former life's deadline.
    pub fn forget_deadline(&self) {
        self.inner.deadline.forget();
    }

    /// A unit to be cut off at the deadline. Units that are gone are forgotten.
    pub fn add(&self, handle: &Arc<TaskHandle>) {
        let mut gates = self.inner.gates.lock();
        gates.retain(|gate| gate.strong_count() > 0);
        gates.push(Arc::downgrade(handle));
    }
}

fn watch(guard: &Weak<Inner>) {
    while let Some(inner) = guard.upgrade() {
        let now = clock::now();
        let wait = match inner.deadline.get() {
            None => LOOK,
            Some(deadline) if now < deadline => deadline.since(now).min(LOOK),
            Some(_) => {
                // Closing a gate waits for what is just passing it: nobody who adds a unit waits for that.
                let gates = std::mem::take(&mut *inner.gates.lock());
                let handles: Vec<Arc<TaskHandle>> = gates.iter().filter_map(Weak::upgrade).collect();
                if !handles.is_empty() {
                    inner.cuts.fetch_add(1, Ordering::AcqRel);
                }
                for handle in handles {
                    handle.sever();
                }
                LOOK
            }
        };
        drop(inner);
        std::thread::sleep(wait);
    }
}
