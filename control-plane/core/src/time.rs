//! Two kinds of time: a process's monotonic milliseconds, to measure, and the wall clock's, to show to people.

use serde::{Deserialize, Serialize};
use std::{fmt, ops::Add, time::Duration};

/// Milliseconds on one process's monotonic clock. Never stored, never compared across processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// Time since `earlier`; zero if that lies ahead.
    pub fn since(self, earlier: Monotonic) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Monotonic {
    type Output = Monotonic;
    fn add(self, duration: Duration) -> Monotonic {
        Monotonic(self.0.saturating_add(duration.as_millis() as u64))
    }
}

/// Milliseconds since the Unix epoch, for people to read. How long a config's history is kept is the only
/// decision that depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wall(pub i64);

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}
