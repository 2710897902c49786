//! Fetched rows as a batch of records for the task.

use data_plane_broker::{FetchedBatch, FetchedRow, GroupConsumer, Span as FetchedSpan, TimestampKind};
use data_plane_connector_api::ConnectError;
use data_plane_record::{
    Header, NO_TIMESTAMP, Origin, Position, RecordBatch, Row, RunHead, Schema, Span, TimestampType,
};
use std::sync::Arc;

use crate::task::convert::{Converters, conversion_failed};

/// Converts all rows of `fetched` into `batch`, which is cleared first. Payloads are copied once, all together.
pub(super) fn convert(
    fetched: &FetchedBatch,
    consumer: &dyn GroupConsumer,
    converters: &mut Converters,
    batch: &mut RecordBatch,
) -> Result<(), ConnectError> {
    batch.clear();
    let whole = batch.arena.push(&fetched.arena);
    let within = |span: FetchedSpan| Span { start: whole.start + span.start, len: span.length };
    let mut head = RunHead::default();
    let mut head_partition = None;
    for row in &fetched.rows {
        let topic = &consumer.partition(row.partition).topic;
        let (key_schema, key) =
            converters.key.to_connect(topic, row.key.map(within), &mut batch.arena).map_err(conversion_failed)?;
        let (value_schema, value) =
            converters.value.to_connect(topic, row.value.map(within), &mut batch.arena).map_err(conversion_failed)?;
        let is_same_run = head_partition == Some(row.partition)
            && is_same(head.key_schema.as_ref(), key_schema)
            && is_same(head.value_schema.as_ref(), value_schema);
        if !is_same_run {
            let partition = consumer.partition(row.partition);
            head = RunHead {
                topic: Arc::clone(&partition.topic),
                key_schema: key_schema.cloned(),
                value_schema: value_schema.cloned(),
                origin: Some(Origin { topic: Arc::clone(&partition.topic), partition: partition.partition }),
                ..RunHead::default()
            };
            head_partition = Some(row.partition);
            batch.begin_run(&head);
        }
        let (timestamp, timestamp_type) = timestamp_of(row);
        let mut record = Row::new(key, value, Position::Kafka(row.offset));
        record.timestamp = timestamp;
        record.timestamp_type = timestamp_type;
        record.kafka_partition = consumer.partition(row.partition).partition;
        if row.header_count > 0 {
            let headers = convert_headers(fetched, row, topic, &within, converters, batch)?;
            record.headers = batch.push_headers(headers);
        }
        batch.push_row(record);
    }
    Ok(())
}

fn convert_headers(
    fetched: &FetchedBatch,
    row: &FetchedRow,
    topic: &str,
    within: &dyn Fn(FetchedSpan) -> Span,
    converters: &mut Converters,
    batch: &mut RecordBatch,
) -> Result<Vec<Header>, ConnectError> {
    let headers = &fetched.headers[row.first_header as usize..][..row.header_count as usize];
    let convert = |header: &data_plane_broker::FetchedHeader| {
        let name = String::from_utf8_lossy(fetched.bytes(header.name));
        let (schema, value) = converters
            .header
            .to_connect_header(topic, &name, header.value.map(within), &mut batch.arena)
            .map_err(conversion_failed)?;
        Ok(Header { key: within(header.name), schema: schema.cloned(), value })
    };
    headers.iter().map(convert).collect()
}

fn is_same(known: Option<&Arc<Schema>>, found: Option<&Arc<Schema>>) -> bool {
    match (known, found) {
        (Some(known), Some(found)) => Arc::ptr_eq(known, found),
        (None, None) => true,
        _ => false,
    }
}

fn timestamp_of(row: &FetchedRow) -> (i64, TimestampType) {
    match row.timestamp_kind {
        TimestampKind::None => (NO_TIMESTAMP, TimestampType::NoTimestampType),
        TimestampKind::CreateTime => (row.timestamp, TimestampType::CreateTime),
        TimestampKind::LogAppendTime => (row.timestamp, TimestampType::LogAppendTime),
    }
}
