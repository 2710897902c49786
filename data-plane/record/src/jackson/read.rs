//! Reads JSON as Jackson does under Connect: leading zeros are allowed, what follows the first value is ignored, UTF-16 is recognised,
//! and of repeated names the last value stays.

use std::collections::HashMap;

use crate::value::{Decimal, Value, ValueMap};

/// Most arrays and objects in each other, as in Jackson.
pub const DEEPEST: usize = 1_000;
/// Longest number in digits, leading zeros not counted, as in Jackson.
pub const LONGEST_NUMBER: usize = 1_000;
/// Longest string in UTF-16 units, as in Jackson.
pub const LONGEST_STRING: usize = 20_000_000;
/// Longest name of a field in UTF-16 units, as in Jackson.
pub const LONGEST_NAME: usize = 50_000;

/// A JSON value. Numbers keep their text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Json {
    Null,
    Boolean(bool),
    /// Without leading zeros.
    Integer(Box<str>),
    Float(Box<str>),
    String(Box<str>),
    Array(Vec<Json>),
    Object(Vec<(Box<str>, Json)>),
}

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

impl Json {
    /// The value of a field of an object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(entries) => entries.iter().find(|(known, _)| &**known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The lowest 64 bits of a number's integer part, as Java's `longValue` of big numbers; anything else 0.
    #[must_use]
    pub fn long_value(&self) -> i64 {
        let (Self::Integer(text) | Self::Float(text)) = self else { return 0 };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i64 = exponent.parse().unwrap_or(if exponent.starts_with('-') { i64::MIN } else { i64::MAX });
        let shift = exponent.saturating_sub(fraction.len() as i64);
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).filter(u8::is_ascii_digit).collect();
        let kept = digits.len().saturating_sub(usize::try_from(shift.saturating_neg()).unwrap_or(0));
        let digit = |sum: i64, digit: u8| sum.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
        let magnitude = digits[..kept].iter().fold(0, |sum, &next| digit(sum, next));
        // 10^64 is a multiple of 2^64.
        let magnitude = (0..shift.min(64)).fold(magnitude, |sum, _| digit(sum, b'0'));
        if text.starts_with('-') { magnitude.wrapping_neg() } else { magnitude }
    }

    /// A number as a double; anything else 0. There is no negative zero: Jackson reads numbers as `BigDecimal`.
    #[must_use]
    pub fn double_value(&self) -> f64 {
        match self {
            Self::Integer(text) | Self::Float(text) => text.parse().unwrap_or(0.0) + 0.0,
            _ => 0.0,
        }
    }

    /// A number as a float; see [`Json::double_value`].
    #[must_use]
    pub fn float_value(&self) -> f32 {
        match self {
            Self::Integer(text) | Self::Float(text) => text.parse().unwrap_or(0.0) + 0.0,
            _ => 0.0,
        }
    }

    /// The Connect value without a schema: integers are int64, floats float64, objects maps, arrays lists.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(value) => Value::Boolean(*value),
            Self::Integer(_) => Value::Int64(self.long_value()),
            Self::Float(_) => Value::Float64(self.double_value()),
            Self::String(text) => Value::String(text.clone()),
            Self::Array(items) => Value::Array(Box::new(items.iter().map(Self::to_value).collect())),
            Self::Object(entries) => {
                let entry = |(name, value): &(Box<str>, Self)| (Value::String(name.clone()), value.to_value());
                Value::Map(Box::new(entries.iter().map(entry).collect::<ValueMap>()))
            }
        }
    }
}

/// Reads the first value; `None` if there is nothing but white space.
///
/// # Errors
/// If the text is not JSON up to the end of its first value, or the value is beyond [`DEEPEST`], [`LONGEST_NUMBER`],
/// [`LONGEST_STRING`] or [`LONGEST_NAME`].
pub fn read(bytes: &[u8]) -> Result<Option<Json>, JsonError> {
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, odd) = rest.as_chunks::<2>();
        let text: Result<String, _> = char::decode_utf16(pairs.iter().map(|&pair| unit(pair))).collect();
        match text {
            Ok(text) if odd.is_empty() => read_utf8(text.as_bytes()),
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

fn read_utf8(bytes: &[u8]) -> Result<Option<Json>, JsonError> {
    let mut reader = Reader { bytes, at: 0 };
    reader.skip_white_space();
    if reader.peek().is_none() {
        return Ok(None);
    }
    let value = reader.value(0)?;
    let is_number = matches!(value, Json::Integer(_) | Json::Float(_));
    if is_number && reader.peek().is_some_and(|next| !matches!(next, b' ' | b'\t' | b'\n' | b'\r')) {
        return reader.fail("a number followed by something else");
    }
    Ok(Some(value))
}

/// Of entries with the same name, keeps the first's place and the last's value.
fn without_repeats(entries: Vec<(Box<str>, Json)>) -> Vec<(Box<str>, Json)> {
    let mut places: HashMap<Box<str>, usize> = HashMap::with_capacity(entries.len());
    let mut kept: Vec<(Box<str>, Json)> = Vec::with_capacity(entries.len());
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

impl Reader<'_> {
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

    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        match self.next_token()? {
            b'{' | b'[' if depth == DEEPEST => self.fail("nesting is too deep"),
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string(LONGEST_STRING).map(Json::String),
            b'n' => self.word("null", Json::Null),
            b't' => self.word("true", Json::Boolean(true)),
            b'f' => self.word("false", Json::Boolean(false)),
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

    fn word(&mut self, word: &str, value: Json) -> Result<Json, JsonError> {
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

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        let mut entries: Vec<(Box<str>, Json)> = Vec::new();
        let mut token = self.next_token()?;
        if token == b'}' {
            return Ok(Json::Object(entries));
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
                b'}' => return Ok(Json::Object(without_repeats(entries))),
                b',' => token = self.next_token()?,
                _ => {
                    self.at -= 1;
                    return self.fail("',' or '}' was expected");
                }
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        let mut items = Vec::new();
        self.skip_white_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            match self.next_token()? {
                b']' => return Ok(Json::Array(items)),
                b',' => {}
                _ => {
                    self.at -= 1;
                    return self.fail("',' or ']' was expected");
                }
            }
        }
    }

    /// A string whose opening quote was taken. Unpaired surrogates become U+FFFD.
    fn string(&mut self, longest: usize) -> Result<Box<str>, JsonError> {
        let mut text = String::new();
        loop {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
                self.at += 1;
            }
            match std::str::from_utf8(&self.bytes[start..self.at]) {
                Ok(part) => text.push_str(part),
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
                    return Ok(text.into());
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escape()?);
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

    fn number(&mut self) -> Result<Json, JsonError> {
        let mut text = String::new();
        if self.peek() == Some(b'-') {
            self.at += 1;
            text.push('-');
        }
        let start = self.at;
        self.digits()?;
        let integer_end = self.at;
        let mut is_float = false;
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
            is_float = true;
        }
        let zeros = self.bytes[start..integer_end - 1].iter().take_while(|&&byte| byte == b'0').count();
        let kept = &self.bytes[start + zeros..self.at];
        if kept.iter().filter(|byte| byte.is_ascii_digit()).count() > LONGEST_NUMBER {
            return self.fail("a number is too long");
        }
        text.extend(kept.iter().map(|&byte| char::from(byte)));
        if is_float && Decimal::parse(&text).is_none() {
            return self.fail("an exponent is too large");
        }
        Ok(if is_float { Json::Float(text.into()) } else { Json::Integer(text.into()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
