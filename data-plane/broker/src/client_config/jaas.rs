//! `sasl.jaas.config`: one login module of Java's, `<class> <flag> <option>=<value> ...;`.

use std::collections::BTreeMap;

/// A login module with its options.
#[derive(PartialEq, Eq)]
pub(super) struct LoginModule {
    /// The class's name without its package.
    pub class: String,
    pub options: BTreeMap<String, String>,
}

impl std::fmt::Debug for LoginModule {
    /// Values may be secrets.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {:?}", self.class, self.options.keys().collect::<Vec<_>>())
    }
}

enum Token {
    /// A word, or a quoted text.
    Text(String),
    Equals,
    Semicolon,
}

/// Parses it.
///
/// # Errors
/// A text, without any of the values, that says what is missing.
pub(super) fn parse(text: &str) -> Result<LoginModule, String> {
    let mut tokens = tokens(text)?.into_iter();
    let Some(Token::Text(class)) = tokens.next() else {
        return Err("Login module not specified in JAAS config".to_owned());
    };
    match tokens.next() {
        Some(Token::Text(flag))
            if ["required", "requisite", "sufficient", "optional"].contains(&flag.to_lowercase().as_str()) => {}
        _ => return Err("Login module control flag not specified in JAAS config (such as: required)".to_owned()),
    }
    let class = class.rsplit('.').next().unwrap_or_default().to_owned();
    let mut options = BTreeMap::new();
    loop {
        match tokens.next() {
            Some(Token::Semicolon) => return Ok(LoginModule { class, options }),
            Some(Token::Text(key)) => match (tokens.next(), tokens.next()) {
                (Some(Token::Equals), Some(Token::Text(value))) => drop(options.insert(key, value)),
                // An unquoted password may stand where a key is expected, so it is not repeated.
                _ => return Err("Value not specified for a key in JAAS config; write key=\"value\"".to_owned()),
            },
            _ => return Err("JAAS config entry not terminated by semi-colon".to_owned()),
        }
    }
}

/// Words and quoted texts; inside quotes a backslash keeps the next character as it is.
fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '=' => tokens.push(Token::Equals),
            ';' => tokens.push(Token::Semicolon),
            '"' | '\'' => {
                let mut value = String::new();
                loop {
                    match chars.next() {
                        Some('\\') => match chars.next() {
                            Some('n') => value.push('\n'),
                            Some('t') => value.push('\t'),
                            Some('r') => value.push('\r'),
                            Some(other) => value.push(other),
                            None => return Err("a quote is not closed in JAAS config".to_owned()),
                        },
                        Some(end) if end == c => break,
                        Some(other) => value.push(other),
                        None => return Err("a quote is not closed in JAAS config".to_owned()),
                    }
                }
                tokens.push(Token::Text(value));
            }
            first => {
                let mut word = String::from(first);
                while let Some(next) = chars.next_if(|c| !c.is_whitespace() && !matches!(c, '=' | ';' | '"' | '\'')) {
                    word.push(next);
                }
                tokens.push(Token::Text(word));
            }
        }
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_read() {
        let module = parse(
            " org.apache.kafka.common.security.scram.ScramLoginModule Required\n username='u' password=\"p=;\\\"'\\\\ x\" n=5 ; ",
        )
        .unwrap();
        assert_eq!(module.class, "ScramLoginModule");
        let expected = [("n", "5"), ("password", "p=;\"'\\ x"), ("username", "u")];
        assert!(module.options.iter().map(|(key, value)| (key.as_str(), value.as_str())).eq(expected));
        assert!(!format!("{module:?}").contains("p=;"));
    }

    #[test]
    fn mistakes_are_told_without_values() {
        for (text, problem) in [
            ("", "Login module not specified"),
            ("a.B", "control flag"),
            ("a.B x=s3cret", "control flag"),
            ("a.B required password=\"s3cret\"", "semi-colon"),
            ("a.B required password=\"s3cret;", "quote is not closed"),
            ("a.B required password s3cret;", "Value not specified"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(problem) && !error.contains("s3cret"), "{text}: {error}");
        }
    }
}
