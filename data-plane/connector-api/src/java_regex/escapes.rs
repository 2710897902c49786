//! Atoms outside of classes: literals and escapes.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::groups::{Bounded, LAST_LINE_END, Parsed, Parser};
use super::properties;

/// What an escape stands for.
pub(super) enum Escape {
    /// A character.
    Character(char),
    /// One character of a set.
    Set(ClassUnicode),
    /// Something that is no set, already written out.
    Written(Bounded),
}

const ILLEGAL: &str = "Illegal/unsupported escape sequence";

/// A set of one range.
pub(super) fn range(first: char, last: char) -> ClassUnicode {
    ClassUnicode::new([ClassUnicodeRange::new(first, last)])
}

/// A set's complement.
pub(super) fn negated(mut set: ClassUnicode) -> ClassUnicode {
    set.negate();
    set
}

/// A character by its number. Surrogates are in no text.
fn code_point(number: u32) -> Escape {
    char::from_u32(number).map_or_else(|| Escape::Set(ClassUnicode::empty()), Escape::Character)
}

impl Parser {
    /// A literal character, an escape or a property.
    pub(super) fn atom(&mut self) -> Parsed<Bounded> {
        if self.peek() != '\\' {
            let character = self.peek();
            self.next();
            let set = self.folded(range(character, character));
            self.push_set(&set);
            return Ok(true);
        }
        if let 'p' | 'P' = self.at(self.cursor + 1) {
            self.cursor += 1;
            let set = self.property()?;
            self.push_set(&set);
            return Ok(true);
        }
        match self.escape(false, false)? {
            Escape::Character(character) => {
                let set = self.folded(range(character, character));
                self.push_set(&set);
                Ok(true)
            }
            Escape::Set(set) => {
                self.push_set(&set);
                Ok(true)
            }
            Escape::Written(bounded) => Ok(bounded),
        }
    }

    /// An escape, the cursor being at its backslash. `in_range`: it is an end of a range in a class.
    pub(super) fn escape(&mut self, in_class: bool, in_range: bool) -> Parsed<Escape> {
        self.cursor += 2;
        let character = self.at(self.cursor - 1);
        let set = |positive: ClassUnicode| {
            Ok(Escape::Set(if character.is_ascii_uppercase() { negated(positive) } else { positive }))
        };
        let unicode = self.flags.unicode_classes;
        Ok(Escape::Character(match character {
            'd' | 'D' => return set(properties::digits(unicode)),
            's' | 'S' => return set(properties::spaces(unicode)),
            'w' | 'W' => return set(properties::words(unicode)),
            'h' | 'H' => return set(properties::horizontal_spaces()),
            'v' if in_range => '\u{b}',
            'v' | 'V' => return set(properties::vertical_spaces()),
            'a' => '\u{7}',
            'e' => '\u{1b}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '0' => self.octal()?,
            'x' => return self.hexadecimal(),
            'u' => return self.utf16(),
            'c' => self.control()?,
            'A' | 'B' | 'b' | 'G' | 'R' | 'Z' | 'k' | 'z' | '1'..='9' if !in_class => {
                return self.push_special(character).map(Escape::Written);
            }
            'N' => {
                self.cursor += 1;
                return self.fail("Illegal character name escape sequence");
            }
            letter if letter.is_ascii_alphanumeric() => return self.fail(ILLEGAL),
            // After a backslash at the very end this is what Java's parser sees; the cursor tells the caller.
            other => other,
        }))
    }

    /// Anchors and back references.
    fn push_special(&mut self, character: char) -> Parsed<Bounded> {
        match character {
            'A' | 'G' => self.out.push_str(r"(?:\A)"),
            'B' => self.out.push_str(r"(?:\B)"),
            'b' if self.at(self.cursor) == '{' && self.at(self.cursor + 1) == 'g' => return self.fail(ILLEGAL),
            'b' => self.out.push_str(r"(?:\b)"),
            'R' => self.out.push_str(r"(?:\r\n|[\n\x{b}\f\r\x{85}\x{2028}\x{2029}])"),
            'Z' if self.flags.unix_lines => self.out.push_str(r"(?:(?=\n?\z))"),
            'Z' => self.out.push_str(LAST_LINE_END),
            'z' => self.out.push_str(r"(?:\z)"),
            'k' => {
                if self.read() != '<' {
                    return self.fail("\\k is not followed by '<' for named capturing group");
                }
                let first = self.read();
                let name = self.group_name(first)?;
                let Some(group) = self.names.iter().find(|(known, _)| *known == name).map(|(_, group)| *group) else {
                    return self.fail(format!("named capturing group <{name}> does not exist"));
                };
                self.push_back_reference(group);
                return Ok(false);
            }
            digit => {
                let mut group = digit as usize - '0' as usize;
                // As many digits as make the number of a group that has begun.
                while let Some(digit) = self.peek().to_digit(10) {
                    let longer = group * 10 + digit as usize;
                    if longer > self.groups {
                        break;
                    }
                    group = longer;
                    self.read();
                }
                self.push_back_reference(group);
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn push_back_reference(&mut self, group: usize) {
        if group > self.groups {
            // A group that has not begun never matches.
            self.out.push_str(properties::NOTHING);
        } else if self.flags.case_insensitive {
            self.out.push_str(&format!("(?i:\\{group})"));
        } else {
            self.out.push_str(&format!("(?:\\{group})"));
        }
    }

    /// `\0n`, `\0nn` or `\0mnn`.
    fn octal(&mut self) -> Parsed<char> {
        let Some(first) = self.read().to_digit(8) else { return self.fail("Illegal octal escape sequence") };
        let mut number = first;
        for _ in 0..if first <= 3 { 2 } else { 1 } {
            let Some(digit) = self.peek().to_digit(8) else { break };
            self.read();
            number = number * 8 + digit;
        }
        Ok(char::from(number as u8))
    }

    /// `\xhh` or `\x{h...}`.
    fn hexadecimal(&mut self) -> Parsed<Escape> {
        const MALFORMED: &str = "Illegal hexadecimal escape sequence";
        let first = self.read();
        if let Some(high) = first.to_digit(16) {
            return match self.read().to_digit(16) {
                Some(low) => Ok(Escape::Character(char::from((high * 16 + low) as u8))),
                None => self.fail(MALFORMED),
            };
        }
        if first != '{' || !self.peek().is_ascii_hexdigit() {
            return self.fail(MALFORMED);
        }
        let mut number = 0;
        loop {
            let character = self.read();
            let Some(digit) = character.to_digit(16) else {
                return if character == '}' {
                    Ok(code_point(number))
                } else {
                    self.fail("Unclosed hexadecimal escape sequence")
                };
            };
            number = number * 16 + digit;
            if number > 0x10_ffff {
                return self.fail("Hexadecimal codepoint is too big");
            }
        }
    }

    /// `\uhhhh`, or two of them as a surrogate pair.
    fn utf16(&mut self) -> Parsed<Escape> {
        let unit = self.utf16_unit()?;
        if (0xd800..0xdc00).contains(&unit) && self.at(self.cursor) == '\\' && self.at(self.cursor + 1) == 'u' {
            let after_first = self.cursor;
            self.cursor += 2;
            let second = self.utf16_unit()?;
            if let Some(Ok(character)) = char::decode_utf16([unit, second]).next() {
                return Ok(Escape::Character(character));
            }
            self.cursor = after_first;
        }
        Ok(code_point(unit.into()))
    }

    fn utf16_unit(&mut self) -> Parsed<u16> {
        let mut unit = 0;
        for _ in 0..4 {
            let Some(digit) = self.read().to_digit(16) else { return self.fail("Illegal Unicode escape sequence") };
            unit = unit * 16 + digit as u16;
        }
        Ok(unit)
    }

    /// `\cX`.
    fn control(&mut self) -> Parsed<char> {
        if self.is_at_end() {
            return self.fail("Illegal control escape sequence");
        }
        let character = u32::from(self.read()) ^ 64;
        char::from_u32(character).map_or_else(|| self.fail("Illegal control escape sequence"), Ok)
    }
}
