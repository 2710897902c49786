//! From a source to Kafka: transforms, then converters, with an outcome a record (`AbstractWorkerSourceTask.convertTransformedRecord`).

use std::ops::Range;
use std::time::Duration;

use data_plane_connector_api::{Config, ConnectError, Failure, Outcome, Plugins, Stage};
use data_plane_record::{Arena, BatchParts, Header, NO_TIMESTAMP, RecordBatch, Row, Run, Span};

use super::Flow;
use super::chain::{Chain, ChainProgress};
use super::converters::Converters;
use super::failures::{ErrorCounts, ErrorPolicy, Retrier, Tolerance, checked_timestamp, converting, sleep_for};
use super::slice::Slice;

/// The Java class at work when a record is produced.
const PRODUCER: &str = "org.apache.kafka.clients.producer.KafkaProducer";

/// A converted row; its bytes lie in the batch's arena. What else is produced stays in the batch's row of the same index.
#[derive(Debug, Clone, Default)]
pub struct WireRow {
    /// The key.
    pub key: Option<Span>,
    /// The value; `None` is a tombstone.
    pub value: Option<Span>,
    headers: Range<usize>,
}

/// The pipeline of a source task.
pub struct Outbound {
    converters: Converters,
    chain: Chain,
    policy: ErrorPolicy,
    retrier: Retrier,
    /// What failed so far.
    pub counts: ErrorCounts,
    outcomes: Vec<Outcome>,
    progress: ChainProgress,
    slice: Slice,
    rows: Vec<WireRow>,
    headers: Vec<(Span, Option<Span>)>,
    is_cut: bool,
}

impl Outbound {
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
            rows: Vec::new(),
            headers: Vec::new(),
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

    /// Takes a new batch.
    pub fn begin(&mut self, batch: &RecordBatch) {
        self.outcomes.clear();
        self.outcomes.resize(batch.len(), Outcome::Ok);
        self.progress = ChainProgress::default();
        self.retrier.begin();
        self.rows.clear();
        self.headers.clear();
        self.is_cut = false;
    }

    /// One entry a row.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// The converted rows: as many as the batch has, or fewer if one failed and failures are not tolerated: it is the last one then.
    pub fn rows(&self) -> &[WireRow] {
        &self.rows
    }

    /// Names and values of a row's headers.
    pub fn headers(&self, row: &WireRow) -> &[(Span, Option<Span>)] {
        &self.headers[row.headers.clone()]
    }

    /// Transforms and converts all rows. After [`Flow::Wait`] it is called again with the same batch.
    pub fn run(&mut self, batch: &mut RecordBatch, now_ms: i64) -> Flow {
        let Self { chain, policy, retrier, counts, outcomes, progress, .. } = self;
        let flow = chain.run(batch, outcomes, progress, policy, retrier, (now_ms, counts));
        if flow != Flow::Done {
            return flow;
        }
        let BatchParts { arena, runs, rows, headers } = batch.parts_mut();
        let mut run = runs.partition_point(|run| run.first_row <= self.rows.len()).saturating_sub(1);
        self.slice.begin();
        while !self.is_cut && self.rows.len() < rows.len() {
            if self.slice.is_over() {
                return Flow::Wait(Duration::ZERO);
            }
            let at = self.rows.len();
            while runs.get(run + 1).is_some_and(|next| next.first_row <= at) {
                run += 1;
            }
            if !self.outcomes[at].is_ok() {
                self.is_cut =
                    matches!(self.outcomes[at], Outcome::Failed(_)) && self.policy.tolerance == Tolerance::None;
                self.rows.push(WireRow::default());
                continue;
            }
            let (first_header, bytes) = (self.headers.len(), arena.len());
            let converted = self.convert(&runs[run], &rows[at], headers, arena).and_then(|wire| {
                let timestamp = checked_timestamp(rows[at].timestamp_ms());
                rows[at].timestamp = timestamp.map_err(|error| (Stage::KafkaProduce, error))?.unwrap_or(NO_TIMESTAMP);
                Ok(wire)
            });
            match converted {
                Ok(row) => self.rows.push(row),
                Err((stage, cause)) => {
                    self.headers.truncate(first_header);
                    if stage != Stage::KafkaProduce
                        && let Some(wait) =
                            self.retrier.failed((at, converting(stage)), &cause, now_ms, &mut self.counts)
                    {
                        // What the attempt wrote would pile up from retry to retry.
                        arena.truncate(bytes);
                        return Flow::Wait(sleep_for(wait));
                    }
                    let class = match stage {
                        Stage::KafkaProduce => PRODUCER,
                        stage => self.converters.class_of(stage),
                    };
                    self.outcomes[at] = Outcome::failed(stage, class, cause);
                    self.rows.push(WireRow::default());
                    self.is_cut = self.policy.tolerance == Tolerance::None || stage == Stage::KafkaProduce;
                }
            }
        }
        Flow::Done
    }

    fn convert(
        &mut self,
        run: &Run,
        row: &Row,
        table: &[Header],
        arena: &mut Arena,
    ) -> Result<WireRow, (Stage, ConnectError)> {
        let Converters { key, value, header } = &mut self.converters;
        let topic: &str = &run.head.topic;
        let first_header = self.headers.len();
        for wanted in &table[row.headers.range()] {
            let name = String::from_utf8_lossy(arena.get(wanted.key)).into_owned();
            let schema = wanted.schema.as_ref();
            let wire = header.plugin.from_connect_header(topic, &name, schema, &wanted.value, arena);
            self.headers.push((wanted.key, wire.map_err(|error| (Stage::HeaderConverter, error))?));
        }
        let wire = key.plugin.from_connect(topic, run.head.key_schema.as_ref(), &row.key, arena);
        let key = wire.map_err(|error| (Stage::KeyConverter, error))?;
        let wire = value.plugin.from_connect(topic, run.head.value_schema.as_ref(), &row.value, arena);
        let value = wire.map_err(|error| (Stage::ValueConverter, error))?;
        Ok(WireRow { key, value, headers: first_header..self.headers.len() })
    }

    /// A failure outside of the pipeline, of a row of it: the client's, when it produces.
    pub fn produce_failed(&mut self, cause: ConnectError) -> Failure {
        self.counts.failures += 1;
        Failure { stage: Stage::KafkaProduce, class: PRODUCER.to_owned(), transform: None, cause }
    }
}
