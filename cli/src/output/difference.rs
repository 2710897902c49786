//! What differs between two configs, as a unified diff of `key = value` lines.

use std::{collections::BTreeMap, fmt::Write as _};

type Config = BTreeMap<String, String>;

/// Unchanged lines around a change.
const CONTEXT: usize = 3;
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const PLAIN: &str = "\x1b[0m";

/// The diff from one named config to another; empty if they are equal.
pub(crate) fn unified((from, before): (&str, &Config), (to, after): (&str, &Config), colours: bool) -> String {
    let lines = lines(before, after);
    let hunks = hunks(&lines);
    let mut text = String::new();
    if !hunks.is_empty() {
        text.push_str(&format!("--- {from}\n+++ {to}\n"));
    }
    for (start, end) in hunks {
        let count = |range: &[(char, String)], not: char| range.iter().filter(|(sign, _)| *sign != not).count();
        let at = |sign: char| match (count(&lines[..start], sign), count(&lines[start..end], sign)) {
            // An empty side is named by the line before it.
            (before, 0) => format!("{before},0"),
            (before, length) => format!("{},{length}", before + 1),
        };
        // Writing to a String does not fail.
        let _ = writeln!(text, "@@ -{} +{} @@", at('+'), at('-'));
        for (sign, line) in &lines[start..end] {
            let _ = match (colours, sign) {
                (true, '-') => writeln!(text, "{RED}-{line}{PLAIN}"),
                (true, '+') => writeln!(text, "{GREEN}+{line}{PLAIN}"),
                _ => writeln!(text, "{sign}{line}"),
            };
        }
    }
    text
}

/// All lines of both in the order of keys, each with ' ', '-' or '+'.
fn lines(before: &Config, after: &Config) -> Vec<(char, String)> {
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut lines = Vec::new();
    for key in keys {
        let line = |value: &String| format!("{key} = {}", one_line(value));
        match (before.get(key), after.get(key)) {
            (Some(old), Some(new)) if old == new => lines.push((' ', line(old))),
            (old, new) => {
                lines.extend(old.map(|old| ('-', line(old))));
                lines.extend(new.map(|new| ('+', line(new))));
            }
        }
    }
    lines
}

/// A value may have several lines, or what a terminal would obey.
fn one_line(value: &str) -> String {
    value.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Where changes stand with what is around them, as ranges of lines.
fn hunks(lines: &[(char, String)]) -> Vec<(usize, usize)> {
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for (index, _) in lines.iter().enumerate().filter(|(_, (sign, _))| *sign != ' ') {
        let (start, end) = (index.saturating_sub(CONTEXT), (index + CONTEXT + 1).min(lines.len()));
        match hunks.last_mut() {
            Some((_, last)) if start <= *last => *last = end,
            _ => hunks.push((start, end)),
        }
    }
    hunks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn changes_stand_in_hunks() {
        let before: Vec<(String, String)> = (10..30).map(|n| (format!("k{n}"), "v".to_owned())).collect();
        let before: Config = before.into_iter().collect();
        let mut after = before.clone();
        after.insert("k10".to_owned(), "two\nlines".to_owned());
        after.remove("k28");
        after.insert("k40".to_owned(), String::new());
        let expected = "--- a\n+++ b\n@@ -1,4 +1,4 @@\n-k10 = v\n+k10 = two\\nlines\n k11 = v\n k12 = v\n k13 = v\n\
                        @@ -16,5 +16,5 @@\n k25 = v\n k26 = v\n k27 = v\n-k28 = v\n k29 = v\n+k40 = \n";
        assert_eq!(unified(("a", &before), ("b", &after), false), expected);
        assert_eq!(unified(("a", &before), ("b", &before), false), "");
    }

    #[test]
    fn everything_may_be_new_and_coloured() {
        let after = config(&[("a", "1")]);
        let expected = "--- x\n+++ y\n@@ -0,0 +1,1 @@\n\u{1b}[32m+a = 1\u{1b}[0m\n";
        assert_eq!(unified(("x", &Config::new()), ("y", &after), true), expected);
    }
}
