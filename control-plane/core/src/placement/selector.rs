//! Which workers a connector may run on, in the syntax of kubectl's label selectors.

use std::collections::BTreeSet;

/// Requirements that a worker's labels all meet; the default has none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Selector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Requirement {
    label: String,
    wanted: Wanted,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    /// `zone=eu`, `tier in (a,b)`
    OneOf(BTreeSet<String>),
    /// `disk!=hdd`, `tier notin (a,b)`: also met where there is no such label.
    NoneOf(BTreeSet<String>),
    /// `gpu`
    Present,
    /// `!spot`
    Absent,
}

/// A text is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} stands where {expected} should; write it like zone=eu,disk!=hdd,tier in (a,b),!spot,gpu")]
pub struct InvalidSelector {
    found: String,
    expected: &'static str,
}

impl Selector {
    /// No requirement.
    pub const fn any() -> Selector {
        Selector(Vec::new())
    }

    /// Reads `zone=eu,disk!=hdd,tier in (a,b),tier notin (c),!spot,gpu`; an empty text requires nothing.
    pub fn parse(text: &str) -> Result<Selector, InvalidSelector> {
        let mut tokens = Tokens { rest: text };
        let mut requirements = Vec::new();
        if tokens.peek() == Token::End {
            return Ok(Selector(requirements));
        }
        loop {
            requirements.push(requirement(&mut tokens)?);
            match tokens.next() {
                Token::End => return Ok(Selector(requirements)),
                Token::Comma => {}
                other => return Err(other.instead_of("a comma")),
            }
        }
    }

    /// Whether labels meet all requirements.
    pub fn matches<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        self.0.iter().all(|requirement| {
            let found = label(&requirement.label);
            match &requirement.wanted {
                Wanted::OneOf(values) => found.is_some_and(|value| values.contains(value)),
                Wanted::NoneOf(values) => found.is_none_or(|value| !values.contains(value)),
                Wanted::Present => found.is_some(),
                Wanted::Absent => found.is_none(),
            }
        })
    }
}

fn requirement(tokens: &mut Tokens<'_>) -> Result<Requirement, InvalidSelector> {
    let label = match tokens.next() {
        Token::Word(label) => label.to_owned(),
        Token::Not => {
            return match tokens.next() {
                Token::Word(label) => Ok(Requirement { label: label.to_owned(), wanted: Wanted::Absent }),
                other => Err(other.instead_of("a label's name")),
            };
        }
        other => return Err(other.instead_of("a label's name")),
    };
    let wanted = match tokens.peek() {
        Token::End | Token::Comma => Wanted::Present,
        Token::Is => {
            tokens.next();
            Wanted::OneOf(BTreeSet::from([value(tokens)]))
        }
        Token::IsNot => {
            tokens.next();
            Wanted::NoneOf(BTreeSet::from([value(tokens)]))
        }
        Token::Word("in") => {
            tokens.next();
            Wanted::OneOf(values(tokens)?)
        }
        Token::Word("notin") => {
            tokens.next();
            Wanted::NoneOf(values(tokens)?)
        }
        other => return Err(other.instead_of("one of =, ==, !=, in, notin or a comma")),
    };
    Ok(Requirement { label, wanted })
}

/// A value; nothing is the empty one.
fn value(tokens: &mut Tokens<'_>) -> String {
    match tokens.peek() {
        Token::Word(value) => {
            tokens.next();
            value.to_owned()
        }
        _ => String::new(),
    }
}

fn values(tokens: &mut Tokens<'_>) -> Result<BTreeSet<String>, InvalidSelector> {
    match tokens.next() {
        Token::Open => {}
        other => return Err(other.instead_of("an opening parenthesis")),
    }
    let mut values = BTreeSet::new();
    loop {
        values.insert(value(tokens));
        match tokens.next() {
            Token::Close => return Ok(values),
            Token::Comma => {}
            other => return Err(other.instead_of("a comma or a closing parenthesis")),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'t> {
    Word(&'t str),
    Open,
    Close,
    Comma,
    Not,
    Is,
    IsNot,
    /// `<` and `>`, which Kubernetes knows for nodes.
    Other(&'t str),
    End,
}

impl Token<'_> {
    fn instead_of(self, expected: &'static str) -> InvalidSelector {
        let found = match self {
            Token::Word(text) | Token::Other(text) => format!("{text:?}"),
            Token::Open => "\"(\"".to_owned(),
            Token::Close => "\")\"".to_owned(),
            Token::Comma => "\",\"".to_owned(),
            Token::Not => "\"!\"".to_owned(),
            Token::Is => "\"=\"".to_owned(),
            Token::IsNot => "\"!=\"".to_owned(),
            Token::End => "the end".to_owned(),
        };
        InvalidSelector { found, expected }
    }
}

struct Tokens<'t> {
    rest: &'t str,
}

impl<'t> Tokens<'t> {
    fn peek(&self) -> Token<'t> {
        self.read().0
    }

    fn next(&mut self) -> Token<'t> {
        let (token, rest) = self.read();
        self.rest = rest;
        token
    }

    fn read(&self) -> (Token<'t>, &'t str) {
        let text = self.rest.trim_start();
        let signs = [
            ("(", Token::Open),
            (")", Token::Close),
            (",", Token::Comma),
            ("!=", Token::IsNot),
            ("!", Token::Not),
            ("==", Token::Is),
            ("=", Token::Is),
        ];
        if let Some((sign, token)) = signs.into_iter().find(|(sign, _)| text.starts_with(sign)) {
            return (token, &text[sign.len()..]);
        }
        let ends_word = |c: char| c.is_whitespace() || "(),!=<>".contains(c);
        match text.find(ends_word).unwrap_or(text.len()) {
            0 if text.is_empty() => (Token::End, text),
            // Only < and > are left: one byte each.
            0 => (Token::Other(&text[..1]), &text[1..]),
            end => (Token::Word(&text[..end]), &text[end..]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str) -> bool {
        let labels = [("zone", "eu"), ("disk", "ssd"), ("tier", "a"), ("gpu", "")];
        let label = |key: &str| labels.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        Selector::parse(selector).expect(selector).matches(label)
    }

    #[test]
    fn requirements_are_kubectls() {
        for (selector, expected) in [
            ("", true),
            ("  ", true),
            ("zone=eu", true),
            ("zone == eu", true),
            ("zone=us", false),
            ("zone!=us", true),
            ("zone!=eu", false),
            ("rack!=7", true),
            ("tier in (a,b)", true),
            ("tier in ( b , c )", false),
            ("tier notin (b)", true),
            ("tier notin(a)", false),
            ("rack notin (a)", true),
            ("gpu", true),
            ("gpu=", true),
            ("gpu in ()", true),
            ("zone in (,us)", false),
            ("!gpu", false),
            ("! spot", true),
            ("spot", false),
            ("zone=eu,disk!=hdd,tier in (a,b),!spot,gpu", true),
            ("zone=eu,disk!=ssd", false),
            ("in in (in)", false),
        ] {
            assert_eq!(matches(selector), expected, "{selector}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused_with_the_place_and_an_example() {
        for (selector, found) in [
            ("zone=eu,", "the end stands where a label's name"),
            (",zone", "\",\" stands where a label's name"),
            ("zone eu", "\"eu\" stands where one of ="),
            ("zone in eu", "\"eu\" stands where an opening"),
            ("zone in (a", "the end stands where a comma or a closing"),
            ("zone=a b", "\"b\" stands where a comma"),
            ("cpus>4", "\">\" stands where one of ="),
            ("!", "the end stands where a label's name"),
            ("a!b", "\"!\" stands where one of ="),
        ] {
            let error = Selector::parse(selector).expect_err(selector).to_string();
            assert!(error.contains(found) && error.contains("tier in (a,b)"), "{selector}: {error}");
        }
    }
}
