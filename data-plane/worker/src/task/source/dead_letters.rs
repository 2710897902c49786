//! Dead letters of a source (beyond Connect, which has them for sinks only): the record as the connector made it, as JSON.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use data_plane_broker::{ProduceError, ProduceRow, Producer, TopicHandle};
use data_plane_connector_api::{ConnectError, Failure};
use data_plane_core::acks::Ticket;
use data_plane_record::RecordBatch;

use crate::pipeline::{DeadLetter, DeadLetterSettings, Place, context_headers, envelope};
use crate::task::clients::ensure_dead_letter_topic;
use crate::task::runtime::{Runtime, broker_error};
use crate::task::{TaskSpec, clients};

/// What is kept of the records in flight, where there is a topic for dead letters; nothing is otherwise.
pub(super) struct SourceDeadLetters {
    topic: Option<TopicHandle>,
    connector: String,
    task: u32,
    /// The batch as the connector made it.
    originals: Arc<RecordBatch>,
    /// Records handed to the producer, by ticket: their batch and row.
    in_flight: HashMap<u64, (Arc<RecordBatch>, usize)>,
    /// Tickets of records whose dead letter is in flight.
    sent: HashSet<u64>,
}

impl SourceDeadLetters {
    /// Reads the connector's keys and finds or creates the topic.
    pub(super) fn new(
        runtime: &Runtime,
        spec: &TaskSpec,
        task: u32,
        producer: &mut dyn Producer,
    ) -> Result<Self, ConnectError> {
        let topic = match DeadLetterSettings::parse(&spec.connector_config)? {
            None => None,
            Some(settings) => {
                ensure_dead_letter_topic(&*runtime.broker, &clients::admin(spec, task), &settings)?;
                let handle = producer.topic(&settings.topic);
                Some(handle.map_err(|error| broker_error("Opening the dead letter topic failed", &error))?)
            }
        };
        Ok(Self {
            topic,
            connector: spec.connector.clone(),
            task,
            originals: Arc::default(),
            in_flight: HashMap::new(),
            sent: HashSet::new(),
        })
    }

    /// Keeps a new batch as it is.
    pub(super) fn keep(&mut self, batch: &RecordBatch) {
        if self.topic.is_some() && !batch.is_empty() {
            self.originals = Arc::new(batch.clone());
        }
    }

    /// A row was handed to the producer.
    pub(super) fn remember(&mut self, ticket: Ticket, row: usize) {
        if self.topic.is_some() {
            self.in_flight.insert(ticket.0, (Arc::clone(&self.originals), row));
        }
    }

    /// A record was written.
    pub(super) fn forget(&mut self, ticket: Ticket) {
        self.in_flight.remove(&ticket.0);
    }

    /// The dead letter of a row of the batch.
    pub(super) fn letter_of_row(&self, row: usize, failure: &Failure) -> Option<DeadLetter> {
        self.topic.and_then(|_| self.letter(&self.originals, row, failure))
    }

    /// The dead letter of a record in flight, which is forgotten.
    pub(super) fn letter_of_record(&mut self, ticket: Ticket, failure: &Failure) -> Option<DeadLetter> {
        let (batch, row) = self.in_flight.remove(&ticket.0)?;
        self.letter(&batch, row, failure)
    }

    fn letter(&self, batch: &RecordBatch, at: usize, failure: &Failure) -> Option<DeadLetter> {
        let (head, row) = (batch.head_of(at)?, batch.rows().get(at)?);
        let place = Place { connector: &self.connector, task: self.task, topic: &head.topic, consumed: None };
        Some(DeadLetter {
            timestamp: row.timestamp_ms(),
            key: None,
            value: Some(envelope(batch, head, row)),
            headers: context_headers(place, failure),
        })
    }

    /// Hands a dead letter to the producer; its delivery is reported under the record's ticket.
    pub(super) fn send(
        &mut self,
        letter: &Option<DeadLetter>,
        ticket: Ticket,
        producer: &mut dyn Producer,
    ) -> Result<(), ProduceError> {
        let (Some(topic), Some(letter)) = (self.topic, letter) else { return Ok(()) };
        let headers: Vec<_> = letter.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        producer.produce(&ProduceRow {
            topic,
            partition: None,
            timestamp: letter.timestamp,
            key: letter.key.as_deref(),
            value: letter.value.as_deref(),
            headers: &headers,
            opaque: ticket.0,
        })?;
        self.sent.insert(ticket.0);
        Ok(())
    }

    /// Whether a delivery report is a dead letter's.
    pub(super) fn take_sent(&mut self, ticket: Ticket) -> bool {
        !self.sent.is_empty() && self.sent.remove(&ticket.0)
    }
}
