//! Java's `SimpleDateFormat` in UTC and English: patterns such as `yyyy-MM-dd'T'HH:mm:ss.SSSXXX`, to write moments and to read them.
//!
//! Reading is lenient as in Java: numbers have any number of digits (but where number fields touch) and any value, may be
//! negative, and what follows the last field is ignored. Two-digit years under `yy` lie between 80 years before and 20 years
//! after the moment given at construction. Days before 15 October 1582 are Julian.
//!
//! Two things differ. Names of time zones stand for fixed offsets: standard time or, for names of summer time, one with the
//! saving. And a name that was read does not change the zone in which the same format writes afterwards.

mod calendar;
mod compile;
mod format;
mod parse;

use std::fmt;

pub(crate) use calendar::first_of_month;
use compile::Part;

use crate::values::with_ascii_digits;

/// A pattern that Java refuses, in its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IllegalDatePattern(pub String);

impl IllegalDatePattern {
    /// The class of the exception that Java throws.
    pub const CLASS: &str = "java.lang.IllegalArgumentException";
}

impl fmt::Display for IllegalDatePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for IllegalDatePattern {}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct JavaDateFormat {
    pattern: String,
    parts: Vec<Part>,
    /// Earliest moment that a two-digit year means, in milliseconds since the epoch.
    century_start_ms: i64,
}

impl JavaDateFormat {
    /// `new SimpleDateFormat(pattern)`. `now_ms` (milliseconds since the epoch) is what two-digit years are relative to.
    ///
    /// # Errors
    /// If the pattern has a letter without meaning, an open quote, or more than three `X`.
    pub fn new(pattern: &str, now_ms: i64) -> Result<Self, IllegalDatePattern> {
        Ok(Self {
            pattern: pattern.to_owned(),
            parts: compile::compile(pattern)?,
            century_start_ms: calendar::years_later(now_ms, -80),
        })
    }

    /// The pattern as it was given.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The text of a moment, given in milliseconds since the epoch.
    #[must_use]
    pub fn format(&self, millis: i64) -> String {
        format::format(&self.parts, millis)
    }

    /// The moment that a text says, in milliseconds since the epoch; `None` for Java's `ParseException`.
    #[must_use]
    pub fn parse(&self, text: &str) -> Option<i64> {
        let text = with_ascii_digits(text);
        parse::parse(&self.parts, self.century_start_ms, &text).map(|(millis, _)| millis)
    }

    /// Whether a text says a moment without being read leniently: all of it is read, no field is beyond its range or contradicts
    /// another, and the day is a Gregorian one.
    #[must_use]
    pub fn parses_exactly(&self, text: &str) -> bool {
        let text = with_ascii_digits(text);
        let parsed = parse::parse(&self.parts, self.century_start_ms, &text);
        parsed.is_some_and(|(millis, reader)| reader.is_exact(millis))
    }
}

#[cfg(test)]
mod tests;
