//! Text to moments.

use super::calendar::{Field, Fields, Moment};
use super::compile::Part;
use super::format::{MONTHS, WEEKDAYS};

/// Names of time zones in English with their minutes from UTC, in the order in which Java tries them.
const ZONES: &str = include_str!("zones.tsv");

/// Milliseconds since the epoch that a text, its digits in ASCII, says, and how it was read.
pub(super) fn parse<'a>(parts: &[Part], century_start_ms: i64, text: &'a str) -> Option<(i64, Reader<'a>)> {
    let mut reader = Reader {
        text: text.as_bytes(),
        at: 0,
        fields: Fields::default(),
        century_start_year: Moment::at(century_start_ms).year as i32,
        is_ambiguous: false,
        has_wrapped: false,
    };
    for (index, part) in parts.iter().enumerate() {
        match *part {
            Part::Literal(character) => {
                let mut buffer = [0; 4];
                let literal = character.encode_utf8(&mut buffer).as_bytes();
                if !reader.rest().starts_with(literal) {
                    return None;
                }
                reader.at += literal.len();
            }
            Part::Field(letter, count) => {
                let is_bounded = parts.get(index + 1).is_some_and(is_number);
                reader.field(letter, count, is_bounded.then_some(count))?;
            }
        }
    }
    if reader.at == 0 {
        return None;
    }
    let millis = reader.fields.resolve();
    // The year at which the hundred years of two-digit years start is in them twice, in part.
    if reader.is_ambiguous && millis < century_start_ms {
        reader.fields.add_years(100);
        return Some((reader.fields.resolve(), reader));
    }
    Some((millis, reader))
}

/// Whether a part is a number, so that a number before it must keep to its count of digits.
fn is_number(part: &Part) -> bool {
    match part {
        Part::Field(b'M' | b'L', count) => *count <= 2,
        Part::Field(letter, _) => !matches!(letter, b'G' | b'E' | b'a' | b'z' | b'Z' | b'X'),
        Part::Literal(_) => false,
    }
}

pub(super) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    fields: Fields,
    century_start_year: i32,
    is_ambiguous: bool,
    /// Whether a number did not fit 32 bits.
    has_wrapped: bool,
}

impl<'a> Reader<'a> {
    /// Whether nothing was read leniently; `millis` is what was read.
    pub(super) fn is_exact(&self, millis: i64) -> bool {
        self.at == self.text.len() && !self.has_wrapped && self.fields.are_of(millis)
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Reads a field; `width` bounds a number's digits.
    fn field(&mut self, letter: u8, count: usize, width: Option<usize>) -> Option<()> {
        let before_spaces = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        let start = self.at;
        self.peek()?;
        let (field, value) = match letter {
            b'G' | b'a' | b'E' => {
                self.at = before_spaces;
                self.name_field(letter)?
            }
            b'M' | b'L' if count >= 3 => {
                self.at = before_spaces;
                (Field::Month, self.name_of(&MONTHS)?)
            }
            b'z' | b'Z' => (Field::ZoneOffset, self.zone(before_spaces)?),
            b'X' => (Field::ZoneOffset, self.iso_zone(count)?),
            _ => {
                let number = self.number(before_spaces, width)?;
                let is_short = self.at - start == 2 && self.text[start..self.at].iter().all(u8::is_ascii_digit);
                self.number_field(letter, number, count <= 2 && is_short)
            }
        };
        self.fields.set(field, value);
        Some(())
    }

    /// The field and value of a number.
    fn number_field(&mut self, letter: u8, number: i32, is_two_digit_year: bool) -> (Field, i32) {
        match letter {
            b'y' | b'Y' => {
                let mut year = number;
                if is_two_digit_year {
                    let first = self.century_start_year % 100;
                    self.is_ambiguous = number == first;
                    year += self.century_start_year / 100 * 100 + if number < first { 100 } else { 0 };
                }
                (if letter == b'y' { Field::Year } else { Field::WeekYear }, year)
            }
            b'M' | b'L' => (Field::Month, number.wrapping_sub(1)),
            b'k' => (Field::HourOfDay, if number == 24 { 0 } else { number }),
            b'h' => (Field::Hour, if number == 12 { 0 } else { number }),
            b'H' => (Field::HourOfDay, number),
            b'K' => (Field::Hour, number),
            b'm' => (Field::Minute, number),
            b's' => (Field::Second, number),
            b'S' => (Field::Millisecond, number),
            b'd' => (Field::DayOfMonth, number),
            b'D' => (Field::DayOfYear, number),
            b'F' => (Field::DayOfWeekInMonth, number),
            b'w' => (Field::WeekOfYear, number),
            b'W' => (Field::WeekOfMonth, number),
            // ISO weekdays; others than 1 to 7 are sorted out with the week.
            _ if (1..=7).contains(&number) => (Field::DayOfWeek, number % 7 + 1),
            _ => (Field::DayOfWeek, number),
        }
    }

    fn name_field(&mut self, letter: u8) -> Option<(Field, i32)> {
        Some(match letter {
            b'G' if self.takes("Before Christ") || self.takes("BC") => (Field::Era, 0),
            b'G' if self.takes("Anno Domini") || self.takes("AD") => (Field::Era, 1),
            b'a' if self.takes("AM") => (Field::AmPm, 0),
            b'a' if self.takes("PM") => (Field::AmPm, 1),
            b'E' => (Field::DayOfWeek, self.name_of(&WEEKDAYS)? + 1),
            _ => return None,
        })
    }

    /// Takes a word in any case.
    fn takes(&mut self, word: &str) -> bool {
        let found = self.rest().get(..word.len()).is_some_and(|text| text.eq_ignore_ascii_case(word.as_bytes()));
        if found {
            self.at += word.len();
        }
        found
    }

    /// The index of a name, in full or in three letters.
    fn name_of(&mut self, names: &[&str]) -> Option<i32> {
        let found = names.iter().position(|name| self.takes(name));
        found.or_else(|| names.iter().position(|name| self.takes(&name[..3]))).map(|index| index as i32)
    }

    /// `DecimalFormat.parse` for integers, then `intValue`: with an optional minus sign and an optional exponent. A width
    /// counts from where the field starts, spaces included.
    fn number(&mut self, field_start: usize, width: Option<usize>) -> Option<i32> {
        let end = match width {
            Some(width) => Some(field_start + width).filter(|end| *end <= self.text.len())?,
            None => self.text.len(),
        };
        let start = self.at;
        self.digits(end)?;
        let mantissa_end = self.at;
        if self.at < end && self.text[self.at] == b'E' {
            self.at += 1;
            if self.digits(end).is_none() {
                self.at = mantissa_end;
            }
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).ok()?;
        // Whole numbers that fit 64 bits wrap to 32 bits, all others stop at the limits.
        let (number, is_kept) = match text.parse::<i64>() {
            Ok(exact) => (exact as i32, i32::try_from(exact).is_ok()),
            Err(_) => match text.parse::<f64>().ok()? {
                whole if whole.fract() == 0.0 && whole.abs() < 2_f64.powi(63) => {
                    (whole as i64 as i32, whole.abs() < 2_f64.powi(31))
                }
                other => (other as i32, false),
            },
        };
        self.has_wrapped |= !is_kept;
        Some(number)
    }

    /// Skips an optional minus sign and digits, of which there must be one, up to an end.
    fn digits(&mut self, end: usize) -> Option<()> {
        let rest = self.text.get(self.at..end)?;
        let sign = usize::from(rest.first() == Some(&b'-'));
        let count = rest[sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then(|| self.at += sign + count)
    }

    /// A zone's name, `GMT`, `GMT+h:mm` or `+hhmm`, as milliseconds.
    fn zone(&mut self, before_spaces: usize) -> Option<i32> {
        if let Some(sign) = self.sign() {
            return self.offset(sign, 0, false);
        }
        if before_spaces == self.at && self.takes("GMT") {
            return match self.sign() {
                Some(sign) => self.offset(sign, 0, true),
                None => Some(0),
            };
        }
        ZONES.lines().find_map(|line| {
            let (name, minutes) = line.split_once('\t')?;
            if self.takes(name) { minutes.parse::<i32>().ok().map(|minutes| minutes * 60_000) } else { None }
        })
    }

    /// `Z` or an offset of one of ISO 8601's forms, as milliseconds.
    fn iso_zone(&mut self, count: usize) -> Option<i32> {
        if self.peek() == Some(b'Z') {
            self.at += 1;
            return Some(0);
        }
        let sign = self.sign()?;
        self.offset(sign, count, count == 3)
    }

    fn sign(&mut self) -> Option<i32> {
        let sign = match self.peek()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.at += 1;
        Some(sign)
    }

    /// Hours and minutes after a sign. `count` is that of `X`, or 0: with one there are no minutes.
    fn offset(&mut self, sign: i32, count: usize, has_colon: bool) -> Option<i32> {
        let mut hours = self.digit()?;
        match self.digit() {
            Some(digit) => hours = hours * 10 + digit,
            None if count > 0 || !has_colon => return None,
            None => {}
        }
        if hours > 23 {
            return None;
        }
        let mut minutes = 0;
        if count != 1 {
            if has_colon && self.peek()? != b':' {
                return None;
            }
            self.at += usize::from(has_colon);
            minutes = self.digit()? * 10 + self.digit()?;
            if minutes > 59 {
                return None;
            }
        }
        Some(sign * (hours * 60 + minutes) * 60_000)
    }

    fn digit(&mut self) -> Option<i32> {
        let digit = self.peek().filter(u8::is_ascii_digit)?;
        self.at += 1;
        Some(i32::from(digit - b'0'))
    }
}
