//! `Values.convertToString`: the text that [`super::parse_string`] reads back.

use super::temporal;
use crate::arena::Arena;
use crate::jackson;
use crate::java_text;
use crate::value::Value;

/// The text of a value; null has none.
#[must_use]
pub fn to_string(value: &Value, arena: &Arena) -> Option<String> {
    if value.is_null() {
        return None;
    }
    let mut out = Vec::new();
    write_string(value, arena, &mut out);
    Some(String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// Appends the text of a value: text without quotes, except within arrays, maps and structs. Null is `null`.
pub fn write_string(value: &Value, arena: &Arena, out: &mut Vec<u8>) {
    append(value, arena, false, out);
}

fn append(value: &Value, arena: &Arena, embedded: bool, out: &mut Vec<u8>) {
    match value {
        Value::String(_) | Value::StringSpan(_) => {
            let text = match value {
                Value::StringSpan(span) => java_text::decode_utf8(arena.get(*span)),
                _ => value.as_str(arena).unwrap_or_default().into(),
            };
            if embedded { append_quoted(&text, out) } else { out.extend_from_slice(text.as_bytes()) }
        }
        Value::Bytes(_) | Value::BytesSpan(_) => {
            let start = out.len();
            jackson::write_base64(value.as_bytes(arena).unwrap_or_default(), out);
            if !embedded {
                out.pop();
                out.remove(start);
            }
        }
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                out.extend_from_slice(if index == 0 { b"" } else { b"," });
                append(item, arena, true, out);
            }
            out.push(b']');
        }
        Value::Map(map) => {
            out.push(b'{');
            for (index, (key, value)) in map.iter().enumerate() {
                out.extend_from_slice(if index == 0 { b"" } else { b"," });
                append(key, arena, true, out);
                out.push(b':');
                append(value, arena, true, out);
            }
            out.push(b'}');
        }
        Value::Struct(record) => {
            out.push(b'{');
            for (index, (field, value)) in record.schema.fields().iter().zip(&record.values).enumerate() {
                out.extend_from_slice(if index == 0 { b"" } else { b"," });
                append_quoted(&field.name, out);
                out.push(b':');
                let default = field.schema.default.as_ref().filter(|_| value.is_null());
                append(default.unwrap_or(value), arena, true, out);
            }
            out.push(b'}');
        }
        Value::DateTime(millis) => temporal::write(*millis, out),
        other => java_text::write_value(other, arena, out),
    }
}

fn append_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}
