//! Fetched records: as the pipeline takes them, and as dead letters.

use std::collections::HashMap;
use std::sync::Arc;

use data_plane_broker::{
    FetchedBatch, FetchedHeader, GroupConsumer, Span as FetchedSpan, TimestampKind, TopicPartition as BrokerPartition,
};
use data_plane_record::{Arena, Span, TimestampType};

use crate::pipeline::{DeadLetter, WireRecord, WireRecords};

/// What a poll fetched, with the names of its partitions.
#[derive(Default)]
pub(super) struct Incoming {
    pub(super) fetched: FetchedBatch,
    /// By the consumer's index.
    partitions: Vec<Option<BrokerPartition>>,
    /// Where the fetched bytes begin in the batch's arena.
    base: u32,
    /// Rows that the task has reported itself, with the numbers of their dead letters.
    pub(super) reported: HashMap<usize, Option<u64>>,
}

impl Incoming {
    /// Forgets the rows.
    pub(super) fn clear(&mut self) {
        self.fetched.clear();
        self.reported.clear();
    }

    /// Copies the fetched bytes into the batch's arena, all together, and names the partitions.
    pub(super) fn enter(&mut self, arena: &mut Arena, consumer: &dyn GroupConsumer) {
        self.base = arena.push(&self.fetched.arena).start;
        let mut last = None;
        for row in &self.fetched.rows {
            if last.replace(row.partition) == Some(row.partition) {
                continue;
            }
            let index = row.partition as usize;
            if self.partitions.len() <= index {
                self.partitions.resize(index + 1, None);
            }
            self.partitions[index].get_or_insert_with(|| consumer.partition(row.partition).clone());
        }
    }

    fn within(&self, span: FetchedSpan) -> Span {
        Span { start: self.base + span.start, len: span.length }
    }

    fn partition(&self, row: usize) -> Option<&BrokerPartition> {
        self.partitions.get(self.fetched.rows[row].partition as usize)?.as_ref()
    }

    /// Topic, partition and offset of a row.
    pub(super) fn position(&self, row: usize) -> (&str, i32, i64) {
        let offset = self.fetched.rows[row].offset;
        self.partition(row).map_or(("", -1, offset), |known| (&known.topic, known.partition, offset))
    }

    /// The same, as `topic-partition@offset`.
    pub(super) fn place(&self, row: usize) -> String {
        let (topic, partition, offset) = self.position(row);
        format!("{topic}-{partition}@{offset}")
    }

    /// The row of a record.
    pub(super) fn find(&self, topic: &str, partition: i32, offset: i64) -> Option<usize> {
        (0..self.fetched.rows.len()).find(|row| self.position(*row) == (topic, partition, offset))
    }

    fn headers(&self, row: usize) -> &[FetchedHeader] {
        let row = &self.fetched.rows[row];
        &self.fetched.headers[row.first_header as usize..][..row.header_count as usize]
    }

    /// The record as it was consumed, for the dead letter topic.
    pub(super) fn letter(&self, at: usize) -> DeadLetter {
        let row = &self.fetched.rows[at];
        let bytes = |span: Option<FetchedSpan>| span.map(|span| self.fetched.bytes(span).to_vec());
        let headers = self.headers(at).iter().map(|header| {
            let name = String::from_utf8_lossy(self.fetched.bytes(header.name)).into_owned();
            (name, bytes(header.value))
        });
        DeadLetter {
            timestamp: timestamp(row.timestamp_kind, row.timestamp).0,
            key: bytes(row.key),
            value: bytes(row.value),
            headers: headers.collect(),
        }
    }

    /// Which record it is, in Connect's words; with its bytes if asked for.
    pub(super) fn describe(&self, at: usize, with_message: bool) -> String {
        let row = &self.fetched.rows[at];
        let (topic, partition, offset) = self.position(at);
        let mut text = format!("{{topic='{topic}', partition={partition}, offset={offset}");
        if let (Some(timestamp), kind) = timestamp(row.timestamp_kind, row.timestamp) {
            text += &format!(", timestamp={timestamp}, timestampType={kind:?}");
        }
        if with_message {
            const LONGEST: usize = 1000;
            let shown = |span: Option<FetchedSpan>| match span {
                None => "null".to_owned(),
                Some(span) => {
                    let bytes = self.fetched.bytes(span);
                    format!("'{}'", String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]).escape_debug())
                }
            };
            text += &format!(", key={}, value={}", shown(row.key), shown(row.value));
        }
        text + "}"
    }
}

impl WireRecords for Incoming {
    fn len(&self) -> usize {
        self.fetched.rows.len()
    }

    fn record(&self, at: usize) -> WireRecord<'_> {
        static NO_TOPIC: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| "".into());
        let row = &self.fetched.rows[at];
        let (topic, partition) = self.partition(at).map_or((&*NO_TOPIC, -1), |known| (&known.topic, known.partition));
        let first = row.first_header as usize;
        WireRecord {
            topic,
            partition,
            offset: row.offset,
            timestamp: timestamp(row.timestamp_kind, row.timestamp),
            key: row.key.map(|span| self.within(span)),
            value: row.value.map(|span| self.within(span)),
            headers: first..first + row.header_count as usize,
        }
    }

    fn header(&self, index: usize) -> (Span, Option<Span>) {
        let header = &self.fetched.headers[index];
        (self.within(header.name), header.value.map(|span| self.within(span)))
    }
}

fn timestamp(kind: TimestampKind, millis: i64) -> (Option<i64>, TimestampType) {
    match kind {
        TimestampKind::None => (None, TimestampType::NoTimestampType),
        TimestampKind::CreateTime => (Some(millis), TimestampType::CreateTime),
        TimestampKind::LogAppendTime => (Some(millis), TimestampType::LogAppendTime),
    }
}
