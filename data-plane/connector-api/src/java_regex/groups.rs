//! The grammar of patterns down to single atoms: alternatives, sequences, groups, quantifiers, flags.
//!
//! The parser moves over the pattern like Java's does, one cursor over the characters, because errors name its place.

use super::{DEEPEST_PATTERN, LONGEST_PATTERN, PatternSyntaxError};

/// A pattern in the engine's syntax.
pub(super) struct Translated {
    pub(super) regex: String,
    /// Named groups and their numbers.
    pub(super) names: Vec<(String, usize)>,
}

/// Inline flags: `(?idmsuxU)`.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) case_insensitive: bool,
    pub(super) unix_lines: bool,
    pub(super) multiline: bool,
    pub(super) dot_all: bool,
    pub(super) unicode_case: bool,
    pub(super) comments: bool,
    pub(super) unicode_classes: bool,
}

/// A group that was read.
struct Group {
    bounded: Bounded,
    is_look_around: bool,
}

pub(super) struct Parser {
    /// As it was given, for errors.
    original: String,
    /// The pattern's characters, quotes resolved.
    pub(super) pattern: Vec<char>,
    pub(super) cursor: usize,
    pub(super) flags: Flags,
    /// Capturing groups so far.
    pub(super) groups: usize,
    pub(super) names: Vec<(String, usize)>,
    /// The translation so far.
    pub(super) out: String,
    depth: usize,
}

/// Whether what was read has a longest match, as a look-behind must.
pub(super) type Bounded = bool;

/// The result of each parsing function.
pub(super) type Parsed<T> = Result<T, PatternSyntaxError>;

/// What Java's parser sees after the end.
pub(super) const END: char = '\0';

/// Translates a pattern.
pub(super) fn translate(pattern: &str) -> Parsed<Translated> {
    let mut parser = Parser {
        original: pattern.to_owned(),
        pattern: without_quotes(pattern),
        cursor: 0,
        flags: Flags::default(),
        groups: 0,
        names: Vec::new(),
        out: String::new(),
        depth: 0,
    };
    if parser.pattern.len() > LONGEST_PATTERN {
        return Err(PatternSyntaxError {
            description: format!("Longer than {LONGEST_PATTERN} characters"),
            index: None,
            pattern: pattern.to_owned(),
        });
    }
    parser.alternatives()?;
    if parser.cursor != parser.pattern.len() {
        let is_parenthesis = parser.peek() == ')';
        return parser.fail(if is_parenthesis { "Unmatched closing ')'" } else { "Unexpected internal error" });
    }
    Ok(Translated { regex: parser.out, names: parser.names })
}

/// The characters with `\Q...\E` written as escapes.
fn without_quotes(pattern: &str) -> Vec<char> {
    let mut plain = Vec::with_capacity(pattern.len());
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match rest.next() {
            Some('Q') => {}
            Some(escaped) => {
                plain.extend(['\\', escaped]);
                continue;
            }
            None => {
                plain.push('\\');
                continue;
            }
        }
        let (quoted, after) = rest.as_str().split_once("\\E").unwrap_or((rest.as_str(), ""));
        for (at, character) in quoted.chars().enumerate() {
            match character {
                // A digit must not lengthen an escape before the quote.
                digit if at == 0 && digit.is_ascii_digit() => plain.extend(['\\', 'x', '3', digit]),
                other if other.is_ascii() && !other.is_ascii_alphanumeric() => plain.extend(['\\', other]),
                other => plain.push(other),
            }
        }
        rest = after.chars();
    }
    plain
}

impl Parser {
    /// An error one before the cursor, where Java puts it.
    pub(super) fn fail<T>(&self, description: impl Into<String>) -> Parsed<T> {
        Err(PatternSyntaxError {
            description: description.into(),
            index: self.cursor.checked_sub(1),
            pattern: self.original.clone(),
        })
    }

    pub(super) fn at(&self, index: usize) -> char {
        self.pattern.get(index).copied().unwrap_or(END)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.cursor >= self.pattern.len()
    }

    /// The character at the cursor, past white space and comments where these are allowed.
    pub(super) fn peek(&mut self) -> char {
        if self.flags.comments {
            self.skip_comments();
        }
        self.at(self.cursor)
    }

    /// Takes a character.
    pub(super) fn read(&mut self) -> char {
        let character = self.peek();
        self.cursor += 1;
        character
    }

    /// Moves on by one and looks.
    pub(super) fn next(&mut self) -> char {
        self.cursor += 1;
        self.peek()
    }

    fn skip_comments(&mut self) {
        loop {
            match self.at(self.cursor) {
                ' ' | '\t'..='\r' => self.cursor += 1,
                '#' => {
                    while !self.is_at_end() && !self.is_line_end(self.at(self.cursor)) {
                        self.cursor += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn is_line_end(&self, character: char) -> bool {
        match character {
            '\n' => true,
            '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => !self.flags.unix_lines,
            _ => false,
        }
    }

    /// Counts a level of nesting around a parsing function.
    pub(super) fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEEPEST_PATTERN {
            return self.fail(format!("Nested deeper than {DEEPEST_PATTERN} levels"));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn alternatives(&mut self) -> Parsed<Bounded> {
        let mut bounded = self.sequence()?;
        while self.peek() == '|' && !self.is_at_end() {
            self.next();
            self.out.push('|');
            bounded &= self.sequence()?;
        }
        Ok(bounded)
    }

    fn sequence(&mut self) -> Parsed<Bounded> {
        let mut bounded = true;
        loop {
            let start = self.out.len();
            let character = self.peek();
            if self.is_at_end() {
                return Ok(bounded);
            }
            let is_group = character == '(';
            let mut is_look_around = false;
            let atom_is_bounded = match character {
                '(' => match self.group()? {
                    Some(group) => {
                        is_look_around = group.is_look_around;
                        group.bounded
                    }
                    None => continue,
                },
                '[' => {
                    let set = self.nested(|parser| parser.class(true))?;
                    self.push_set(&set);
                    true
                }
                '^' => {
                    self.next();
                    self.push_line_start();
                    true
                }
                '$' => {
                    self.next();
                    self.push_line_end();
                    true
                }
                '.' => {
                    self.next();
                    self.push_dot();
                    true
                }
                '|' | ')' => return Ok(bounded),
                '?' | '*' | '+' => {
                    self.next();
                    return self.fail(format!("Dangling meta character '{character}'"));
                }
                // Nothing, and then a quantifier.
                '{' => {
                    self.out.push_str("(?:|)");
                    true
                }
                _ => self.atom()?,
            };
            let has_end = self.quantifier(start, is_look_around)?;
            // To Java, repetitions of single characters have an obvious length.
            bounded &= atom_is_bounded && (has_end || !is_group);
        }
    }

    fn push_line_start(&mut self) {
        self.out.push_str(match (self.flags.multiline, self.flags.unix_lines) {
            (false, _) => r"(?:\A)",
            (true, true) => r"(?:(?!\z)(?:\A|(?<=\n)))",
            (true, false) => r"(?:(?!\z)(?:\A|(?<=[\n\x{85}\x{2028}\x{2029}])|(?<=\r)(?!\n)))",
        });
    }

    fn push_line_end(&mut self) {
        self.out.push_str(match (self.flags.multiline, self.flags.unix_lines) {
            (false, true) => r"(?:(?=\n?\z))",
            (true, true) => r"(?:(?=\n|\z))",
            (false, false) => LAST_LINE_END,
            (true, false) => r"(?:(?=[\r\n\x{85}\x{2028}\x{2029}]|\z)(?!(?<=\r)\n))",
        });
    }

    fn push_dot(&mut self) {
        self.out.push_str(match (self.flags.dot_all, self.flags.unix_lines) {
            (true, _) => r"[\x{0}-\x{10FFFF}]",
            (false, true) => r"[^\n]",
            (false, false) => r"[^\n\r\x{85}\x{2028}\x{2029}]",
        });
    }

    /// A group; `None` if it only sets flags.
    fn group(&mut self) -> Parsed<Option<Group>> {
        let outer = self.flags;
        let mut is_look_behind = false;
        let mut is_look_around = false;
        if self.next() == '?' {
            // Java skips without looking past white space here.
            self.cursor += 2;
            match self.at(self.cursor - 1) {
                ':' => self.out.push_str("(?:"),
                '=' => (is_look_around, ()) = (true, self.out.push_str("(?:(?=")),
                '!' => (is_look_around, ()) = (true, self.out.push_str("(?:(?!")),
                '>' => self.out.push_str("(?>"),
                '<' => match self.read() {
                    sign @ ('=' | '!') => {
                        (is_look_behind, is_look_around) = (true, true);
                        self.out.push_str("(?:(?<");
                        self.out.push(sign);
                    }
                    first => {
                        let name = self.group_name(first)?;
                        if self.names.iter().any(|(known, _)| *known == name) {
                            return self.fail(format!("Named capturing group <{name}> is already defined"));
                        }
                        self.groups += 1;
                        self.names.push((name, self.groups));
                        self.out.push('(');
                    }
                },
                '$' | '@' => return self.fail("Unknown group type"),
                _ => {
                    self.cursor -= 1;
                    self.inline_flags();
                    match self.read() {
                        ')' => return Ok(None),
                        ':' => self.out.push_str("(?:"),
                        _ => return self.fail("Unknown inline modifier"),
                    }
                }
            }
        } else {
            self.groups += 1;
            self.out.push('(');
        }
        let bounded = self.nested(Self::alternatives)?;
        if is_look_behind && !bounded {
            return self.fail("Look-behind group does not have an obvious maximum length");
        }
        if self.read() != ')' {
            return self.fail("Unclosed group");
        }
        self.out.push_str(if is_look_around { "))" } else { ")" });
        self.flags = outer;
        Ok(Some(Group { bounded: bounded || is_look_around, is_look_around }))
    }

    /// A group's name, whose first character was taken, with the `>` after it.
    pub(super) fn group_name(&mut self, first: char) -> Parsed<String> {
        if !first.is_ascii_alphabetic() {
            return self.fail("capturing group name does not start with a Latin letter");
        }
        let mut name = String::from(first);
        loop {
            match self.read() {
                '>' => return Ok(name),
                next if next.is_ascii_alphanumeric() => name.push(next),
                _ => return self.fail("named capturing group is missing trailing '>'"),
            }
        }
    }

    fn inline_flags(&mut self) {
        let mut on = true;
        let mut character = self.peek();
        loop {
            let flags = &mut self.flags;
            match character {
                'i' => flags.case_insensitive = on,
                'd' => flags.unix_lines = on,
                'm' => flags.multiline = on,
                's' => flags.dot_all = on,
                'u' => flags.unicode_case = on,
                'x' => flags.comments = on,
                'U' => {
                    flags.unicode_classes = on;
                    flags.unicode_case = on;
                }
                // Canonical equivalence; without meaning for text that is not decomposed.
                'c' => {}
                '-' if on => on = false,
                _ => return,
            }
            character = self.next();
        }
    }

    /// A quantifier, if there is one, for the atom that was written from `start` on. Tells whether the repetition has an end.
    fn quantifier(&mut self, start: usize, is_look_around: bool) -> Parsed<Bounded> {
        let (mut text, bounded) = match self.peek() {
            _ if self.is_at_end() => return Ok(true),
            '?' => ("?".to_owned(), true),
            character @ ('*' | '+') => (character.to_string(), false),
            '{' => self.counts()?,
            _ => return Ok(true),
        };
        if is_look_around {
            // The engine does not repeat what takes no text: once is enough, or not at all.
            let is_required = text == "+" || text.starts_with('{') && !text.starts_with("{0");
            self.out.push_str(if is_required { "" } else { "|" });
            text = String::new();
        }
        self.out.insert_str(start, "(?:");
        self.out.push(')');
        self.out.push_str(&text);
        match self.next() {
            '?' => {
                self.next();
                if !is_look_around {
                    self.out.push('?');
                } else if self.out.ends_with("|)") {
                    // Rather not at all.
                    self.out.truncate(self.out.len() - 2);
                    self.out.insert(start + 3, '|');
                    self.out.push(')');
                }
            }
            '+' => {
                self.next();
                self.out.insert_str(start, "(?>");
                self.out.push(')');
            }
            _ => {}
        }
        Ok(bounded)
    }

    /// `{n}`, `{n,}` or `{n,m}`; leaves the cursor at the closing brace.
    fn counts(&mut self) -> Parsed<(String, Bounded)> {
        if !self.at(self.cursor + 1).is_ascii_digit() {
            self.cursor += 2;
            return self.fail("Illegal repetition");
        }
        self.cursor += 1;
        let (least, mut character) = self.count()?;
        let mut most = Some(least);
        if character == ',' {
            character = self.read();
            most = None;
            if character != '}' {
                self.cursor -= 1;
                let (number, after) = self.count()?;
                most = Some(number);
                character = after;
            }
        }
        if character != '}' {
            return self.fail("Unclosed counted closure");
        }
        if most.is_some_and(|most| most < least) {
            return self.fail("Illegal repetition range");
        }
        self.cursor -= 1;
        let text = match most {
            Some(most) if most == least => format!("{{{least}}}"),
            Some(most) => format!("{{{least},{most}}}"),
            None => format!("{{{least},}}"),
        };
        Ok((text, most.is_some()))
    }

    /// Digits, and the character after them, which is taken.
    fn count(&mut self) -> Parsed<(i32, char)> {
        let mut number = 0_i32;
        loop {
            let character = self.read();
            let Some(digit) = character.to_digit(10) else { return Ok((number, character)) };
            number = match number.checked_mul(10).and_then(|number| number.checked_add(digit as i32)) {
                Some(number) => number,
                None => return self.fail("Illegal repetition range"),
            };
        }
    }
}

/// Before a line terminator that ends the text, or at its end.
pub(super) const LAST_LINE_END: &str = r"(?:(?=(?:\r\n|[\n\r\x{85}\x{2028}\x{2029}])?\z)(?!(?<=\r)\n))";
