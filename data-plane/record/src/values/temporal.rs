//! Dates, times and timestamps in text, as Java's `SimpleDateFormat` (lenient, UTC) writes and reads them: fields may have any number of
//! digits and any value, may be negative, and what follows the last field is ignored.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use super::{MILLIS_PER_DAY, SchemaAndValue};
use crate::java_date_format::{JavaDateFormat, first_of_month};
use crate::java_text;
use crate::logical;
use crate::value::Value;

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

/// Connect's patterns for dates, times and timestamps.
static FORMATS: LazyLock<[JavaDateFormat; 3]> = LazyLock::new(|| {
    ["yyyy-MM-dd", "HH:mm:ss.SSS'Z'", "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"]
        .map(|pattern| JavaDateFormat::new(pattern, 0).expect("a pattern of Connect"))
});

/// Reads text (its digits in ASCII) whose length is that of a date, a time or a timestamp. Gives also whether that was exact, if it is asked.
pub(super) fn parse(text: &str, asks_exact: bool) -> Option<(SchemaAndValue, bool)> {
    // An escaped colon is no delimiter, but counts as a colon.
    let text = if text.contains("\\:") { Cow::Owned(text.replace("\\:", ":")) } else { Cow::Borrowed(text) };
    let (format, schema) = match text.encode_utf16().count() {
        10 => (&FORMATS[0], logical::date_schema(false)),
        13 => (&FORMATS[1], logical::time_schema(false)),
        24 => (&FORMATS[2], logical::timestamp_schema(false)),
        _ => return None,
    };
    let parsed = SchemaAndValue { schema: Arc::clone(schema), value: Value::DateTime(format.parse(&text)?) };
    Some((parsed, !asks_exact || format.parses_exactly(&text)))
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
        match parse(text, false)?.0.value {
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
