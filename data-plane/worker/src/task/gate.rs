//! The epoch gate of a unit: once closed, nothing more is handed to Kafka on the unit's behalf.

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

/// Open until [`Gate::close`].
#[derive(Debug)]
pub struct Gate {
    is_open: RwLock<bool>,
    closed: CancellationToken,
}

impl Gate {
    /// An open gate.
    pub fn new() -> Self {
        Self { is_open: RwLock::new(true), closed: CancellationToken::new() }
    }

    /// Does `act` if the gate is open. `act` must not wait: [`Gate::close`] waits for it.
    pub fn pass<R>(&self, act: impl FnOnce() -> R) -> Option<R> {
        let is_open = self.is_open.read();
        is_open.then(act)
    }

    /// Closes the gate. When this returns, nothing passes any more.
    pub fn close(&self) {
        *self.is_open.write() = false;
        self.closed.cancel();
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    /// Resolves once the gate is closed.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_passes_a_closed_gate() {
        let gate = Gate::new();
        assert_eq!(gate.pass(|| 1), Some(1));
        gate.close();
        assert_eq!(gate.pass(|| 1), None);
    }
}
