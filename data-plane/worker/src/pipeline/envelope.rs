//! A source's record as JSON, for its dead letter: as the connector made it, before any transform.
//!
//! Nothing here can fail: values are written as what they are, whatever their schema says.

use data_plane_record::jackson::{write_base64, write_double, write_float, write_string};
use data_plane_record::{Arena, OffsetMap, RecordBatch, Row, RunHead, Schema, Value, java_text};

use data_plane_core::offsets;

/// The record in a row of `batch`, as one JSON object:
/// `{"topic","partition","timestamp","key":{"schema","payload"},"value":{…},"headers":[{"key","schema","payload"}],"sourcePartition","sourceOffset"}`.
/// Schemas are written as `JsonConverter` does; bytes are base64, decimals are text, dates and times are milliseconds.
#[must_use]
pub fn envelope(batch: &RecordBatch, head: &RunHead, row: &Row) -> Vec<u8> {
    let arena = &batch.arena;
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"topic\":");
    write_string(&head.topic, &mut out);
    member("partition", &mut out);
    optional_integer(row.partition().map(i64::from), &mut out);
    member("timestamp", &mut out);
    optional_integer(row.timestamp_ms(), &mut out);
    member("key", &mut out);
    out.push(b'{');
    data(head.key_schema.as_deref(), &row.key, arena, &mut out);
    member("value", &mut out);
    out.push(b'{');
    data(head.value_schema.as_deref(), &row.value, arena, &mut out);
    member("headers", &mut out);
    list(batch.headers(row.headers).iter(), &mut out, |header, out| {
        out.extend_from_slice(b"{\"key\":");
        write_string(&String::from_utf8_lossy(arena.get(header.key)), out);
        out.push(b',');
        data(header.schema.as_deref(), &header.value, arena, out);
    });
    member("sourcePartition", &mut out);
    offset_map(head.source_partition.as_ref().map(|partition| &partition.0), &mut out);
    member("sourceOffset", &mut out);
    offset_map(batch.source_offset(head, row.position).as_ref().map(|offset| &offset.0), &mut out);
    out.push(b'}');
    out
}

fn member(name: &str, out: &mut Vec<u8>) {
    out.push(b',');
    write_string(name, out);
    out.push(b':');
}

fn list<T>(items: impl Iterator<Item = T>, out: &mut Vec<u8>, mut write: impl FnMut(T, &mut Vec<u8>)) {
    out.push(b'[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

fn optional_integer(value: Option<i64>, out: &mut Vec<u8>) {
    match value {
        Some(value) => out.extend_from_slice(value.to_string().as_bytes()),
        None => out.extend_from_slice(b"null"),
    }
}

fn offset_map(map: Option<&OffsetMap>, out: &mut Vec<u8>) {
    match map {
        Some(map) => out.extend_from_slice(&offsets::value_bytes(map)),
        None => out.extend_from_slice(b"null"),
    }
}

/// Members `schema` and `payload`, and the end of the object.
fn data(of: Option<&Schema>, held: &Value, arena: &Arena, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"schema\":");
    match of {
        Some(of) => schema(of, None, arena, out),
        None => out.extend_from_slice(b"null"),
    }
    member("payload", out);
    value(held, arena, out);
    out.push(b'}');
}

fn schema(of: &Schema, field: Option<&str>, arena: &Arena, out: &mut Vec<u8>) {
    let kind = match of.kind.name() {
        "float32" => "float",
        "float64" => "double",
        name => name,
    };
    out.extend_from_slice(format!("{{\"type\":\"{kind}\",\"optional\":{}", of.optional).as_bytes());
    let texts = [("name", &of.name), ("doc", &of.doc)];
    for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?))) {
        member(name, out);
        write_string(text, out);
    }
    if let Some(version) = of.version {
        member("version", out);
        optional_integer(Some(version.into()), out);
    }
    if !of.parameters.is_empty() {
        member("parameters", out);
        out.push(b'{');
        for (index, (name, text)) in of.parameters.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_string(name, out);
            out.push(b':');
            write_string(text, out);
        }
        out.push(b'}');
    }
    if let Some(default) = &of.default {
        member("default", out);
        value(default, arena, out);
    }
    if let Some(keys) = &of.keys {
        member("keys", out);
        schema(keys, None, arena, out);
    }
    if let Some(values) = &of.values {
        member(if of.keys.is_some() { "values" } else { "items" }, out);
        schema(values, None, arena, out);
    }
    if !of.fields().is_empty() {
        member("fields", out);
        list(of.fields().iter(), out, |field, out| schema(&field.schema, Some(&field.name), arena, out));
    }
    if let Some(field) = field {
        member("field", out);
        write_string(field, out);
    }
    out.push(b'}');
}

fn value(held: &Value, arena: &Arena, out: &mut Vec<u8>) {
    match held {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => optional_integer(held.as_int(), out),
        Value::DateTime(millis) => optional_integer(Some(*millis), out),
        Value::Float32(number) => write_float(*number, out),
        Value::Float64(number) => write_double(*number, out),
        Value::StringSpan(span) => write_string(&String::from_utf8_lossy(arena.get(*span)), out),
        Value::String(text) => write_string(text, out),
        Value::BytesSpan(span) => write_base64(arena.get(*span), out),
        Value::Bytes(bytes) => write_base64(bytes, out),
        Value::Array(items) => list(items.iter(), out, |item, out| value(item, arena, out)),
        Value::Map(map) if map.iter().all(|(key, _)| key.as_str(arena).is_some()) => {
            out.push(b'{');
            for (index, (key, entry)) in map.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_string(key.as_str(arena).unwrap_or_default(), out);
                out.push(b':');
                value(entry, arena, out);
            }
            out.push(b'}');
        }
        Value::Map(map) => list(map.iter(), out, |(key, entry), out| {
            out.push(b'[');
            value(key, arena, out);
            out.push(b',');
            value(entry, arena, out);
            out.push(b']');
        }),
        Value::Struct(record) => {
            out.push(b'{');
            for (index, (field, entry)) in record.schema.fields().iter().zip(&record.values).enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_string(&field.name, out);
                out.push(b':');
                value(entry, arena, out);
            }
            out.push(b'}');
        }
        Value::Decimal(decimal) => {
            let mut text = Vec::new();
            java_text::write_decimal(decimal, &mut text);
            write_string(&String::from_utf8_lossy(&text), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use data_plane_record::{Position, SchemaBuilder, SchemaType, SourcePartition, Struct};

    use super::*;

    #[test]
    fn a_record_that_disagrees_with_its_schema_is_written_as_it_is() {
        let fields = Schema::builder(SchemaType::Struct).field("a", Arc::clone(Schema::string())).name("n");
        let mut record = Struct::new(fields.build());
        record.values[0] = Value::Int32(5);
        let head = RunHead {
            topic: "t".into(),
            key_schema: Some(SchemaBuilder::array(Arc::clone(Schema::bytes())).build()),
            value_schema: Some(Arc::clone(&record.schema)),
            source_partition: Some(Arc::new(SourcePartition(OffsetMap::new().with("f", "x")))),
            offset_field: Some("n".into()),
            ..RunHead::default()
        };
        let mut batch = RecordBatch::new();
        let mut row = Row::new(Value::Bytes([1, 2].into()), Value::Struct(Box::new(record)), Position::SourceField(7));
        row.timestamp = 9;
        batch.push(&head, row);
        let json = envelope(&batch, batch.head_of(0).unwrap(), &batch.rows()[0]);
        let expected = concat!(
            r#"{"topic":"t","partition":null,"timestamp":9,"#,
            r#""key":{"schema":{"type":"array","optional":false,"items":{"type":"bytes","optional":false}},"payload":"AQI="},"#,
            r#""value":{"schema":{"type":"struct","optional":false,"name":"n","#,
            r#""fields":[{"type":"string","optional":false,"field":"a"}]},"payload":{"a":5}},"#,
            r#""headers":[],"sourcePartition":{"f":"x"},"sourceOffset":{"n":7}}"#,
        );
        assert_eq!(String::from_utf8(json).unwrap(), expected);
    }
}
