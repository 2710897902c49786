//! Whether a conversion kept a value, for those who refuse the lossy ones that Connect makes quietly.

use std::borrow::Cow;

use crate::arena::Arena;
use crate::java_text;
use crate::value::Value;
use crate::values::with_ascii_digits;

/// The first day of the Gregorian calendar, 15 October 1582, in milliseconds since the epoch. Java's older classes name days
/// before it by the Julian calendar, most others by the Gregorian one.
pub const GREGORIAN_START_MS: i64 = -12_219_292_800_000;

/// Whether two texts name the same number: `1.50` and `15E-1` do. Text that names none is the same as itself only.
#[must_use]
pub fn same_number(one: &str, other: &str) -> bool {
    one == other || significant(one).is_some_and(|number| significant(other) == Some(number))
}

/// Sign, digits without zeros around them, and the exponent of the last digit.
fn significant(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = [whole, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let kept = digits.trim_end_matches('0');
    let zeros = (digits.len() - kept.len()) as i64;
    let exponent = exponent.checked_sub(fraction.len() as i64)?.checked_add(zeros)?;
    let kept = kept.trim_start_matches('0');
    // Zero is one number, whatever its sign and exponent.
    if kept.is_empty() {
        Some((false, String::new(), 0))
    } else {
        Some((mantissa.starts_with('-'), kept.to_owned(), exponent))
    }
}

/// Whether a value that was converted from another is the same number; booleans are 0 and 1. A float is the number that its text
/// names, so that the double 0.1 and the float 0.1 are the same.
#[must_use]
pub fn keeps_number(from: &Value, to: &Value, arena: &Arena) -> bool {
    let is_widened = matches!((from.as_float(), to.as_float()), (Some(from), Some(to)) if from == to);
    is_widened || same_number(&number_text(from, arena), &number_text(to, arena))
}

fn number_text<'a>(value: &Value, arena: &'a Arena) -> Cow<'a, str> {
    match value {
        Value::Boolean(flag) => Cow::Borrowed(if *flag { "1" } else { "0" }),
        _ => Cow::Owned(with_ascii_digits(&shown(value, arena)).into_owned()),
    }
}

/// Whether a float that was read from text became infinite or zero, though the text names another number. Rounding to the nearest float
/// is what such text means.
#[must_use]
pub fn is_out_of_range(text: &str, number: f64) -> bool {
    let mantissa = text.split(['e', 'E', 'p', 'P']).next().unwrap_or_default();
    let is_zero = !mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    (number.is_infinite() && !text.contains("Infinity")) || (number == 0.0 && !is_zero)
}

/// Whether a value, or a value in it, is such a one.
pub fn contains(value: &Value, is_such: &impl Fn(&Value) -> bool) -> bool {
    let any = |value: &Value| contains(value, is_such);
    is_such(value)
        || match value {
            Value::Array(items) => items.iter().any(any),
            Value::Map(entries) => entries.iter().any(|(key, value)| any(key) || any(value)),
            Value::Struct(held) => held.values.iter().any(any),
            _ => false,
        }
}

/// A value's text for an error.
#[must_use]
pub fn shown(value: &Value, arena: &Arena) -> String {
    let mut text = Vec::new();
    java_text::write_value(value, arena, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_by_what_they_mean() {
        for (one, other) in [("1.50", "15E-1"), ("-0.0", "0"), ("007", "7.0"), ("NaN", "NaN"), ("1E400", "10e399")] {
            assert!(same_number(one, other), "{one} {other}");
        }
        for (one, other) in [("1", "-1"), ("1.5", "1"), ("NaN", "0"), ("true", "1"), ("", "0"), ("10", "1")] {
            assert!(!same_number(one, other), "{one} {other}");
        }
    }

    #[test]
    fn conversions_keep_numbers_or_not() {
        let arena = Arena::default();
        let kept = |from: Value, to: Value| keeps_number(&from, &to, &arena);
        assert!(kept(Value::Float32(0.1), Value::Float64(0.1_f32.into())));
        assert!(kept(Value::Float64(0.1), Value::Float32(0.1)));
        assert!(kept(Value::Int64(1 << 24), Value::Float32(16_777_216.0)));
        assert!(kept(Value::Boolean(true), Value::Int8(1)));
        assert!(!kept(Value::Int64((1 << 24) + 1), Value::Float32(16_777_216.0)));
        assert!(!kept(Value::Float64(1.234_567_89), Value::Float32(1.234_567_9)));
        assert!(!kept(Value::Int32(300), Value::Int8(44)));
        assert!(!kept(Value::Float64(f64::NAN), Value::Int32(0)));
    }
}
