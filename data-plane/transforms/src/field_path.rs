//! Paths to fields: Connect's `SingleFieldPath` with both field syntax versions (KIP-821).

use data_plane_connector_api::config_def::{ConfigType, Importance, Validator};
use data_plane_connector_api::{ConfigKey, ConnectError};

/// The key that chooses a syntax.
pub(crate) const FIELD_SYNTAX_VERSION: &str = "field.syntax.version";

/// The definition of [`FIELD_SYNTAX_VERSION`].
pub(crate) fn syntax_version_key() -> ConfigKey {
    ConfigKey::optional(
        FIELD_SYNTAX_VERSION,
        ConfigType::String,
        Some("V1"),
        Importance::High,
        "V1 names a field of the outermost struct or map. V2 names nested ones too: steps are joined by dots, and a step that holds \
         dots itself stands between backticks.",
    )
    .validator(Validator::OneOfIgnoreCase(vec!["V1".to_owned(), "V2".to_owned()]))
}

/// The steps of a path in a syntax version that has passed validation. The empty path has none in V2.
///
/// # Errors
/// A `ConfigException` if a backtick is not closed.
pub(crate) fn steps(path: &str, version: &str) -> Result<Vec<String>, ConnectError> {
    if version.eq_ignore_ascii_case("V1") {
        return Ok(vec![path.to_owned()]);
    }
    let mut steps = Vec::new();
    let mut at = 0;
    while at < path.len() {
        if path[at..].starts_with('`') {
            let (step, next) = quoted(path, at)?;
            steps.push(step);
            at = next;
        } else {
            let end = path[at..].find('.').map_or(path.len(), |dot| at + dot);
            steps.push(path[at..end].to_owned());
            at = end + 1;
        }
    }
    if path.ends_with('.') {
        steps.push(String::new());
    }
    Ok(steps)
}

/// The step that begins with the backtick at `open`, and where the next one begins. A backtick closes it before a dot or at the end
/// of the path; before a dot, a backslash makes it a part of the name. Any other backtick is a part of the name.
fn quoted(path: &str, open: usize) -> Result<(String, usize), ConnectError> {
    let incomplete = || {
        let position = path[..open].encode_utf16().count();
        ConnectError::config(format!(
            "Incomplete backtick pair in path: [{path}], consider adding a backslash before backtick at position {position} to escape it"
        ))
    };
    let mut step = String::new();
    let mut start = open + 1;
    let mut at = start;
    loop {
        at += path[at..].find('`').ok_or_else(incomplete)?;
        let is_escaped = path[..at].ends_with('\\');
        let rest = &path[at + 1..];
        if rest.is_empty() {
            if is_escaped {
                return Err(incomplete());
            }
            step.push_str(&path[start..at]);
            return Ok((step, at + 1));
        }
        if rest.starts_with('.') && !is_escaped {
            step.push_str(&path[start..at]);
            return Ok((step, at + 2));
        }
        if rest.starts_with('.') {
            step.push_str(&path[start..at - 1]);
            step.push('`');
            start = at + 1;
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &[&str]) {
        assert_eq!(steps(path, "v2").expect("a path"), expected, "{path}");
    }

    #[test]
    fn dots_join_steps_and_backticks_hold_them() {
        check("", &[]);
        check("a", &["a"]);
        check("a.b.c", &["a", "b", "c"]);
        check(".a.", &["", "a", ""]);
        check("`a.b`.c", &["a.b", "c"]);
        check("`a.b`.", &["a.b", ""]);
        check("a.`b`c.d`", &["a", "b`c.d"]);
        check("`a\\`.b`", &["a`.b"]);
        check("``", &[""]);
        check("é.`ü.`.x", &["é", "ü.", "x"]);
        assert_eq!(steps("a.`b", "V1").as_deref(), Ok(&["a.`b".to_owned()][..]));
    }

    #[test]
    fn open_backticks_are_refused() {
        for path in ["`", "a.`b", "`a`b", "`a\\`"] {
            assert!(steps(path, "V2").expect_err("refused").message.starts_with("Incomplete backtick pair"), "{path}");
        }
    }
}
