//! Java's regular expressions (`java.util.regex`, as of Java 17), translated to a backtracking engine of Rust.
//!
//! A pattern is read with Java's grammar, and refused with Java's texts. What Java decides by flags, line terminators and ASCII
//! is written out in the translation, so that the engine only sees plain sets, groups, repetitions and look-around.
//!
//! Refused although Java takes them: `\X`, `\N{name}`, `\b{g}`, and of `\p{InBlock}` all but the most common blocks. A
//! look-behind must be one that the engine can do (no back references in it). Otherwise than in Java, a group in a loop does not take
//! a last round that matches nothing (`(a*)*`). Limits: [`LONGEST_PATTERN`], [`DEEPEST_PATTERN`],
//! and a million steps back in a search, which is an error of that search.

mod classes;
mod escapes;
mod groups;
mod properties;
mod replacement;
#[cfg(test)]
mod tests;

use std::fmt;

use fancy_regex::{Regex, RegexBuilder};

use crate::error::ConnectError;

/// Longest pattern, in characters.
pub const LONGEST_PATTERN: usize = 10_000;
/// Deepest nesting of groups and classes in a pattern.
pub const DEEPEST_PATTERN: usize = 100;
/// Steps back that a search may take.
const MOST_BACKTRACKING: usize = 1_000_000;

/// Java's `PatternSyntaxException`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternSyntaxError {
    /// What is wrong.
    pub description: String,
    /// Where, in characters of the pattern; `None` where it is not one place.
    pub index: Option<usize>,
    /// The pattern.
    pub pattern: String,
}

impl fmt::Display for PatternSyntaxError {
    /// As `PatternSyntaxException.getMessage()`: description, pattern, and a mark below the place.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.description)?;
        if let Some(index) = self.index {
            write!(formatter, " near index {index}")?;
        }
        write!(formatter, "\n{}", self.pattern)?;
        match self.index {
            Some(index) if index < self.pattern.encode_utf16().count() => write!(formatter, "\n{:index$}^", ""),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for PatternSyntaxError {}

impl From<PatternSyntaxError> for ConnectError {
    fn from(error: PatternSyntaxError) -> Self {
        Self::new("java.util.regex.PatternSyntaxException", error.to_string())
    }
}

/// A compiled pattern of Java.
#[derive(Clone, Debug)]
pub struct JavaRegex {
    pattern: String,
    /// Anchored at both ends.
    whole: Regex,
    part: Regex,
    names: Vec<(String, usize)>,
}

impl JavaRegex {
    /// `Pattern.compile(pattern)`.
    ///
    /// # Errors
    /// If Java would refuse the pattern, or it is beyond the limits of this module.
    pub fn new(pattern: &str) -> Result<Self, PatternSyntaxError> {
        let translated = groups::translate(pattern)?;
        let compile = |text: &str| {
            RegexBuilder::new(text).backtrack_limit(MOST_BACKTRACKING).build().map_err(|error| PatternSyntaxError {
                description: format!("Not supported: {error}"),
                index: None,
                pattern: pattern.to_owned(),
            })
        };
        Ok(Self {
            whole: compile(&format!("\\A(?:{})\\z", translated.regex))?,
            part: compile(&translated.regex)?,
            names: translated.names,
            pattern: pattern.to_owned(),
        })
    }

    /// The pattern as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// `Matcher.matches()`: whether the whole text is matched.
    ///
    /// # Errors
    /// A `StackOverflowError` if it takes too many steps back.
    pub fn is_match(&self, text: &str) -> Result<bool, ConnectError> {
        self.whole.is_match(text).map_err(|error| self.too_hard(&error))
    }

    /// `Matcher.find()` from the start: the first match's range, in bytes.
    ///
    /// # Errors
    /// As [`JavaRegex::is_match`].
    pub fn find(&self, text: &str) -> Result<Option<std::ops::Range<usize>>, ConnectError> {
        let found = self.part.find(text).map_err(|error| self.too_hard(&error))?;
        Ok(found.map(|found| found.start()..found.end()))
    }

    /// `Matcher.replaceFirst(replacement)`: `$1`, `${name}` and `\` are as in Java. Text without a match stays, and then the
    /// replacement is not looked at.
    ///
    /// # Errors
    /// As [`JavaRegex::is_match`]; an `IllegalArgumentException` or an `IndexOutOfBoundsException` if the replacement is
    /// malformed or names a group that the pattern does not have.
    pub fn replace_first(&self, text: &str, replacement: &str) -> Result<String, ConnectError> {
        let Some(captures) = self.part.captures(text).map_err(|error| self.too_hard(&error))? else {
            return Ok(text.to_owned());
        };
        let Some(all) = captures.get(0) else { return Ok(text.to_owned()) };
        let mut replaced = text[..all.start()].to_owned();
        replacement::expand(replacement, &captures, &self.names, &mut replaced)?;
        replaced.push_str(&text[all.end()..]);
        Ok(replaced)
    }

    fn too_hard(&self, error: &fancy_regex::Error) -> ConnectError {
        ConnectError::new(
            "java.lang.StackOverflowError",
            format!("Regex {} gives up on a text of this kind: {error}", self.pattern),
        )
    }
}
