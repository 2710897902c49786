//! Numbers in text, as Java's `Integer.parseInt` and `Double.parseDouble` read them.

use data_plane_record::values::with_ascii_digits;

/// `Byte.parseByte`, `Short.parseShort`, `Integer.parseInt` or `Long.parseLong`: digits of any script with an optional sign.
pub(super) fn parse_integer<T: std::str::FromStr>(text: &str) -> Option<T> {
    with_ascii_digits(text).parse().ok()
}

/// `Float.parseFloat`.
pub(super) fn parse_float(text: &str) -> Option<f32> {
    match read(text)? {
        Read::Plain(number) => number.parse().ok(),
        Read::Hex { negative, mantissa, exponent } => {
            let value = scaled(mantissa, exponent, f32::MANTISSA_DIGITS, f32::MIN_EXP) as f32;
            Some(if negative { -value } else { value })
        }
    }
}

/// `Double.parseDouble`.
pub(super) fn parse_double(text: &str) -> Option<f64> {
    match read(text)? {
        Read::Plain(number) => number.parse().ok(),
        Read::Hex { negative, mantissa, exponent } => {
            let value = scaled(mantissa, exponent, f64::MANTISSA_DIGITS, f64::MIN_EXP);
            Some(if negative { -value } else { value })
        }
    }
}

enum Read<'a> {
    /// What Rust reads as Java does.
    Plain(&'a str),
    /// `mantissa` × 2^`exponent`.
    Hex { negative: bool, mantissa: u128, exponent: i64 },
}

fn read(text: &str) -> Option<Read<'_>> {
    let text = text.trim_matches(|character| character <= ' ');
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, "NaN" | "Infinity") {
        return Some(Read::Plain(text));
    }
    if let Some(digits) = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        let (mantissa, exponent) = hex(digits)?;
        return Some(Read::Hex { negative, mantissa, exponent });
    }
    let is_digit_or_point = |character: char| character.is_ascii_digit() || character == '.';
    let plain = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
    // Rust reads names of infinity and of no number that Java does not know.
    let is_number = unsigned.starts_with(is_digit_or_point) && plain.ends_with(is_digit_or_point);
    is_number.then_some(Read::Plain(plain))
}

/// What follows `0x`: hexadecimal digits with an optional point, and an exponent of 2 in decimal.
fn hex(text: &str) -> Option<(u128, i64)> {
    let (digits, exponent) = text.split_once(['p', 'P'])?;
    let exponent = exponent.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(exponent);
    let (sign, exponent_digits) = match exponent.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, exponent.strip_prefix('+').unwrap_or(exponent)),
    };
    if exponent_digits.is_empty() || !exponent_digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Java stops at the limits as well.
    let mut exponent = sign * exponent_digits.parse::<i64>().unwrap_or(i64::from(i32::MAX)).min(i64::from(i32::MAX));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    let mut mantissa = 0_u128;
    for (index, digit) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u128::from(digit.to_digit(16)?);
        if mantissa >> 120 == 0 {
            mantissa = mantissa << 4 | digit;
            exponent -= if index < whole.len() { 0 } else { 4 };
        } else {
            // Beyond any precision: it only tells a half from more than a half.
            mantissa |= u128::from(digit > 0);
            exponent += if index < whole.len() { 4 } else { 0 };
        }
    }
    Some((mantissa, exponent))
}

/// `mantissa` × 2^`exponent`, rounded once, to the nearest number of so many bits (of two the even one), with Rust's smallest exponent.
fn scaled(mantissa: u128, exponent: i64, precision_bits: u32, min_exponent: i32) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let bits = i64::from(128 - mantissa.leading_zeros());
    let lowest = (exponent + bits - i64::from(precision_bits)).max(i64::from(min_exponent) - i64::from(precision_bits));
    let cut = lowest - exponent;
    let rounded = match u32::try_from(cut) {
        Err(_) | Ok(0) => mantissa,
        Ok(cut) if cut > 127 => 0,
        Ok(cut) => {
            let (kept, rest, half) = (mantissa >> cut, mantissa & ((1 << cut) - 1), 1_u128 << (cut - 1));
            kept + u128::from(rest > half || rest == half && kept & 1 == 1)
        }
    };
    let exponent = if cut > 0 { lowest } else { exponent };
    // Exact: `rounded` has at most the bits of the type, and the product is one of its numbers, or too large.
    let mut value = rounded as f64;
    let mut left = exponent.clamp(-3_000, 3_000) as i32;
    while left != 0 {
        let step = left.clamp(-1_000, 1_000);
        value *= 2_f64.powi(step);
        left -= step;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_digits_of_any_script() {
        assert_eq!(parse_integer::<i8>("+٥"), Some(5));
        assert_eq!(parse_integer::<i64>("-9223372036854775808"), Some(i64::MIN));
        for bad in ["", "+", "128", " 5", "1_0", "0x1", "1.0"] {
            assert_eq!(parse_integer::<i8>(bad), None, "{bad}");
        }
    }

    #[test]
    fn floats_are_those_of_java() {
        let good = [
            (" 1.5\t", 1.5),
            ("1f", 1.0),
            (".5D", 0.5),
            ("5.", 5.0),
            ("-Infinity", f64::NEG_INFINITY),
            ("1e400", f64::INFINITY),
        ];
        for (text, expected) in good {
            assert_eq!(parse_double(text), Some(expected), "{text}");
        }
        for bad in [
            "", ".", "e5", "inf", "nan", "infinity", "1ff", "NaNf", "1e", "0x10", "0x", "0xp1", "٥", "1_0", "--1",
            "+-1",
        ] {
            assert_eq!(parse_double(bad), None, "{bad}");
        }
        assert_eq!(parse_float("16777217"), Some(16_777_216.0));
        assert!(parse_double("+NaN").is_some_and(f64::is_nan));
    }

    #[test]
    fn hexadecimal_floats_are_rounded_once() {
        let good = [
            ("0x1p3", 8.0),
            ("-0x.8P0d", -0.5),
            ("0xA.8p-1f", 5.25),
            ("0x1p-1074", 5e-324),
            ("0x1p-1075", 0.0),
            ("0x1.8p-1075", 5e-324),
            ("0x1.fffffffffffff8p1023", f64::INFINITY),
            ("0x1.fffffffffffff7fp1023", f64::MAX),
            ("0x1p99999999999", f64::INFINITY),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080000000000000000000000000000000001p0", 1.000_000_000_000_000_2),
        ];
        for (text, expected) in good {
            assert_eq!(parse_double(text), Some(expected), "{text}");
        }
        assert_eq!(parse_float("0x1.000001p0"), Some(1.0));
        assert_eq!(parse_float("0x1p-149"), Some(f32::from_bits(1)));
        assert_eq!(parse_float("0x1p128"), Some(f32::INFINITY));
    }
}
