//! Values: 24 bytes each, text and bytes either as spans of the batch's arena or owned.

use std::sync::Arc;

use crate::arena::{Arena, Span};
use crate::schema::{Field, Schema};
use crate::validate::{InvalidValue, check_struct, validate_field};

/// A Connect value. It may disagree with the schema beside it: converters and transforms check what they need.
///
/// Equality is structural; spans compare as spans, so compare values of different batches through their accessors.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Value {
    #[default]
    Null,
    Boolean(bool),
    Int8(i8),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    /// Text in the batch's arena. Whoever makes it has checked that it is UTF-8.
    StringSpan(Span),
    /// Bytes in the batch's arena.
    BytesSpan(Span),
    String(Box<str>),
    Bytes(Box<[u8]>),
    Array(Box<Vec<Value>>),
    Map(Box<ValueMap>),
    Struct(Box<Struct>),
    /// `java.math.BigDecimal`.
    Decimal(Box<Decimal>),
    /// `java.util.Date`: milliseconds since the epoch; whether a date, a time or a timestamp is said by the schema.
    DateTime(i64),
}

const _: () = assert!(size_of::<Value>() <= 24);

impl Value {
    /// True for null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text, wherever it is held. `None` for other types (and for a span that is not UTF-8).
    #[must_use]
    pub fn as_str<'a>(&'a self, arena: &'a Arena) -> Option<&'a str> {
        match self {
            Self::StringSpan(span) => std::str::from_utf8(arena.get(*span)).ok(),
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether this is that text. As [`Value::as_str`] compared with it, but quicker.
    #[must_use]
    pub fn is_text(&self, arena: &Arena, text: &str) -> bool {
        match self {
            Self::StringSpan(span) => arena.get(*span) == text.as_bytes(),
            Self::String(known) => &**known == text,
            _ => false,
        }
    }

    /// The bytes of a bytes value, wherever they are held. `None` for other types, text included.
    #[must_use]
    pub fn as_bytes<'a>(&'a self, arena: &'a Arena) -> Option<&'a [u8]> {
        match self {
            Self::BytesSpan(span) => Some(arena.get(*span)),
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The boolean held, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Boolean(value) = self { Some(*value) } else { None }
    }

    /// The integer held, of whatever width.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int8(value) => Some((*value).into()),
            Self::Int16(value) => Some((*value).into()),
            Self::Int32(value) => Some((*value).into()),
            Self::Int64(value) => Some(*value),
            _ => None,
        }
    }

    /// The floating point number held, of whatever width.
    #[must_use]
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float32(value) => Some((*value).into()),
            Self::Float64(value) => Some(*value),
            _ => None,
        }
    }

    /// The struct held, if it is one.
    #[must_use]
    pub fn as_struct(&self) -> Option<&Struct> {
        if let Self::Struct(value) = self { Some(value) } else { None }
    }

    /// The map held, if it is one.
    #[must_use]
    pub fn as_map(&self) -> Option<&ValueMap> {
        if let Self::Map(value) = self { Some(value) } else { None }
    }

    /// The array held, if it is one.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Value]> {
        if let Self::Array(value) = self { Some(value) } else { None }
    }

    /// The Java class that this value is in Connect, for error texts; null has none.
    #[must_use]
    pub fn java_class(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "java.lang.Boolean",
            Self::Int8(_) => "java.lang.Byte",
            Self::Int16(_) => "java.lang.Short",
            Self::Int32(_) => "java.lang.Integer",
            Self::Int64(_) => "java.lang.Long",
            Self::Float32(_) => "java.lang.Float",
            Self::Float64(_) => "java.lang.Double",
            Self::StringSpan(_) | Self::String(_) => "java.lang.String",
            Self::BytesSpan(_) | Self::Bytes(_) => "[B",
            Self::Array(_) => "java.util.ArrayList",
            Self::Map(_) => "java.util.LinkedHashMap",
            Self::Struct(_) => "org.apache.kafka.connect.data.Struct",
            Self::Decimal(_) => "java.math.BigDecimal",
            Self::DateTime(_) => "java.util.Date",
        }
    }

    /// Java's `equals`: NaN is equal to itself, zeros of different sign are not, and the order of a map does not matter. Spans are
    /// compared by their places.
    #[must_use]
    pub fn java_equals(&self, other: &Self) -> bool {
        let all = |ours: &[Self], theirs: &[Self]| {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| ours.java_equals(theirs))
        };
        match (self, other) {
            (Self::Float32(ours), Self::Float32(theirs)) => {
                ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan())
            }
            (Self::Float64(ours), Self::Float64(theirs)) => {
                ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan())
            }
            (Self::Array(ours), Self::Array(theirs)) => all(ours, theirs),
            (Self::Struct(ours), Self::Struct(theirs)) => {
                ours.schema == theirs.schema && all(&ours.values, &theirs.values)
            }
            (Self::Map(ours), Self::Map(theirs)) => {
                let has = |(key, value): &(Self, Self)| {
                    theirs.iter().any(|(other, found)| key.java_equals(other) && value.java_equals(found))
                };
                ours.len() == theirs.len() && ours.entries.iter().all(has)
            }
            _ => self == other,
        }
    }

    /// A copy that outlives the batch: spans become owned text and bytes.
    #[must_use]
    pub fn to_owned_value(&self, arena: &Arena) -> Self {
        match self {
            Self::StringSpan(span) => Self::String(String::from_utf8_lossy(arena.get(*span)).into()),
            Self::BytesSpan(span) => Self::Bytes(arena.get(*span).into()),
            Self::Array(items) => Self::Array(Box::new(items.iter().map(|item| item.to_owned_value(arena)).collect())),
            Self::Map(map) => Self::Map(Box::new(
                map.iter().map(|(key, value)| (key.to_owned_value(arena), value.to_owned_value(arena))).collect(),
            )),
            Self::Struct(record) => Self::Struct(Box::new(Struct {
                schema: record.schema.clone(),
                values: record.values.iter().map(|value| value.to_owned_value(arena)).collect(),
            })),
            other => other.clone(),
        }
    }
}

/// Any keys to any values, in insertion order.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ValueMap {
    entries: Vec<(Value, Value)>,
}

impl ValueMap {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an entry without looking for its key; for keys known to be new.
    pub fn push(&mut self, key: Value, value: Value) {
        self.entries.push((key, value));
    }

    /// Replaces the value of the entry with this text key, or appends one.
    pub fn insert_str(&mut self, arena: &Arena, key: &str, value: Value) {
        match self.entries.iter_mut().find(|(known, _)| known.is_text(arena, key)) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((Value::String(key.into()), value)),
        }
    }

    /// The value under a text key.
    #[must_use]
    pub fn get_str(&self, arena: &Arena, key: &str) -> Option<&Value> {
        self.entries.iter().find(|(known, _)| known.is_text(arena, key)).map(|(_, value)| value)
    }

    /// The value under a text key, to be changed in place.
    #[must_use]
    pub fn get_str_mut(&mut self, arena: &Arena, key: &str) -> Option<&mut Value> {
        self.entries.iter_mut().find(|(known, _)| known.is_text(arena, key)).map(|(_, value)| value)
    }

    /// Takes the entry with this text key out; the others keep their order.
    pub fn remove_str(&mut self, arena: &Arena, key: &str) -> Option<Value> {
        let at = self.entries.iter().position(|(known, _)| known.is_text(arena, key))?;
        Some(self.entries.remove(at).1)
    }

    /// Entries in insertion order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Value, &Value)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl IntoIterator for ValueMap {
    type Item = (Value, Value);
    type IntoIter = std::vec::IntoIter<(Value, Value)>;

    /// Entries in insertion order.
    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl FromIterator<(Value, Value)> for ValueMap {
    fn from_iter<I: IntoIterator<Item = (Value, Value)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect() }
    }
}

/// A struct: values by field index of its schema. `values` has exactly one value a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Struct {
    /// A schema of type struct.
    pub schema: Arc<Schema>,
    /// One value a field; null where none was set (defaults are not filled in).
    pub values: Box<[Value]>,
}

impl Struct {
    /// A struct with all fields null.
    #[must_use]
    pub fn new(schema: Arc<Schema>) -> Self {
        let values = schema.fields().iter().map(|_| Value::Null).collect();
        Self { schema, values }
    }

    /// `Struct.getWithoutDefault`: the value of a field as it was set; `None` if the schema has no such field.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.values.get(self.schema.field_index(field)?)
    }

    /// `Struct.get`: the value of a field, or its default where that is null; `None` if the schema has no such field.
    #[must_use]
    pub fn get_with_default(&self, field: &str) -> Option<&Value> {
        let at = self.schema.field_index(field)?;
        match (self.values.get(at)?, &self.schema.fields()[at].schema.default) {
            (Value::Null, Some(default)) => Some(default),
            (value, _) => Some(value),
        }
    }

    /// `Struct.put`: sets a field.
    ///
    /// # Errors
    /// If the schema has no such field, or the value is not one of the field's schema. Then the struct stays as it was.
    pub fn put(&mut self, field: &str, value: Value) -> Result<(), InvalidValue> {
        let at = self.schema.field_index(field).filter(|at| *at < self.values.len());
        let at = at.ok_or_else(|| InvalidValue::NoSuchField { field: field.into() })?;
        let Field { name, schema } = &self.schema.fields()[at];
        validate_field(name, schema, &value)?;
        self.values[at] = value;
        Ok(())
    }

    /// `Struct.validate`: whether each field has a value of its schema, or a default that stands for null.
    ///
    /// # Errors
    /// The first field that has not.
    pub fn validate(&self) -> Result<(), InvalidValue> {
        check_struct(self)
    }
}

/// An arbitrary precision decimal: unscaled × 10^-scale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// Two's complement, big-endian, as `BigInteger.toByteArray` writes it; never empty.
    pub unscaled: Box<[u8]>,
    /// Digits after the point; may be negative.
    pub scale: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_by_text_wherever_it_is_held() {
        let mut arena = Arena::default();
        let mut map = ValueMap::new();
        map.push(Value::Int8(1), Value::Int8(1));
        map.push(Value::StringSpan(arena.push(b"a")), Value::Int8(2));
        map.push(Value::String("b".into()), Value::Int8(3));
        *map.get_str_mut(&arena, "a").expect("there") = Value::Int8(4);
        assert_eq!(map.remove_str(&arena, "b"), Some(Value::Int8(3)));
        assert_eq!((map.remove_str(&arena, "b"), map.get_str_mut(&arena, "1")), (None, None));
        let values: Vec<_> = map.into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [Value::Int8(1), Value::Int8(4)]);
    }
}
