//! A batch in wire form: spans of its arena, ready to be produced row by row.

use std::sync::Arc;

use data_plane_broker::{ProduceRow, Producer, TopicHandle};
use data_plane_connector_api::ConnectError;
use data_plane_core::acks::{Acks, PartitionId};
use data_plane_record::{Arena, BatchParts, Header, Headers, Position, RecordBatch, RunHead, Span};

use super::partitions::{Mark, SourcePartitions};
use crate::task::convert::{Converters, conversion_failed};
use crate::task::runtime::broker_error;

/// A converted row. What else is produced stays in the batch's row of the same index.
struct Wire {
    key: Option<Span>,
    value: Option<Span>,
    route: u32,
    first_header: u32,
    header_count: u32,
}

/// What the rows of a run share.
struct Route {
    topic: TopicHandle,
    source: PartitionId,
    field: u16,
}

/// A row to produce.
pub(super) struct NextRow<'a> {
    pub(super) topic: TopicHandle,
    pub(super) source: PartitionId,
    pub(super) mark: Option<Mark>,
    partition: Option<i32>,
    timestamp: Option<i64>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Vec<(&'a str, Option<&'a [u8]>)>,
}

impl NextRow<'_> {
    /// The row as the producer takes it.
    pub(super) fn with(&self, opaque: u64) -> ProduceRow<'_> {
        let Self { topic, partition, timestamp, key, value, headers, .. } = self;
        ProduceRow {
            topic: *topic,
            partition: *partition,
            timestamp: *timestamp,
            key: *key,
            value: *value,
            headers,
            opaque,
        }
    }
}

/// The rows of one batch.
#[derive(Default)]
pub(super) struct Wires {
    wires: Vec<Wire>,
    routes: Vec<Route>,
    headers: Vec<(Span, Option<Span>)>,
    next: usize,
    /// Topics that this task has produced to, by the producer's handle.
    topics: Vec<(TopicHandle, Arc<str>)>,
}

impl Wires {
    /// Converts all rows of `batch`; gives the bytes of keys and values.
    pub(super) fn convert(
        &mut self,
        batch: &mut RecordBatch,
        converters: &mut Converters,
        producer: &mut dyn Producer,
        partitions: &mut SourcePartitions,
        acks: &mut Acks<Mark>,
    ) -> Result<u64, ConnectError> {
        let BatchParts { arena, runs, rows, headers } = batch.parts_mut();
        let mut bytes = 0;
        for (index, run) in runs.iter().enumerate() {
            let end = runs.get(index + 1).map_or(rows.len(), |next| next.first_row);
            let RunHead { topic, key_schema, value_schema, source_partition, offset_field, .. } = &run.head;
            let source = partitions.number(source_partition.as_ref(), acks)?;
            let field = partitions.field(source, offset_field.as_ref())?;
            let route = self.routes.len() as u32;
            let handle = self.topic_handle(topic, producer)?;
            self.routes.push(Route { topic: handle, source, field });
            for row in &rows[run.first_row..end] {
                let (key_schema, value_schema) = (key_schema.as_ref(), value_schema.as_ref());
                let key = converters.key.from_connect(topic, key_schema, &row.key, arena).map_err(conversion_failed)?;
                let value =
                    converters.value.from_connect(topic, value_schema, &row.value, arena).map_err(conversion_failed)?;
                let (first_header, header_count) =
                    self.convert_headers(topic, row.headers, headers, converters, arena)?;
                bytes += u64::from(key.map_or(0, |span| span.len)) + u64::from(value.map_or(0, |span| span.len));
                self.wires.push(Wire { key, value, route, first_header, header_count });
            }
        }
        Ok(bytes)
    }

    fn convert_headers(
        &mut self,
        topic: &str,
        wanted: Headers,
        all: &[Header],
        converters: &mut Converters,
        arena: &mut Arena,
    ) -> Result<(u32, u32), ConnectError> {
        let first = self.headers.len() as u32;
        for header in &all[wanted.range()] {
            let name = String::from_utf8_lossy(arena.get(header.key)).into_owned();
            let value = converters
                .header
                .from_connect_header(topic, &name, header.schema.as_ref(), &header.value, arena)
                .map_err(conversion_failed)?;
            self.headers.push((header.key, value));
        }
        Ok((first, self.headers.len() as u32 - first))
    }

    fn topic_handle(&mut self, name: &Arc<str>, producer: &mut dyn Producer) -> Result<TopicHandle, ConnectError> {
        if let Some((handle, _)) = self.topics.last().filter(|(_, last)| last == name) {
            return Ok(*handle);
        }
        let failed = |error| broker_error(&format!("Opening topic {name} failed"), &error);
        let handle = producer.topic(name).map_err(failed)?;
        // The newest is kept last: runs mostly repeat a topic.
        self.topics.retain(|(known, _)| *known != handle);
        self.topics.push((handle, Arc::clone(name)));
        Ok(handle)
    }

    /// The name of a topic that was produced to.
    pub(super) fn topic(&self, handle: TopicHandle) -> Option<&Arc<str>> {
        self.topics.iter().find(|(known, _)| *known == handle).map(|(_, name)| name)
    }

    /// Whether a row is left.
    pub(super) fn has_next(&self) -> bool {
        self.next < self.wires.len()
    }

    /// The next row; the same again until [`Wires::advance`].
    pub(super) fn next<'a>(&self, batch: &'a RecordBatch) -> Option<NextRow<'a>> {
        let wire = self.wires.get(self.next)?;
        let (row, route) = (&batch.rows()[self.next], &self.routes[wire.route as usize]);
        let mark = match row.position {
            Position::SourceField(value) => {
                (route.field != u16::MAX).then_some(Mark::Field { field: route.field, value })
            }
            Position::SourceMap(_) => {
                let head = batch.head_of(self.next);
                head.and_then(|head| batch.source_offset(head, row.position)).map(|offset| Mark::Map(Box::new(offset)))
            }
            Position::None | Position::Kafka(_) => None,
        };
        let headers = &self.headers[wire.first_header as usize..][..wire.header_count as usize];
        Some(NextRow {
            topic: route.topic,
            source: route.source,
            mark,
            partition: row.partition(),
            timestamp: row.timestamp_ms(),
            key: wire.key.map(|span| batch.arena.get(span)),
            value: wire.value.map(|span| batch.arena.get(span)),
            headers: headers
                .iter()
                .map(|(name, value)| {
                    let name = std::str::from_utf8(batch.arena.get(*name)).unwrap_or_default();
                    (name, value.map(|span| batch.arena.get(span)))
                })
                .collect(),
        })
    }

    /// The next row was handed over.
    pub(super) fn advance(&mut self) {
        self.next += 1;
    }

    /// Forgets the rows, keeps memory and topics.
    pub(super) fn clear(&mut self) {
        self.wires.clear();
        self.routes.clear();
        self.headers.clear();
        self.next = 0;
    }
}
