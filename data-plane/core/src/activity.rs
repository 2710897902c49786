//! What a unit is doing, and whether it stands still though there is something to do.
//!
//! The runner notes each call that may take its time, what it tries again and again, and what waits for an outcome; whoever
//! watches asks where it has stood still, and since when.

use crate::time::Monotonic;
use std::{fmt, time::Duration};

/// A call into plugin code, or a wait for Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Config providers, plugins and clients are made.
    Build,
    /// Stored source offsets are read to their end.
    ReadOffsets,
    /// `start()`
    Start,
    /// The consumer looks for its brokers.
    Connect,
    /// `taskConfigs()`
    TaskConfigs,
    /// `poll()`: it may wait for input as long as it likes.
    Poll,
    /// Transforms and converters.
    Convert,
    /// Topics are found or created.
    Topics,
    /// The task is told what became of its records: `commitRecord()`, `commit()`
    Acknowledge,
    /// `open()`
    Open,
    /// `close()`
    Close,
    /// `put()`
    Put,
    /// `preCommit()`, which flushes.
    Flush,
    /// Offsets are committed.
    Commit,
    /// Dead letters are written.
    DeadLetters,
    /// What was handed over becomes durable before the end.
    Drain,
    /// `stop()`
    Stop,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Build => "preparing the task",
            Stage::ReadOffsets => "reading offsets",
            Stage::Start => "start",
            Stage::Connect => "connecting to Kafka",
            Stage::TaskConfigs => "taskConfigs",
            Stage::Poll => "poll",
            Stage::Convert => "transform/convert",
            Stage::Topics => "finding topics",
            Stage::Acknowledge => "commitRecord",
            Stage::Open => "open",
            Stage::Close => "close",
            Stage::Put => "put",
            Stage::Flush => "flush/preCommit",
            Stage::Commit => "commit",
            Stage::DeadLetters => "writing dead letters",
            Stage::Drain => "waiting for Kafka before the end",
            Stage::Stop => "stop",
        })
    }
}

/// What has no outcome yet, or is there to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pending {
    /// Records that were handed over.
    Records(u64),
    /// Source offsets that were handed over.
    Offsets(u64),
    /// Records of a sink's partitions that were not read.
    Input(u64),
}

/// Where a unit stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A call does not return.
    In(Stage),
    /// Something fails again and again.
    Retrying(Stage),
    /// A `poll` waits for input while this waits for its outcome.
    Poll(Pending),
    /// Nothing of this gets its outcome.
    Waiting(Pending),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::In(stage) => write!(f, "{stage}"),
            Place::Retrying(stage) => write!(f, "retrying {stage}"),
            Place::Poll(Pending::Records(count)) => {
                write!(f, "waiting in poll, with {} not acknowledged", records(*count))
            }
            Place::Poll(_) => write!(f, "waiting in poll, with offsets not acknowledged"),
            Place::Waiting(Pending::Records(count)) => {
                write!(f, "waiting for Kafka to acknowledge {}", records(*count))
            }
            Place::Waiting(Pending::Offsets(_)) => write!(f, "waiting for Kafka to acknowledge offsets"),
            Place::Waiting(Pending::Input(count)) => write!(f, "waiting for Kafka, {} behind", records(*count)),
        }
    }
}

fn records(count: u64) -> String {
    format!("{count} record{}", if count == 1 { "" } else { "s" })
}

/// A unit stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// Since when.
    pub since: Monotonic,
    /// Where.
    pub place: Place,
}

impl Stall {
    /// Whether it is the same one, though more may have piled up meanwhile.
    pub fn is_same(&self, other: &Stall) -> bool {
        self.since == other.since && std::mem::discriminant(&self.place) == std::mem::discriminant(&other.place)
    }
}

/// What one unit is doing.
#[derive(Debug, Clone, Default)]
pub struct Activity {
    stage: Option<(Stage, Monotonic)>,
    /// One entry a stage at the most.
    retrying: Vec<(Stage, Monotonic)>,
    /// Since when nothing of it got its outcome.
    pending: Option<(Pending, Monotonic)>,
    /// Outcomes so far.
    done: u64,
}

impl Activity {
    /// A call begins. Gives what to go back to: see [`Activity::leave`].
    pub fn enter(&mut self, stage: Stage, now: Monotonic) -> Option<(Stage, Monotonic)> {
        self.stage.replace((stage, now))
    }

    /// It is over.
    pub fn leave(&mut self, before: Option<(Stage, Monotonic)>) {
        self.stage = before;
    }

    /// The call that does not return yet, and since when.
    pub fn stage(&self) -> Option<(Stage, Monotonic)> {
        self.stage
    }

    /// It failed, and is tried again.
    pub fn retries(&mut self, stage: Stage, now: Monotonic) {
        if !self.retrying.iter().any(|(known, _)| *known == stage) {
            self.retrying.push((stage, now));
        }
    }

    /// It succeeded, or is given up.
    pub fn settled(&mut self, stage: Stage) {
        self.retrying.retain(|(known, _)| *known != stage);
    }

    /// What waits after so many outcomes.
    pub fn note(&mut self, done: u64, pending: Option<Pending>, now: Monotonic) {
        let since = self.pending.map(|(_, since)| since).filter(|_| self.done == done).unwrap_or(now);
        self.done = done;
        self.pending = pending.map(|pending| (pending, since));
    }

    /// Where the unit has stood still for `after` or longer, of the time since `from`.
    pub fn stall(&self, from: Monotonic, now: Monotonic, after: Duration) -> Option<Stall> {
        let is_long = |since: &Monotonic| now.since((*since).max(from)) >= after;
        let pending = self.pending.filter(|(_, since)| is_long(since));
        let called = match (self.stage, pending) {
            (Some((Stage::Poll, _)), None) => None,
            (Some((Stage::Poll, at)), Some((pending, since))) if is_long(&at) => Some((Place::Poll(pending), since)),
            (Some((stage, since)), _) if is_long(&since) => Some((Place::In(stage), since)),
            _ => None,
        };
        let retried = || {
            let longest = self.retrying.iter().filter(|(_, since)| is_long(since)).min_by_key(|(_, since)| *since);
            longest.map(|(stage, since)| (Place::Retrying(*stage), *since))
        };
        let waiting = || pending.map(|(pending, since)| (Place::Waiting(pending), since));
        let found = called.or_else(retried).or_else(waiting);
        found.map(|(place, since)| Stall { since, place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_millis(100);

    fn at(ms: u64) -> Monotonic {
        Monotonic(ms)
    }

    fn stall(activity: &Activity, from: u64, now: u64) -> Option<(String, u64)> {
        activity.stall(at(from), at(now), AFTER).map(|stall| (stall.place.to_string(), stall.since.0))
    }

    fn place(text: &str, since: u64) -> Option<(String, u64)> {
        Some((text.to_owned(), since))
    }

    #[test]
    fn a_call_that_does_not_return_is_a_stall_until_it_does() {
        let mut activity = Activity::default();
        let before = activity.enter(Stage::Put, at(10));
        assert_eq!(stall(&activity, 0, 109), None);
        assert_eq!(stall(&activity, 0, 110), place("put", 10));
        assert_eq!(stall(&activity, 50, 149), None, "the unit has not been running for so long");
        activity.leave(before);
        assert_eq!(stall(&activity, 0, 1000), None);
    }

    #[test]
    fn a_poll_may_wait_unless_records_wait_for_their_outcome() {
        let mut activity = Activity::default();
        activity.note(0, None, at(0));
        activity.enter(Stage::Poll, at(10));
        assert_eq!(stall(&activity, 0, 10_000), None);
        activity.note(0, Some(Pending::Records(1)), at(20));
        assert_eq!(stall(&activity, 0, 119), None);
        assert_eq!(stall(&activity, 0, 120), place("waiting in poll, with 1 record not acknowledged", 20));
    }

    #[test]
    fn what_is_pending_stalls_when_no_outcome_comes() {
        let mut activity = Activity::default();
        activity.note(5, Some(Pending::Records(3)), at(0));
        activity.note(5, Some(Pending::Records(7)), at(60));
        assert_eq!(stall(&activity, 0, 100), place("waiting for Kafka to acknowledge 7 records", 0));
        activity.note(6, Some(Pending::Records(6)), at(100));
        assert_eq!(stall(&activity, 0, 199), None);
        assert_eq!(stall(&activity, 0, 200), place("waiting for Kafka to acknowledge 6 records", 100));
        activity.note(6, None, at(210));
        assert_eq!(stall(&activity, 0, 1000), None);
        activity.note(6, Some(Pending::Input(2)), at(1000));
        assert_eq!(stall(&activity, 0, 1099), None);
        assert_eq!(stall(&activity, 0, 1100), place("waiting for Kafka, 2 records behind", 1000));
    }

    #[test]
    fn what_is_tried_again_and_again_is_named() {
        let mut activity = Activity::default();
        activity.retries(Stage::Put, at(0));
        activity.note(0, Some(Pending::Input(9)), at(0));
        activity.retries(Stage::Put, at(90));
        let before = activity.enter(Stage::Put, at(95));
        assert_eq!(stall(&activity, 0, 100), place("retrying put", 0));
        activity.leave(before);
        activity.settled(Stage::Put);
        activity.note(1, Some(Pending::Input(9)), at(100));
        assert_eq!(stall(&activity, 0, 150), None);
    }

    #[test]
    fn a_stall_stays_the_same_while_more_piles_up() {
        let stall = |count, since| Stall { since: at(since), place: Place::Waiting(Pending::Records(count)) };
        assert!(stall(1, 0).is_same(&stall(2, 0)));
        assert!(!stall(1, 0).is_same(&stall(1, 5)));
        assert!(!stall(1, 0).is_same(&Stall { since: at(0), place: Place::In(Stage::Put) }));
    }
}
