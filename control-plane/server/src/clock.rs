//! The two clocks of the process.

use control_plane_core::time::{Monotonic, Wall};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Reads the clocks; everything else gets the time as an argument.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Monotonic time counts from a little before now, so that zero lies in the past.
    pub fn new() -> Clock {
        Clock { start: Instant::now() }
    }

    /// Milliseconds since the process began.
    pub fn now(&self) -> Monotonic {
        Monotonic(self.start.elapsed().as_millis() as u64 + 1)
    }

    /// The wall clock.
    pub fn wall(&self) -> Wall {
        Wall(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64))
    }

    /// When a monotonic moment was, on the wall clock.
    pub fn wall_at(&self, moment: Monotonic) -> Wall {
        Wall(self.wall().0 - self.now().since(moment).as_millis() as i64)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}
