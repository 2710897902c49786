//! What became of records: delivery reports in, acks and the task's own out; what Kafka does not take (KIP-779); the last commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use data_plane_broker::{BrokerError, Delivered};
use data_plane_connector_api::{ConnectError, Failure, ProducedTo, RecordAck};
use data_plane_core::acks::Ticket;
use data_plane_core::activity::Stage;
use data_plane_record::{SourceOffset, SourcePartition};

use super::{BatchStage, FATAL_LETTER, FULL_WAIT, SourceUnit};
use crate::pipeline::Tolerance;
use crate::task::error_log::log_failure;
use crate::task::runtime::broker_error;

impl SourceUnit {
    /// Takes delivery reports, waiting up to `timeout` for the first.
    pub(super) fn take_deliveries(&mut self, timeout: Duration) -> Result<(), ConnectError> {
        let polled = self.producer.poll(timeout, &mut self.deliveries);
        self.settle()?;
        polled.map_err(|error| broker_error("The task's producer failed", &error))
    }

    fn settle(&mut self) -> Result<(), ConnectError> {
        let _entered = (!self.deliveries.is_empty()).then(|| self.activity.enter(Stage::Acknowledge));
        let mut failure = None;
        let mut deliveries = std::mem::take(&mut self.deliveries);
        for delivery in deliveries.drain(..) {
            if let Err(error) = self.settle_one(Ticket(delivery.opaque), delivery.result) {
                failure.get_or_insert(error);
            }
        }
        self.deliveries = deliveries;
        if self.committing.take_finished()
            && let Err(error) = self.control.commit()
        {
            let error = self.context.config.masks().error(error);
            tracing::warn!(connector = %self.spec.connector, %error, "the task's commit failed");
        }
        failure.map_or(Ok(()), Err)
    }

    fn settle_one(&mut self, ticket: Ticket, result: Result<Delivered, Box<BrokerError>>) -> Result<(), ConnectError> {
        if ticket != FATAL_LETTER
            && let Some(number) = ticket.as_foreign()
        {
            if let Err(error) = &result {
                tracing::warn!(connector = %self.spec.connector, %error, "a source offset was not committed");
            }
            self.committing.settle(number, result.is_ok(), &mut self.acks);
            return Ok(());
        }
        let is_letter = self.dead_letters.take_sent(ticket);
        match result {
            Ok(_) if ticket == FATAL_LETTER => Ok(()),
            Ok(_) if is_letter => self.complete(ticket),
            Err(error) if is_letter => {
                self.pipeline.counts.dead_letter_failures += 1;
                Err(letter_failed(&error, self.dead_letters.topic_name(), &self.describe(ticket)))
            }
            Ok(delivered) => {
                self.dead_letters.forget(ticket);
                if self.wants_record_acks {
                    let ack = self.record_ack(ticket, delivered);
                    self.topic_of.remove(&ticket.0);
                    self.control.record_done(&ack)?;
                }
                self.acks.finish(ticket);
                self.records += 1;
                Ok(())
            }
            Err(error) => self.not_produced(ticket, &error),
        }
    }

    /// Kafka does not take a record (KIP-779). Its dead letter waits until there is room: see [`SourceUnit::send_letters`].
    fn not_produced(&mut self, ticket: Ticket, error: &BrokerError) -> Result<(), ConnectError> {
        self.topic_of.remove(&ticket.0);
        let failure = self.pipeline.produce_failed(send_failed(error));
        let record = self.describe(ticket);
        if self.pipeline.policy().tolerance == Tolerance::None || is_of_the_client(error) {
            self.dead_letters.forget(ticket);
            self.note(&failure, false, &record);
            // Records after it are not sent any more: they come again, in order, after a restart.
            self.sending.cut();
            let message = format!("{} (record {record})", failure.cause.message);
            return Err(ConnectError { message, ..failure.cause });
        }
        if self.dead_letters.wait(ticket, &failure) {
            return Ok(());
        }
        self.note(&failure, false, &record);
        self.pipeline.counts.skipped += 1;
        self.complete(ticket)
    }

    /// Counts and logs a record that failed for good.
    pub(super) fn note(&mut self, failure: &Failure, has_letter: bool, record: &str) {
        let counts = &mut self.pipeline.counts;
        counts.errors += 1;
        counts.dead_letters += u64::from(has_letter);
        if self.pipeline.policy().log.is_some() {
            self.pipeline.counts.logged += 1;
            log_failure(&self.spec.connector, self.number, record, failure);
        }
    }

    /// A record's outcome is durable, and it was not produced.
    pub(super) fn complete(&mut self, ticket: Ticket) -> Result<(), ConnectError> {
        if self.wants_record_acks {
            let (partition, offset) = self.place(ticket);
            self.control.record_done(&RecordAck { partition, offset, produced_to: None })?;
        }
        self.acks.finish(ticket);
        Ok(())
    }

    /// The source partition and offset of a record in flight.
    fn place(&self, ticket: Ticket) -> (Option<Arc<SourcePartition>>, Option<SourceOffset>) {
        match self.acks.record(ticket) {
            Some((number, mark)) => {
                (self.partitions.source_partition(number), mark.map(|mark| self.partitions.source_offset(number, mark)))
            }
            None => (None, None),
        }
    }

    /// The same, for people.
    pub(super) fn describe(&self, ticket: Ticket) -> String {
        let place = self.acks.record(ticket);
        place.map_or_else(|| "{}".to_owned(), |(number, mark)| self.partitions.describe(number, mark))
    }

    fn record_ack(&self, ticket: Ticket, delivered: Delivered) -> RecordAck {
        let (partition, offset) = self.place(ticket);
        let produced_to = self.topic_of.get(&ticket.0).and_then(|handle| self.sending.topic(*handle)).map(|topic| {
            ProducedTo { topic: Arc::clone(topic), partition: delivered.partition, offset: delivered.offset }
        });
        RecordAck { partition, offset, produced_to }
    }

    pub(super) fn commit(&mut self) -> Result<(), ConnectError> {
        self.refuse_later(self.committing.later_epoch(&self.acks, &self.partitions, &*self.store))?;
        let Self { committing, acks, partitions, store, producer, gate, activity, .. } = self;
        activity.during(Stage::Commit, || committing.begin(acks, partitions, &**store, &mut **producer, gate))?;
        self.settle()
    }

    /// Makes durable what was handed over or is about to be, and commits it, by the deadline. What fails on the way does not keep
    /// the rest from its commit.
    pub(super) fn finish(&mut self, deadline: Instant) -> Result<(), ConnectError> {
        if self.gate.is_closed() {
            // What the client still holds must not follow.
            self.producer.purge();
            return Ok(());
        }
        let left = || deadline.saturating_duration_since(Instant::now());
        let drained = self.drain(deadline);
        let flushed = if drained.is_err() { self.flush(left()) } else { Ok(()) };
        let committed = self.commit().and_then(|()| self.flush(left()));
        if self.acks.unfinished() > 0 || self.acks.has_advanced() {
            let unfinished = self.acks.unfinished();
            tracing::warn!(connector = %self.spec.connector, unfinished, "stopped before everything was durable");
        }
        drained.and(flushed).and(committed)
    }

    /// Hands over what is left of the batch, and of dead letters, and waits for all reports.
    fn drain(&mut self, deadline: Instant) -> Result<(), ConnectError> {
        loop {
            let is_handed_over = (self.stage != BatchStage::Sending || self.produce()?) && self.send_letters()?;
            let left = deadline.saturating_duration_since(Instant::now());
            match is_handed_over {
                true => self.flush(left)?,
                false => self.take_deliveries(FULL_WAIT.min(left))?,
            }
            // A report may ask for a dead letter.
            if left.is_zero() || (is_handed_over && !self.dead_letters.is_waiting()) {
                return Ok(());
            }
        }
    }

    fn flush(&mut self, timeout: Duration) -> Result<(), ConnectError> {
        let flushed = self.producer.flush(timeout, &mut self.deliveries);
        self.settle()?;
        flushed.map(|_| ()).map_err(|error| broker_error("Flushing the task's producer failed", &error))
    }
}

/// Whether the client is at fault, or was told to give up, rather than the record.
fn is_of_the_client(error: &BrokerError) -> bool {
    match error {
        BrokerError::Kafka { fatal, code, .. } => *fatal || code.starts_with("_PURGE") || *code == "_DESTROY",
        BrokerError::Config { .. } | BrokerError::Unreachable { .. } => true,
    }
}

/// The failure of a task whose dead letter is not taken: its record may not be skipped then.
pub(super) fn letter_failed(error: &BrokerError, topic: &str, record: &str) -> ConnectError {
    let text = format!(
        "Could not produce message to dead letter queue {topic} (errors.deadletterqueue.topic.name) for record {record}"
    );
    ConnectError { retriable: false, ..broker_error(&text, error) }
}

fn send_failed(error: &BrokerError) -> ConnectError {
    let mut failed = broker_error("Unrecoverable exception from producer send callback", error);
    if matches!(error, BrokerError::Kafka { code: "MSG_SIZE_TOO_LARGE", .. }) {
        failed.message += "; raise producer.override.max.request.size and the topic's max.message.bytes";
    }
    // The producer has retried already, for as long as its delivery timeout says.
    ConnectError { retriable: false, ..failed }
}
