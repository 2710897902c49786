//! `Values.parseString`: the schema and value that a text stands for.

use std::collections::HashMap;
use std::sync::Arc;

use super::digits::with_ascii_digits;
use super::tokens::{Tokens, trim};
use super::{ConversionError, SchemaAndValue, convert, temporal};
use crate::arena::Arena;
use crate::exact::{keeps_number, same_number, shown};
use crate::logical::DECIMAL;
use crate::schema::{Schema, SchemaBuilder, SchemaType};
use crate::value::{Decimal, Value, ValueMap};

/// Deepest nesting of arrays and maps.
pub const DEEPEST: usize = 1_000;

/// What a text stands for: the literals null, true and false, a date, a number of the smallest type that holds it, an array, a map, or
/// else the text itself. `None` for the text `null`. Text behind a number and one of `: , { } [ ] "` is ignored.
///
/// # Errors
/// [`ConversionError::TooDeep`] only.
pub fn parse_string(text: &str) -> Result<Option<SchemaAndValue>, ConversionError> {
    parse_and_loss(text, false).map(|(parsed, _)| parsed)
}

/// As [`parse_string`], but refuses text that would not be kept: with text behind the value, with a number that loses digits, or
/// with a date that is read leniently or by the Julian calendar.
///
/// # Errors
/// [`ConversionError::TooDeep`] and [`ConversionError::Lossy`].
pub fn parse_string_exactly(text: &str) -> Result<Option<SchemaAndValue>, ConversionError> {
    match parse_and_loss(text, true)? {
        (parsed, None) => Ok(parsed),
        (_, Some((text, becomes))) => Err(ConversionError::Lossy { text, becomes }),
    }
}

/// A text and what it became.
type Loss = (String, String);

fn parse_and_loss(text: &str, asks_loss: bool) -> Result<(Option<SchemaAndValue>, Option<Loss>), ConversionError> {
    if text.is_empty() {
        return Ok((Some(string(text)), None));
    }
    let mut parser = Parser { tokens: Tokens::new(text), depth: 0, asks_loss, loss: None };
    match parser.parse(false) {
        Ok(parsed) if asks_loss => {
            let value = parsed.as_ref().map_or(&Value::Null, |parsed| &parsed.value);
            let loss = match value {
                Value::String(whole) if **whole == *text => None,
                _ if !trim(parser.tokens.rest()).is_empty() => Some((text.to_owned(), shown(value, &Arena::default()))),
                _ => parser.loss,
            };
            Ok((parsed, loss))
        }
        Ok(parsed) => Ok((parsed, None)),
        Err(Failure::TooDeep) => Err(ConversionError::TooDeep),
        Err(Failure::NotAValue) => Ok((Some(string(text)), None)),
    }
}

/// Why an array, a map or a value in it could not be read.
enum Failure {
    /// It is not one: the whole text is taken as a string.
    NotAValue,
    TooDeep,
}

fn string(text: &str) -> SchemaAndValue {
    SchemaAndValue { schema: Schema::string().clone(), value: Value::String(text.into()) }
}

fn plain(kind: SchemaType, value: Value) -> SchemaAndValue {
    SchemaAndValue { schema: Schema::plain(kind, false).clone(), value }
}

struct Parser<'a> {
    tokens: Tokens<'a>,
    depth: usize,
    asks_loss: bool,
    /// The first loss.
    loss: Option<Loss>,
}

impl Parser<'_> {
    fn note(&mut self, text: &str, value: &Value) {
        self.loss.get_or_insert_with(|| (text.to_owned(), shown(value, &Arena::default())));
    }

    fn date(&mut self, text: &str) -> Option<SchemaAndValue> {
        let (parsed, is_exact) = temporal::parse(text, self.asks_loss)?;
        if !is_exact {
            self.note(text, &parsed.value);
        }
        Some(parsed)
    }

    /// A value of an array or a map as one of the schema of them all.
    fn align(&mut self, schema: &Arc<Schema>, value: Value) -> Result<Value, Failure> {
        let before = self.asks_loss.then(|| value.clone());
        let aligned = convert::align(schema, value).map_err(|_| Failure::NotAValue)?;
        if let Some(before) = before.filter(|before| before.as_int().is_some())
            && !keeps_number(&before, &aligned, &Arena::default())
        {
            self.note(&shown(&before, &Arena::default()), &aligned);
        }
        Ok(aligned)
    }

    /// The next value; `None` for null. Embedded in an array or a map, text must be quoted.
    fn parse(&mut self, embedded: bool) -> Result<Option<SchemaAndValue>, Failure> {
        if !self.tokens.has_next() {
            return Ok(None);
        }
        if embedded && self.tokens.take("\"") {
            return Ok(Some(self.quoted()));
        }
        if self.literal(embedded, "null") {
            return Ok(None);
        }
        for (text, value) in [("true", true), ("false", false)] {
            if self.literal(embedded, text) {
                return Ok(Some(plain(SchemaType::Boolean, Value::Boolean(value))));
            }
        }
        let start = self.tokens.mark();
        match self.container() {
            Ok(Some(parsed)) => return Ok(Some(parsed)),
            Ok(None) => {}
            Err(Failure::NotAValue) => self.tokens.rewind(start),
            Err(Failure::TooDeep) => return Err(Failure::TooDeep),
        }
        let token = self.tokens.next();
        let trimmed = trim(token);
        if trimmed.is_empty() {
            return Ok(Some(string(token)));
        }
        self.scalar(trimmed, embedded)
    }

    /// Takes a literal; outside of arrays and maps nothing may follow it.
    fn literal(&mut self, embedded: bool, expected: &str) -> bool {
        let start = self.tokens.mark();
        if self.tokens.take(expected) && (embedded || !self.tokens.has_next()) {
            return true;
        }
        self.tokens.rewind(start);
        false
    }

    /// The text up to the next quote, which may be a date.
    fn quoted(&mut self) -> SchemaAndValue {
        let mut content = String::new();
        while self.tokens.has_next() && !self.tokens.take("\"") {
            content.push_str(self.tokens.next());
        }
        self.date(&with_ascii_digits(&content)).unwrap_or_else(|| string(&content))
    }

    fn container(&mut self) -> Result<Option<SchemaAndValue>, Failure> {
        let is_array = self.tokens.take("[");
        if !is_array && !self.tokens.take("{") {
            return Ok(None);
        }
        if self.depth == DEEPEST {
            return Err(Failure::TooDeep);
        }
        self.depth += 1;
        let parsed = if is_array { self.array() } else { self.map() };
        self.depth -= 1;
        parsed.map(Some)
    }

    /// An array behind its bracket. Items without a common schema stay as they are, in an array without an item schema.
    fn array(&mut self) -> Result<SchemaAndValue, Failure> {
        let mut items = Vec::new();
        let mut merger = Merger::default();
        while self.tokens.has_next() {
            if self.tokens.take("]") {
                let Some(item) = merger.common else {
                    return Ok(plain(SchemaType::Array, Value::Array(Box::new(items))));
                };
                let items = items.into_iter().map(|value| self.align(&item, value)).collect::<Result<_, _>>()?;
                let schema = SchemaBuilder::array(item).build();
                return Ok(SchemaAndValue { schema, value: Value::Array(Box::new(items)) });
            }
            if self.tokens.take(",") {
                return Err(Failure::NotAValue);
            }
            let item = self.parse(true)?;
            items.push(merger.merge(item));
            let behind = self.tokens.mark();
            if self.tokens.take("]") {
                self.tokens.rewind(behind);
            } else if !self.tokens.take(",") {
                return Err(Failure::NotAValue);
            }
        }
        Err(Failure::NotAValue)
    }

    /// A map behind its brace. Commas between entries may be missing.
    fn map(&mut self) -> Result<SchemaAndValue, Failure> {
        let mut entries = Entries::default();
        let (mut keys, mut values) = (Merger::default(), Merger::default());
        while self.tokens.has_next() {
            if self.tokens.take("}") {
                return entries.finish(keys.common, values.common, self);
            }
            if self.tokens.take(",") {
                return Err(Failure::NotAValue);
            }
            let key = self.parse(true)?.ok_or(Failure::NotAValue)?;
            if !self.tokens.take(":") {
                return Err(Failure::NotAValue);
            }
            let value = self.parse(true)?;
            self.tokens.take(",");
            entries.put(keys.merge(Some(key)), values.merge(value));
        }
        Err(Failure::NotAValue)
    }

    /// A token that is no literal and no delimiter of an array or a map that was read.
    fn scalar(&mut self, token: &str, embedded: bool) -> Result<Option<SchemaAndValue>, Failure> {
        let digits = with_ascii_digits(token);
        let first = digits.as_bytes().first().copied().unwrap_or_default();
        if first.is_ascii_digit() {
            let start = self.tokens.mark();
            // A time has two colons, which makes five tokens of it.
            let joined = self.tokens.next_joined(4).map(|rest| format!("{digits}{}", with_ascii_digits(rest)));
            if let Some(parsed) = joined.and_then(|text| self.date(&text)) {
                return Ok(Some(parsed));
            }
            self.tokens.rewind(start);
            if let Some(parsed) = self.date(&digits) {
                return Ok(Some(parsed));
            }
        }
        if (first.is_ascii_digit() || matches!(first, b'+' | b'-'))
            && let Some(parsed) = number(&digits)
        {
            if self.asks_loss && !same_number(&digits, &shown(&parsed.value, &Arena::default())) {
                self.note(&digits, &parsed.value);
            }
            return Ok(Some(parsed));
        }
        if embedded { Err(Failure::NotAValue) } else { Ok(Some(string(self.tokens.text()))) }
    }
}

/// A number in the smallest type: whole ones (also `1.0`) as integers, others as float, double, and decimal in that order.
fn number(text: &str) -> Option<SchemaAndValue> {
    // Of longer texts the limit of decimals counts, too.
    if text.len() <= 20
        && let Ok(whole) = text.parse()
    {
        return Some(integer(whole));
    }
    let decimal = Decimal::parse(text)?;
    if let Some(whole) = whole_number(text, decimal.scale) {
        return Some(integer(whole));
    }
    if decimal.scale != 0 {
        if let Some(value) = text.parse::<f32>().ok().filter(|value| value.is_finite()) {
            return Some(plain(SchemaType::Float32, Value::Float32(value)));
        }
        if let Some(value) = text.parse::<f64>().ok().filter(|value| value.is_finite()) {
            return Some(plain(SchemaType::Float64, Value::Float64(value)));
        }
    }
    let schema = Schema::builder(SchemaType::Bytes)
        .name(DECIMAL)
        .version(1)
        .parameter("scale", decimal.scale.to_string())
        .build();
    Some(SchemaAndValue { schema, value: Value::Decimal(Box::new(decimal)) })
}

/// An integer in the smallest type.
fn integer(whole: i64) -> SchemaAndValue {
    if let Ok(value) = i8::try_from(whole) {
        plain(SchemaType::Int8, Value::Int8(value))
    } else if let Ok(value) = i16::try_from(whole) {
        plain(SchemaType::Int16, Value::Int16(value))
    } else if let Ok(value) = i32::try_from(whole) {
        plain(SchemaType::Int32, Value::Int32(value))
    } else {
        plain(SchemaType::Int64, Value::Int64(whole))
    }
}

/// The integer of 64 bits that the text of a decimal of this scale equals.
fn whole_number(text: &str, scale: i32) -> Option<i64> {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).skip_while(|&digit| digit == '0').collect();
    if digits.is_empty() {
        return Some(0);
    }
    let whole_digits = digits.len() as i64 - i64::from(scale);
    if !(1..=19).contains(&whole_digits) {
        return None;
    }
    let whole_digits = whole_digits as usize;
    let (whole, fraction) = digits.split_at(whole_digits.min(digits.len()));
    if fraction.bytes().any(|digit| digit != b'0') {
        return None;
    }
    let magnitude: i128 = format!("{whole:0<whole_digits$}").parse().ok()?;
    i64::try_from(if mantissa.starts_with('-') { -magnitude } else { magnitude }).ok()
}

/// Finds the schema that holds all values of an array: the wider of two numeric ones.
struct Merger {
    common: Option<Arc<Schema>>,
    compatible: bool,
}

impl Default for Merger {
    fn default() -> Self {
        Self { common: None, compatible: true }
    }
}

impl Merger {
    /// Takes a value's schema into account and gives the value.
    fn merge(&mut self, parsed: Option<SchemaAndValue>) -> Value {
        let Some(SchemaAndValue { schema, value }) = parsed else { return Value::Null };
        if self.compatible {
            self.common = match self.common.take() {
                None => Some(schema),
                Some(known) => wider(known, schema),
            };
            self.compatible = self.common.is_some();
        }
        value
    }
}

/// Of two schemas of one type the later one (all are required here), of two numeric ones the wider.
fn wider(known: Arc<Schema>, new: Arc<Schema>) -> Option<Arc<Schema>> {
    let width =
        |schema: &Schema| (schema.kind as usize <= SchemaType::Float64 as usize).then_some(schema.kind as usize);
    if known.kind == new.kind {
        return Some(new);
    }
    let (known_width, new_width) = (width(&known)?, width(&new)?);
    Some(if new_width > known_width { new } else { known })
}

/// A map's entries: a later one replaces the value of an equal key.
#[derive(Default)]
struct Entries {
    entries: Vec<(Value, Value)>,
    /// Index of an entry by its key's debug text, which differs for keys of different types too.
    by_key: HashMap<String, usize>,
}

impl Entries {
    fn put(&mut self, key: Value, value: Value) {
        let next = self.entries.len();
        match self.by_key.entry(format!("{key:?}")) {
            std::collections::hash_map::Entry::Occupied(known) => self.entries[*known.get()].1 = value,
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(next);
                self.entries.push((key, value));
            }
        }
    }

    /// The map with its keys and values converted to their schemas; without a schema of the keys all stay as they are.
    fn finish(
        self,
        keys: Option<Arc<Schema>>,
        values: Option<Arc<Schema>>,
        parser: &mut Parser<'_>,
    ) -> Result<SchemaAndValue, Failure> {
        let Some(keys) = keys else {
            return Ok(plain(SchemaType::Map, Value::Map(Box::new(ValueMap::from_iter(self.entries)))));
        };
        let mut aligned = Self::default();
        for (key, value) in self.entries {
            let value = match &values {
                Some(values) => parser.align(values, value)?,
                None => value,
            };
            aligned.put(parser.align(&keys, key)?, value);
        }
        let schema = match values {
            Some(values) => SchemaBuilder::map(keys, values),
            None => SchemaBuilder::map_with_null_values(keys),
        }
        .build();
        Ok(SchemaAndValue { schema, value: Value::Map(Box::new(ValueMap::from_iter(aligned.entries))) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(
            parse_string(&nested(DEEPEST)).is_ok_and(|parsed| parsed.is_some_and(|p| p.value.as_array().is_some()))
        );
        assert_eq!(parse_string(&nested(DEEPEST + 1)), Err(ConversionError::TooDeep));
    }

    #[test]
    fn digits_of_other_scripts_are_numbers() {
        let parsed = parse_string("٣٤").expect("not deep").expect("not null");
        assert_eq!(parsed.value, Value::Int8(34));
    }

    #[test]
    fn equal_keys_keep_the_last_value() {
        let Ok(Some(parsed)) = parse_string("{\"a\":1,\"b\":2,\"a\":300}") else { panic!("a map") };
        let map = parsed.value.as_map().expect("a map").clone();
        assert_eq!(map.len(), 2);
        assert_eq!(map.get_str(&crate::Arena::default(), "a"), Some(&Value::Int16(300)));
    }
}
