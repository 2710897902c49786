//! Patterns taken apart.

use super::IllegalDatePattern;

/// A piece of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A character as it is.
    Literal(char),
    /// A letter, repeated so often.
    Field(u8, usize),
}

/// Letters with a meaning.
const LETTERS: &[u8] = b"GyMdkHmsSEDFwWahKzZYuXL";

/// The parts of a pattern.
pub(super) fn compile(pattern: &str) -> Result<Vec<Part>, IllegalDatePattern> {
    let mut parts = Vec::new();
    let mut is_quoted = false;
    let mut rest = pattern.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\'' if rest.next_if_eq(&'\'').is_some() => parts.push(Part::Literal('\'')),
            '\'' => is_quoted = !is_quoted,
            letter if letter.is_ascii_alphabetic() && !is_quoted => {
                let known = u8::try_from(letter).ok().filter(|letter| LETTERS.contains(letter));
                let letter =
                    known.ok_or_else(|| IllegalDatePattern(format!("Illegal pattern character '{letter}'")))?;
                match parts.last_mut() {
                    Some(Part::Field(last, count)) if *last == letter => {
                        *count += 1;
                    }
                    _ => parts.push(Part::Field(letter, 1)),
                }
            }
            other => parts.push(Part::Literal(other)),
        }
    }
    if is_quoted {
        return Err(IllegalDatePattern("Unterminated quote".to_owned()));
    }
    match parts.iter().find_map(|part| if let Part::Field(b'X', count @ 4..) = part { Some(count) } else { None }) {
        Some(count) => Err(IllegalDatePattern(format!("invalid ISO 8601 format: length={count}"))),
        None => Ok(parts),
    }
}
