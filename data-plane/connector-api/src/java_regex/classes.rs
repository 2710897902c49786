//! Classes in brackets, as sets of characters.

use regex_syntax::hir::ClassUnicode;

use super::escapes::{Escape, negated, range};
use super::groups::{Parsed, Parser};
use super::properties;

/// A union where there may be nothing yet.
fn joined(set: Option<ClassUnicode>, other: &ClassUnicode) -> ClassUnicode {
    match set {
        Some(mut set) => {
            set.union(other);
            set
        }
        None => other.clone(),
    }
}

impl Parser {
    /// A class from its opening bracket; or, if it is not to consume, the rest of one after `&&` up to a closing bracket.
    pub(super) fn class(&mut self, consume: bool) -> Parsed<ClassUnicode> {
        let mut set: Option<ClassUnicode> = None;
        // Single characters and ranges since the last `&&`, apart, since Java adds them only there.
        let mut singles: Option<ClassUnicode> = None;
        let mut last: Option<ClassUnicode> = None;
        let mut is_negated = false;
        let mut character = self.next();
        loop {
            match character {
                '^' if self.at(self.cursor.wrapping_sub(1)) == '[' && set.is_none() && singles.is_none() => {
                    is_negated = true;
                    character = self.next();
                    continue;
                }
                '[' => {
                    let inner = self.nested(|parser| parser.class(true))?;
                    set = Some(joined(set, &inner));
                    last = Some(inner);
                    character = self.peek();
                    continue;
                }
                '&' => {
                    if self.next() == '&' {
                        let right = self.right_of_intersection()?;
                        if let Some(singles) = singles.take() {
                            set = Some(joined(set, &singles));
                            last.get_or_insert(singles);
                        }
                        if right.is_some() {
                            last.clone_from(&right);
                        }
                        set = match (set, &last) {
                            (None, _) if right.is_none() => return self.fail("Bad class syntax"),
                            (None, _) => right,
                            (Some(mut left), Some(last)) => {
                                left.intersect(last);
                                Some(left)
                            }
                            (left, None) => left,
                        };
                        character = self.peek();
                        continue;
                    }
                    self.cursor -= 1;
                }
                _ if self.is_at_end() => return self.fail("Unclosed character class"),
                ']' if set.is_some() || singles.is_some() => {
                    if consume {
                        self.next();
                    }
                    let all = match (set, singles) {
                        (set, Some(singles)) => joined(set, &singles),
                        (set, None) => set.unwrap_or_else(ClassUnicode::empty),
                    };
                    return Ok(if is_negated { negated(all) } else { all });
                }
                _ => {}
            }
            let (item, is_single) = self.class_item()?;
            if is_single {
                singles = Some(joined(singles, &item));
            } else {
                set = Some(joined(set, &item));
            }
            last = Some(item);
            character = self.peek();
        }
    }

    /// What follows `&&`, the cursor being at its second `&`.
    fn right_of_intersection(&mut self) -> Parsed<Option<ClassUnicode>> {
        let mut right = None;
        let mut character = self.next();
        while character != ']' && character != '&' {
            if self.is_at_end() {
                return self.fail("Unclosed character class");
            }
            let part = if character == '[' {
                self.nested(|parser| parser.class(true))?
            } else {
                self.cursor -= 1;
                self.nested(|parser| parser.class(false))?
            };
            right = Some(joined(right, &part));
            character = self.peek();
        }
        Ok(right)
    }

    /// A character, a range, an escape or a property; whether it is one that Java keeps in its table of single characters.
    fn class_item(&mut self) -> Parsed<(ClassUnicode, bool)> {
        let first = if self.peek() == '\\' {
            if let 'p' | 'P' = self.at(self.cursor + 1) {
                self.cursor += 1;
                return Ok((self.property()?, false));
            }
            let starts_range = self.at(self.cursor + 2) == '-';
            match self.escape(true, starts_range)? {
                Escape::Character(character) => character,
                Escape::Set(set) => return Ok((set, false)),
                Escape::Written(_) => return self.fail("Illegal/unsupported escape sequence"),
            }
        } else {
            let first = self.peek();
            self.next();
            first
        };
        if self.peek() == '-' {
            let after = self.at(self.cursor + 1);
            if after != ']' && after != '[' {
                self.next();
                let last = if self.peek() == '\\' {
                    match self.escape(true, true)? {
                        Escape::Character(character) => character,
                        Escape::Set(_) | Escape::Written(_) => return self.fail("Illegal character range"),
                    }
                } else {
                    let last = self.peek();
                    self.next();
                    last
                };
                if last < first {
                    return self.fail("Illegal character range");
                }
                return Ok((self.folded(range(first, last)), false));
            }
        }
        Ok((self.folded(range(first, first)), u32::from(first) < 256))
    }

    /// The set with the other case of its letters, if case does not matter.
    pub(super) fn folded(&self, mut set: ClassUnicode) -> ClassUnicode {
        if !self.flags.case_insensitive {
            return set;
        }
        if self.flags.unicode_case {
            // Fails only where the tables are missing; they are built in.
            let _ = set.try_case_fold_simple();
            return set;
        }
        let mut ascii = set.clone();
        ascii.intersect(&range('\0', '\u{7f}'));
        // Folding of ASCII letters also finds the Kelvin sign and the long s.
        let _ = ascii.try_case_fold_simple();
        ascii.intersect(&range('\0', '\u{7f}'));
        set.union(&ascii);
        set
    }

    /// Writes a set.
    pub(super) fn push_set(&mut self, set: &ClassUnicode) {
        if set.ranges().is_empty() {
            self.out.push_str(properties::NOTHING);
            return;
        }
        if let [one] = set.ranges()
            && one.start() == one.end()
        {
            match one.start() {
                character if character.is_ascii_alphanumeric() || !character.is_ascii() => self.out.push(character),
                character => self.out.push_str(&format!("\\x{{{:x}}}", u32::from(character))),
            }
            return;
        }
        self.out.push('[');
        for part in set.ranges() {
            self.out.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(part.start()), u32::from(part.end())));
        }
        self.out.push(']');
    }
}
