//! Values to JSON, checked against their schema as `JsonConverter.convertToJson` does.

use data_plane_connector_api::ConnectError;
use data_plane_record::logical::Logical;
use data_plane_record::{Arena, Schema, SchemaType, Value, jackson};

use super::{Options, logical};

/// Appends the JSON of a value.
pub(super) fn value(
    schema: Option<&Schema>,
    value: &Value,
    options: Options,
    arena: &Arena,
    out: &mut Vec<u8>,
) -> Result<(), ConnectError> {
    if value.is_null() {
        return null(schema, options, arena, out);
    }
    if let Some(schema) = schema
        && let Some(logical) = Logical::of(schema)
    {
        return logical::write(logical, schema, value, options, out);
    }
    match (schema.map(|schema| schema.kind), value) {
        (None | Some(SchemaType::Boolean), Value::Boolean(flag)) => {
            out.extend_from_slice(if *flag { b"true" } else { b"false" });
        }
        (None | Some(SchemaType::Int8), Value::Int8(_))
        | (None | Some(SchemaType::Int16), Value::Int16(_))
        | (None | Some(SchemaType::Int32), Value::Int32(_))
        | (None | Some(SchemaType::Int64), Value::Int64(_)) => {
            jackson::write_integer(value.as_int().unwrap_or_default(), out);
        }
        (None | Some(SchemaType::Float32), Value::Float32(number)) => jackson::write_float(*number, out),
        (None | Some(SchemaType::Float64), Value::Float64(number)) => jackson::write_double(*number, out),
        (None | Some(SchemaType::String), Value::StringSpan(_) | Value::String(_)) => {
            jackson::write_string(value.as_str(arena).unwrap_or_default(), out);
        }
        (None | Some(SchemaType::Bytes), Value::BytesSpan(_) | Value::Bytes(_)) => {
            jackson::write_base64(value.as_bytes(arena).unwrap_or_default(), out);
        }
        (None | Some(SchemaType::Array), Value::Array(items)) => {
            let item_schema = schema.and_then(|schema| schema.values.as_deref());
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                comma(index, out);
                self::value(item_schema, item, options, arena, out)?;
            }
            out.push(b']');
        }
        (None | Some(SchemaType::Map), Value::Map(entries)) => map(schema, entries, options, arena, out)?,
        (Some(SchemaType::Struct), Value::Struct(record)) => {
            if schema != Some(&*record.schema) {
                return Err(ConnectError::data("Mismatching schema."));
            }
            out.push(b'{');
            for (index, (field, value)) in record.schema.fields().iter().zip(&record.values).enumerate() {
                comma(index, out);
                jackson::write_string(&field.name, out);
                out.push(b':');
                self::value(Some(&field.schema), value, options, arena, out)?;
            }
            out.push(b'}');
        }
        (None, Value::Struct(_)) => return Err(ConnectError::data("Mismatching schema.")),
        (None, _) => {
            let class = value.java_class();
            return Err(ConnectError::data(format!(
                "Java class class {class} does not have corresponding schema type."
            )));
        }
        (Some(SchemaType::Bytes), _) => {
            return Err(ConnectError::data(format!("Invalid type for bytes type: class {}", value.java_class())));
        }
        (Some(kind), _) => {
            let kind = kind.name().to_uppercase();
            return Err(ConnectError::data(format!("Invalid type for {kind}: class {}", value.java_class())));
        }
    }
    Ok(())
}

fn comma(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

fn null(schema: Option<&Schema>, options: Options, arena: &Arena, out: &mut Vec<u8>) -> Result<(), ConnectError> {
    match schema {
        Some(Schema { default: Some(default), .. }) if options.replace_null_with_default => {
            value(schema, default, options, arena, out)
        }
        Some(schema) if !schema.optional => {
            Err(ConnectError::data("Conversion error: null value for field that is required and has no default value"))
        }
        _ => {
            out.extend_from_slice(b"null");
            Ok(())
        }
    }
}

/// A map with text keys is an object, any other a list of pairs.
fn map(
    schema: Option<&Schema>,
    entries: &data_plane_record::ValueMap,
    options: Options,
    arena: &Arena,
    out: &mut Vec<u8>,
) -> Result<(), ConnectError> {
    let keys = schema.and_then(|schema| schema.keys.as_deref());
    let values = schema.and_then(|schema| schema.values.as_deref());
    let is_object = match keys {
        Some(keys) => keys.kind == SchemaType::String,
        None => entries.iter().all(|(key, _)| key.as_str(arena).is_some()),
    };
    out.push(if is_object { b'{' } else { b'[' });
    for (index, (key, entry)) in entries.iter().enumerate() {
        comma(index, out);
        if !is_object {
            out.push(b'[');
        }
        if is_object && key.is_null() {
            // A null key is the text null, or the key schema's default.
            let mut text = Vec::new();
            value(keys, key, options, arena, &mut text)?;
            let quoted = text.starts_with(b"\"");
            let shown = || "the text null".to_owned();
            options.losses.check(|| quoted, || "a null key".to_owned(), shown)?;
            out.extend_from_slice(if quoted { b"" } else { b"\"" });
            out.extend_from_slice(&text);
            out.extend_from_slice(if quoted { b"" } else { b"\"" });
        } else {
            value(keys, key, options, arena, out)?;
        }
        out.push(if is_object { b':' } else { b',' });
        value(values, entry, options, arena, out)?;
        if !is_object {
            out.push(b']');
        }
    }
    out.push(if is_object { b'}' } else { b']' });
    Ok(())
}
