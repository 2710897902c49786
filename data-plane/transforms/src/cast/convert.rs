//! The casting of one value, as Connect does it: numbers wrap, text does not.

use data_plane_connector_api::{ConnectError, Losses};
use data_plane_record::exact::{is_out_of_range, keeps_number, shown};
use data_plane_record::logical::Logical;
use data_plane_record::{Arena, Schema, SchemaType, Value, java_text, values};

use super::number::{parse_double, parse_float, parse_integer};
use crate::structs::type_text;

/// A value as one of another type; null stays null. Without a schema, the value's own type counts.
///
/// # Errors
/// A `DataException` if there is no such cast, or if a text does not stand for such a value.
pub(super) fn convert(
    schema: Option<&Schema>,
    value: &Value,
    to: SchemaType,
    losses: Losses,
    arena: &Arena,
) -> Result<Value, ConnectError> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let from = match schema {
        Some(schema) => schema.kind,
        None => own_type(value).ok_or_else(|| {
            ConnectError::data(format!(
                "Cast transformation was passed a value of type class {} which is not supported by Connect's data API",
                value.java_class()
            ))
        })?,
    };
    if matches!(from, SchemaType::Array | SchemaType::Map | SchemaType::Struct) {
        return Err(ConnectError::data(format!(
            "Cast transformation does not support casting from {}; supported types are \
             [INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES]",
            type_text(from)
        )));
    }
    if to == SchemaType::String {
        let text = text(value, arena);
        // Before the epoch, Connect writes the time of day alone.
        losses.check(|| !matches!(value, Value::DateTime(..0)), || shown(value, arena), || text.clone())?;
        return Ok(Value::String(text.into()));
    }
    let number = match schema {
        Some(schema) if matches!(Logical::of(schema), Some(Logical::Date | Logical::Time | Logical::Timestamp)) => {
            Some(encoded(schema, value, arena)?)
        }
        _ => None,
    };
    let from = number.as_ref().unwrap_or(value);
    let converted = cast(from, to, arena)?;
    losses.check(|| is_kept(from, &converted, arena), || shown(from, arena), || shown(&converted, arena))?;
    Ok(converted)
}

/// Whether nothing was lost in a cast to a number or a boolean.
fn is_kept(from: &Value, to: &Value, arena: &Arena) -> bool {
    match (from.as_str(arena), to) {
        (Some(text), Value::Boolean(flag)) => *flag || text.eq_ignore_ascii_case("false"),
        (Some(text), _) => to.as_float().is_none_or(|number| !is_out_of_range(text, number)),
        (None, _) => keeps_number(from, to, arena),
    }
}

/// The type of a schemaless value; decimals and dates have none.
fn own_type(value: &Value) -> Option<SchemaType> {
    Some(match value {
        Value::Boolean(_) => SchemaType::Boolean,
        Value::Int8(_) => SchemaType::Int8,
        Value::Int16(_) => SchemaType::Int16,
        Value::Int32(_) => SchemaType::Int32,
        Value::Int64(_) => SchemaType::Int64,
        Value::Float32(_) => SchemaType::Float32,
        Value::Float64(_) => SchemaType::Float64,
        Value::String(_) | Value::StringSpan(_) => SchemaType::String,
        Value::Bytes(_) | Value::BytesSpan(_) => SchemaType::Bytes,
        Value::Array(_) => SchemaType::Array,
        Value::Map(_) => SchemaType::Map,
        Value::Struct(_) => SchemaType::Struct,
        Value::Null | Value::Decimal(_) | Value::DateTime(_) => return None,
    })
}

/// The number that stands for a date, a time or a timestamp.
fn encoded(schema: &Schema, value: &Value, arena: &Arena) -> Result<Value, ConnectError> {
    if !matches!(value, Value::DateTime(_)) {
        let class = value.java_class();
        let why = format!("class {class} cannot be cast to class java.util.Date, as the schema's name asks for");
        return Err(ConnectError::new("java.lang.ClassCastException", why));
    }
    Ok(values::to_long(Some(schema), value, arena)?)
}

fn text(value: &Value, arena: &Arena) -> String {
    match value {
        // These have a form of their own in `Values`, but not here.
        Value::Array(_) | Value::Map(_) | Value::Struct(_) => {
            let mut text = Vec::new();
            java_text::write_value(value, arena, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        }
        _ => values::to_string(value, arena).unwrap_or_default(),
    }
}

fn cast(value: &Value, to: SchemaType, arena: &Arena) -> Result<Value, ConnectError> {
    if let Some(text) = value.as_str(arena) {
        return from_text(text, to);
    }
    Ok(match to {
        SchemaType::Int8 => Value::Int8(int(value, arena)? as i8),
        SchemaType::Int16 => Value::Int16(int(value, arena)? as i16),
        SchemaType::Int32 => Value::Int32(int(value, arena)?),
        SchemaType::Int64 => Value::Int64(long(value, arena)?),
        SchemaType::Float32 => Value::Float32(match value {
            Value::Float32(number) => *number,
            Value::Decimal(_) => decimal_text(value, arena).parse().map_err(|_| unexpected(value))?,
            // Of integers, the way through 64 bits would round twice.
            _ => match value.as_float() {
                Some(number) => number as f32,
                None => long(value, arena)? as f32,
            },
        }),
        SchemaType::Float64 => Value::Float64(match value {
            Value::Decimal(_) => decimal_text(value, arena).parse().map_err(|_| unexpected(value))?,
            _ => match value.as_float() {
                Some(number) => number,
                None => long(value, arena)? as f64,
            },
        }),
        SchemaType::Boolean => Value::Boolean(long(value, arena)? != 0),
        _ => {
            let kind = type_text(to);
            return Err(ConnectError::data(format!("{kind} is not supported in the Cast transformation.")));
        }
    })
}

/// `Number.intValue`: fractional numbers stop at the limits of 32 bits, all others wrap.
fn int(value: &Value, arena: &Arena) -> Result<i32, ConnectError> {
    match value {
        Value::Float32(number) => Ok(*number as i32),
        Value::Float64(number) => Ok(*number as i32),
        _ => long(value, arena).map(|number| number as i32),
    }
}

/// `Number.longValue`; booleans are 0 and 1.
fn long(value: &Value, arena: &Arena) -> Result<i64, ConnectError> {
    match value {
        Value::Boolean(flag) => Ok((*flag).into()),
        Value::Float32(number) => Ok(*number as i64),
        Value::Float64(number) => Ok(*number as i64),
        Value::Decimal(_) => match values::to_long(None, value, arena) {
            Ok(Value::Int64(number)) => Ok(number),
            _ => Err(unexpected(value)),
        },
        _ => value.as_int().ok_or_else(|| unexpected(value)),
    }
}

fn decimal_text(value: &Value, arena: &Arena) -> String {
    values::to_string(value, arena).unwrap_or_default()
}

fn from_text(text: &str, to: SchemaType) -> Result<Value, ConnectError> {
    let value = match to {
        SchemaType::Int8 => parse_integer(text).map(Value::Int8),
        SchemaType::Int16 => parse_integer(text).map(Value::Int16),
        SchemaType::Int32 => parse_integer(text).map(Value::Int32),
        SchemaType::Int64 => parse_integer(text).map(Value::Int64),
        SchemaType::Float32 => parse_float(text).map(Value::Float32),
        SchemaType::Float64 => parse_double(text).map(Value::Float64),
        _ => Some(Value::Boolean(text.eq_ignore_ascii_case("true"))),
    };
    value.ok_or_else(|| ConnectError::data(format!("Value ({text}) was out of range for requested data type")))
}

fn unexpected(value: &Value) -> ConnectError {
    ConnectError::data(format!("Unexpected type in Cast transformation: class {}", value.java_class()))
}
