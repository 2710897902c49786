//! Milliseconds on a clock that also runs while the machine sleeps (CLOCK_BOOTTIME); given by the caller.

use std::{ops::Add, time::Duration};

/// A moment. Only compared within one process.
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
