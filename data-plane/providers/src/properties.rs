//! Java's `.properties` format, as `java.util.Properties.load` reads it.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// A `\u` that four hexadecimal digits do not follow. Java's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedEscape;

impl std::fmt::Display for MalformedEscape {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Malformed \\uxxxx encoding.")
    }
}

impl std::error::Error for MalformedEscape {}

/// Parses properties; of a key's values the last one counts. Half a surrogate pair, which Java can hold, becomes `?`.
///
/// # Errors
/// [`MalformedEscape`].
pub fn parse_properties(text: &str) -> Result<BTreeMap<String, String>, MalformedEscape> {
    let mut lines = LogicalLines { chars: text.chars().peekable() };
    let mut properties = BTreeMap::new();
    while let Some(line) = lines.next_line() {
        let (key, value) = split(&line);
        properties.insert(unescape(key)?, unescape(value)?);
    }
    Ok(properties)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Lines joined where they end in an odd number of backslashes; without comments, empty lines and leading blanks.
struct LogicalLines<'a> {
    chars: Peekable<Chars<'a>>,
}

impl LogicalLines<'_> {
    fn next_line(&mut self) -> Option<Vec<char>> {
        let mut line = Vec::new();
        let mut is_escaped = false;
        let mut is_start = true;
        while let Some(c) = self.chars.next() {
            if is_start && is_blank(c) {
                continue;
            }
            is_start = false;
            match c {
                // A line is a comment also where a lone backslash stood before it.
                '#' | '!' if line.is_empty() => {
                    while self.chars.next_if(|c| !matches!(c, '\n' | '\r')).is_some() {}
                    is_start = true;
                }
                '\n' | '\r' if line.is_empty() => is_start = true,
                '\n' | '\r' if is_escaped => {
                    line.pop();
                    if self.chars.peek().is_none() {
                        return Some(line);
                    }
                    is_escaped = false;
                    is_start = true;
                    if c == '\r' {
                        self.chars.next_if_eq(&'\n');
                    }
                }
                '\n' | '\r' => return Some(line),
                _ => {
                    is_escaped = c == '\\' && !is_escaped;
                    line.push(c);
                }
            }
        }
        // A backslash at the very end joins nothing.
        match line.is_empty() {
            true => None,
            false => {
                if is_escaped {
                    line.pop();
                }
                Some(line)
            }
        }
    }
}

/// The key ends at the first `=`, `:` or blank that is not escaped; one `=` or `:` with blanks around it separates.
fn split(line: &[char]) -> (&[char], &[char]) {
    let mut is_escaped = false;
    let ends_key = |c: &char| {
        let ends = !is_escaped && (matches!(c, '=' | ':') || is_blank(*c));
        is_escaped = *c == '\\' && !is_escaped;
        ends
    };
    let key_length = line.iter().position(ends_key).unwrap_or(line.len());
    let (key, mut value) = line.split_at(key_length);
    let skip_blanks = |text: &mut &[char]| {
        while let [first, rest @ ..] = *text
            && is_blank(*first)
        {
            *text = rest;
        }
    };
    skip_blanks(&mut value);
    if let ['=' | ':', rest @ ..] = value {
        value = rest;
        skip_blanks(&mut value);
    }
    (key, value)
}

fn unescape(text: &[char]) -> Result<String, MalformedEscape> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.iter().copied();
    while let Some(c) = chars.next() {
        let plain = match c {
            '\\' => match chars.next() {
                Some('u') => {
                    let digits: Option<Vec<u32>> =
                        (0..4).map(|_| chars.next().and_then(|digit| digit.to_digit(16))).collect();
                    let code = digits.ok_or(MalformedEscape)?.into_iter().fold(0, |code, digit| code * 16 + digit);
                    units.push(code as u16);
                    continue;
                }
                Some('t') => '\t',
                Some('r') => '\r',
                Some('n') => '\n',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => break,
            },
            other => other,
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    Ok(char::decode_utf16(units).map(|unit| unit.unwrap_or('?')).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each text and what `java.util.Properties` of Java 17 makes of it.
    #[test]
    fn properties_are_read_as_java_reads_them() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            (
                "a=1\nb: 2\r\nc 3\rd\n\n  e = x = y  ",
                &[("a", "1"), ("b", "2"), ("c", "3"), ("d", ""), ("e", "x = y  ")],
            ),
            ("# c\n ! c\\\n a=#1\n", &[("a", "#1")]),
            ("a=1\\\n   2\\\r\n\t3\nb=x\\\\\nc=y\\\\\\\nz", &[("a", "123"), ("b", "x\\"), ("c", "y\\z")]),
            ("a=1\\\n#2\n", &[("a", "1#2")]),
            ("a=1\\\n\nb=2", &[("a", "1"), ("b", "2")]),
            ("\\\n#x\nk=v", &[("k", "v")]),
            ("\\\n\n  k=v", &[("k", "v")]),
            ("a\\ b\\=c\\:d=\\ e\\=\\q\\\\", &[("a b=c:d", " e=q\\")]),
            ("t=\\t\\n\\r\\f\\u0041\\u00e9\\uD83D\\uDE00é😀", &[("t", "\t\n\r\u{c}Aé😀é😀")]),
            ("a=\\ud83dx", &[("a", "?x")]),
            ("=v", &[("", "v")]),
            (" : v", &[("", "v")]),
            ("\\", &[("", "")]),
            ("\\\n", &[("", "")]),
            ("\\\r\n", &[]),
            ("a=1\\", &[("a", "1")]),
            ("a = = b", &[("a", "= b")]),
            ("a == b", &[("a", "= b")]),
            ("a\u{c}\t:\u{c}b", &[("a", "b")]),
            ("a=1\na=2", &[("a", "2")]),
            ("\u{feff}a=1", &[("\u{feff}a", "1")]),
            ("a=\u{a0}x", &[("a", "\u{a0}x")]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            let found = parse_properties(text).unwrap();
            let found: Vec<_> = found.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            assert_eq!(found, *expected, "{text:?}");
        }
        for text in ["a=\\u12", "a=\\u12x4", "\\u=1"] {
            assert_eq!(parse_properties(text), Err(MalformedEscape), "{text:?}");
        }
    }
}
