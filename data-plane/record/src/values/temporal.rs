//! Dates, times and timestamps in text, as Java's `SimpleDateFormat` (lenient, UTC) writes and reads them: fields may have any number of
//! digits and any value, may be negative, and what follows the last field is ignored.

use std::sync::{Arc, LazyLock};

use super::{DATE, MILLIS_PER_DAY, SchemaAndValue, TIME, TIMESTAMP};
use crate::java_text;
use crate::schema::{Schema, SchemaType};
use crate::value::Value;

/// Connect's `Date.SCHEMA`, `Time.SCHEMA` and `Timestamp.SCHEMA`: always the same pointers.
static SCHEMAS: LazyLock<[Arc<Schema>; 3]> = LazyLock::new(|| {
    [(SchemaType::Int32, DATE), (SchemaType::Int32, TIME), (SchemaType::Int64, TIMESTAMP)]
        .map(|(kind, name)| Schema::builder(kind).name(name).version(1).build())
});

pub(super) fn date_schema() -> &'static Arc<Schema> {
    &SCHEMAS[0]
}

pub(super) fn time_schema() -> &'static Arc<Schema> {
    &SCHEMAS[1]
}

pub(super) fn timestamp_schema() -> &'static Arc<Schema> {
    &SCHEMAS[2]
}

/// Appends the text of a `java.util.Date`: a time before the epoch's second day, a date at midnight, else a timestamp.
pub(super) fn write(millis: i64, out: &mut Vec<u8>) {
    let millis_of_day = millis.rem_euclid(MILLIS_PER_DAY);
    let mut text = String::new();
    if millis >= MILLIS_PER_DAY {
        let (year, month, day, _) = java_text::calendar(millis.div_euclid(MILLIS_PER_DAY));
        text = format!("{year:04}-{month:02}-{day:02}");
        if millis_of_day > 0 {
            text.push('T');
        }
    }
    if millis < MILLIS_PER_DAY || millis_of_day > 0 {
        let second = millis_of_day / 1_000;
        let (hour, minute) = (second / 3_600, second / 60 % 60);
        text += &format!("{hour:02}:{minute:02}:{:02}.{:03}Z", second % 60, millis_of_day % 1_000);
    }
    out.extend_from_slice(text.as_bytes());
}

/// Reads text (its digits in ASCII) whose length is that of a date, a time or a timestamp.
pub(super) fn parse(text: &str) -> Option<SchemaAndValue> {
    // An escaped colon is no delimiter, but counts as a colon.
    let text = text.replace("\\:", ":");
    let mut reader = Reader { text: text.as_bytes(), at: 0 };
    let (schema, millis) = match text.encode_utf16().count() {
        10 => (date_schema(), day_millis(reader.date()?, 0)),
        13 => (time_schema(), day_millis((1970, 1, 1), reader.time()?)),
        24 => {
            let date = reader.date()?;
            reader.literal(b'T')?;
            (timestamp_schema(), day_millis(date, reader.time()?))
        }
        _ => return None,
    };
    Some(SchemaAndValue { schema: schema.clone(), value: Value::DateTime(millis) })
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// Year, month and day.
    fn date(&mut self) -> Option<(i64, i64, i64)> {
        let year = self.number()?;
        self.literal(b'-')?;
        let month = self.number()?;
        self.literal(b'-')?;
        Some((year, month, self.number()?))
    }

    /// Milliseconds of a time of day.
    fn time(&mut self) -> Option<i64> {
        let hour = self.number()?;
        self.literal(b':')?;
        let minute = self.number()?;
        self.literal(b':')?;
        let second = self.number()?;
        self.literal(b'.')?;
        let millis = self.number()?;
        self.literal(b'Z')?;
        Some(((hour * 60 + minute) * 60 + second) * 1_000 + millis)
    }

    fn literal(&mut self, expected: u8) -> Option<()> {
        (*self.text.get(self.at)? == expected).then(|| self.at += 1)
    }

    /// `DecimalFormat.parse` for integers, then `intValue`: with an optional minus sign and an optional exponent.
    fn number(&mut self) -> Option<i64> {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        let start = self.at;
        self.digits()?;
        let mantissa_end = self.at;
        if self.text.get(self.at) == Some(&b'E') {
            self.at += 1;
            if self.digits().is_none() {
                self.at = mantissa_end;
            }
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).ok()?;
        // Whole numbers that fit 64 bits wrap to 32 bits, all others stop at the limits.
        let number = match text.parse::<i64>() {
            Ok(exact) => exact as i32,
            Err(_) => match text.parse::<f64>().ok()? {
                whole if whole.fract() == 0.0 && whole.abs() < 2_f64.powi(63) => whole as i64 as i32,
                other => other as i32,
            },
        };
        Some(number.into())
    }

    /// Skips an optional minus sign and digits, of which there must be one.
    fn digits(&mut self) -> Option<()> {
        let start = self.at + usize::from(self.text.get(self.at) == Some(&b'-'));
        let count = self.text[start.min(self.text.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then(|| self.at = start + count)
    }
}

/// Milliseconds since the epoch of a date and milliseconds from its midnight, as a lenient `GregorianCalendar` counts: days before
/// 15 October 1582 are Julian.
fn day_millis((year, month, day): (i64, i64, i64), millis: i64) -> i64 {
    const GREGORIAN_START: i64 = -141_427;
    let carry = day - 1 + millis.div_euclid(MILLIS_PER_DAY);
    let months = year * 12 + month - 1;
    // Java's years have 32 bits and wrap.
    let (normal_year, normal_month) = (i64::from(months.div_euclid(12) as i32), months.rem_euclid(12) + 1);
    let gregorian = first_of_month(normal_year, normal_month, true) + carry;
    let julian = first_of_month(normal_year, normal_month, false) + carry;
    let day = if year >= 1582 && gregorian >= GREGORIAN_START { gregorian } else { julian };
    day.wrapping_mul(MILLIS_PER_DAY).wrapping_add(millis.rem_euclid(MILLIS_PER_DAY))
}

/// Days from the epoch to the first day of a month.
fn first_of_month(year: i64, month: i64, gregorian: bool) -> i64 {
    let year = year - i64::from(month <= 2);
    let month_from_march = (month + 9) % 12;
    let days = 365 * year + year.div_euclid(4) + (153 * month_from_march + 2) / 5;
    if gregorian { days - year.div_euclid(100) + year.div_euclid(400) - 719_468 } else { days - 719_470 }
}

/// The time of day of a moment, as Connect cuts it out of a timestamp: by setting year, month and day, but not the era.
pub(super) fn time_of_day(millis: i64) -> i32 {
    let (year, ..) = java_text::calendar(millis.div_euclid(MILLIS_PER_DAY));
    let day = if year <= 0 { first_of_month(1 - 1970, 1, false) } else { 0 };
    (day * MILLIS_PER_DAY + millis.rem_euclid(MILLIS_PER_DAY)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<i64> {
        match parse(text)?.value {
            Value::DateTime(millis) => Some(millis),
            _ => None,
        }
    }

    #[test]
    fn dates_are_lenient() {
        assert_eq!(millis("1970-01-02"), Some(MILLIS_PER_DAY));
        assert_eq!(millis("1970-13-01"), Some(365 * MILLIS_PER_DAY));
        assert_eq!(millis("1970-1-2xy"), Some(MILLIS_PER_DAY));
        assert_eq!(millis("00:00:25.000Z"), Some(25_000));
        assert_eq!(millis("1970/01/02"), None);
        assert_eq!(millis("1582-10-15"), Some(-141_427 * MILLIS_PER_DAY));
        assert_eq!(millis("2E20-15-02"), Some(6_017_484_162_591_806_464));
        assert_eq!(millis("1582-10-04"), Some(-141_428 * MILLIS_PER_DAY));
    }

    #[test]
    fn what_is_written_reads_back() {
        for expected in [0, 1, 999, 86_399_999, 86_400_000, 86_400_001, 1_709_210_096_789] {
            let mut text = Vec::new();
            write(expected, &mut text);
            assert_eq!(millis(std::str::from_utf8(&text).expect("text")), Some(expected));
        }
    }
}
