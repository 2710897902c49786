//! Java's text forms: `Double.toString`, `BigDecimal.toString`, and `toString` of what Connect's values are in Java.
//! All functions append UTF-8 to a byte buffer.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write as _;

pub use floating::{write_double, write_float};

use crate::arena::Arena;
use crate::jackson;
use crate::value::{Decimal, Value};

mod floating;

/// `new String(bytes, UTF_8)`: malformed sequences become U+FFFD, an encoded surrogate becomes one (not three).
#[must_use]
pub fn decode_utf8(bytes: &[u8]) -> Cow<'_, str> {
    let mut rest = bytes;
    let mut text = String::new();
    loop {
        let error = match std::str::from_utf8(rest) {
            Ok(valid) if text.is_empty() => return Cow::Borrowed(valid),
            Ok(valid) => return Cow::Owned(text + valid),
            Err(error) => error,
        };
        let (valid, broken) = rest.split_at(error.valid_up_to());
        text.push_str(&String::from_utf8_lossy(valid));
        text.push(char::REPLACEMENT_CHARACTER);
        let skipped = match broken {
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] => 3,
            [0xed, 0xa0..=0xbf, ..] => 2,
            _ => error.error_len().unwrap_or(broken.len()),
        };
        rest = &broken[skipped..];
    }
}

impl Decimal {
    /// Most digits that [`Decimal::parse`] takes. Java has no such limit, but needs minutes for more.
    pub const MOST_DIGITS: usize = 100_000;

    /// `new BigDecimal(text)`: digits with an optional sign, point and exponent. `None` if the text is something else, or the
    /// scale does not fit 32 bits, or there are more digits than [`Decimal::MOST_DIGITS`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i64 = exponent.parse().ok()?;
        let negative = mantissa.starts_with('-');
        let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let scale = i32::try_from((fraction.len() as i64).checked_sub(exponent)?).ok()?;
        if !(1..=Self::MOST_DIGITS).contains(&(whole.len() + fraction.len())) {
            return None;
        }
        // Limbs of 32 bits, the lowest first; nine digits are taken at a time.
        let mut limbs = Vec::new();
        let digits = [whole, fraction].concat();
        for group in digits.as_bytes().chunks(9) {
            let mut carry = 0_u64;
            for digit in group {
                carry = carry * 10 + u64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
            }
            let base = 10_u64.pow(group.len() as u32);
            for limb in &mut limbs {
                carry += u64::from(*limb) * base;
                *limb = carry as u32;
                carry >>= 32;
            }
            if carry > 0 {
                limbs.push(carry as u32);
            }
        }
        let mut bytes = vec![0_u8];
        bytes.extend(limbs.iter().rev().flat_map(|limb| limb.to_be_bytes()));
        if negative {
            negate(&mut bytes);
        }
        // As short as two's complement allows, with room for the sign.
        let sign: u8 = if negative && bytes.iter().any(|&byte| byte != 0) { 0xff } else { 0 };
        if (bytes[0] ^ sign) & 0x80 != 0 {
            bytes.insert(0, sign);
        }
        let spare = bytes.windows(2).take_while(|pair| pair[0] == sign && (pair[1] ^ sign) & 0x80 == 0).count();
        Some(Self { unscaled: bytes[spare..].into(), scale })
    }

    /// The sign and the decimal digits of the unscaled value.
    #[must_use]
    pub fn unscaled_digits(&self) -> (bool, String) {
        let negative = self.unscaled.first().is_some_and(|byte| byte & 0x80 != 0);
        let mut magnitude: Vec<u8> = self.unscaled.to_vec();
        if negative {
            negate(&mut magnitude);
        }
        // Limbs of 32 bits, the highest first; nine digits are taken at a time.
        let mut limbs: Vec<u32> = magnitude
            .rchunks(4)
            .rev()
            .map(|limb| limb.iter().fold(0, |limb, &byte| limb << 8 | u32::from(byte)))
            .collect();
        let (mut groups, mut first) = (Vec::new(), 0);
        while first < limbs.len() {
            let mut remainder = 0_u64;
            for limb in &mut limbs[first..] {
                let current = remainder << 32 | u64::from(*limb);
                *limb = (current / 1_000_000_000) as u32;
                remainder = current % 1_000_000_000;
            }
            groups.push(remainder);
            first += limbs[first..].iter().take_while(|&&limb| limb == 0).count();
        }
        // Zeros above the highest digit.
        while groups.last() == Some(&0) {
            groups.pop();
        }
        let mut digits = groups.pop().unwrap_or(0).to_string();
        for group in groups.iter().rev() {
            // Writing to a String cannot fail.
            let _ = write!(digits, "{group:09}");
        }
        (negative, digits)
    }
}

/// Two's complement negation in place.
fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes.iter_mut().rev() {
        (*byte, carry) = (!*byte).overflowing_add(carry.into());
    }
}

/// Appends `BigDecimal.toString()`.
pub fn write_decimal(decimal: &Decimal, out: &mut Vec<u8>) {
    let (negative, digits) = decimal.unscaled_digits();
    if negative {
        out.push(b'-');
    }
    let scale = i64::from(decimal.scale);
    let adjusted = digits.len() as i64 - 1 - scale;
    if scale == 0 {
        out.extend_from_slice(digits.as_bytes());
    } else if scale > 0 && adjusted >= -6 {
        let scale = scale as usize;
        if digits.len() > scale {
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            out.extend_from_slice(format!("{whole}.{fraction}").as_bytes());
        } else {
            out.extend_from_slice(format!("0.{digits:0>scale$}").as_bytes());
        }
    } else {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let exponent = if adjusted == 0 { String::new() } else { format!("E{adjusted:+}") };
        out.extend_from_slice(format!("{first}{point}{rest}{exponent}").as_bytes());
    }
}

/// Year, month, day and weekday (0 is Sunday) of a day since the epoch; Julian before 15 October 1582, as in `java.util`.
pub(crate) fn calendar(day: i64) -> (i64, i64, i64, i64) {
    const GREGORIAN_START: i64 = -141_427;
    let weekday = (day + 4).rem_euclid(7);
    let (shifted, year_base) = if day >= GREGORIAN_START {
        let days = day + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        (of_era - (365 * year + year / 4 - year / 100), year + era * 400)
    } else {
        let days = day + 719_470;
        let era = days.div_euclid(1_461);
        let of_era = days.rem_euclid(1_461);
        let year = (of_era - of_era / 1_460) / 365;
        (of_era - 365 * year, year + era * 4)
    };
    let month_from_march = (5 * shifted + 2) / 153;
    let day_of_month = shifted - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_base + i64::from(month <= 2), month, day_of_month, weekday)
}

/// Appends `new Date(millis).toString()` in UTC, such as `Fri Jan 02 00:00:00 UTC 1970`.
pub fn write_date(millis: i64, out: &mut Vec<u8>) {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (year, month, day, weekday) = calendar(millis.div_euclid(86_400_000));
    // Years before 1 are printed as years of their era (BC).
    let shown_year = if year <= 0 { 1 - year } else { year };
    let second = millis.rem_euclid(86_400_000) / 1_000;
    let _ = write!(
        out,
        "{} {} {day:02} {:02}:{:02}:{:02} UTC {shown_year}",
        DAYS[weekday as usize],
        MONTHS[month as usize - 1],
        second / 3_600,
        second / 60 % 60,
        second % 60,
    );
}

/// Appends `String.valueOf(value)` of the value's Java form. Bytes, whose Java text is an identity hash, give `[B@` and a hash of
/// their contents.
pub fn write_value(value: &Value, arena: &Arena, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => {
            jackson::write_integer(value.as_int().unwrap_or_default(), out);
        }
        Value::Float32(value) => write_float(*value, out),
        Value::Float64(value) => write_double(*value, out),
        Value::StringSpan(span) => out.extend_from_slice(arena.get(*span)),
        Value::String(text) => out.extend_from_slice(text.as_bytes()),
        Value::BytesSpan(_) | Value::Bytes(_) => {
            let bytes = value.as_bytes(arena).unwrap_or_default();
            let hash = bytes.iter().fold(1_u32, |hash, &byte| hash.wrapping_mul(31).wrapping_add(byte as i8 as u32));
            out.extend_from_slice(format!("[B@{hash:x}").as_bytes());
        }
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                out.extend_from_slice(if index == 0 { b"" } else { b", " });
                write_value(item, arena, out);
            }
            out.push(b']');
        }
        Value::Map(map) => {
            out.push(b'{');
            for (index, (key, value)) in map.iter().enumerate() {
                out.extend_from_slice(if index == 0 { b"" } else { b", " });
                write_value(key, arena, out);
                out.push(b'=');
                write_value(value, arena, out);
            }
            out.push(b'}');
        }
        Value::Struct(record) => {
            out.extend_from_slice(b"Struct{");
            let set = record.schema.fields().iter().zip(&record.values).filter(|(_, value)| !value.is_null());
            for (index, (field, value)) in set.enumerate() {
                out.extend_from_slice(if index == 0 { b"" } else { b"," });
                out.extend_from_slice(field.name.as_bytes());
                out.push(b'=');
                write_value(value, arena, out);
            }
            out.push(b'}');
        }
        Value::Decimal(decimal) => write_decimal(decimal, out),
        Value::DateTime(millis) => write_date(*millis, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_as_they_were_read() {
        for digits in [1, 8, 9, 10, 18, 19, 20, 36, 37, 40, 1_000] {
            for text in ["9", "1", "4294967296"].map(|piece| piece.repeat(digits)) {
                for text in [format!("-{}", &text[..digits]), text[..digits].to_owned()] {
                    let mut written = Vec::new();
                    write_decimal(&Decimal::parse(&text).expect("a number"), &mut written);
                    assert_eq!(String::from_utf8_lossy(&written), text);
                }
            }
        }
        let padded = |unscaled: &[u8]| Decimal { unscaled: unscaled.into(), scale: 0 }.unscaled_digits();
        assert_eq!(padded(&[0, 0, 0, 0, 0, 0, 0, 0, 5]), (false, "5".to_owned()));
        assert_eq!(padded(&[0]), (false, "0".to_owned()));
        assert_eq!(padded(&[0xff; 9]), (true, "1".to_owned()));
        assert_eq!(padded(&[0x80, 0, 0, 0]), (true, "2147483648".to_owned()));
    }

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn doubles_read_as_in_java() {
        let cases = [
            (1.0, "1.0"),
            (100.0, "100.0"),
            (1e7, "1.0E7"),
            (9_999_999.5, "9999999.5"),
            (1e-3, "0.001"),
            (0.001_2, "0.0012"),
            (9.99e-4, "9.99E-4"),
            (-1.234_567_890_1e10, "-1.2345678901E10"),
            (f64::NAN, "NaN"),
            (-0.0, "-0.0"),
            (f64::MAX, "1.7976931348623157E308"),
            (5e-324, "4.9E-324"),
            (6_613_021_664_746_866.0 / 8.0, "8.266277080933582E14"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(|out| write_double(value, out)), expected);
        }
        assert_eq!(text(|out| write_float(0.1, out)), "0.1");
        assert_eq!(text(|out| write_float(3.4e38, out)), "3.4E38");
    }

    #[test]
    fn decimals_read_as_in_java() {
        let cases: [(&[u8], i32, &str); 8] = [
            (&[0x04, 0xd2], 2, "12.34"),
            (&[0xfb, 0x2e], 2, "-12.34"),
            (&[1], 30, "1E-30"),
            (&[5], -2, "5E+2"),
            (&[15], -2, "1.5E+3"),
            (&[0], 2, "0.00"),
            (&[1], 6, "0.000001"),
            (&[0x0d, 0xe0, 0xb6, 0xb3, 0xa7, 0x64, 0, 0], 0, "1000000000000000000"),
        ];
        for (unscaled, scale, expected) in cases {
            let decimal = Decimal { unscaled: unscaled.into(), scale };
            assert_eq!(text(|out| write_decimal(&decimal, out)), expected);
            assert_eq!(Decimal::parse(expected), Some(decimal));
        }
    }

    #[test]
    fn malformed_text_is_replaced_as_in_java() {
        assert_eq!(decode_utf8(b"a\xed\xa0\x80b\xed\xa0c\xffd\xe2\x82"), "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}");
        assert!(matches!(decode_utf8("zü".as_bytes()), Cow::Borrowed("zü")));
    }

    #[test]
    fn dates_read_as_in_java() {
        let cases = [
            (0, "Thu Jan 01 00:00:00 UTC 1970"),
            (-1, "Wed Dec 31 23:59:59 UTC 1969"),
            (951_782_400_000, "Tue Feb 29 00:00:00 UTC 2000"),
            (253_402_300_800_000, "Sat Jan 01 00:00:00 UTC 10000"),
            (-12_219_292_800_000, "Fri Oct 15 00:00:00 UTC 1582"),
            (-12_219_292_800_001, "Thu Oct 04 23:59:59 UTC 1582"),
        ];
        for (millis, expected) in cases {
            assert_eq!(text(|out| write_date(millis, out)), expected);
        }
    }
}
