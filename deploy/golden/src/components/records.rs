//! Recorded records as batches of one row, and back.

use std::sync::Arc;

use data_plane_record::{
    Header, NO_TIMESTAMP, Origin, Position, RecordBatch, Row, RunHead, Schema, TimestampType, Value,
};
use serde_json::Value as Json;

use crate::{check, typed};

/// A batch that holds the recorded record.
pub(super) fn batch(record: &Json) -> RecordBatch {
    let mut batch = RecordBatch::new();
    let (key_schema, key) = check::recorded_data(&record["key"]);
    let (value_schema, value) = check::recorded_data(&record["value"]);
    let topic: Arc<str> = record["topic"].as_str().unwrap_or_default().into();
    let partition = record["partition"].as_i64().map_or(-1, |partition| partition as i32);
    let is_sink = record["kind"] == "sink";
    let position =
        if is_sink { Position::Kafka(typed::optional_integer(&record["offset"]).unwrap_or(0)) } else { Position::None };
    let origin = is_sink.then(|| Origin { topic: Arc::clone(&topic), partition });
    let mut row = Row::new(key, value, position);
    row.timestamp = typed::optional_integer(&record["timestamp"]).unwrap_or(NO_TIMESTAMP);
    row.kafka_partition = partition;
    row.timestamp_type = timestamp_type(record);
    let mut headers = Vec::new();
    for header in record["headers"].as_array().into_iter().flatten() {
        let key = batch.arena.push(header["key"].as_str().unwrap_or_default().as_bytes());
        let (schema, value) = check::recorded_data(header);
        headers.push(Header { key, schema, value });
    }
    row.headers = batch.push_headers(headers);
    batch.push(&RunHead { topic, key_schema, value_schema, origin, ..RunHead::default() }, row);
    batch
}

fn timestamp_type(record: &Json) -> TimestampType {
    match record["timestamp_type"].as_str() {
        Some("CreateTime") => TimestampType::CreateTime,
        Some("LogAppendTime") => TimestampType::LogAppendTime,
        _ => TimestampType::NoTimestampType,
    }
}

/// Compares the batch's only row with a recorded record.
pub(super) fn check(batch: &RecordBatch, expected: &Json) -> Result<(), String> {
    let (Some(head), Some(row)) = (batch.head_of(0), batch.rows().first()) else { return Err("no row".to_owned()) };
    if &*head.topic != expected["topic"].as_str().unwrap_or_default() {
        return Err(format!("goes to topic {:?}, Connect {}", head.topic, expected["topic"]));
    }
    if row.partition().map(i64::from) != expected["partition"].as_i64() {
        return Err(format!("has partition {:?}, Connect {}", row.partition(), expected["partition"]));
    }
    if row.timestamp_ms() != typed::optional_integer(&expected["timestamp"]) {
        return Err(format!("has timestamp {:?}, Connect {}", row.timestamp_ms(), expected["timestamp"]));
    }
    if let Position::Kafka(offset) = row.position
        && (typed::optional_integer(&expected["offset"]) != Some(offset)
            || row.timestamp_type != timestamp_type(expected))
    {
        return Err(format!("has offset {offset} and {:?}, Connect {expected}", row.timestamp_type));
    }
    same_data("key", head.key_schema.as_ref(), &row.key, &expected["key"], batch)?;
    same_data("value", head.value_schema.as_ref(), &row.value, &expected["value"], batch)?;
    let headers = batch.headers(row.headers);
    let names: Vec<_> = headers.iter().map(|header| String::from_utf8_lossy(batch.arena.get(header.key))).collect();
    let recorded: Vec<_> = expected["headers"].as_array().into_iter().flatten().collect();
    if !names.iter().map(|name| Some(&**name)).eq(recorded.iter().map(|header| header["key"].as_str())) {
        return Err(format!("has headers {names:?}, Connect {}", expected["headers"]));
    }
    for ((header, name), recorded) in headers.iter().zip(&names).zip(recorded) {
        same_data(&format!("header {name}"), header.schema.as_ref(), &header.value, recorded, batch)?;
    }
    Ok(())
}

fn same_data(
    what: &str,
    schema: Option<&Arc<Schema>>,
    value: &Value,
    recorded: &Json,
    batch: &RecordBatch,
) -> Result<(), String> {
    let same = check::data(schema, value, &check::recorded_data(recorded), &batch.arena);
    same.map_err(|difference| format!("{what} {difference}"))
}
