//! How long to wait after a failure: doubling up to a cap, forgotten after a healthy spell.

use std::time::Duration;

/// The shape of the waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffPolicy {
    /// After the first failure.
    pub first: Duration,
    /// At most.
    pub cap: Duration,
    /// Running this long without a failure makes the next failure the first again.
    pub healthy_after: Duration,
}

/// Counts failures in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    policy: BackoffPolicy,
    failures: u32,
}

impl Backoff {
    /// No failures yet.
    pub fn new(policy: BackoffPolicy) -> Self {
        Self { policy, failures: 0 }
    }

    /// The wait after a failure that came `ran_for` after the last start.
    pub fn after_failure(&mut self, ran_for: Duration) -> Duration {
        if ran_for >= self.policy.healthy_after {
            self.failures = 0;
        }
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        self.policy.first.saturating_mul(factor).min(self.policy.cap)
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Forgets all failures.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_start_over_after_a_healthy_spell() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(BackoffPolicy { first: second, cap: 5 * second, healthy_after: 60 * second });
        let waits: Vec<u64> = (0..40).map(|_| backoff.after_failure(Duration::ZERO).as_secs()).collect();
        assert_eq!(waits[..5], [1, 2, 4, 5, 5]);
        assert_eq!(waits[39], 5);
        assert_eq!(backoff.after_failure(60 * second), second);
        assert_eq!(backoff.failures(), 1);
        backoff.reset();
        assert_eq!(backoff.after_failure(Duration::ZERO), second);
    }
}
