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
    /// Says by how much each wait is shortened; without it none is.
    seed: Option<u64>,
}

/// A spread wait is shortened by less than one part in so many.
const SPREAD: u32 = 8;

impl Backoff {
    /// No failures yet.
    pub fn new(policy: BackoffPolicy) -> Self {
        Self { policy, failures: 0, seed: None }
    }

    /// The same for one of many that may fail together: each seed has waits that are up to an eighth shorter.
    pub fn spread(policy: BackoffPolicy, seed: u64) -> Self {
        Self { seed: Some(seed), ..Self::new(policy) }
    }

    /// From now on; what was counted stays.
    pub fn set_policy(&mut self, policy: BackoffPolicy) {
        self.policy = policy;
    }

    /// The wait after a failure that came `ran_for` after the last start.
    pub fn after_failure(&mut self, ran_for: Duration) -> Duration {
        if self.is_healthy(ran_for) {
            self.reset();
        }
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let wait = self.policy.first.saturating_mul(factor).min(self.policy.cap);
        self.failures = self.failures.saturating_add(1);
        match self.seed {
            None => wait,
            Some(seed) => wait - (wait / SPREAD).mul_f64(fraction(seed.wrapping_add(u64::from(self.failures)))),
        }
    }

    /// Whether running so long without a failure is a healthy spell.
    pub fn is_healthy(&self, ran_for: Duration) -> bool {
        ran_for >= self.policy.healthy_after
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

/// A number below 1 that differs much where the seeds differ little (SplitMix64).
fn fraction(seed: u64) -> f64 {
    let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    f64::from(((mixed ^ (mixed >> 31)) >> 48) as u16) / 65_536.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const POLICY: BackoffPolicy =
        BackoffPolicy { first: SECOND, cap: Duration::from_secs(5), healthy_after: Duration::from_secs(60) };

    #[test]
    fn waits_double_up_to_the_cap_and_start_over_after_a_healthy_spell() {
        let mut backoff = Backoff::new(POLICY);
        let waits: Vec<u64> = (0..40).map(|_| backoff.after_failure(Duration::ZERO).as_secs()).collect();
        assert_eq!(waits[..5], [1, 2, 4, 5, 5]);
        assert_eq!(waits[39], 5);
        assert_eq!(backoff.after_failure(60 * SECOND), SECOND);
        assert_eq!(backoff.failures(), 1);
        backoff.reset();
        assert_eq!(backoff.after_failure(Duration::ZERO), SECOND);
        backoff.set_policy(BackoffPolicy { first: 2 * SECOND, ..POLICY });
        assert_eq!(backoff.after_failure(Duration::ZERO), 4 * SECOND);
    }

    #[test]
    fn many_that_fail_together_come_back_one_after_the_other() {
        let mut waits: Vec<Duration> =
            (0..100).map(|seed| Backoff::spread(POLICY, seed).after_failure(Duration::ZERO)).collect();
        waits.sort();
        waits.dedup();
        assert!(waits.len() > 90, "{} of 100 differ", waits.len());
        assert!(waits.iter().all(|wait| *wait > SECOND * 7 / 8 && *wait <= SECOND), "{waits:?}");
    }
}
