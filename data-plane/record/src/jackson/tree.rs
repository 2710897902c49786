//! JSON values as they are read, with text that is owned or borrowed.

use std::borrow::Cow;

use crate::arena::Arena;
use crate::value::{Value, ValueMap};

/// A JSON value. Numbers keep their text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum JsonTree<S> {
    Null,
    Boolean(bool),
    /// Without leading zeros.
    Integer(S),
    Float(S),
    String(S),
    Array(Vec<JsonTree<S>>),
    Object(Vec<(S, JsonTree<S>)>),
}

/// JSON of its own.
pub type Json = JsonTree<Box<str>>;

/// JSON whose text is part of what was read, where that was possible.
pub type BorrowedJson<'a> = JsonTree<Cow<'a, str>>;

impl<S: AsRef<str>> JsonTree<S> {
    /// The value of a field of an object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(entries) => entries.iter().find(|(known, _)| known.as_ref() == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The lowest 64 bits of a number's integer part, as Java's `longValue` of big numbers; anything else 0.
    #[must_use]
    pub fn long_value(&self) -> i64 {
        let (Self::Integer(text) | Self::Float(text)) = self else { return 0 };
        let text = text.as_ref();
        if let (Self::Integer(_), Ok(number)) = (self, text.parse()) {
            return number;
        }
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

    /// A number as a double; anything else 0. A zero has no sign, since Jackson reads numbers as `BigDecimal`; a number too small for
    /// a double keeps its own.
    #[must_use]
    pub fn double_value(&self) -> f64 {
        match self {
            Self::Integer(text) | Self::Float(text) => match text.as_ref().parse().unwrap_or(0.0) {
                zero if zero == 0.0 && is_zero(text.as_ref()) => 0.0,
                number => number,
            },
            _ => 0.0,
        }
    }

    /// A number as a float; see [`JsonTree::double_value`].
    #[must_use]
    pub fn float_value(&self) -> f32 {
        match self {
            Self::Integer(text) | Self::Float(text) => match text.as_ref().parse().unwrap_or(0.0) {
                zero if zero == 0.0 && is_zero(text.as_ref()) => 0.0,
                number => number,
            },
            _ => 0.0,
        }
    }

    /// The Connect value without a schema: integers are int64, floats float64, objects maps, arrays lists.
    #[must_use]
    pub fn to_value(&self) -> Value {
        self.to_value_with(&|text| Value::String(text.as_ref().into()))
    }

    /// As [`JsonTree::to_value`]; text becomes what `text_value` makes of it.
    fn to_value_with(&self, text_value: &impl Fn(&S) -> Value) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(value) => Value::Boolean(*value),
            Self::Integer(_) => Value::Int64(self.long_value()),
            Self::Float(_) => Value::Float64(self.double_value()),
            Self::String(text) => text_value(text),
            Self::Array(items) => {
                Value::Array(Box::new(items.iter().map(|item| item.to_value_with(text_value)).collect()))
            }
            Self::Object(entries) => {
                let entry = |(name, value): &(S, Self)| (text_value(name), value.to_value_with(text_value));
                Value::Map(Box::new(entries.iter().map(entry).collect::<ValueMap>()))
            }
        }
    }

    /// The same with other text.
    #[must_use]
    pub fn map_text<T>(self, change: &mut impl FnMut(S) -> T) -> JsonTree<T> {
        match self {
            Self::Null => JsonTree::Null,
            Self::Boolean(value) => JsonTree::Boolean(value),
            Self::Integer(text) => JsonTree::Integer(change(text)),
            Self::Float(text) => JsonTree::Float(change(text)),
            Self::String(text) => JsonTree::String(change(text)),
            Self::Array(items) => JsonTree::Array(items.into_iter().map(|item| item.map_text(change)).collect()),
            Self::Object(entries) => {
                let mut entry = |(name, value): (S, Self)| (change(name), value.map_text(change));
                JsonTree::Object(entries.into_iter().map(&mut entry).collect())
            }
        }
    }
}

impl BorrowedJson<'_> {
    /// As [`JsonTree::to_value`], of JSON that was read from an arena: text that is part of it becomes a span.
    #[must_use]
    pub fn to_value_in(&self, arena: &Arena) -> Value {
        self.to_value_with(&|text| text_value(text, arena))
    }
}

/// Text as a value: a span, if it is part of the arena.
#[must_use]
pub fn text_value(text: &str, arena: &Arena) -> Value {
    arena.span_of(text.as_bytes()).map_or_else(|| Value::String(text.into()), Value::StringSpan)
}
/// Whether a number's text is a zero, however it is written.
fn is_zero(text: &str) -> bool {
    text.bytes().take_while(|byte| !matches!(byte, b'e' | b'E')).all(|byte| matches!(byte, b'0' | b'.' | b'-' | b'+'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jackson::read_borrowed;

    #[test]
    fn a_zero_has_no_sign_and_what_is_too_small_keeps_its_own() {
        let bits = |text: &'static str| JsonTree::Float(text).double_value().to_bits();
        assert_eq!(bits("-0.0e5"), 0);
        assert_eq!(bits("-1e-400"), (-0.0_f64).to_bits());
        assert_eq!(JsonTree::Float("-4.37e-70").float_value().to_bits(), (-0.0_f32).to_bits());
    }

    #[test]
    fn text_that_is_written_as_it_is_stays_in_the_arena() {
        let mut arena = Arena::default();
        arena.push(b"before");
        let span = arena.push("{\"name\":\"Zürich\",\"odd\":\"a\\tb\",\"empty\":\"\",\"name\":\"Bern\"}".as_bytes());
        let json = read_borrowed(arena.get(span)).expect("JSON").expect("a value");
        let value = json.to_value_in(&arena);
        let map = value.as_map().expect("a map");
        assert_eq!(map.len(), 3);
        let name = map.get_str(&arena, "name").expect("there");
        assert!(matches!(name, Value::StringSpan(_)) && name.as_str(&arena) == Some("Bern"));
        assert_eq!(map.get_str(&arena, "odd"), Some(&Value::String("a\tb".into())));
        assert_eq!(map.get_str(&arena, "empty"), Some(&Value::String("".into())));
        let utf16: Vec<u8> = "\"text\"".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let span = arena.push(&utf16);
        let json = read_borrowed(arena.get(span)).expect("JSON").expect("a value");
        assert_eq!(json.to_value_in(&arena), Value::String("text".into()));
    }
}
