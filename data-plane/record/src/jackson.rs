//! JSON text as Jackson writes it under Connect: the bytes matter, since keys of the offsets topic are compared and hashed raw.

mod read;
mod tree;

use crate::java_text;

pub use read::{
    DEEPEST, JsonError, LONGEST_NAME, LONGEST_NUMBER, LONGEST_STRING, read, read_and_rest, read_borrowed,
    read_last_member, second_member,
};
pub use tree::{BorrowedJson, Json, JsonTree, text_value};

/// Appends a JSON string: short escapes, `\u00XX` for other control characters, surrogate escapes beyond the basic plane, the
/// rest of Unicode raw.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    // Characters beyond the basic plane are those whose UTF-8 begins with 0xf0 and above.
    let is_plain = |byte: u8| (b' '..0xf0).contains(&byte) && byte != b'"' && byte != b'\\';
    loop {
        let (plain, escaped) = rest.split_at(plain_prefix(rest.as_bytes(), is_plain));
        out.extend_from_slice(plain.as_bytes());
        let mut characters = escaped.chars();
        match characters.next() {
            None => break,
            Some('"') => out.extend_from_slice(b"\\\""),
            Some('\\') => out.extend_from_slice(b"\\\\"),
            Some('\u{8}') => out.extend_from_slice(b"\\b"),
            Some('\u{c}') => out.extend_from_slice(b"\\f"),
            Some('\n') => out.extend_from_slice(b"\\n"),
            Some('\r') => out.extend_from_slice(b"\\r"),
            Some('\t') => out.extend_from_slice(b"\\t"),
            Some(character) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(format!("\\u{unit:04X}").as_bytes());
                }
            }
        }
        rest = characters.as_str();
    }
    out.push(b'"');
}

/// How many bytes at the front are plain.
fn plain_prefix(bytes: &[u8], is_plain: impl Fn(u8) -> bool) -> usize {
    // Without an early exit, a chunk takes a few instructions.
    let is_all_plain = |chunk: &&[u8; 16]| chunk.iter().fold(true, |all, &byte| all & is_plain(byte));
    let start = bytes.as_chunks().0.iter().take_while(is_all_plain).count() * 16;
    start + bytes[start..].iter().take_while(|&&byte| is_plain(byte)).count()
}

/// Appends an integer.
pub fn write_integer(value: i64, out: &mut Vec<u8>) {
    // The longest is that of `i64::MIN`.
    let mut digits = [0; 20];
    let (mut rest, mut start) = (value.unsigned_abs(), digits.len());
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        start -= 1;
        digits[start] = b'-';
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends a double: Java's text, NaN and the infinities as strings.
pub fn write_double(value: f64, out: &mut Vec<u8>) {
    quoted_unless(value.is_finite(), out, |out| java_text::write_double(value, out));
}

/// Appends a float: Java's text, NaN and the infinities as strings.
pub fn write_float(value: f32, out: &mut Vec<u8>) {
    quoted_unless(value.is_finite(), out, |out| java_text::write_float(value, out));
}

fn quoted_unless(bare: bool, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(if bare { b"" } else { b"\"" });
    write(out);
    out.extend_from_slice(if bare { b"" } else { b"\"" });
}

/// Appends bytes as a base64 string (RFC 4648 with padding).
pub fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.push(b'"');
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, &byte| group << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let six_bits = group >> (18 - 6 * digit) & 63;
            out.push(if digit > chunk.len() { b'=' } else { DIGITS[six_bits as usize] });
        }
    }
    out.push(b'"');
}

/// Bytes of base64 text, as Jackson reads it: white space is skipped, padding must be there. `None` if the text is something else.
#[must_use]
pub fn read_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut group, mut digits, mut padding) = (0_u32, 0, 0);
    for byte in text.bytes().filter(|&byte| byte > b' ') {
        let six_bits = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' if digits >= 2 => {
                padding += 1;
                0
            }
            _ => return None,
        };
        if padding > 0 && byte != b'=' {
            return None;
        }
        group = group << 6 | u32::from(six_bits);
        digits += 1;
        if digits == 4 {
            bytes.extend_from_slice(&group.to_be_bytes()[1..4 - padding]);
            (group, digits, padding) = (0, 0, 0);
        }
    }
    (digits == 0).then_some(bytes)
}
