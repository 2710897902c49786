//! The last line: when the lease ends, every unit's gate is closed, whatever else the process is doing.
//!
//! A thread of its own that touches no disk, no log and no plugin.

use crate::{clock, task::TaskHandle};
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
    /// Milliseconds; 0: no lease yet.
    deadline: AtomicU64,
    gates: Mutex<Vec<Weak<TaskHandle>>>,
}

impl Guard {
    /// Starts the thread; it ends when the last handle is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start() -> std::io::Result<Guard> {
        let guard = Guard::default();
        let watched = Arc::downgrade(&guard.inner);
        std::thread::Builder::new().name("lease-guard".to_owned()).spawn(move || watch(&watched))?;
        Ok(guard)
    }

    /// The lease holds until then.
    pub fn set_deadline(&self, deadline: Monotonic) {
        self.inner.deadline.store(deadline.0, Ordering::Release);
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
        let deadline = inner.deadline.load(Ordering::Acquire);
        let now = clock::now().0;
        let wait = match deadline {
            0 => LOOK,
            deadline if now < deadline => Duration::from_millis(deadline - now).min(LOOK),
            _ => {
                for gate in std::mem::take(&mut *inner.gates.lock()) {
                    if let Some(handle) = gate.upgrade() {
                        handle.sever();
                    }
                }
                LOOK
            }
        };
        drop(inner);
        std::thread::sleep(wait);
    }
}
