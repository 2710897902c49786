//! Dead letters of a source (beyond Connect, which has them for sinks only): the record as the connector made it, as JSON.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Weak};

use data_plane_broker::{ProduceError, ProduceRow, Producer, TopicHandle};
use data_plane_connector_api::{ConnectError, Failure};
use data_plane_core::acks::Ticket;
use data_plane_record::RecordBatch;

use crate::pipeline::{DeadLetter, DeadLetterSettings, Place, context_headers, envelope};
use crate::task::clients::ensure_dead_letter_topic;
use crate::task::runtime::{Runtime, broker_error};
use crate::task::{TaskSpec, clients};

/// Batches that are kept because a record of theirs is in flight: this many bytes, before no more is polled.
const MAX_KEPT_BYTES: usize = 64 << 20;

/// What is kept of the records in flight, where there is a topic for dead letters; nothing is otherwise.
pub(super) struct SourceDeadLetters {
    topic: Option<(TopicHandle, String)>,
    connector: String,
    task: u32,
    /// The batch as the connector made it.
    originals: Arc<RecordBatch>,
    /// Batches that may still be held by records in flight, with their bytes.
    kept: Vec<(Weak<RecordBatch>, usize)>,
    /// Records handed to the producer, by ticket: their batch and row.
    in_flight: HashMap<u64, (Arc<RecordBatch>, usize)>,
    /// Records that Kafka did not take, whose dead letters have yet to be handed over; they are in flight all the same.
    waiting: VecDeque<(Ticket, Failure)>,
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
                let failed = |error| broker_error("Opening the dead letter topic failed", &error);
                Some((handle.map_err(failed)?, settings.topic))
            }
        };
        Ok(Self {
            topic,
            connector: spec.connector.clone(),
            task,
            originals: Arc::default(),
            kept: Vec::new(),
            in_flight: HashMap::new(),
            waiting: VecDeque::new(),
            sent: HashSet::new(),
        })
    }

    /// The topic's name; empty where there is none.
    pub(super) fn topic_name(&self) -> &str {
        self.topic.as_ref().map_or("", |(_, name)| name)
    }

    /// Keeps a new batch as it is.
    pub(super) fn keep(&mut self, batch: &RecordBatch) {
        if self.topic.is_some() && !batch.is_empty() {
            self.originals = Arc::new(batch.clone());
            self.kept.push((Arc::downgrade(&self.originals), batch.approx_bytes()));
        }
    }

    /// Whether another batch may be kept.
    pub(super) fn has_room(&mut self) -> bool {
        self.kept.retain(|(batch, _)| batch.strong_count() > 0);
        self.kept.iter().map(|(_, bytes)| bytes).sum::<usize>() < MAX_KEPT_BYTES || self.in_flight.is_empty()
    }

    /// A row was handed to the producer.
    pub(super) fn remember(&mut self, ticket: Ticket, row: usize) {
        if self.topic.is_some() {
            self.in_flight.insert(ticket.0, (Arc::clone(&self.originals), row));
        }
    }

    /// A record was written, or fails the task.
    pub(super) fn forget(&mut self, ticket: Ticket) {
        self.in_flight.remove(&ticket.0);
    }

    /// Kafka did not take a record: its dead letter is to be handed over. False where there is no topic for it.
    pub(super) fn wait(&mut self, ticket: Ticket, failure: &Failure) -> bool {
        if self.topic.is_some() {
            self.waiting.push_back((ticket, failure.clone()));
        }
        self.topic.is_some()
    }

    /// The next record whose dead letter is to be handed over; the same until [`SourceDeadLetters::forget_waiting`].
    pub(super) fn next_waiting(&self) -> Option<(Ticket, Failure)> {
        self.waiting.front().cloned()
    }

    /// Whether there is one.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The dead letter of that record was handed over.
    pub(super) fn forget_waiting(&mut self) {
        if let Some((ticket, _)) = self.waiting.pop_front() {
            self.forget(ticket);
        }
    }

    /// The dead letter of a row of the batch.
    pub(super) fn letter_of_row(&self, row: usize, failure: &Failure) -> Option<DeadLetter> {
        self.topic.as_ref().and_then(|_| self.letter(&self.originals, row, failure))
    }

    /// The dead letter of a record in flight.
    pub(super) fn letter_of_record(&self, ticket: Ticket, failure: &Failure) -> Option<DeadLetter> {
        let (batch, row) = self.in_flight.get(&ticket.0)?;
        self.letter(batch, *row, failure)
    }

    fn letter(&self, batch: &RecordBatch, at: usize, failure: &Failure) -> Option<DeadLetter> {
        let (head, row) = (batch.head_of(at)?, batch.rows().get(at)?);
        let place = Place { connector: &self.connector, task: self.task, topic: &head.topic, consumed: None };
        Some(DeadLetter {
            // A record may fail for its timestamp.
            timestamp: row.timestamp_ms().filter(|millis| *millis >= 0),
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
        let (Some((topic, _)), Some(letter)) = (&self.topic, letter) else { return Ok(()) };
        let headers: Vec<_> = letter.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        producer.produce(&ProduceRow {
            topic: *topic,
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
