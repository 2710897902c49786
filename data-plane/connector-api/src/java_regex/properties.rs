//! Named sets of characters: `\p{...}`, `\d` and their kin.

use regex_syntax::hir::{Class, ClassUnicode, HirKind};

use super::escapes::{negated, range};
use super::groups::{Parsed, Parser};

/// Matches no character.
pub(super) const NOTHING: &str = r"[^\x{0}-\x{10FFFF}]";

/// Blocks that `\p{InName}` knows: name without spaces, hyphens and underscores in lower case, first and last character.
const BLOCKS: [(&str, char, char); 14] = [
    ("basiclatin", '\0', '\u{7f}'),
    ("latin1supplement", '\u{80}', '\u{ff}'),
    ("latinextendeda", '\u{100}', '\u{17f}'),
    ("latinextendedb", '\u{180}', '\u{24f}'),
    ("greek", '\u{370}', '\u{3ff}'),
    ("greekandcoptic", '\u{370}', '\u{3ff}'),
    ("cyrillic", '\u{400}', '\u{4ff}'),
    ("hebrew", '\u{590}', '\u{5ff}'),
    ("arabic", '\u{600}', '\u{6ff}'),
    ("generalpunctuation", '\u{2000}', '\u{206f}'),
    ("hiragana", '\u{3040}', '\u{309f}'),
    ("katakana", '\u{30a0}', '\u{30ff}'),
    ("cjkunifiedideographs", '\u{4e00}', '\u{9fff}'),
    ("hangulsyllables", '\u{ac00}', '\u{d7af}'),
];

/// A set in the syntax of the regex-syntax crate; `None` if it is not known there.
fn set_of(text: &str) -> Option<ClassUnicode> {
    match regex_syntax::parse(text).ok()?.into_kind() {
        HirKind::Class(Class::Unicode(set)) => Some(set),
        HirKind::Class(Class::Bytes(set)) => set.to_unicode_class(),
        HirKind::Literal(literal) => {
            let mut characters = std::str::from_utf8(&literal.0).ok()?.chars();
            let character = characters.next()?;
            characters.next().is_none().then(|| range(character, character))
        }
        _ => None,
    }
}

fn known(text: &str) -> ClassUnicode {
    set_of(text).unwrap_or_else(ClassUnicode::empty)
}

pub(super) fn digits(unicode: bool) -> ClassUnicode {
    known(if unicode { r"\p{Nd}" } else { "[0-9]" })
}

pub(super) fn spaces(unicode: bool) -> ClassUnicode {
    known(if unicode { r"\p{White_Space}" } else { r"[ \t-\r]" })
}

pub(super) fn words(unicode: bool) -> ClassUnicode {
    known(if unicode { r"\w" } else { "[0-9A-Za-z_]" })
}

pub(super) fn horizontal_spaces() -> ClassUnicode {
    known(r"[ \t\x{a0}\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}]")
}

pub(super) fn vertical_spaces() -> ClassUnicode {
    known(r"[\n-\r\x{85}\x{2028}\x{2029}]")
}

/// A POSIX class in ASCII.
fn posix(name: &str, case_insensitive: bool) -> Option<&'static str> {
    Some(match name {
        "ASCII" => r"[\x00-\x7f]",
        "Alnum" => "[0-9A-Za-z]",
        "Alpha" => "[A-Za-z]",
        "Lower" | "Upper" if case_insensitive => "[A-Za-z]",
        "Lower" => "[a-z]",
        "Upper" => "[A-Z]",
        "Blank" => r"[ \t]",
        "Cntrl" => r"[\x00-\x1f\x7f]",
        "Digit" => "[0-9]",
        "Graph" => "[!-~]",
        "Print" => "[ -~]",
        "Punct" => r"[!-/:-@\[-`{-~]",
        "Space" => r"[ \t-\r]",
        "XDigit" => "[0-9A-Fa-f]",
        _ => return None,
    })
}

/// A POSIX class under `(?U)`.
fn posix_unicode(name: &str, case_insensitive: bool) -> Option<&'static str> {
    Some(match name {
        "Alpha" => r"\p{Alphabetic}",
        "Alnum" => r"[\p{Alphabetic}\p{Nd}]",
        "Lower" | "Upper" if case_insensitive => r"[\p{Lowercase}\p{Uppercase}\p{Lt}]",
        "Lower" => r"\p{Lowercase}",
        "Upper" => r"\p{Uppercase}",
        "Blank" => r"[\p{Zs}\t]",
        "Cntrl" => r"\p{Cc}",
        "Digit" => r"\p{Nd}",
        "Graph" => r"[^\p{White_Space}\p{Cc}\p{Cs}\p{Cn}]",
        "Print" => r"[[^\p{White_Space}\p{Cc}\p{Cs}\p{Cn}]\p{Zs}]",
        "Punct" => r"\p{P}",
        "Space" => r"\p{White_Space}",
        "XDigit" => r"[\p{Nd}\p{Hex_Digit}]",
        _ => return None,
    })
}

/// Methods of `java.lang.Character`.
fn java(name: &str, case_insensitive: bool) -> Option<&'static str> {
    Some(match name {
        "javaLowerCase" | "javaUpperCase" | "javaTitleCase" if case_insensitive => {
            r"[\p{Lowercase}\p{Uppercase}\p{Lt}]"
        }
        "javaLowerCase" => r"\p{Lowercase}",
        "javaUpperCase" => r"\p{Uppercase}",
        "javaTitleCase" => r"\p{Lt}",
        "javaAlphabetic" => r"\p{Alphabetic}",
        "javaIdeographic" => r"\p{Ideographic}",
        "javaDigit" => r"\p{Nd}",
        "javaDefined" => r"\P{Cn}",
        "javaLetter" => r"\p{L}",
        "javaLetterOrDigit" => r"[\p{L}\p{Nd}]",
        "javaSpaceChar" => r"\p{Z}",
        "javaWhitespace" => r"[[\p{Z}\t-\r\x{1c}-\x{1f}]--[\x{a0}\x{2007}\x{202f}]]",
        "javaISOControl" => r"\p{Cc}",
        "javaJavaIdentifierStart" => r"[\p{L}\p{Nl}\p{Sc}\p{Pc}]",
        "javaUnicodeIdentifierStart" => r"\p{ID_Start}",
        "javaUnicodeIdentifierPart" => r"[\p{ID_Continue}\p{Cf}\x{0}-\x{8}\x{e}-\x{1b}\x{7f}-\x{9f}]",
        "javaJavaIdentifierPart" => {
            r"[\p{L}\p{Nl}\p{Sc}\p{Pc}\p{Nd}\p{Mc}\p{Mn}\p{Cf}\x{0}-\x{8}\x{e}-\x{1b}\x{7f}-\x{9f}]"
        }
        "javaIdentifierIgnorable" => r"[\p{Cf}\x{0}-\x{8}\x{e}-\x{1b}\x{7f}-\x{9f}]",
        _ => return None,
    })
}

/// Unicode's binary properties, by their name in capitals.
fn binary(name: &str, case_insensitive: bool) -> Option<&'static str> {
    Some(match name {
        "ALPHABETIC" => r"\p{Alphabetic}",
        "LETTER" => r"\p{L}",
        "IDEOGRAPHIC" => r"\p{Ideographic}",
        "LOWERCASE" | "UPPERCASE" | "TITLECASE" if case_insensitive => r"[\p{Lowercase}\p{Uppercase}\p{Lt}]",
        "LOWERCASE" => r"\p{Lowercase}",
        "UPPERCASE" => r"\p{Uppercase}",
        "TITLECASE" => r"\p{Lt}",
        "WHITE_SPACE" | "WHITESPACE" => r"\p{White_Space}",
        "CONTROL" => r"\p{Cc}",
        "PUNCTUATION" => r"\p{P}",
        "HEX_DIGIT" | "HEXDIGIT" => r"[\p{Nd}\p{Hex_Digit}]",
        "ASSIGNED" => r"\P{Cn}",
        "NONCHARACTER_CODE_POINT" | "NONCHARACTERCODEPOINT" => r"\p{Noncharacter_Code_Point}",
        "DIGIT" => r"\p{Nd}",
        "ALNUM" => r"[\p{Alphabetic}\p{Nd}]",
        "BLANK" => r"[\p{Zs}\t]",
        "GRAPH" => r"[^\p{White_Space}\p{Cc}\p{Cs}\p{Cn}]",
        "PRINT" => r"[[^\p{White_Space}\p{Cc}\p{Cs}\p{Cn}]\p{Zs}]",
        "WORD" => r"\w",
        "JOIN_CONTROL" | "JOINCONTROL" => r"\p{Join_Control}",
        _ => return None,
    })
}

/// A general category by its short name, or one of Java's own additions.
fn category(name: &str, case_insensitive: bool) -> Option<ClassUnicode> {
    const CATEGORIES: [&str; 37] = [
        "Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Me", "Mc", "Nd", "Nl", "No", "Zs", "Zl", "Zp", "Cc", "Cf", "Co",
        "Cs", "Pd", "Ps", "Pe", "Pc", "Po", "Sm", "Sc", "Sk", "So", "Pi", "Pf", "L", "M", "N", "Z", "C", "P", "S",
    ];
    match name {
        "Lu" | "Ll" | "Lt" if case_insensitive => set_of(r"[\p{Lu}\p{Ll}\p{Lt}]"),
        "LC" => set_of(r"[\p{Lu}\p{Ll}\p{Lt}]"),
        "LD" => set_of(r"[\p{L}\p{Nd}]"),
        "L1" => Some(range('\0', '\u{ff}')),
        "all" => Some(range('\0', char::MAX)),
        // Text holds no surrogates.
        "Cs" => Some(ClassUnicode::empty()),
        _ if CATEGORIES.contains(&name) => set_of(&format!("\\p{{{name}}}")),
        _ => None,
    }
}

fn script(name: &str) -> Option<ClassUnicode> {
    let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    set_of(&format!("\\p{{Script={name}}}")).filter(|_| is_plain)
}

fn block(name: &str) -> Option<ClassUnicode> {
    let name: String = name.chars().filter(|next| !matches!(next, ' ' | '-' | '_')).collect();
    let found = BLOCKS.iter().find(|(known, ..)| name.eq_ignore_ascii_case(known));
    found.map(|&(_, first, last)| range(first, last))
}

impl Parser {
    /// `\p{name}`, `\P{name}` or `\pL`, the cursor being at the `p`.
    pub(super) fn property(&mut self) -> Parsed<ClassUnicode> {
        let is_negated = self.at(self.cursor) == 'P';
        let name = if self.next() == '{' {
            self.next();
            let start = self.cursor;
            let Some(length) = self.pattern[start.min(self.pattern.len())..].iter().position(|&next| next == '}')
            else {
                self.cursor = self.pattern.len() + 1;
                return self.fail("Unclosed character family");
            };
            self.cursor = start + length + 1;
            if length == 0 {
                return self.fail("Empty character family");
            }
            self.pattern[start..start + length].iter().collect::<String>()
        } else {
            let letter = self.at(self.cursor);
            self.read();
            letter.to_string()
        };
        let set = self.property_named(&name)?;
        Ok(if is_negated { negated(set) } else { set })
    }

    fn property_named(&self, name: &str) -> Parsed<ClassUnicode> {
        let case_insensitive = self.flags.case_insensitive;
        let plain = |name: &str| {
            let text = posix(name, case_insensitive).or_else(|| java(name, case_insensitive));
            text.map(known).or_else(|| category(name, case_insensitive))
        };
        if let Some((key, value)) = name.split_once('=') {
            let found = match key.to_ascii_lowercase().as_str() {
                "sc" | "script" => script(value),
                "blk" | "block" => block(value),
                "gc" | "general_category" => plain(value),
                _ => None,
            };
            let key = key.to_ascii_lowercase();
            return found
                .map_or_else(|| self.fail(format!("Unknown Unicode property {{name=<{key}>, value=<{value}>}}")), Ok);
        }
        let found = if let Some(block_name) = name.strip_prefix("In") {
            block(block_name)
        } else if let Some(short) = name.strip_prefix("Is") {
            let set = binary(&short.to_ascii_uppercase(), case_insensitive).map(known).or_else(|| plain(short));
            set.or_else(|| script(short))
        } else {
            let unicode = posix_unicode(name, case_insensitive).filter(|_| self.flags.unicode_classes);
            unicode.map(known).or_else(|| plain(name))
        };
        found.map_or_else(|| self.fail(format!("Unknown character property name {{{name}}}")), Ok)
    }
}
