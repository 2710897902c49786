//! CLOCK_BOOTTIME: it runs on while the machine sleeps, as the leader's patience does.

use data_plane_core::time::Monotonic;
use rustix::time::{ClockId, clock_gettime};

/// Now.
pub fn now() -> Monotonic {
    let time = clock_gettime(ClockId::Boottime);
    Monotonic(time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000)
}

/// Now, as milliseconds for arithmetic.
pub fn now_ms() -> i64 {
    i64::try_from(now().0).unwrap_or(i64::MAX)
}
