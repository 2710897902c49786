//! `errors.*` (KIP-298): which failures are retried, which are tolerated, and how many there were.

use std::time::Duration;

use data_plane_connector_api::common_config::connector_config_def;
use data_plane_connector_api::{Config, ConfigDef, ConnectError, Failure, Stage};
use data_plane_core::retry::{Attempts, RetryPolicy, Wait};

/// `errors.tolerance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// The first failure is the task's.
    None,
    /// A record that fails is skipped.
    All,
}

/// `errors.log.include.messages`, where `errors.log.enable` is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogDetail {
    /// What failed, and where.
    Position,
    /// The record as well.
    Messages,
}

/// A connector's `errors.*` keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorPolicy {
    /// What a failure does.
    pub tolerance: Tolerance,
    /// How retriable errors are retried.
    pub retry: RetryPolicy,
    /// Whether failures are logged; tolerated ones, and those that fail the task.
    pub log: Option<LogDetail>,
}

impl ErrorPolicy {
    /// Reads the keys of a connector's config.
    ///
    /// # Errors
    /// A `ConfigException` that names the key.
    pub fn parse(config: &Config) -> Result<Self, ConnectError> {
        let keys = connector_config_def().keys.into_iter().filter(|key| key.name.starts_with("errors."));
        let parsed = ConfigDef::new(keys).parse(config)?;
        let detail = if parsed.flag("errors.log.include.messages") { LogDetail::Messages } else { LogDetail::Position };
        Ok(Self {
            tolerance: if parsed.text("errors.tolerance") == Some("all") { Tolerance::All } else { Tolerance::None },
            retry: RetryPolicy {
                timeout_ms: parsed.integer("errors.retry.timeout").unwrap_or(0),
                delay_max_ms: parsed.integer("errors.retry.delay.max.ms").unwrap_or(60_000),
            },
            log: parsed.flag("errors.log.enable").then_some(detail),
        })
    }

    /// What a final failure does: `Ok` skips the record.
    ///
    /// # Errors
    /// The task's failure, in Connect's words, with the record's as its cause.
    pub fn judge(&self, failure: &Failure) -> Result<(), ConnectError> {
        if failure.cause.class == INVALID_RECORD {
            return Err(failure.cause.clone());
        }
        let is_tolerable = match failure.stage {
            Stage::Transformation | Stage::KeyConverter | Stage::ValueConverter | Stage::HeaderConverter => true,
            Stage::TaskPut | Stage::TaskPoll | Stage::KafkaProduce | Stage::KafkaConsume => failure.cause.retriable,
        };
        match (is_tolerable, self.tolerance) {
            (true, Tolerance::All) => Ok(()),
            (true, Tolerance::None) => Err(fatal("Tolerance exceeded in error handler", failure)),
            (false, _) => Err(fatal("Unhandled exception in error handler", failure)),
        }
    }
}

/// The class of what Kafka's own record refuses, outside of all tolerance.
const INVALID_RECORD: &str = "org.apache.kafka.common.InvalidRecordException";

/// A timestamp as Kafka takes it: -1 is none, other negative ones are refused (`ConnectUtils.checkAndConvertTimestamp`).
pub(super) fn checked_timestamp(timestamp: Option<i64>) -> Result<Option<i64>, ConnectError> {
    match timestamp {
        Some(-1) => Ok(None),
        Some(millis) if millis < 0 => {
            let text = format!("Invalid record timestamp {millis}");
            Err(ConnectError { class: INVALID_RECORD.to_owned(), ..ConnectError::data(text) })
        }
        timestamp => Ok(timestamp),
    }
}

fn fatal(text: &str, failure: &Failure) -> ConnectError {
    let Failure { cause, .. } = failure;
    let mut error =
        ConnectError::connect(text).caused_by(cause.class.clone(), format!("{} ({failure})", cause.message));
    error.causes.extend(cause.causes.iter().cloned());
    error
}

/// Connect's `task-error-metrics` of one task, since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ErrorCounts {
    /// Operations that failed, retried ones included (`total-record-failures`).
    pub failures: u64,
    /// Records that failed for good (`total-record-errors`).
    pub errors: u64,
    /// Records skipped by tolerance (`total-records-skipped`).
    pub skipped: u64,
    /// Operations tried again (`total-retries`).
    pub retries: u64,
    /// Failures logged (`total-errors-logged`).
    pub logged: u64,
    /// Dead letters handed to the producer (`deadletterqueue-produce-requests`).
    pub dead_letters: u64,
    /// Dead letters that were not written (`deadletterqueue-produce-failures`).
    pub dead_letter_failures: u64,
}

impl ErrorCounts {
    /// The sums of both.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self {
            failures: self.failures + other.failures,
            errors: self.errors + other.errors,
            skipped: self.skipped + other.skipped,
            retries: self.retries + other.retries,
            logged: self.logged + other.logged,
            dead_letters: self.dead_letters + other.dead_letters,
            dead_letter_failures: self.dead_letter_failures + other.dead_letter_failures,
        }
    }
}

/// The number of a converter's step; those of transforms are their indexes in the chain.
pub(super) fn converting(stage: Stage) -> usize {
    usize::MAX - stage as usize
}

/// Decides about operations that fail: one at a time is being retried.
#[derive(Debug)]
pub struct Retrier {
    policy: RetryPolicy,
    /// Row and step of the operation being retried.
    current: Option<((usize, usize), Attempts)>,
}

impl Retrier {
    /// Nothing is being retried.
    pub fn new(policy: RetryPolicy) -> Self {
        Self { policy, current: None }
    }

    /// A new batch: rows are counted anew.
    pub fn begin(&mut self) {
        self.current = None;
    }

    /// An operation failed, which was first tried at about `now_ms`: the wait before the next attempt, or `None` when the failure
    /// is final. `place` is the row and the step of the operation.
    pub fn failed(
        &mut self,
        place: (usize, usize),
        error: &ConnectError,
        now_ms: i64,
        counts: &mut ErrorCounts,
    ) -> Option<Wait> {
        counts.failures += 1;
        if !error.retriable {
            self.current = None;
            return None;
        }
        let (_, attempts) = match &mut self.current {
            Some(current) if current.0 == place => current,
            current => current.insert((place, Attempts::new(self.policy, now_ms))),
        };
        let wait = attempts.after_failure(self.policy, now_ms);
        match wait {
            Some(_) => counts.retries += 1,
            // As Connect counts: the last attempt, and the operation.
            None => {
                counts.failures += 1;
                self.current = None;
            }
        }
        wait
    }
}

/// A wait as a time to sleep.
pub(super) fn sleep_for(wait: Wait) -> Duration {
    let millis = match wait {
        Wait::Fixed(millis) => millis,
        Wait::RandomBelow(max, cap) => fastrand::i64(0..max.max(1)).min(cap),
    };
    Duration::from_millis(millis.max(0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(lines: &[(&str, &str)]) -> ErrorPolicy {
        let config = lines.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        ErrorPolicy::parse(&config).unwrap()
    }

    fn failure(stage: Stage, cause: ConnectError) -> Failure {
        Failure { stage, class: "c.X".to_owned(), transform: None, cause }
    }

    #[test]
    fn defaults_tolerate_and_retry_nothing() {
        let policy = policy(&[]);
        assert_eq!((policy.tolerance, policy.log), (Tolerance::None, None));
        assert_eq!(policy.retry, RetryPolicy { timeout_ms: 0, delay_max_ms: 60_000 });
        let error = policy.judge(&failure(Stage::ValueConverter, ConnectError::data("bad"))).unwrap_err();
        assert_eq!(error.message, "Tolerance exceeded in error handler");
        assert!(error.causes[0].message.starts_with("bad"), "{error:?}");
    }

    #[test]
    fn all_tolerates_data_everywhere_but_where_connectors_and_kafka_work() {
        let policy = policy(&[("errors.tolerance", "all"), ("errors.log.enable", "true")]);
        assert_eq!(policy.log, Some(LogDetail::Position));
        assert!(policy.judge(&failure(Stage::Transformation, ConnectError::data("bad"))).is_ok());
        assert!(policy.judge(&failure(Stage::TaskPut, ConnectError::retriable("later"))).is_ok());
        let error = policy.judge(&failure(Stage::TaskPut, ConnectError::data("bad"))).unwrap_err();
        assert_eq!(error.message, "Unhandled exception in error handler");
    }

    #[test]
    fn only_retriable_errors_are_tried_again_each_place_for_itself() {
        let mut retrier = Retrier::new(RetryPolicy { timeout_ms: 500, delay_max_ms: 60_000 });
        let mut counts = ErrorCounts::default();
        let (retriable, link) = (ConnectError::retriable("later"), 0);
        assert_eq!(retrier.failed((3, 0), &ConnectError::data("bad"), 0, &mut counts), None);
        assert_eq!(retrier.failed((4, link), &retriable, 0, &mut counts), Some(Wait::Fixed(300)));
        assert_eq!(retrier.failed((4, link), &retriable, 300, &mut counts), Some(Wait::Fixed(200)));
        assert_eq!(retrier.failed((4, link), &retriable, 500, &mut counts), None);
        assert_eq!(retrier.failed((5, link), &retriable, 500, &mut counts), Some(Wait::Fixed(300)));
        assert_eq!((counts.failures, counts.retries), (6, 3));
    }

    #[test]
    fn what_was_retried_in_one_batch_leaves_the_next_its_time() {
        let mut retrier = Retrier::new(RetryPolicy { timeout_ms: 500, delay_max_ms: 60_000 });
        let mut counts = ErrorCounts::default();
        let retriable = ConnectError::retriable("later");
        let place = (0, Stage::ValueConverter as usize);
        assert_eq!(retrier.failed(place, &retriable, 0, &mut counts), Some(Wait::Fixed(300)));
        // It succeeded then; the row's converter is another operation, and another batch has other rows.
        let converter = (0, converting(Stage::ValueConverter));
        assert_eq!(retrier.failed(converter, &retriable, 600, &mut counts), Some(Wait::Fixed(300)));
        retrier.begin();
        assert_eq!(retrier.failed(converter, &retriable, 9_000, &mut counts), Some(Wait::Fixed(300)));
    }
}
