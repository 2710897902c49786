//! How often, and when, a failing operation on a record is repeated: Connect's `RetryWithToleranceOperator` (KIP-298).
//!
//! Pure: the time is given, and so is the random number that a wait may ask for.

/// `errors.retry.timeout` and `errors.retry.delay.max.ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How long to go on after the first attempt, in milliseconds; negative is for ever.
    pub timeout_ms: i64,
    /// The longest wait between attempts, in milliseconds.
    pub delay_max_ms: i64,
}

/// The wait before the next attempt. Negative and zero times are no wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// This many milliseconds.
    Fixed(i64),
    /// A random number of milliseconds below the first, but not more than the second.
    RandomBelow(i64, i64),
}

/// The first wait, in milliseconds; it doubles from attempt to attempt.
const FIRST_WAIT_MS: i64 = 300;

/// One operation being attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    deadline_ms: i64,
    failed: u32,
}

impl Attempts {
    /// The first attempt is made at `now_ms`.
    pub fn new(policy: RetryPolicy, now_ms: i64) -> Self {
        let deadline_ms = if policy.timeout_ms >= 0 { now_ms.saturating_add(policy.timeout_ms) } else { i64::MAX };
        Self { deadline_ms, failed: 0 }
    }

    /// An attempt failed by a retriable error: the wait before the next one, or `None` when that was the last.
    pub fn after_failure(&mut self, policy: RetryPolicy, now_ms: i64) -> Option<Wait> {
        let retries = self.failed;
        self.failed += 1;
        // Java's random number below 0 or less is an exception, which ends the attempts.
        if now_ms >= self.deadline_ms || self.is_pointless(policy, retries) {
            return None;
        }
        let left = self.deadline_ms.saturating_sub(now_ms).max(0);
        // As Java shifts: by the lower six bits, overflowing into negative waits, which are none.
        let delay = FIRST_WAIT_MS.wrapping_shl(retries & 63);
        Some(match delay > policy.delay_max_ms {
            true => Wait::RandomBelow(policy.delay_max_ms, left),
            false => Wait::Fixed(if delay > left { left } else { delay }),
        })
    }

    fn is_pointless(&self, policy: RetryPolicy, retries: u32) -> bool {
        policy.delay_max_ms <= 0 && FIRST_WAIT_MS.wrapping_shl(retries & 63) > policy.delay_max_ms
    }

    /// Attempts that have failed.
    pub fn failed(&self) -> u32 {
        self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end_at_the_deadline() {
        let policy = RetryPolicy { timeout_ms: 2000, delay_max_ms: 60_000 };
        let mut attempts = Attempts::new(policy, 1000);
        assert_eq!(attempts.after_failure(policy, 1000), Some(Wait::Fixed(300)));
        assert_eq!(attempts.after_failure(policy, 1300), Some(Wait::Fixed(600)));
        assert_eq!(attempts.after_failure(policy, 1900), Some(Wait::Fixed(1100)));
        assert_eq!(attempts.after_failure(policy, 3000), None);
        assert_eq!(attempts.failed(), 4);
    }

    #[test]
    fn waits_above_the_maximum_are_random_below_it() {
        let policy = RetryPolicy { timeout_ms: -1, delay_max_ms: 500 };
        let mut attempts = Attempts::new(policy, 0);
        assert_eq!(attempts.after_failure(policy, 0), Some(Wait::Fixed(300)));
        assert!(matches!(attempts.after_failure(policy, 0), Some(Wait::RandomBelow(500, _))));
    }

    #[test]
    fn no_timeout_and_no_delay_are_no_retry() {
        for policy in
            [RetryPolicy { timeout_ms: 0, delay_max_ms: 60_000 }, RetryPolicy { timeout_ms: 1000, delay_max_ms: 0 }]
        {
            assert_eq!(Attempts::new(policy, 5).after_failure(policy, 5), None);
        }
    }
}
