//! Replacement texts: `$1`, `${name}`, `\`.

use fancy_regex::Captures;

use crate::error::ConnectError;

fn illegal(message: impl Into<String>) -> ConnectError {
    ConnectError::new("java.lang.IllegalArgumentException", message)
}

/// Appends a replacement for a match.
pub(super) fn expand(
    replacement: &str,
    captures: &Captures<'_, str>,
    names: &[(String, usize)],
    out: &mut String,
) -> Result<(), ConnectError> {
    let last_group = captures.len() - 1;
    let mut rest = replacement.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\\' => out.push(rest.next().ok_or_else(|| illegal("character to be escaped is missing"))?),
            '$' => {
                let group = match rest.next() {
                    None => return Err(illegal("Illegal group reference: group index is missing")),
                    Some('{') => named(&mut rest, names)?,
                    Some(first) => {
                        let first = first.to_digit(10).ok_or_else(|| illegal("Illegal group reference"))?;
                        // As many digits as make the number of a group.
                        let mut group = first as usize;
                        while let Some(digit) = rest.peek().and_then(|next| next.to_digit(10)) {
                            let longer = group * 10 + digit as usize;
                            if longer > last_group {
                                break;
                            }
                            group = longer;
                            rest.next();
                        }
                        group
                    }
                };
                if group > last_group {
                    return Err(ConnectError::new("java.lang.IndexOutOfBoundsException", format!("No group {group}")));
                }
                out.push_str(captures.get(group).map_or("", |found| found.as_str()));
            }
            other => out.push(other),
        }
    }
    Ok(())
}

/// The group of `${name}`, whose brace was taken.
fn named(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    names: &[(String, usize)],
) -> Result<usize, ConnectError> {
    let mut name = String::new();
    while let Some(character) = rest.next_if(char::is_ascii_alphanumeric) {
        name.push(character);
    }
    if name.is_empty() {
        return Err(illegal("named capturing group has 0 length name"));
    }
    if rest.next() != Some('}') {
        return Err(illegal("named capturing group is missing trailing '}'"));
    }
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(illegal(format!("capturing group name {{{name}}} starts with digit character")));
    }
    let found = names.iter().find(|(known, _)| *known == name);
    found.map(|(_, group)| *group).ok_or_else(|| illegal(format!("No group with name {{{name}}}")))
}
