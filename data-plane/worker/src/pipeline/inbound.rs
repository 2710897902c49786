//! From Kafka to a sink: converters, then transforms, with an outcome a record (`WorkerSinkTask.convertAndTransformRecord`).

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use data_plane_connector_api::{Config, ConnectError, Outcome, Plugins, Stage};
use data_plane_record::{
    Header, NO_TIMESTAMP, Origin, Position, RecordBatch, Row, RunHead, Schema, Span, TimestampType, Value,
};

use super::Flow;
use super::chain::{Chain, ChainProgress};
use super::converters::Converters;
use super::failures::{ErrorCounts, ErrorPolicy, Retrier, Tolerance, checked_timestamp, converting, sleep_for};
use super::slice::Slice;

/// The Java class at work when a record is consumed.
const CONSUMER: &str = "org.apache.kafka.clients.consumer.KafkaConsumer";

/// A consumed record; its bytes lie in the batch's arena.
#[derive(Debug, Clone)]
pub struct WireRecord<'a> {
    /// Topic.
    pub topic: &'a Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Milliseconds since the epoch, and who set it.
    pub timestamp: (Option<i64>, TimestampType),
    /// The key.
    pub key: Option<Span>,
    /// The value; `None` is a tombstone.
    pub value: Option<Span>,
    /// Its headers: see [`WireRecords::header`].
    pub headers: Range<usize>,
}

/// The records of a poll.
pub trait WireRecords {
    /// How many there are.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// A record.
    fn record(&self, row: usize) -> WireRecord<'_>;
    /// Name and value of a header.
    fn header(&self, index: usize) -> (Span, Option<Span>);
}

/// The pipeline of a sink task.
pub struct Inbound {
    converters: Converters,
    chain: Chain,
    policy: ErrorPolicy,
    retrier: Retrier,
    /// What failed so far.
    pub counts: ErrorCounts,
    outcomes: Vec<Outcome>,
    progress: ChainProgress,
    slice: Slice,
    head: RunHead,
    /// The first row that failed, where failures are not tolerated: nothing is converted after it.
    is_cut: bool,
}

impl Inbound {
    /// Sets up converters and transforms; `worker` are the worker's properties.
    ///
    /// # Errors
    /// A `ConfigException` that names the key.
    pub fn new(plugins: &Plugins, worker: &Config, connector: &Config) -> Result<Self, ConnectError> {
        let policy = ErrorPolicy::parse(connector)?;
        Ok(Self {
            converters: Converters::new(plugins, worker, connector)?,
            chain: Chain::new(plugins, connector)?,
            policy,
            retrier: Retrier::new(policy.retry),
            counts: ErrorCounts::default(),
            outcomes: Vec::new(),
            progress: ChainProgress::default(),
            slice: Slice::default(),
            head: RunHead::default(),
            is_cut: false,
        })
    }

    /// Lets conversion pause after about this time, with [`Flow::Wait`] of no time: converters may block on what they fetch.
    pub fn set_slice(&mut self, time: Duration) {
        self.slice = Slice::of(time);
    }

    /// The connector's `errors.*` keys.
    pub fn policy(&self) -> ErrorPolicy {
        self.policy
    }

    /// Forgets the last batch. Rows are appended to an empty one.
    pub fn begin(&mut self) {
        self.outcomes.clear();
        self.progress = ChainProgress::default();
        self.retrier.begin();
        self.is_cut = false;
        self.head = RunHead::default();
    }

    /// One entry a row of the batch; fewer than there are records if one failed and failures are not tolerated.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// Converts and transforms all records. After [`Flow::Wait`] it is called again with the same batch.
    pub fn run(&mut self, records: &dyn WireRecords, batch: &mut RecordBatch, now_ms: i64) -> Flow {
        self.slice.begin();
        while !self.is_cut && self.outcomes.len() < records.len() {
            if self.slice.is_over() {
                return Flow::Wait(Duration::ZERO);
            }
            let row = self.outcomes.len();
            let record = records.record(row);
            let bytes = batch.arena.len();
            let Err((stage, cause)) = self.convert(&record, records, batch) else {
                self.outcomes.push(Outcome::Ok);
                continue;
            };
            if stage != Stage::KafkaConsume
                && let Some(wait) = self.retrier.failed((row, converting(stage)), &cause, now_ms, &mut self.counts)
            {
                // What the attempt wrote would pile up from retry to retry.
                batch.arena.truncate(bytes);
                return Flow::Wait(sleep_for(wait));
            }
            let class = match stage {
                Stage::KafkaConsume => CONSUMER,
                stage => self.converters.class_of(stage),
            };
            self.outcomes.push(Outcome::failed(stage, class, cause));
            self.head = head_of(&record, None, None);
            batch.begin_run(&self.head);
            batch.push_row(Row::new(Value::Null, Value::Null, Position::Kafka(record.offset)));
            self.is_cut = self.policy.tolerance == Tolerance::None || stage == Stage::KafkaConsume;
        }
        let Self { chain, policy, retrier, counts, outcomes, progress, .. } = self;
        chain.run(batch, outcomes, progress, policy, retrier, (now_ms, counts))
    }

    fn convert(
        &mut self,
        record: &WireRecord<'_>,
        records: &dyn WireRecords,
        batch: &mut RecordBatch,
    ) -> Result<(), (Stage, ConnectError)> {
        let topic = record.topic;
        let Converters { key, value, header } = &mut self.converters;
        let converted = key.plugin.to_connect(topic, record.key, &mut batch.arena);
        let (key_schema, key) = converted.map_err(|error| (Stage::KeyConverter, error))?;
        let converted = value.plugin.to_connect(topic, record.value, &mut batch.arena);
        let (value_schema, value) = converted.map_err(|error| (Stage::ValueConverter, error))?;
        let mut headers = Vec::new();
        for index in record.headers.clone() {
            let (name, wire) = records.header(index);
            let text = String::from_utf8_lossy(batch.arena.get(name)).into_owned();
            let converted = header.plugin.to_connect_header(topic, &text, wire, &mut batch.arena);
            let (schema, value) = converted.map_err(|error| (Stage::HeaderConverter, error))?;
            headers.push(Header { key: name, schema: schema.cloned(), value });
        }
        let mut row = Row::new(key, value, Position::Kafka(record.offset));
        let timestamp = checked_timestamp(record.timestamp.0).map_err(|error| (Stage::KafkaConsume, error))?;
        row.timestamp = timestamp.unwrap_or(NO_TIMESTAMP);
        row.timestamp_type = record.timestamp.1;
        row.kafka_partition = record.partition;
        if !is_same_run(&self.head, record, key_schema, value_schema) {
            self.head = head_of(record, key_schema, value_schema);
        }
        batch.begin_run(&self.head);
        if !headers.is_empty() {
            row.headers = batch.push_headers(headers);
        }
        batch.push_row(row);
        Ok(())
    }
}

fn head_of(record: &WireRecord<'_>, key: Option<&Arc<Schema>>, value: Option<&Arc<Schema>>) -> RunHead {
    RunHead {
        topic: Arc::clone(record.topic),
        key_schema: key.cloned(),
        value_schema: value.cloned(),
        origin: Some(Origin { topic: Arc::clone(record.topic), partition: record.partition }),
        ..RunHead::default()
    }
}

/// Whether a record may be appended under a head without a look at the batch's runs.
fn is_same_run(
    head: &RunHead,
    record: &WireRecord<'_>,
    key: Option<&Arc<Schema>>,
    value: Option<&Arc<Schema>>,
) -> bool {
    let is_same = |known: Option<&Arc<Schema>>, found: Option<&Arc<Schema>>| match (known, found) {
        (Some(known), Some(found)) => Arc::ptr_eq(known, found),
        (None, None) => true,
        _ => false,
    };
    Arc::ptr_eq(&head.topic, record.topic)
        && head.origin.as_ref().is_some_and(|origin| origin.partition == record.partition)
        && is_same(head.key_schema.as_ref(), key)
        && is_same(head.value_schema.as_ref(), value)
}
