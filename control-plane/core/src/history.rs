//! The history of a connector's config: its revisions, what differs between them, and which are kept.

use crate::{connector::Config, ids::Generation, time::Wall};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, time::Duration};

/// Most characters of an author.
pub const AUTHOR_LIMIT_CHARS: usize = 256;
/// Most characters of a reason that a user gives.
pub const REASON_LIMIT_CHARS: usize = 1000;
/// How many revisions of a connector are kept.
pub const REVISIONS_KEPT: u64 = 50;
/// How long a revision is kept, unless it is one of the newest two.
pub const REVISIONS_KEPT_FOR: Duration = Duration::from_secs(365 * 24 * 3600);
/// So many of the newest are kept whatever their age: what runs, and what to roll back to.
const KEPT_AT_ANY_AGE: usize = 2;
/// Most revisions that one change drops; a transaction has a limit (`txn::TXN_LIMIT_OPS`).
const DROPPED_AT_ONCE: usize = 100;

/// An author or a reason that cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNote {
    /// Longer than its limit.
    #[error("it has {chars} characters; give at most {limit}")]
    TooLong {
        /// How many it has.
        chars: usize,
        /// How many it may have.
        limit: usize,
    },
    /// It would disturb a terminal.
    #[error("it has the control character {0:?}; leave that out")]
    Control(char),
}

fn checked(text: &str, limit: usize, allowed: &[char]) -> Result<String, InvalidNote> {
    let text = text.trim();
    let chars = text.chars().count();
    if chars > limit {
        return Err(InvalidNote::TooLong { chars, limit });
    }
    match text.chars().find(|c| c.is_control() && !allowed.contains(c)) {
        Some(control) => Err(InvalidNote::Control(control)),
        None => Ok(text.to_owned()),
    }
}

/// Who made a change: what the caller says, or else where the call came from. Nobody has checked it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Author(String);

impl Author {
    /// Without the space around it.
    ///
    /// # Errors
    /// More than [`AUTHOR_LIMIT_CHARS`] characters, or a control character.
    pub fn parse(text: &str) -> Result<Author, InvalidNote> {
        checked(text, AUTHOR_LIMIT_CHARS, &[]).map(Author)
    }

    /// The text; empty if it is not known.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a change was made; empty if nobody said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reason(String);

impl Reason {
    /// Without the space around it; may have several lines.
    ///
    /// # Errors
    /// More than [`REASON_LIMIT_CHARS`] characters, or a control character.
    pub fn parse(text: &str) -> Result<Reason, InvalidNote> {
        checked(text, REASON_LIMIT_CHARS, &['\n', '\t']).map(Reason)
    }

    /// Of a rollback, with what the user said about it.
    pub fn of_rollback(to: Generation, given: &Reason) -> Reason {
        match given.as_str() {
            "" => Reason(format!("rollback to revision {}", to.0)),
            given => Reason(format!("rollback to revision {}: {given}", to.0)),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Key `revisions/<uid>/<n>`: one accepted state of a connector's config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigRevision {
    /// The config generation that it made.
    pub generation: Generation,
    /// The config.
    pub config: Config,
    /// Who.
    #[serde(default)]
    pub author: Author,
    /// When.
    pub time: Wall,
    /// Why, if said.
    #[serde(default)]
    pub reason: Reason,
    /// The id of the rollback that made it, so that its repetition is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// What became of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyChange {
    /// It was not there before.
    Added {
        /// Its value.
        new: String,
    },
    /// It has another value.
    Changed {
        /// Before.
        old: String,
        /// After.
        new: String,
    },
    /// It is not there any more.
    Removed {
        /// What it was.
        old: String,
    },
}

/// Keys that differ.
pub type Changes = BTreeMap<String, KeyChange>;

/// What differs between two configs.
pub fn changes(before: &Config, after: &Config) -> Changes {
    let removed = before
        .iter()
        .filter(|(key, _)| !after.contains_key(*key))
        .map(|(key, old)| (key.clone(), KeyChange::Removed { old: old.clone() }));
    let others = after.iter().filter_map(|(key, new)| {
        let change = match before.get(key) {
            None => KeyChange::Added { new: new.clone() },
            Some(old) if old != new => KeyChange::Changed { old: old.clone(), new: new.clone() },
            Some(_) => return None,
        };
        Some((key.clone(), change))
    });
    removed.chain(others).collect()
}

/// What the revision at `index` of a history (oldest first) changed; None if the one before it is no longer kept.
pub fn changes_at(history: &[ConfigRevision], index: usize) -> Option<Changes> {
    let revision = history.get(index)?;
    match index.checked_sub(1).and_then(|before| history.get(before)) {
        Some(before) if before.generation.next() == revision.generation => {
            Some(changes(&before.config, &revision.config))
        }
        None if revision.generation == Generation::FIRST => Some(changes(&Config::new(), &revision.config)),
        _ => None,
    }
}

/// The revisions to drop from a history (oldest first) when one more is added at `now`: those above
/// [`REVISIONS_KEPT`] and those older than [`REVISIONS_KEPT_FOR`], but never the newest two.
pub fn outlived(history: &[ConfigRevision], now: Wall) -> impl Iterator<Item = Generation> {
    let total = history.len() + 1;
    let above = total.saturating_sub(REVISIONS_KEPT as usize);
    let oldest_kept = now.0.saturating_sub(REVISIONS_KEPT_FOR.as_millis() as i64);
    // The history stays without gaps: it is cut at its old end.
    let aged = history.iter().take_while(|revision| revision.time.0 < oldest_kept).count();
    let dropped = above.max(aged).min(total.saturating_sub(KEPT_AT_ANY_AGE)).min(DROPPED_AT_ONCE);
    history[..dropped].iter().map(|revision| revision.generation)
}

/// The revisions that may exist when `last` is the newest.
pub fn kept_revisions(last: Generation) -> impl Iterator<Item = Generation> {
    (last.0.saturating_sub(REVISIONS_KEPT - 1).max(1)..=last.0).map(Generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 3600 * 1000;

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn revision(generation: u64, day: i64) -> ConfigRevision {
        ConfigRevision {
            generation: Generation(generation),
            config: config(&[("n", &generation.to_string())]),
            author: Author::default(),
            time: Wall(day * DAY_MS),
            reason: Reason::default(),
            request_id: None,
        }
    }

    #[test]
    fn differences_by_key() {
        let before = config(&[("gone", "1"), ("kept", "2"), ("other", "3")]);
        let after = config(&[("kept", "2"), ("new", ""), ("other", "4")]);
        let text = |text: &str| text.to_owned();
        let expected = Changes::from([
            (text("gone"), KeyChange::Removed { old: text("1") }),
            (text("new"), KeyChange::Added { new: text("") }),
            (text("other"), KeyChange::Changed { old: text("3"), new: text("4") }),
        ]);
        assert_eq!(changes(&before, &after), expected);
        assert_eq!(changes(&after, &after), Changes::new());
    }

    #[test]
    fn changes_are_against_the_revision_before() {
        let whole = [revision(1, 0), revision(2, 0)];
        let new = "1".to_owned();
        assert_eq!(changes_at(&whole, 0), Some(Changes::from([("n".to_owned(), KeyChange::Added { new })])));
        let (old, new) = ("1".to_owned(), "2".to_owned());
        assert_eq!(changes_at(&whole, 1), Some(Changes::from([("n".to_owned(), KeyChange::Changed { old, new })])));
        assert_eq!(changes_at(&whole, 2), None);
        assert_eq!(changes_at(&whole[1..], 0), None, "the one before was dropped");
        assert_eq!(changes_at(&[revision(1, 0), revision(3, 0)], 1), None, "a gap");
    }

    #[test]
    fn histories_are_bounded_by_count_and_age() {
        let check = |history: &[ConfigRevision], today: i64, expected: &[u64]| {
            let dropped: Vec<u64> = outlived(history, Wall(today * DAY_MS)).map(|generation| generation.0).collect();
            assert_eq!(dropped, expected);
        };
        let many: Vec<_> = (11..=60).map(|generation| revision(generation, 0)).collect();
        check(&many, 0, &[11]);
        check(&many[1..], 0, &[]);
        let days = [revision(1, 0), revision(2, 10), revision(3, 20), revision(4, 30)];
        check(&days, 365, &[]);
        check(&days, 366, &[1]);
        check(&days, 380, &[1, 2]);
        check(&days, 5000, &[1, 2, 3]);
        check(&days[3..], 5000, &[]);
        check(&[], 5000, &[]);
        let lowered: Vec<_> = (1..=300).map(|generation| revision(generation, 0)).collect();
        assert_eq!(outlived(&lowered, Wall(0)).count(), DROPPED_AT_ONCE);
    }

    #[test]
    fn notes_are_short_and_plain() {
        assert_eq!(Reason::parse(" two\nlines\t").as_ref().map(Reason::as_str), Ok("two\nlines"));
        assert_eq!(Author::parse("two\nlines"), Err(InvalidNote::Control('\n')));
        assert_eq!(Reason::parse("\u{1b}[31m"), Err(InvalidNote::Control('\u{1b}')));
        assert!(Reason::parse(&"é".repeat(REASON_LIMIT_CHARS)).is_ok());
        let error = Reason::parse(&"é".repeat(REASON_LIMIT_CHARS + 1)).unwrap_err();
        assert_eq!(error.to_string(), "it has 1001 characters; give at most 1000");
        let given = Reason::parse("it was slow").unwrap();
        assert_eq!(Reason::of_rollback(Generation(3), &given).as_str(), "rollback to revision 3: it was slow");
        assert_eq!(Reason::of_rollback(Generation(3), &Reason::default()).as_str(), "rollback to revision 3");
    }

    #[test]
    fn what_was_stored_before_still_reads() {
        let stored = r#"{"v":1,"generation":2,"config":{"a":"b"},"author":"rest","time":5,"reason":""}"#;
        let read: ConfigRevision = serde_json::from_str(stored).unwrap();
        assert_eq!((read.author.as_str(), read.reason.as_str(), read.request_id), ("rest", "", None));
        let bare: ConfigRevision = serde_json::from_str(r#"{"generation":1,"config":{},"time":5}"#).unwrap();
        assert_eq!(bare.author, Author::default());
    }
}
