//! How well a unit does: its failures, when it is started again, whether it stands still. Times are the caller's.

use crate::{unit_policy::UnitPolicy, wire::cut_to};
use data_plane_connector_api::ConnectError;
use data_plane_core::{
    activity::{Place, Stall},
    backoff::Backoff,
    time::Monotonic,
};
use proto::worker_v1 as wire;
use std::{collections::VecDeque, time::Duration};

/// Failures that are remembered.
const RECENT_LIMIT: usize = 5;
/// Bytes of what is said of each, and of where a unit stands still.
const TEXT_LIMIT: usize = 256;

struct Failure {
    at: Monotonic,
    class: String,
    message: String,
}

/// Since when, and where.
struct Standstill {
    since: Monotonic,
    place: String,
}

/// One unit's.
pub(super) struct Health {
    policy: UnitPolicy,
    backoff: Backoff,
    /// Automatic starts since the last healthy spell.
    restarts: u32,
    failures: VecDeque<Failure>,
    /// Since when it has run without a failure or a stall.
    well_since: Option<Monotonic>,
    stall: Option<Stall>,
    stop_blocked: Option<Standstill>,
}

impl Health {
    /// Nothing happened yet. Units with different seeds that fail together come back one after the other.
    pub(super) fn new(seed: u64) -> Health {
        let policy = UnitPolicy::default();
        Health {
            backoff: Backoff::spread(policy.backoff, seed),
            policy,
            restarts: 0,
            failures: VecDeque::new(),
            well_since: None,
            stall: None,
            stop_blocked: None,
        }
    }

    /// What the configs say now.
    pub(super) fn set_policy(&mut self, policy: UnitPolicy) {
        self.backoff.set_policy(policy.backoff);
        self.policy = policy;
    }

    /// It said that it runs, or holds as it should.
    pub(super) fn runs(&mut self, now: Monotonic) {
        self.well_since.get_or_insert(now);
    }

    /// It said that it failed.
    pub(super) fn failed(&mut self, error: &ConnectError, now: Monotonic) {
        if self.failures.len() == RECENT_LIMIT {
            self.failures.pop_front();
        }
        let (class, message) = (cut_to(&error.class, TEXT_LIMIT), cut_to(&error.message, TEXT_LIMIT));
        self.failures.push_back(Failure { at: now, class, message });
    }

    /// Its runner is gone: how long to wait before the next one is started; `None`: a user starts it.
    pub(super) fn wait(&mut self, now: Monotonic) -> Option<Duration> {
        let ran_for = self.well_since.take().map_or(Duration::ZERO, |since| now.since(since));
        self.stall = None;
        if self.backoff.is_healthy(ran_for) {
            self.restarts = 0;
        }
        self.policy.restarts.then(|| self.backoff.after_failure(ran_for))
    }

    /// It is started again after a failure.
    pub(super) fn restarted(&mut self) {
        self.restarts = self.restarts.saturating_add(1);
    }

    /// Looks at what it does: `activity` says where it has stood still for a time. True if there is something to tell.
    pub(super) fn look(&mut self, now: Monotonic, activity: impl FnOnce(Duration) -> Option<Stall>) -> bool {
        let stall = self.policy.stall_after.and_then(activity);
        let is_as_before = match (&self.stall, &stall) {
            (None, None) => true,
            (Some(before), Some(stall)) => before.is_same(stall),
            _ => false,
        };
        if !is_as_before {
            self.stall = stall;
        }
        match (&stall, &mut self.well_since) {
            // A spell without progress is not a healthy one.
            (Some(_), Some(since)) => *since = now,
            (None, Some(since)) if self.backoff.is_healthy(now.since(*since)) => {
                self.backoff.reset();
                if std::mem::take(&mut self.restarts) > 0 {
                    return true;
                }
            }
            _ => {}
        }
        !is_as_before
    }

    /// It does not end, and may not be cut off. True if that is news.
    pub(super) fn stop_is_blocked(&mut self, since: Monotonic, place: Option<Place>) -> bool {
        let place = place.map_or_else(|| "waiting for its thread".to_owned(), |place| place.to_string());
        let is_news = self.stop_blocked.as_ref().is_none_or(|before| before.place != place);
        self.stop_blocked = Some(Standstill { since, place });
        is_news
    }

    /// Where it stands still.
    pub(super) fn stall(&self) -> Option<&Stall> {
        self.stall.as_ref()
    }

    /// What a report says of it.
    pub(super) fn tell(&self, report: &mut wire::UnitReport, now: Monotonic) {
        let age_ms = |at: Monotonic| now.since(at).as_millis() as u64;
        let standstill = |since, place| wire::Standstill { age_ms: age_ms(since), place };
        report.restarts = self.restarts;
        report.recent_failures = self
            .failures
            .iter()
            .map(|failure| wire::RecentFailure {
                age_ms: age_ms(failure.at),
                class: failure.class.clone(),
                message: failure.message.clone(),
            })
            .collect();
        report.stalled = self.stall.map(|stall| standstill(stall.since, stall.place.to_string()));
        let blocked = self.stop_blocked.as_ref();
        report.stop_blocked = blocked.map(|blocked| standstill(blocked.since, blocked.place.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_plane_core::{activity::Stage, backoff::BackoffPolicy};

    const HEALTHY_AFTER: u64 = 1000;

    fn health() -> Health {
        let mut health = Health::new(0);
        let millis = Duration::from_millis;
        health.set_policy(UnitPolicy {
            backoff: BackoffPolicy { first: millis(80), cap: millis(320), healthy_after: millis(HEALTHY_AFTER) },
            ..UnitPolicy::default()
        });
        health
    }

    fn fail(health: &mut Health, text: &str, at: u64) -> Option<u128> {
        health.failed(&ConnectError::connect(text), Monotonic(at));
        health.wait(Monotonic(at)).map(|wait| wait.as_millis())
    }

    fn told(health: &Health, at: u64) -> wire::UnitReport {
        let mut report = wire::UnitReport::default();
        health.tell(&mut report, Monotonic(at));
        report
    }

    #[test]
    fn restarts_are_counted_until_a_healthy_spell() {
        let mut health = health();
        for (at, least, most) in [(0, 70, 80), (100, 140, 160), (200, 280, 320), (300, 280, 320)] {
            let wait = fail(&mut health, "no", at).expect("it is started again");
            assert!((least..=most).contains(&wait), "{wait} after {at}");
            health.restarted();
            health.runs(Monotonic(at + 10));
        }
        assert_eq!(told(&health, 310).restarts, 4);
        assert!(!health.look(Monotonic(310 + HEALTHY_AFTER - 1), |_| None));
        assert!(health.look(Monotonic(310 + HEALTHY_AFTER), |_| None), "the count is told");
        assert_eq!(told(&health, 2000).restarts, 0);
        assert!(!health.look(Monotonic(2000), |_| None), "once");
        assert!(fail(&mut health, "no", 2000).is_some_and(|wait| wait <= 80));
    }

    #[test]
    fn a_spell_without_progress_is_not_healthy() {
        let mut health = health();
        fail(&mut health, "no", 0);
        health.restarted();
        health.runs(Monotonic(0));
        let stall = Stall { since: Monotonic(5), place: Place::In(Stage::Put) };
        assert!(health.look(Monotonic(900), |_| Some(stall)));
        assert!(!health.look(Monotonic(5000), |_| Some(stall)));
        let shown = told(&health, 5000).stalled.expect("stalled");
        assert_eq!((shown.age_ms, shown.place.as_str()), (4995, "put"));
        assert!(health.look(Monotonic(5100), |_| None));
        assert_eq!((told(&health, 5100).stalled, told(&health, 5100).restarts), (None, 1));
        assert!(health.look(Monotonic(5000 + HEALTHY_AFTER), |_| None));
        assert_eq!(told(&health, 7000).restarts, 0);
    }

    #[test]
    fn without_restarts_a_failed_unit_waits_for_its_user() {
        let mut health = health();
        health.set_policy(UnitPolicy { restarts: false, ..UnitPolicy::default() });
        assert_eq!(fail(&mut health, "no", 0), None);
    }

    #[test]
    fn the_last_failures_are_told_in_short() {
        let mut health = health();
        for number in 0..7 {
            fail(&mut health, &format!("{number}{}", "x".repeat(10_000)), number);
        }
        let told = told(&health, 10).recent_failures;
        assert_eq!(told.iter().map(|failure| failure.age_ms).collect::<Vec<_>>(), [8, 7, 6, 5, 4]);
        assert!(told.iter().all(|failure| failure.message.len() < 300 && failure.class.ends_with("ConnectException")));
        assert!(told[0].message.starts_with("2x"), "{}", told[0].message);
    }
}
