//! The epoch gate of a unit: once closed, nothing more is handed to Kafka on the unit's behalf.
//!
//! It also looks at the lease's deadline itself: a process that was stopped and goes on may reach a gate before the
//! guard's thread does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use data_plane_core::time::Monotonic;
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use crate::clock;

/// Until when this process may hand anything over, in milliseconds of [`clock::now`]; shared by all gates.
#[derive(Debug, Clone, Default)]
pub struct Deadline(Arc<AtomicU64>);

impl Deadline {
    /// The lease holds until then.
    pub fn set(&self, deadline: Monotonic) {
        self.0.store(deadline.0, Ordering::Release);
    }

    /// There is no lease.
    pub fn forget(&self) {
        self.0.store(0, Ordering::Release);
    }

    /// The deadline; none before there is a lease.
    pub fn get(&self) -> Option<Monotonic> {
        Some(self.0.load(Ordering::Acquire)).filter(|at| *at > 0).map(Monotonic)
    }

    /// Whether it has passed.
    pub fn is_past(&self) -> bool {
        self.get().is_some_and(|at| clock::now() >= at)
    }
}

/// Open until [`Gate::close`], or the deadline.
#[derive(Debug)]
pub struct Gate {
    deadline: Deadline,
    is_open: RwLock<bool>,
    closed: CancellationToken,
}

impl Gate {
    /// An open gate.
    pub fn new(deadline: Deadline) -> Self {
        Self { deadline, is_open: RwLock::new(true), closed: CancellationToken::new() }
    }

    /// Does `act` if the gate is open. `act` must not wait: [`Gate::close`] waits for it.
    pub fn pass<R>(&self, act: impl FnOnce() -> R) -> Option<R> {
        let is_open = self.is_open.read();
        (*is_open && !self.deadline.is_past()).then(act)
    }

    /// Closes the gate. When this returns, nothing passes any more.
    pub fn close(&self) {
        *self.is_open.write() = false;
        self.closed.cancel();
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.closed.is_cancelled() || self.deadline.is_past()
    }

    /// Resolves once the gate is closed.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_passes_a_closed_gate() {
        let gate = Gate::new(Deadline::default());
        assert_eq!(gate.pass(|| 1), Some(1));
        gate.close();
        assert_eq!(gate.pass(|| 1), None);
    }

    #[test]
    fn nothing_passes_after_the_deadline_before_anybody_closes() {
        let deadline = Deadline::default();
        let gate = Gate::new(deadline.clone());
        deadline.set(Monotonic(clock::now().0 + 60_000));
        assert_eq!(gate.pass(|| 1), Some(1));
        deadline.set(Monotonic(1));
        assert_eq!(gate.pass(|| 1), None);
        assert!(gate.is_closed());
    }
}
