//! Decimal digits of any script, which Java's number readers take like ASCII ones.

use std::borrow::Cow;

/// The zeros of Unicode's decimal digits (category Nd) in the basic plane, as of Unicode 13 (Java 17); nine digits follow each.
const ZEROS: [u32; 37] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620,
    0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
];

/// The ASCII digit that a character stands for.
fn ascii_digit(character: char) -> Option<char> {
    let code = u32::from(character);
    let zero = ZEROS[ZEROS.partition_point(|&zero| zero <= code).checked_sub(1)?];
    char::from_digit(code - zero, 10)
}

/// The text with all digits as ASCII ones: what `Integer.parseInt` and `new BigDecimal` make of them.
#[must_use]
pub fn with_ascii_digits(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|character| ascii_digit(character).unwrap_or(character)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_all_scripts_become_ascii() {
        assert_eq!(with_ascii_digits("٣-९9½é：９"), "3-99½é：9");
    }
}
