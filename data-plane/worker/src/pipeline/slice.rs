//! How long a pipeline converts before it lets its caller look up.

use std::time::{Duration, Instant};

/// Rows converted between two looks at the clock.
const ROWS: u32 = 16;

/// A slice of time; without one, there is no end.
#[derive(Debug, Default)]
pub(super) struct Slice {
    time: Option<Duration>,
    end: Option<Instant>,
    rows: u32,
}

impl Slice {
    pub(super) fn of(time: Duration) -> Self {
        Self { time: Some(time), ..Self::default() }
    }

    pub(super) fn begin(&mut self) {
        self.rows = 0;
        self.end = self.time.map(|time| Instant::now() + time);
    }

    /// Whether it is over; asked before each row, and never true before the first few, so that there is always progress.
    pub(super) fn is_over(&mut self) -> bool {
        self.rows += 1;
        self.rows.is_multiple_of(ROWS) && self.end.is_some_and(|end| Instant::now() >= end)
    }
}
