//! Reads JSON as Jackson does under Connect: leading zeros are allowed, what follows the first value is ignored, UTF-16 is recognised,
//! and of repeated names the last value stays.

use std::borrow::Cow;
use std::collections::HashMap;

use super::plain_prefix;
use super::tree::{BorrowedJson, Json, JsonTree};
use crate::value::Decimal;

/// Most arrays and objects in each other, as in Jackson.
pub const DEEPEST: usize = 1_000;
/// Longest number in digits, leading zeros not counted, as in Jackson.
pub const LONGEST_NUMBER: usize = 1_000;
/// Longest string in UTF-16 units, as in Jackson.
pub const LONGEST_STRING: usize = 20_000_000;
/// Longest name of a field in UTF-16 units, as in Jackson.
pub const LONGEST_NAME: usize = 50_000;

/// Text that is not JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// What was found.
    pub problem: String,
    /// Byte at which it was found.
    pub at: usize,
}

impl std::fmt::Display for JsonError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} at byte {}", self.problem, self.at)
    }
}

impl std::error::Error for JsonError {}

/// Reads the first value; `None` if there is nothing but white space.
///
/// # Errors
/// If the text is not JSON up to the end of its first value, or the value is beyond [`DEEPEST`], [`LONGEST_NUMBER`],
/// [`LONGEST_STRING`] or [`LONGEST_NAME`].
pub fn read(bytes: &[u8]) -> Result<Option<Json>, JsonError> {
    Ok(read_borrowed(bytes)?.map(|json| json.map_text(&mut |text| text.into())))
}

/// As [`read`]; text and numbers that are written without escapes and leading zeros are parts of `bytes`, unless that is UTF-16.
///
/// # Errors
/// Those of [`read`].
pub fn read_borrowed(bytes: &[u8]) -> Result<Option<BorrowedJson<'_>>, JsonError> {
    read_and_rest(bytes).map(|(json, _)| json)
}

/// As [`read_borrowed`]; gives also whether anything but white space follows the value, which Jackson does not look at.
///
/// # Errors
/// Those of [`read`].
pub fn read_and_rest(bytes: &[u8]) -> Result<(Option<BorrowedJson<'_>>, bool), JsonError> {
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, odd) = rest.as_chunks::<2>();
        let text: Result<String, _> = char::decode_utf16(pairs.iter().map(|&pair| unit(pair))).collect();
        match text {
            Ok(text) if odd.is_empty() => {
                let (json, has_rest) = read_utf8(text.as_bytes())?;
                Ok((json.map(|json| json.map_text(&mut |text| Cow::Owned(text.into_owned()))), has_rest))
            }
            _ => Err(JsonError { problem: "malformed UTF-16".to_owned(), at: 0 }),
        }
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => read_utf8(rest),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0, 1..=255, ..] => utf16(bytes, u16::from_be_bytes),
        [1..=255, 0, ..] => utf16(bytes, u16::from_le_bytes),
        _ => read_utf8(bytes),
    }
}

/// Where the value of an object's second member begins, if the text is UTF-8 without a byte order mark and holds such an object.
#[must_use]
pub fn second_member(bytes: &[u8]) -> Option<usize> {
    let mut reader = Reader { bytes, at: 0 };
    reader.expect(b'{')?;
    reader.name_and_colon()?;
    reader.value(1).ok()?;
    reader.expect(b',')?;
    reader.name_and_colon()?;
    Some(reader.at)
}

/// The value of an object's last member, which begins at a byte. `None` if it cannot be read or is not the last: then the whole
/// text tells what it is.
#[must_use]
pub fn read_last_member(bytes: &[u8], from: usize) -> Option<BorrowedJson<'_>> {
    let mut reader = Reader { bytes, at: from };
    let value = reader.value(1).ok()?;
    reader.expect(b'}')?;
    Some(value)
}

fn read_utf8(bytes: &[u8]) -> Result<(Option<BorrowedJson<'_>>, bool), JsonError> {
    let mut reader = Reader { bytes, at: 0 };
    reader.skip_white_space();
    if reader.peek().is_none() {
        return Ok((None, false));
    }
    let value = reader.value(0)?;
    let is_number = matches!(value, JsonTree::Integer(_) | JsonTree::Float(_));
    if is_number && reader.peek().is_some_and(|next| !matches!(next, b' ' | b'\t' | b'\n' | b'\r')) {
        return reader.fail("a number followed by something else");
    }
    reader.skip_white_space();
    Ok((Some(value), reader.peek().is_some()))
}

type Entry<'a> = (Cow<'a, str>, BorrowedJson<'a>);

/// Up to so many entries are compared with each other.
const FEW: usize = 16;

/// Of entries with the same name, keeps the first's place and the last's value.
fn without_repeats(entries: Vec<Entry<'_>>) -> Vec<Entry<'_>> {
    let is_repeated = |(at, (name, _)): (usize, &Entry<'_>)| entries[..at].iter().any(|(known, _)| known == name);
    if entries.len() <= FEW && !entries.iter().enumerate().any(is_repeated) {
        return entries;
    }
    let mut places: HashMap<Cow<'_, str>, usize> = HashMap::with_capacity(entries.len());
    let mut kept: Vec<Entry<'_>> = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        match places.get(&name) {
            Some(&place) => kept[place].1 = value,
            None => {
                places.insert(name.clone(), kept.len());
                kept.push((name, value));
            }
        }
    }
    kept
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn fail<T>(&self, problem: &str) -> Result<T, JsonError> {
        Err(JsonError { problem: problem.to_owned(), at: self.at })
    }

    fn skip_white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Skips white space, then takes one byte.
    fn next_token(&mut self) -> Result<u8, JsonError> {
        self.skip_white_space();
        let Some(byte) = self.peek() else { return self.fail("unexpected end of input") };
        self.at += 1;
        Ok(byte)
    }

    /// Takes this token, or else none is given back.
    fn expect(&mut self, token: u8) -> Option<()> {
        self.next_token().is_ok_and(|next| next == token).then_some(())
    }

    fn name_and_colon(&mut self) -> Option<()> {
        self.expect(b'"')?;
        self.string(LONGEST_NAME).ok()?;
        self.expect(b':')
    }

    fn value(&mut self, depth: usize) -> Result<BorrowedJson<'a>, JsonError> {
        match self.next_token()? {
            b'{' | b'[' if depth == DEEPEST => self.fail("nesting is too deep"),
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string(LONGEST_STRING).map(JsonTree::String),
            b'n' => self.word("null", JsonTree::Null),
            b't' => self.word("true", JsonTree::Boolean(true)),
            b'f' => self.word("false", JsonTree::Boolean(false)),
            b'-' | b'0'..=b'9' => {
                self.at -= 1;
                self.number()
            }
            _ => {
                self.at -= 1;
                self.fail("unexpected character")
            }
        }
    }

    fn word(&mut self, word: &str, value: BorrowedJson<'a>) -> Result<BorrowedJson<'a>, JsonError> {
        let start = self.at - 1;
        self.at = start + word.len();
        if self.bytes.get(start..self.at) != Some(word.as_bytes())
            || self.peek().is_some_and(|next| next.is_ascii_alphanumeric() || matches!(next, b'_' | b'$' | 0x80..))
        {
            self.at = start;
            return self.fail("unrecognized token");
        }
        Ok(value)
    }

    fn object(&mut self, depth: usize) -> Result<BorrowedJson<'a>, JsonError> {
        let mut entries: Vec<Entry<'a>> = Vec::new();
        let mut token = self.next_token()?;
        if token == b'}' {
            return Ok(JsonTree::Object(entries));
        }
        loop {
            if token != b'"' {
                self.at -= 1;
                return self.fail("a field name was expected");
            }
            let name = self.string(LONGEST_NAME)?;
            if self.next_token()? != b':' {
                self.at -= 1;
                return self.fail("':' was expected");
            }
            let value = self.value(depth + 1)?;
            entries.push((name, value));
            match self.next_token()? {
                b'}' => return Ok(JsonTree::Object(without_repeats(entries))),
                b',' => token = self.next_token()?,
                _ => {
                    self.at -= 1;
                    return self.fail("',' or '}' was expected");
                }
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<BorrowedJson<'a>, JsonError> {
        let mut items = Vec::new();
        self.skip_white_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(JsonTree::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            match self.next_token()? {
                b']' => return Ok(JsonTree::Array(items)),
                b',' => {}
                _ => {
                    self.at -= 1;
                    return self.fail("',' or ']' was expected");
                }
            }
        }
    }

    /// A string whose opening quote was taken. Unpaired surrogates become U+FFFD.
    fn string(&mut self, longest: usize) -> Result<Cow<'a, str>, JsonError> {
        let mut text = Cow::Borrowed("");
        loop {
            let rest = &self.bytes[self.at..];
            let is_plain = |byte| byte >= b' ' && byte != b'"' && byte != b'\\';
            let part = &rest[..plain_prefix(rest, is_plain)];
            self.at += part.len();
            match std::str::from_utf8(part) {
                // A text's only part stays borrowed.
                Ok(part) => text += part,
                Err(_) => return self.fail("malformed UTF-8 in a string"),
            }
            match self.peek() {
                None => return self.fail("unexpected end of input in a string"),
                Some(b'"') => {
                    self.at += 1;
                    // In UTF-8 no text is shorter than in UTF-16 units.
                    if text.len() > longest && text.encode_utf16().count() > longest {
                        return self.fail("a string is too long");
                    }
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.to_mut().push(self.escape()?);
                }
                Some(_) => return self.fail("unescaped control character in a string"),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let Some(byte) = self.peek() else { return self.fail("unexpected end of input in a string") };
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.hex()?;
                if (0xd800..0xdc00).contains(&unit) && self.bytes[self.at..].starts_with(b"\\u") {
                    let after_first = self.at;
                    self.at += 2;
                    let second = self.hex()?;
                    if let Some(Ok(pair)) = char::decode_utf16([unit, second]).next() {
                        return Ok(pair);
                    }
                    self.at = after_first;
                }
                char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return self.fail("unrecognized character escape"),
        })
    }

    fn hex(&mut self) -> Result<u16, JsonError> {
        let digits = self.bytes.get(self.at..self.at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let Some(unit) = digits.and_then(|digits| u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
        else {
            return self.fail("four hexadecimal digits were expected");
        };
        self.at += 4;
        Ok(unit)
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { self.fail("a digit was expected") } else { Ok(()) }
    }

    fn number(&mut self) -> Result<BorrowedJson<'a>, JsonError> {
        let sign = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let start = self.at;
        self.digits()?;
        let integer_end = self.at;
        let (mut is_float, mut has_exponent) = (false, false);
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
            is_float = true;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
            (is_float, has_exponent) = (true, true);
        }
        let zeros = self.bytes[start..integer_end - 1].iter().take_while(|&&byte| byte == b'0').count();
        let kept = &self.bytes[start + zeros..self.at];
        if kept.len() > LONGEST_NUMBER && kept.iter().filter(|byte| byte.is_ascii_digit()).count() > LONGEST_NUMBER {
            return self.fail("a number is too long");
        }
        let text = if zeros == 0 {
            String::from_utf8_lossy(&self.bytes[sign..self.at])
        } else {
            let sign = if start > sign { "-" } else { "" };
            Cow::Owned(sign.to_owned() + &String::from_utf8_lossy(kept))
        };
        if has_exponent && Decimal::parse(&text).is_none() {
            return self.fail("an exponent is too large");
        }
        Ok(if is_float { JsonTree::Float(text) } else { JsonTree::Integer(text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    #[test]
    fn odd_but_accepted_text() {
        let value = |text: &str| read(text.as_bytes()).expect("JSON").expect("a value").to_value();
        assert_eq!(value("-007 rest"), Value::Int64(-7));
        assert_eq!(value("9223372036854775808"), Value::Int64(i64::MIN));
        assert_eq!(value("\"\\uD83D\\uDE00\\uD83D\""), Value::String("😀\u{fffd}".into()));
        assert_eq!(value("{\"a\":1,\"b\":2,\"a\":3}").as_map().expect("a map").len(), 2);
        let long = |text: &str| read(text.as_bytes()).expect("JSON").expect("a value").long_value();
        assert_eq!(["1.9", "-2.5e3", "1e-3", "1e300", "12e1"].map(long), [1, -2_500, 0, 0, 120]);
        assert_eq!(read(b" \n"), Ok(None));
        assert_eq!(read(b"\0[\0]"), Ok(Some(Json::Array(Vec::new()))));
    }

    #[test]
    fn refused_text() {
        for text in
            ["nulls", "7}61", "[1,]", "{\"a\" 1}", "{a:1}", "\"\n\"", "1.", ".5", "+1", "[", "\"\\x\"", "01x", "NaN"]
        {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        assert!(read("[".repeat(5_000).as_bytes()).is_err());
    }

    #[test]
    fn limits_are_jackson_s() {
        #[track_caller]
        fn limit(text: impl Fn(usize) -> String, most: usize) {
            assert!(read(text(most).as_bytes()).is_ok());
            assert!(read(text(most + 1).as_bytes()).is_err());
        }
        limit(|depth| "[".repeat(depth) + &"]".repeat(depth), DEEPEST);
        limit(|depth| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth), DEEPEST);
        limit(|digits| "1".repeat(digits), LONGEST_NUMBER);
        limit(|digits| format!("-001.{}", "1".repeat(digits - 1)), LONGEST_NUMBER);
        limit(|units| format!("{{\"{}\":1}}", "é".repeat(units)), LONGEST_NAME);
        limit(|units| format!("\"{}\"", "a".repeat(units)), LONGEST_STRING);
        assert!(read(b"1e111111111111").is_err());
    }
}
