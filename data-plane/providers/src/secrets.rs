//! What was resolved, and how it is kept out of whatever leaves the worker.

use std::borrow::Cow;
use std::fmt;

use data_plane_connector_api::Config;

/// A shorter value is not looked for inside texts: it would be found in words that have nothing to do with it.
const MIN_MASKED_CHARS: usize = 4;

/// A config entry with references, before and after.
#[derive(Clone, PartialEq, Eq)]
struct Entry {
    key: String,
    raw: String,
    resolved: String,
}

/// The resolved values of one config, and the references that they stand for.
///
/// Values are found again as they are, and without the white space around them. A value of fewer than four characters is
/// put back only where it is a whole config value; in free text it is no secret worth the name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    entries: Vec<Entry>,
    /// What to look for and what to put there, the longest first.
    replacements: Vec<(String, String)>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.entries.iter().map(|entry| (&entry.key, &entry.raw))).finish()
    }
}

impl Secrets {
    /// Remembers that `reference` stands for `value`.
    pub(crate) fn add_value(&mut self, reference: &str, value: &str) {
        // A reference that stands in a text already stays as it is.
        let candidates = [(value, reference), (value.trim(), reference), (reference, reference)];
        for (from, to) in candidates {
            let is_known = self.replacements.iter().any(|(known, _)| known == from);
            if !is_known && from.chars().count() >= MIN_MASKED_CHARS {
                self.replacements.push((from.to_owned(), to.to_owned()));
            }
        }
        self.replacements.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
    }

    /// Remembers a whole config entry that holds a reference.
    pub(crate) fn add_entry(&mut self, key: &str, raw: &str, resolved: &str) {
        self.entries.push(Entry { key: key.to_owned(), raw: raw.to_owned(), resolved: resolved.to_owned() });
    }

    /// Knows what another one knows, too.
    pub fn extend(&mut self, other: Self) {
        self.entries.extend(other.entries);
        for (from, to) in other.replacements {
            if !self.replacements.iter().any(|(known, _)| *known == from) {
                self.replacements.push((from, to));
            }
        }
        self.replacements.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
    }

    /// Whether nothing was resolved.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The text with each resolved value replaced by its reference. Use it on all that leaves the worker: errors, traces,
    /// states.
    #[must_use]
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.replacements.iter().any(|(from, _)| text.contains(from)) {
            return Cow::Borrowed(text);
        }
        let (mut masked, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(next) = rest.chars().next() {
            match self.replacements.iter().find(|(from, _)| rest.starts_with(from)) {
                Some((from, to)) => {
                    masked.push_str(to);
                    rest = &rest[from.len()..];
                }
                None => {
                    masked.push(next);
                    rest = &rest[next.len_utf8()..];
                }
            }
        }
        Cow::Owned(masked)
    }

    /// A config made from the resolved one (a task's), with the references back in place: a value that is what an entry of
    /// the connector's config became is that entry again, first of all the one with the same key; in others each resolved
    /// value is replaced as [`Secrets::mask`] does.
    #[must_use]
    pub fn put_references_back(&self, config: &Config) -> Config {
        let put_back = |(key, value): (&String, &String)| {
            let same = || self.entries.iter().filter(|entry| entry.resolved == *value);
            let raw = match same().find(|entry| entry.key == *key).or_else(|| same().next()) {
                Some(entry) => entry.raw.clone(),
                None => self.mask(value).into_owned(),
            };
            (key.clone(), raw)
        };
        config.iter().map(put_back).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add_value("${f:p:user}", "admin");
        secrets.add_value("${f:p:password}", "admin-s3cret\n");
        secrets.add_value("${f:p:pin}", "12");
        secrets.add_entry("url", "db://${f:p:user}@h", "db://admin@h");
        secrets.add_entry("pin", "${f:p:pin}", "12");
        secrets.add_entry("copy", "${f:p:pin}", "12");
        secrets
    }

    #[test]
    fn texts_get_the_references_back() {
        for (text, expected) in [
            ("nothing", "nothing"),
            ("user admin: no", "user ${f:p:user}: no"),
            ("admin-s3cret", "${f:p:password}"),
            ("[admin-s3cret\n]é12", "[${f:p:password}]é12"),
            ("adminadmin", "${f:p:user}${f:p:user}"),
        ] {
            assert_eq!(secrets().mask(text), expected);
            // Twice is as once.
            assert_eq!(secrets().mask(expected), expected);
        }
        assert!(matches!(secrets().mask("nothing"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_value_that_is_part_of_a_reference_leaves_references_alone() {
        let mut secrets = Secrets::default();
        secrets.add_value("${env:PASSWORD}", "PASSWORD");
        assert_eq!(secrets.mask("${env:PASSWORD} PASSWORD"), "${env:PASSWORD} ${env:PASSWORD}");
    }

    #[test]
    fn task_configs_get_the_references_back() {
        let task: Config = [("url", "db://admin@h"), ("pin", "12"), ("other", "12"), ("n", "123"), ("u", "x=admin")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let expected = [
            ("url", "db://${f:p:user}@h"),
            ("pin", "${f:p:pin}"),
            ("other", "${f:p:pin}"),
            ("n", "123"),
            ("u", "x=${f:p:user}"),
        ];
        let expected: Config = expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        assert_eq!(secrets().put_references_back(&task), expected);
    }

    #[test]
    fn debug_shows_no_values() {
        assert!(!format!("{:?}", secrets()).contains("admin"));
    }
}
