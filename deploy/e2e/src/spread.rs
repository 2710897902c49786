//! How measured times are spread.

use std::fmt;
use std::time::Duration;

/// Count, median, 99th percentile and maximum of measured times. Shown as a row of [`Spread::HEAD`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many.
    pub count: usize,
    /// Half of them were at most so long.
    pub p50: Duration,
    /// Of a hundred, 99 were at most so long: the maximum, where there are fewer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl Spread {
    /// What stands over the rows.
    pub const HEAD: &'static str = "    n    p50 s    p99 s    max s";

    /// Of these times.
    pub fn of(times: &[Duration]) -> Self {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        // Nearest rank.
        let rank = |percent: usize| {
            sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
        };
        Self { count: sorted.len(), p50: rank(50), p99: rank(99), max: rank(100) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, max] = [self.p50, self.p99, self.max].map(|time| time.as_secs_f64());
        write!(f, "{:5} {p50:8.2} {p99:8.2} {max:8.2}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_nearest() {
        let times: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        let spread = Spread::of(&times);
        assert_eq!((spread.p50.as_millis(), spread.p99.as_millis(), spread.max.as_millis()), (100, 198, 200));
        assert_eq!(Spread::of(&[]), Spread::default());
    }
}
