//! `Values.convertTo...`: a value as one of another type. Numbers wrap to narrower integers, text is read as a number.

use std::sync::Arc;

use super::digits::with_ascii_digits;
use super::{ConversionError, MILLIS_PER_DAY, parse_string, temporal, to_string};
use crate::arena::Arena;
use crate::jackson::Json;
use crate::java_text;
use crate::logical::{DATE, DECIMAL, TIME, TIMESTAMP};
use crate::schema::{Schema, SchemaType};
use crate::value::{Decimal, Value};

type Converted = Result<Value, ConversionError>;

fn data(message: impl Into<String>) -> ConversionError {
    ConversionError::Data(message.into())
}

fn null_refused() -> ConversionError {
    data("Unable to convert a null value to a schema that requires a value")
}

fn refused(value: &Value, arena: &Arena, target: &str) -> ConversionError {
    let mut text = Vec::new();
    java_text::write_value(value, arena, &mut text);
    data(format!("Unable to convert {} (class {}) to {target}", String::from_utf8_lossy(&text), value.java_class()))
}

/// `ConnectSchema.toString`.
fn schema_text(schema: &Schema) -> String {
    let kind = schema.kind.name().to_uppercase();
    match &schema.name {
        Some(name) => format!("Schema{{{name}:{kind}}}"),
        None => format!("Schema{{{kind}}}"),
    }
}

fn number_format(text: &str) -> ConversionError {
    ConversionError::Java { class: "java.lang.NumberFormatException", message: format!("not a number: {text}") }
}

/// `new BigDecimal(text)`.
fn decimal_of(text: &str) -> Result<Decimal, ConversionError> {
    Decimal::parse(&with_ascii_digits(text)).ok_or_else(|| number_format(text))
}

/// The text of a decimal or of a text that is one, with ASCII digits.
fn number_text(value: &Value, arena: &Arena) -> Option<String> {
    if let Value::Decimal(decimal) = value {
        return Some(decimal_text(decimal));
    }
    let text = with_ascii_digits(value.as_str(arena)?);
    Decimal::parse(&text).map(|_| text.into_owned())
}

fn decimal_text(decimal: &Decimal) -> String {
    let mut text = Vec::new();
    java_text::write_decimal(decimal, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// What a text stands for in places where Connect stumbles over the text `null`.
fn parsed(text: &str) -> Converted {
    parse_string(text)?.map(|parsed| parsed.value).ok_or_else(|| ConversionError::Java {
        class: "java.lang.NullPointerException",
        message: "the text is null".to_owned(),
    })
}

fn named<'a>(schema: Option<&'a Schema>, name: &str) -> Option<&'a Schema> {
    schema.filter(|schema| schema.name.as_deref() == Some(name))
}

/// `Date.fromLogical`: days since the epoch.
fn days_of(millis: i64) -> Result<i32, ConversionError> {
    if millis % MILLIS_PER_DAY != 0 {
        return Err(data("Kafka Connect Date type should not have any time fields set to non-zero values."));
    }
    Ok((millis / MILLIS_PER_DAY) as i32)
}

/// `Time.fromLogical`: milliseconds of a day.
fn time_of(millis: i64) -> Result<i64, ConversionError> {
    if !(0..=MILLIS_PER_DAY).contains(&millis) {
        return Err(data("Kafka Connect Time type should not have any date fields set to non-zero values."));
    }
    Ok(millis)
}

fn as_long(schema: Option<&Schema>, value: &Value, arena: &Arena) -> Result<i64, ConversionError> {
    match value {
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => {
            return Ok(value.as_int().unwrap_or_default());
        }
        Value::Float32(value) => return Ok(*value as i64),
        Value::Float64(value) => return Ok(*value as i64),
        Value::Decimal(_) | Value::String(_) | Value::StringSpan(_) => {
            if let Some(text) = number_text(value, arena) {
                return Ok(Json::Float(text.into()).long_value());
            }
        }
        Value::DateTime(millis) => match schema.and_then(|schema| schema.name.as_deref()) {
            Some(DATE) => return days_of(*millis).map(i64::from),
            Some(TIME) => return time_of(*millis),
            Some(TIMESTAMP) => return Ok(*millis),
            _ => {}
        },
        _ => {}
    }
    Err(refused(value, arena, &schema.map_or("a number".to_owned(), schema_text)))
}

fn as_double(schema: Option<&Schema>, value: &Value, arena: &Arena) -> Result<f64, ConversionError> {
    if let Some(number) = value.as_float() {
        return Ok(number);
    }
    match number_text(value, arena) {
        Some(text) => {
            let number: f64 = text.parse().map_err(|_| number_format(&text))?;
            // A decimal's zero has no sign, but what is too small for a number keeps its own.
            let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
            let is_zero = !mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
            Ok(if is_zero { 0.0 } else { number })
        }
        None => as_long(schema, value, arena).map(|value| value as f64),
    }
}

/// `convertToBoolean`; null stays null. Numbers other than 0 are true.
///
/// # Errors
/// [`ConversionError`] if the value is neither a boolean nor a number nor the text of one.
pub fn to_boolean(schema: Option<&Schema>, value: &Value, arena: &Arena) -> Converted {
    if value.is_null() || value.as_bool().is_some() {
        return Ok(value.clone());
    }
    if let Some(text) = value.as_str(arena)
        && let parsed @ Value::Boolean(_) = parsed(text)?
    {
        return Ok(parsed);
    }
    as_long(schema, value, arena).map(|number| Value::Boolean(number != 0))
}

macro_rules! to_integer_type {
    ($function:ident, $kind:ident, $number:ty, $java:literal) => {
        #[doc = concat!("`convertTo", $java, "`; null stays null. Larger numbers wrap, fractions are cut off.")]
        ///
        /// # Errors
        /// [`ConversionError`] if the value is neither a number nor the text of one nor a date with its logical schema.
        pub fn $function(schema: Option<&Schema>, value: &Value, arena: &Arena) -> Converted {
            if value.is_null() {
                return Ok(Value::Null);
            }
            as_long(schema, value, arena).map(|number| Value::$kind(number as $number))
        }
    };
}

to_integer_type!(to_byte, Int8, i8, "Byte");
to_integer_type!(to_short, Int16, i16, "Short");
to_integer_type!(to_integer, Int32, i32, "Integer");
to_integer_type!(to_long, Int64, i64, "Long");

/// `convertToFloat`; null stays null.
///
/// # Errors
/// [`ConversionError`] if the value is neither a number nor the text of one nor a date with its logical schema.
pub fn to_float(schema: Option<&Schema>, value: &Value, arena: &Arena) -> Converted {
    match value {
        Value::Null | Value::Float32(_) => Ok(value.clone()),
        _ => as_double(schema, value, arena).map(|number| Value::Float32(number as f32)),
    }
}

/// `convertToDouble`; null stays null.
///
/// # Errors
/// [`ConversionError`] if the value is neither a number nor the text of one nor a date with its logical schema.
pub fn to_double(schema: Option<&Schema>, value: &Value, arena: &Arena) -> Converted {
    match value {
        Value::Null | Value::Float64(_) => Ok(value.clone()),
        _ => as_double(schema, value, arena).map(Value::Float64),
    }
}

/// `convertToDecimal`. Only bytes take the scale: they are an unscaled value; all else keeps its own.
///
/// # Errors
/// [`ConversionError`] if the value is neither a number nor bytes nor the text of a number.
pub fn to_decimal(value: &Value, scale: i32, arena: &Arena) -> Converted {
    let target = format!("Schema{{{DECIMAL}:BYTES}}");
    let decimal = match value {
        Value::Null => return Err(null_refused()),
        Value::Decimal(_) => return Ok(value.clone()),
        Value::Bytes(_) | Value::BytesSpan(_) => {
            let bytes = value.as_bytes(arena).filter(|bytes| !bytes.is_empty()).ok_or_else(|| number_format(""))?;
            // As short as two's complement allows.
            let sign: u8 = if bytes[0] & 0x80 == 0 { 0 } else { 0xff };
            let spare = bytes.windows(2).take_while(|pair| pair[0] == sign && (pair[1] ^ sign) & 0x80 == 0).count();
            Decimal { unscaled: bytes[spare..].into(), scale }
        }
        Value::String(_) | Value::StringSpan(_) => decimal_of(value.as_str(arena).unwrap_or_default())?,
        _ => {
            let number = value.as_float().or(value.as_int().map(|number| number as f64));
            let mut text = Vec::new();
            java_text::write_double(number.ok_or_else(|| refused(value, arena, &target))?, &mut text);
            decimal_of(&String::from_utf8_lossy(&text))?
        }
    };
    Ok(Value::Decimal(Box::new(decimal)))
}

/// What the text of a date stands for; any other value as it is.
fn unless_text(value: &Value, arena: &Arena) -> Converted {
    match value {
        Value::Null => Err(null_refused()),
        Value::String(_) | Value::StringSpan(_) => parsed(value.as_str(arena).unwrap_or_default()),
        _ => Ok(value.clone()),
    }
}

/// `convertToDate`: a date at midnight, from a date, a timestamp, the text of one, or days since the epoch.
///
/// # Errors
/// [`ConversionError`] for null and all other values.
pub fn to_date(schema: Option<&Schema>, value: &Value, arena: &Arena) -> Converted {
    let value = unless_text(value, arena)?;
    if let Value::DateTime(millis) = value {
        if schema.is_none() || named(schema, DATE).is_some() {
            return Ok(value);
        }
        if named(schema, TIMESTAMP).is_some() {
            return Ok(Value::DateTime(i64::from((millis / MILLIS_PER_DAY) as i32) * MILLIS_PER_DAY));
        }
    }
    as_long(schema, &value, arena).map(|days| Value::DateTime(i64::from(days as i32) * MILLIS_PER_DAY))
}

/// `convertToTime`: a time of day, from a time, a timestamp, the text of one, or milliseconds.
///
/// # Errors
/// [`ConversionError`] for null and all other values, and for what lies outside of one day.
pub fn to_time(schema: Option<&Schema>, value: &Value, arena: &Arena) -> Converted {
    let value = unless_text(value, arena)?;
    let mut millis = None;
    if let Value::DateTime(moment) = value {
        if schema.is_none() || named(schema, TIME).is_some() {
            return Ok(value);
        }
        millis = named(schema, TIMESTAMP).map(|_| temporal::time_of_day(moment));
    }
    let millis = match millis {
        Some(millis) => millis,
        None => as_long(schema, &value, arena)? as i32,
    };
    if !(0..=MILLIS_PER_DAY).contains(&i64::from(millis)) {
        return Err(data("Time values must use number of milliseconds greater than 0 and less than 86400000"));
    }
    Ok(Value::DateTime(millis.into()))
}

/// `convertToTimestamp`: a timestamp, from a date, a time, a timestamp, the text of one, or milliseconds since the epoch.
///
/// # Errors
/// [`ConversionError`] for null and all other values.
pub fn to_timestamp(schema: Option<&Schema>, value: &Value, arena: &Arena) -> Converted {
    let value = unless_text(value, arena)?;
    if let Value::DateTime(millis) = value {
        if schema.is_none() || named(schema, TIMESTAMP).is_some() {
            return Ok(value);
        }
        if named(schema, DATE).is_some() {
            return days_of(millis).map(|days| Value::DateTime(i64::from(days) * MILLIS_PER_DAY));
        }
        if named(schema, TIME).is_some() {
            return time_of(millis).map(Value::DateTime);
        }
    }
    as_long(schema, &value, arena).map(Value::DateTime)
}

/// `convertToList`: an array, or the one that a text stands for.
///
/// # Errors
/// [`ConversionError`] for null and all other values.
pub fn to_list(value: &Value, arena: &Arena) -> Converted {
    let value = unless_text(value, arena)?;
    if value.as_array().is_some() { Ok(value) } else { Err(refused(&value, arena, "Schema{ARRAY}")) }
}

/// `convertToMap`: a map, or the one that a text stands for.
///
/// # Errors
/// [`ConversionError`] for null and all other values.
pub fn to_map(value: &Value, arena: &Arena) -> Converted {
    let value = unless_text(value, arena)?;
    if value.as_map().is_some() { Ok(value) } else { Err(refused(&value, arena, "Schema{MAP}")) }
}

/// `convertToStruct`: a struct only.
///
/// # Errors
/// [`ConversionError`] for null and all other values.
pub fn to_struct(value: &Value, arena: &Arena) -> Converted {
    match value {
        Value::Null => Err(null_refused()),
        Value::Struct(_) => Ok(value.clone()),
        _ => Err(refused(value, arena, "Schema{STRUCT}")),
    }
}

/// A value that was read from text as one of a schema that was found in text: required, without spans.
pub(super) fn align(schema: &Arc<Schema>, value: Value) -> Converted {
    if value.is_null() {
        return Err(null_refused());
    }
    let arena = Arena::default();
    match (schema.kind, schema.name.as_deref()) {
        (SchemaType::Bytes, Some(DECIMAL)) => {
            let scale = schema.parameter("scale").and_then(|scale| scale.parse().ok()).unwrap_or(0);
            to_decimal(&value, scale, &arena)
        }
        (SchemaType::Bytes, _) => {
            if value.as_bytes(&arena).is_some() {
                Ok(value)
            } else {
                Err(refused(&value, &arena, &schema_text(schema)))
            }
        }
        (SchemaType::String, _) => Ok(to_string(&value, &arena).map_or(Value::Null, |text| Value::String(text.into()))),
        (SchemaType::Boolean, _) => to_boolean(None, &value, &arena),
        (SchemaType::Int8, _) => to_byte(None, &value, &arena),
        (SchemaType::Int16, _) => to_short(None, &value, &arena),
        (SchemaType::Int32, Some(DATE)) => to_date(None, &value, &arena),
        (SchemaType::Int32, Some(TIME)) => to_time(None, &value, &arena),
        (SchemaType::Int32, _) => to_integer(None, &value, &arena),
        (SchemaType::Int64, Some(TIMESTAMP)) => to_timestamp(None, &value, &arena),
        (SchemaType::Int64, _) => to_long(None, &value, &arena),
        (SchemaType::Float32, _) => to_float(None, &value, &arena),
        (SchemaType::Float64, _) => to_double(None, &value, &arena),
        // Text that stands for no such value was not read as one.
        (SchemaType::Array, _) if value.as_array().is_some() => Ok(value),
        (SchemaType::Map, _) if value.as_map().is_some() => Ok(value),
        _ => to_struct(&value, &arena),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_in_text_has_no_sign() {
        let arena = Arena::default();
        for (text, expected) in [("-0", 0.0), ("-0.0e5", 0.0), ("-1e-400", -0.0), ("-1.5", -1.5)] {
            let Ok(Value::Float64(number)) = to_double(None, &Value::String(text.into()), &arena) else {
                panic!("no number: {text}");
            };
            assert_eq!(number.to_bits(), f64::to_bits(expected), "{text}");
        }
    }
}
