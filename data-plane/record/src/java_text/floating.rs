//! `Double.toString` and `Float.toString` as Java 17 and earlier print them.
//!
//! Since Java 19 the text is the shortest that gives the value back. Before, it came from Steele and White's digit generation with
//! habits of its own, and texts that Kafka Connect wrote carry them: whole numbers beyond the type's precision lose only the digits
//! below it (the float 1.5E10 is `1.50000005E10`), at least two digits are made before an exponent (`4.9E-324`), and a shorter text
//! exactly half a unit away is not taken (1E23 is `9.999999999999999E22`). This file keeps these habits.

use std::cmp::Ordering;

/// Appends `Double.toString(value)`.
pub fn write_double(value: f64, out: &mut Vec<u8>) {
    let bits = value.to_bits();
    let (fraction, exponent) = (bits & (FRACTION_ONE - 1), (bits >> 52 & 0x7ff) as i32);
    if value.is_finite() && value != 0.0 {
        if value < 0.0 {
            out.push(b'-');
        }
        digits(Binary::new(fraction, exponent, 53, 1_023)).write(out);
    } else {
        write_special(value, out);
    }
}

/// Appends `Float.toString(value)`.
pub fn write_float(value: f32, out: &mut Vec<u8>) {
    let bits = value.to_bits();
    let (fraction, exponent) = (u64::from(bits & 0x7f_ffff) << 29, (bits >> 23 & 0xff) as i32);
    if value.is_finite() && value != 0.0 {
        if value < 0.0 {
            out.push(b'-');
        }
        digits(Binary::new(fraction, exponent, 24, 127)).write(out);
    } else {
        write_special(value.into(), out);
    }
}

fn write_special(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(match value {
        _ if value.is_nan() => b"NaN",
        f64::INFINITY => b"Infinity",
        f64::NEG_INFINITY => b"-Infinity",
        _ if value.is_sign_negative() => b"-0.0",
        _ => b"0.0",
    });
}

const FRACTION_ONE: u64 = 1 << 52;

/// A positive number: `fraction` / 2^52 * 2^`exponent`, its fraction from 2^52 up to 2^53.
struct Binary {
    fraction: u64,
    exponent: i32,
    /// Bits that the number's form has room for: fewer in one that is subnormal.
    precision: i32,
}

impl Binary {
    fn new(fraction: u64, biased: i32, precision: i32, bias: i32) -> Self {
        if biased > 0 {
            return Self { fraction: fraction | FRACTION_ONE, exponent: biased - bias, precision };
        }
        let shift = fraction.leading_zeros() as i32 - 11;
        Self { fraction: fraction << shift, exponent: 1 - shift - bias, precision: precision - shift }
    }

    /// About the decimal exponent: never too low, at times one too high.
    #[expect(clippy::approx_constant, reason = "the same estimate as Java's, to the last bit")]
    fn decimal_exponent(&self) -> i32 {
        let fraction = self.fraction as f64 / FRACTION_ONE as f64;
        let estimate =
            (fraction - 1.5) * 0.289_529_654 + 0.176_091_259 + f64::from(self.exponent) * 0.301_029_995_663_981;
        estimate.floor() as i32
    }
}

/// Decimal digits of a number: 0.`digits` * 10^`exponent`.
struct Digits {
    digits: [u8; 24],
    len: usize,
    exponent: i32,
}

impl Digits {
    fn push(&mut self, digit: u64) {
        self.digits[self.len] = b'0' + digit as u8;
        self.len += 1;
    }

    /// Adds one at the last digit. Zeros that this leaves at the end stay, as in Java.
    fn round_up(&mut self) {
        for digit in self.digits[..self.len].iter_mut().rev() {
            if *digit < b'9' {
                *digit += 1;
                return;
            }
            *digit = b'0';
        }
        self.digits[0] = b'1';
        self.exponent += 1;
    }

    /// Plain from 10^-3 up to 10^7, else with an exponent.
    fn write(&self, out: &mut Vec<u8>) {
        let digits = &self.digits[..self.len];
        if (-2..=0).contains(&self.exponent) {
            out.extend_from_slice(&b"0.00"[..2 + self.exponent.unsigned_abs() as usize]);
            out.extend_from_slice(digits);
            return;
        }
        let is_plain = (1..8).contains(&self.exponent);
        let whole = if is_plain { self.exponent as usize } else { 1 };
        let (before, after) = digits.split_at(whole.min(digits.len()));
        out.extend_from_slice(before);
        out.extend_from_slice(&b"0000000"[..whole - before.len()]);
        out.push(b'.');
        out.extend_from_slice(if after.is_empty() { b"0" } else { after });
        if !is_plain {
            let exponent = self.exponent - 1;
            out.extend_from_slice(if exponent < 0 { b"E-" } else { b"E" });
            let exponent = exponent.unsigned_abs();
            for unit in [100, 10, 1] {
                if exponent >= unit || unit == 1 {
                    out.push(b'0' + (exponent / unit % 10) as u8);
                }
            }
        }
    }
}

fn digits(number: Binary) -> Digits {
    let fraction_bits = 53 - number.fraction.trailing_zeros() as i32;
    // Bits after the binary point.
    let tiny_bits = (fraction_bits - number.exponent - 1).max(0);
    if (0..=62).contains(&number.exponent) && tiny_bits == 0 {
        return whole_digits(&number);
    }
    // The number as B / S, half a unit of its last bit as M / S; the powers of five and two in each.
    let decimal_exponent = number.decimal_exponent();
    let (b5, s5) = ((-decimal_exponent).max(0), decimal_exponent.max(0));
    let (b2, s2) = (b5 + tiny_bits + number.exponent, s5 + tiny_bits);
    let m2 = b2 - number.precision;
    let b2 = b2 - (fraction_bits - 1);
    // No more twos than needed. Below a power of two the values are twice as dense.
    let common = b2.min(s2);
    let m2 = m2 - common - i32::from(fraction_bits == 1);
    let missing = (-m2).max(0);
    let scaled = Scaled {
        fraction: number.fraction >> (53 - fraction_bits),
        b5: b5 as u32,
        s5: s5 as u32,
        b2: (b2 - common + missing) as u32,
        s2: (s2 - common + missing) as u32,
        m2: (m2 + missing) as u32,
    };
    let b_bits = fraction_bits as u32 + scaled.b2 + bits_of_power(scaled.b5);
    let s_bits = scaled.s2 + 1 + bits_of_power(scaled.s5 + 1);
    match b_bits.max(s_bits) {
        ..32 => scaled.short_digits(decimal_exponent, |number| i64::from(number as i32)),
        32..64 => scaled.short_digits(decimal_exponent, |number| number),
        _ => scaled.long_digits(decimal_exponent),
    }
}

/// A whole number below 2^63: all its digits but those that the type cannot tell apart, without zeros at the end.
fn whole_digits(number: &Binary) -> Digits {
    let shift = number.exponent - 52;
    let mut whole = if shift >= 0 { number.fraction << shift } else { number.fraction >> -shift };
    let mut exponent = 0;
    let spare_bits = number.exponent - number.precision - 1;
    if spare_bits > 1 {
        // The digits of the power of two below which nothing is told apart.
        exponent = (1_u64 << spare_bits).ilog10();
        let unit = 10_u64.pow(exponent);
        whole = whole / unit + u64::from(whole % unit >= unit / 2 && exponent > 0);
    }
    while whole.is_multiple_of(10) {
        whole /= 10;
        exponent += 1;
    }
    let mut digits = Digits { digits: [0; 24], len: whole.ilog10() as usize + 1, exponent: 0 };
    digits.exponent = exponent as i32 + digits.len as i32;
    for digit in digits.digits[..digits.len].iter_mut().rev() {
        *digit = b'0' + (whole % 10) as u8;
        whole /= 10;
    }
    digits
}

/// Bits of 5^`power`; none for 5^0, as Java counts.
fn bits_of_power(power: u32) -> u32 {
    if power == 0 { 0 } else { power * 1_217_359 / 524_288 + 1 }
}

/// A number as a fraction: (`fraction` * 5^`b5` * 2^`b2`) / (5^`s5` * 2^`s2`), and half a unit of its last bit as
/// (5^`b5` * 2^`m2`) / the same. The first digit is before the point, unless the estimate of the exponent was too high.
struct Scaled {
    fraction: u64,
    b5: u32,
    s5: u32,
    b2: u32,
    s2: u32,
    m2: u32,
}

impl Scaled {
    /// The digits by numbers of 64 bits, or 32 by `wrap`. Half a unit may overflow; Java then ends.
    fn short_digits(&self, decimal_exponent: i32, wrap: impl Fn(i64) -> i64) -> Digits {
        let mut rest = ((self.fraction * 5_u64.pow(self.b5)) << self.b2) as i64;
        let unit = (5_u64.pow(self.s5) << self.s2) as i64;
        let mut half = (5_u64.pow(self.b5) << self.m2) as i64;
        let ten = unit * 10;
        let mut next = |is_first: bool| {
            let digit = rest / unit;
            rest = 10 * (rest % unit);
            half = wrap(half.wrapping_mul(10));
            let (low, high) =
                if half > 0 || is_first { (rest < half, wrap(rest.wrapping_add(half)) > ten) } else { (true, true) };
            (digit as u64, low, high, rest.cmp(&(ten - rest)))
        };
        generate(decimal_exponent, &mut next)
    }

    /// The digits by numbers of any size. Here a bound exactly at half a unit above counts.
    fn long_digits(&self, decimal_exponent: i32) -> Digits {
        // A unit with its top bit set makes the guess of a digit right or one too low.
        let mut unit = Big::new(1, self.s5, self.s2);
        let bias = unit.limbs().last().map_or(0, |limb| limb.leading_zeros());
        unit.shift(bias);
        let mut rest = Big::new(self.fraction, self.b5, self.b2 + bias);
        let mut half = Big::new(1, self.b5, self.m2 + bias);
        let mut ten = unit.clone();
        ten.multiply(10);
        let mut next = |_| {
            let digit = rest.take_multiple(&unit);
            rest.multiply(10);
            half.multiply(10);
            let (low, high) = (rest.cmp(&half) == Ordering::Less, rest.cmp_sum(&half, &ten) != Ordering::Less);
            let side = if low && high { rest.cmp_sum(&rest, &ten) } else { Ordering::Equal };
            (digit, low, high, side)
        };
        generate(decimal_exponent, &mut next)
    }
}

/// Takes digits until the rest is too small to matter. `next` gives a digit, whether the number without the rest, or with the digit one
/// higher, still means the same value, and on which side of the middle the rest is.
fn generate(decimal_exponent: i32, next: &mut impl FnMut(bool) -> (u64, bool, bool, Ordering)) -> Digits {
    let mut digits = Digits { digits: [0; 24], len: 0, exponent: decimal_exponent + 1 };
    let (digit, mut low, mut high, mut side) = next(true);
    if digit == 0 && !high {
        digits.exponent -= 1;
    } else {
        digits.push(digit);
    }
    // Before an exponent there are at least two digits. Java asks by other bounds than those of the plain form.
    let has_exponent = !(-2..=8).contains(&digits.exponent);
    let mut must_go_on = has_exponent;
    while must_go_on || (!low && !high) {
        let digit;
        (digit, low, high, side) = next(false);
        digits.push(digit);
        must_go_on = false;
    }
    let is_odd = digits.digits[digits.len - 1] & 1 == 1;
    let is_above_middle = side == Ordering::Greater || (side == Ordering::Equal && is_odd);
    if high && (!low || is_above_middle) {
        digits.round_up();
    }
    digits
}

/// A natural number of at most 1,280 bits: the most, of the smallest double, is about 1,140.
#[derive(Clone)]
struct Big {
    /// The lowest first.
    limbs: [u64; 20],
    len: usize,
}

impl Big {
    /// `factor` * 5^`fives` * 2^`twos`.
    fn new(factor: u64, mut fives: u32, twos: u32) -> Self {
        const MOST_FIVES: u32 = 27;
        let mut big = Self { limbs: [0; 20], len: 1 };
        big.limbs[0] = factor;
        while fives > 0 {
            let step = fives.min(MOST_FIVES);
            big.multiply(5_u64.pow(step));
            fives -= step;
        }
        big.shift(twos);
        big
    }

    fn limbs(&self) -> &[u64] {
        &self.limbs[..self.len]
    }

    fn multiply(&mut self, factor: u64) {
        let mut carry = 0;
        for limb in &mut self.limbs[..self.len] {
            let product = u128::from(*limb) * u128::from(factor) + carry;
            *limb = product as u64;
            carry = product >> 64;
        }
        if carry > 0 {
            self.limbs[self.len] = carry as u64;
            self.len += 1;
        }
    }

    fn shift(&mut self, bits: u32) {
        self.multiply(1 << (bits % 64));
        let whole = (bits / 64) as usize;
        self.limbs.copy_within(..self.len, whole);
        self.limbs[..whole].fill(0);
        self.len += whole;
    }

    /// Takes `unit`, whose top bit is set, from this number as often as it goes: at most 20 times.
    fn take_multiple(&mut self, unit: &Self) -> u64 {
        let top = |big: &Self| {
            let above = if big.len > unit.len { big.limbs[unit.len] } else { 0 };
            let limb = if big.len >= unit.len { big.limbs[unit.len - 1] } else { 0 };
            u128::from(above) << 64 | u128::from(limb)
        };
        // Of the top 60 bits: never too high, as the unit is rounded up.
        let mut multiple = (top(self) >> 4) as u64 / ((top(unit) >> 4) as u64 + 1);
        let (mut borrow, mut carry) = (false, 0);
        for (index, limb) in self.limbs[..self.len].iter_mut().enumerate() {
            let product = u128::from(unit.limbs[index]) * u128::from(multiple) + carry;
            carry = product >> 64;
            (*limb, borrow) = borrowing_sub(*limb, product as u64, borrow);
        }
        self.trim();
        if self.cmp(unit) != Ordering::Less {
            multiple += 1;
            let mut borrow = false;
            for (limb, other) in self.limbs[..self.len].iter_mut().zip(&unit.limbs) {
                (*limb, borrow) = borrowing_sub(*limb, *other, borrow);
            }
            self.trim();
        }
        multiple
    }

    fn trim(&mut self) {
        while self.len > 1 && self.limbs[self.len - 1] == 0 {
            self.len -= 1;
        }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let by_len = self.len.cmp(&other.len);
        by_len.then_with(|| self.limbs().iter().rev().cmp(other.limbs().iter().rev()))
    }

    /// Compares this number plus `addend` with `bound`.
    fn cmp_sum(&self, addend: &Self, bound: &Self) -> Ordering {
        let mut sum = Self { limbs: [0; 20], len: self.len.max(addend.len) };
        let mut carry = false;
        for index in 0..sum.len {
            let (limb, first) = self.limbs[index].overflowing_add(addend.limbs[index]);
            let (limb, second) = limb.overflowing_add(carry.into());
            (sum.limbs[index], carry) = (limb, first || second);
        }
        if carry {
            sum.limbs[sum.len] = 1;
            sum.len += 1;
        }
        sum.cmp(bound)
    }
}

fn borrowing_sub(limb: u64, other: u64, borrow: bool) -> (u64, bool) {
    let (limb, first) = limb.overflowing_sub(other);
    let (limb, second) = limb.overflowing_sub(borrow.into());
    (limb, first || second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_in_java_17() {
        for line in include_str!("../../testdata/java_floating.txt").lines().filter(|line| !line.starts_with('#')) {
            let mut parts = line.split(' ');
            let mut part = || parts.next().expect("kind, bits and text");
            let (kind, bits, expected) = (part(), u64::from_str_radix(part(), 16).expect("bits"), part());
            let mut text = Vec::new();
            match kind {
                "d" => write_double(f64::from_bits(bits), &mut text),
                _ => write_float(f32::from_bits(bits as u32), &mut text),
            }
            assert_eq!(String::from_utf8_lossy(&text), expected, "{line}");
        }
    }
}
