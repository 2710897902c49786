//! The source task unit: poll, convert, produce; commit the offsets of what is durable.

mod committing;
mod dead_letters;
mod partitions;
mod sending;
mod topics;

pub(crate) use self::topics::problem as topic_creation_problem;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_plane_broker::{BrokerError, Delivered, Delivery, ProduceError, ProduceRow, Producer, TopicHandle};
use data_plane_connector_api::{
    ConnectError, Failure, OffsetReader, Outcome, Poll, ProducedTo, RecordAck, SourceTask, SourceTaskContext,
    SourceTaskControl,
};
use data_plane_core::acks::{Acks, Ticket};
use data_plane_core::backoff::{Backoff, BackoffPolicy};
use data_plane_record::{RecordBatch, SourceOffset, SourcePartition};
use tokio::sync::Notify;

use self::committing::Committing;
use self::dead_letters::SourceDeadLetters;
use self::partitions::{Mark, SourcePartitions};
use self::sending::Sending;
use self::topics::TopicCreation;
use super::counters::TaskCounters;
use super::error_log::log_failure;
use super::gate::Gate;
use super::offset_store::{OffsetStore, READ_TIMEOUT, StoreReader};
use super::runtime::{CONNECT_TIMEOUT, Runtime, broker_error};
use super::source_context::SourceContext;
use super::unit::{Interrupt, Step, Unit};
use super::{Target, TaskEvent, TaskSpec, clients};
use crate::clock::now_ms;
use crate::pipeline::{Flow, Outbound, Tolerance};
use crate::secrets::LiveConfig;

/// How long one step works before the driver looks for orders.
const SLICE: Duration = Duration::from_millis(50);

/// How long a step waits for room in the producer's buffer.
const FULL_WAIT: Duration = Duration::from_millis(20);

/// The longest wait between two steps.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Rows produced under one passage of the gate.
const CHUNK: usize = 256;

/// Before a topic that could not be found or created is looked for again.
const TOPIC_RETRY: Duration = Duration::from_millis(500);

/// How long a dead letter may wait for room in the producer's buffer.
const LETTER_TIMEOUT: Duration = Duration::from_secs(30);

/// Names the dead letter of a record that fails the task: no offset waits for it. Numbers of offset commits never get there.
const FATAL_LETTER: Ticket = Ticket(u64::MAX);

/// Waits after a retriable error of `poll`.
const POLL_BACKOFF: BackoffPolicy = BackoffPolicy {
    first: Duration::from_millis(100),
    cap: Duration::from_secs(60),
    healthy_after: Duration::from_secs(60),
};

pub(super) struct SourceUnit {
    gate: Arc<Gate>,
    task: Box<dyn SourceTask>,
    control: Arc<dyn SourceTaskControl>,
    wants_record_acks: bool,
    context: Arc<SourceContext>,
    store: Arc<dyn OffsetStore>,
    spec: TaskSpec,
    number: u32,
    pipeline: Outbound,
    counters: Arc<TaskCounters>,
    creation: TopicCreation,
    dead_letters: SourceDeadLetters,
    producer: Box<dyn Producer>,
    deliveries: Vec<Delivery>,
    batch: RecordBatch,
    stage: BatchStage,
    sending: Sending,
    /// Of the next row, if a full buffer refused it.
    ticket: Option<Ticket>,
    poll_failure: Option<ConnectError>,
    poll_backoff: Backoff,
    polled_well_since: Instant,
    not_before: Option<Instant>,
    is_finished: bool,
    acks: Acks<Mark>,
    partitions: SourcePartitions,
    committing: Committing,
    /// Topics of records in flight, for tasks that ask for record acks.
    topic_of: HashMap<u64, TopicHandle>,
    records: u64,
    bytes: u64,
    sampled: (u64, usize),
}

/// Where the batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BatchStage {
    /// Being transformed and converted; a record may wait to be tried again.
    Pipeline,
    /// Converted; its topics are not all found yet.
    Converted,
    /// Being handed to the producer.
    Sending,
}

enum Work {
    More,
    /// The producer's buffer is full.
    Full,
    Idle(Duration),
}

impl SourceUnit {
    pub(super) fn new(
        runtime: &Runtime,
        gate: Arc<Gate>,
        task: Box<dyn SourceTask>,
        spec: TaskSpec,
        config: LiveConfig,
        number: u32,
        store: Arc<dyn OffsetStore>,
    ) -> Result<Self, ConnectError> {
        let pipeline = Outbound::new(&runtime.plugins, &spec.settings.raw, &spec.connector_config)?;
        let creation = TopicCreation::new(runtime, &spec, number)?;
        let client = clients::producer(&spec.settings, &spec.connector, number, &spec.connector_config);
        let failed = |error| broker_error("Making the task's producer failed", &error);
        let mut producer = runtime.broker.producer(&client).map_err(failed)?;
        producer.connect(CONNECT_TIMEOUT).map_err(failed)?;
        let dead_letters = SourceDeadLetters::new(runtime, &spec, number, &mut *producer)?;
        let context = Arc::new(SourceContext {
            config,
            reader: Arc::new(StoreReader::new(&spec.connector, Arc::clone(&store))) as Arc<dyn OffsetReader>,
            wake: Arc::new(Notify::new()),
        });
        Ok(Self {
            gate,
            control: task.control(),
            wants_record_acks: task.wants_record_acks(),
            task,
            context,
            store,
            number,
            pipeline,
            counters: runtime.counters.of(&spec.connector, number),
            creation,
            dead_letters,
            producer,
            deliveries: Vec::new(),
            batch: RecordBatch::new(),
            stage: BatchStage::Sending,
            sending: Sending::default(),
            ticket: None,
            poll_failure: None,
            poll_backoff: Backoff::new(POLL_BACKOFF),
            polled_well_since: Instant::now(),
            not_before: None,
            is_finished: false,
            acks: Acks::new(),
            partitions: SourcePartitions::new(&spec.connector),
            committing: Committing::new(spec.epoch, spec.settings.offset_flush_interval),
            topic_of: HashMap::new(),
            records: 0,
            bytes: 0,
            sampled: (0, 0),
            spec,
        })
    }

    fn work(&mut self) -> Result<Work, ConnectError> {
        if let Some(moment) = self.not_before {
            let left = moment.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Ok(Work::Idle(left));
            }
            self.not_before = None;
        }
        if let Some(work) = self.hand_over()? {
            return Ok(work);
        }
        if let Some(error) = self.poll_failure.take() {
            if !error.retriable {
                return Err(error);
            }
            let pause = self.poll_backoff.after_failure(self.polled_well_since.elapsed());
            tracing::warn!(connector = %self.spec.connector, %error, ?pause, "poll failed; it is called again");
            self.polled_well_since = Instant::now() + pause;
            return Ok(self.rest(pause));
        }
        if self.is_finished {
            return Ok(Work::Idle(LONGEST_WAIT));
        }
        let polled = self.task.poll(&mut self.batch);
        self.pipeline.begin(&self.batch);
        self.dead_letters.keep(&self.batch);
        self.stage = BatchStage::Pipeline;
        let idle = match polled {
            Ok(Poll::Records) => None,
            Ok(Poll::Idle { retry_after }) => Some(retry_after),
            Ok(Poll::Finished) => {
                self.is_finished = true;
                Some(LONGEST_WAIT)
            }
            Err(error) => {
                self.poll_failure = Some(error);
                None
            }
        };
        Ok(match (self.hand_over()?, idle) {
            (Some(work), _) => work,
            (None, None) => Work::More,
            (None, Some(wait)) => Work::Idle(wait),
        })
    }

    /// Leaves the task alone for a while.
    fn rest(&mut self, pause: Duration) -> Work {
        self.not_before = Some(Instant::now() + pause);
        Work::Idle(pause)
    }

    /// Brings the batch on its way to the producer; `None` when all of it is there.
    fn hand_over(&mut self) -> Result<Option<Work>, ConnectError> {
        if self.stage == BatchStage::Pipeline {
            if let Flow::Wait(pause) = self.pipeline.run(&mut self.batch, now_ms()) {
                return Ok(Some(self.rest(pause)));
            }
            self.stage = BatchStage::Converted;
        }
        if self.stage == BatchStage::Converted {
            let Self { sending, batch, pipeline, producer, creation, partitions, acks, .. } = self;
            let outcomes = (pipeline.outcomes(), pipeline.rows().len());
            match sending.begin(batch, outcomes, &mut **producer, creation, partitions, acks) {
                Ok(()) => self.stage = BatchStage::Sending,
                Err(error) if error.retriable => {
                    tracing::warn!(connector = %self.spec.connector, %error, "the topic is looked for again");
                    return Ok(Some(self.rest(TOPIC_RETRY)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(if self.produce()? { None } else { Some(Work::Full) })
    }

    /// Hands rows over until all are, or the buffer is full (false).
    fn produce(&mut self) -> Result<bool, ConnectError> {
        let gate = Arc::clone(&self.gate);
        while self.sending.has_next() {
            match gate.pass(|| self.produce_chunk()) {
                Some(Ok(true)) => {}
                Some(result) => return result,
                None => return Err(ConnectError::retriable("the task's lease has ended")),
            }
        }
        self.batch.clear();
        self.sending.clear();
        Ok(true)
    }

    fn produce_chunk(&mut self) -> Result<bool, ConnectError> {
        for _ in 0..CHUNK {
            let Some((at, route)) = self.sending.next() else { break };
            let (Outcome::Ok, Some(topic)) = (&self.pipeline.outcomes()[at], route.topic) else {
                if !self.leave_out(at, route)? {
                    return Ok(false);
                }
                self.sending.advance();
                continue;
            };
            let row = &self.batch.rows()[at];
            let mark = route.mark(&self.batch, at, row);
            let ticket = self.ticket.take().unwrap_or_else(|| self.acks.send(route.source, mark));
            let wire = &self.pipeline.rows()[at];
            let arena = &self.batch.arena;
            let headers: Vec<(&str, Option<&[u8]>)> = self
                .pipeline
                .headers(wire)
                .iter()
                .map(|(name, value)| {
                    let name = std::str::from_utf8(arena.get(*name)).unwrap_or_default();
                    (name, value.map(|span| arena.get(span)))
                })
                .collect();
            let bytes = wire.key.map_or(0, |span| span.len) + wire.value.map_or(0, |span| span.len);
            let produced = self.producer.produce(&ProduceRow {
                topic,
                partition: row.partition(),
                timestamp: row.timestamp_ms(),
                key: wire.key.map(|span| arena.get(span)),
                value: wire.value.map(|span| arena.get(span)),
                headers: &headers,
                opaque: ticket.0,
            });
            match produced {
                Ok(()) => {}
                Err(ProduceError::QueueFull) => {
                    self.ticket = Some(ticket);
                    return Ok(false);
                }
                // Refused at once: reported like one that the broker refused.
                Err(ProduceError::Failed(error)) => {
                    self.deliveries.push(Delivery { opaque: ticket.0, result: Err(Box::new(error)) });
                }
            }
            self.dead_letters.remember(ticket, at);
            self.bytes += u64::from(bytes);
            if self.wants_record_acks {
                self.topic_of.insert(ticket.0, topic);
            }
            self.sending.advance();
        }
        Ok(true)
    }

    /// A row that is not produced: filtered, or failed. False when the buffer has no room for its dead letter.
    fn leave_out(&mut self, at: usize, route: sending::Route) -> Result<bool, ConnectError> {
        let mark = route.mark(&self.batch, at, &self.batch.rows()[at]);
        let Outcome::Failed(failure) = &self.pipeline.outcomes()[at] else {
            let ticket = self.acks.send(route.source, mark);
            return self.complete(ticket).map(|()| true);
        };
        let failure = failure.clone();
        let verdict = self.pipeline.policy().judge(&failure);
        // A record that fails the task keeps its place: it comes again after a restart.
        let ticket = match &verdict {
            Ok(()) => self.ticket.take().unwrap_or_else(|| self.acks.send(route.source, mark)),
            Err(_) => FATAL_LETTER,
        };
        let letter = self.dead_letters.letter_of_row(at, &failure);
        match self.dead_letters.send(&letter, ticket, &mut *self.producer) {
            Ok(()) => {}
            Err(ProduceError::QueueFull) => {
                self.ticket = verdict.is_ok().then_some(ticket);
                return Ok(false);
            }
            Err(ProduceError::Failed(error)) => return Err(letter_failed(&error)),
        }
        self.note(&failure, letter.is_some());
        match verdict {
            Ok(()) => {
                self.pipeline.counts.skipped += 1;
                if letter.is_none() {
                    self.complete(ticket)?;
                }
                Ok(true)
            }
            Err(error) => {
                self.sending.cut();
                Err(error)
            }
        }
    }

    /// Counts and logs a record that failed for good.
    fn note(&mut self, failure: &Failure, has_letter: bool) {
        let counts = &mut self.pipeline.counts;
        counts.errors += 1;
        counts.dead_letters += u64::from(has_letter);
        if self.pipeline.policy().log.is_some() {
            self.pipeline.counts.logged += 1;
            log_failure(&self.spec.connector, self.number, "", failure);
        }
    }

    /// A record's outcome is durable, and it was not produced.
    fn complete(&mut self, ticket: Ticket) -> Result<(), ConnectError> {
        if self.wants_record_acks {
            let (partition, offset) = self.place(ticket);
            self.control.record_done(&RecordAck { partition, offset, produced_to: None })?;
        }
        self.acks.finish(ticket);
        Ok(())
    }

    /// Takes delivery reports, waiting up to `timeout` for the first.
    fn take_deliveries(&mut self, timeout: Duration) -> Result<(), ConnectError> {
        let polled = self.producer.poll(timeout, &mut self.deliveries);
        self.settle()?;
        polled.map_err(|error| broker_error("The task's producer failed", &error))
    }

    fn settle(&mut self) -> Result<(), ConnectError> {
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
                Err(letter_failed(&error))
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

    /// Kafka does not take a record (KIP-779).
    fn not_produced(&mut self, ticket: Ticket, error: &BrokerError) -> Result<(), ConnectError> {
        self.topic_of.remove(&ticket.0);
        let failure = self.pipeline.produce_failed(send_failed(error));
        let letter = self.dead_letters.letter_of_record(ticket, &failure);
        if self.pipeline.policy().tolerance == Tolerance::None || is_of_the_client(error) {
            self.note(&failure, false);
            return Err(failure.cause);
        }
        let gate = Arc::clone(&self.gate);
        let until = Instant::now() + LETTER_TIMEOUT;
        loop {
            match gate.pass(|| self.dead_letters.send(&letter, ticket, &mut *self.producer)) {
                Some(Ok(())) => break,
                Some(Err(ProduceError::QueueFull)) if Instant::now() < until => {
                    let polled = self.producer.poll(FULL_WAIT, &mut self.deliveries);
                    polled.map_err(|error| broker_error("The task's producer failed", &error))?;
                }
                Some(Err(ProduceError::QueueFull)) => {
                    return Err(ConnectError::retriable("the producer's buffer stays full: no room for a dead letter"));
                }
                Some(Err(ProduceError::Failed(error))) => return Err(letter_failed(&error)),
                None => return Err(ConnectError::retriable("the task's lease has ended")),
            }
        }
        self.note(&failure, letter.is_some());
        self.pipeline.counts.skipped += 1;
        if letter.is_none() { self.complete(ticket) } else { Ok(()) }
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

    fn record_ack(&self, ticket: Ticket, delivered: Delivered) -> RecordAck {
        let (partition, offset) = self.place(ticket);
        let produced_to = self.topic_of.get(&ticket.0).and_then(|handle| self.sending.topic(*handle)).map(|topic| {
            ProducedTo { topic: Arc::clone(topic), partition: delivered.partition, offset: delivered.offset }
        });
        RecordAck { partition, offset, produced_to }
    }

    fn commit(&mut self) -> Result<(), ConnectError> {
        let Self { committing, acks, partitions, store, producer, gate, .. } = self;
        committing.begin(acks, partitions, &**store, &mut **producer, gate)?;
        self.settle()
    }

    /// How long to leave the task alone: not past the next commit, if there will be something to commit.
    fn wait(&self, wanted: Duration) -> Step {
        let has_uncommitted = self.acks.has_advanced() && !self.committing.is_under_way();
        let until_commit = self.committing.due().saturating_duration_since(Instant::now());
        let wait = if has_uncommitted { wanted.min(until_commit) } else { wanted };
        Step::Wait(wait.min(LONGEST_WAIT))
    }

    fn finish(&mut self, deadline: Instant) -> Result<(), ConnectError> {
        if self.gate.is_closed() {
            // What the client still holds must not follow.
            self.producer.purge();
            return Ok(());
        }
        let left = || deadline.saturating_duration_since(Instant::now());
        while self.stage == BatchStage::Sending && !self.produce()? && !left().is_zero() {
            self.take_deliveries(FULL_WAIT)?;
        }
        self.flush(left())?;
        self.commit()?;
        self.flush(left())?;
        if self.acks.unfinished() > 0 || self.acks.has_advanced() {
            let unfinished = self.acks.unfinished();
            tracing::warn!(connector = %self.spec.connector, unfinished, "stopped before everything was durable");
        }
        Ok(())
    }

    fn flush(&mut self, timeout: Duration) -> Result<(), ConnectError> {
        let flushed = self.producer.flush(timeout, &mut self.deliveries);
        self.settle()?;
        flushed.map(|_| ()).map_err(|error| broker_error("Flushing the task's producer failed", &error))
    }
}

impl Unit for SourceUnit {
    fn start(&mut self) -> Result<(), ConnectError> {
        self.store.read_to_end(Instant::now() + READ_TIMEOUT)?;
        let context = Arc::clone(&self.context) as Arc<dyn SourceTaskContext>;
        self.task.start(context, &self.spec.task_config)
    }

    fn step(&mut self, target: Target) -> Result<Step, ConnectError> {
        let end = Instant::now() + SLICE;
        self.take_deliveries(Duration::ZERO)?;
        loop {
            if Instant::now() >= self.committing.due() {
                self.commit()?;
            }
            if target != Target::Running {
                return Ok(self.wait(LONGEST_WAIT));
            }
            match self.work()? {
                Work::More => self.take_deliveries(Duration::ZERO)?,
                Work::Full => self.take_deliveries(FULL_WAIT)?,
                Work::Idle(wait) => {
                    self.take_deliveries(Duration::ZERO)?;
                    return Ok(self.wait(wait));
                }
            }
            if Instant::now() >= end {
                return Ok(Step::Again);
            }
        }
    }

    fn stop(&mut self, deadline: Instant) {
        self.control.stop();
        if let Err(error) = self.finish(deadline) {
            tracing::warn!(connector = %self.spec.connector, %error, "finishing a source task failed");
        }
        self.task.stop();
    }

    fn take_events(&mut self, _: &mut Vec<TaskEvent>) {}

    fn progress(&mut self) -> Option<TaskEvent> {
        self.counters.set(self.records, &self.pipeline.counts);
        let positions = self.committing.positions(&self.partitions);
        let sample = (self.records, self.committing.count());
        if std::mem::replace(&mut self.sampled, sample) == sample {
            return None;
        }
        Some(TaskEvent::Progress { records: self.records, bytes: self.bytes, positions, lag: None })
    }

    fn wakers(&self) -> Vec<Arc<Notify>> {
        vec![Arc::clone(&self.context.wake), self.producer.waker()]
    }

    fn interrupt(&self) -> Option<Interrupt> {
        let control = Arc::clone(&self.control);
        Some(Arc::new(move || control.stop()))
    }
}

/// Whether the client is at fault, or was told to give up, rather than the record.
fn is_of_the_client(error: &BrokerError) -> bool {
    match error {
        BrokerError::Kafka { fatal, code, .. } => *fatal || code.starts_with("_PURGE") || *code == "_DESTROY",
        BrokerError::Config { .. } | BrokerError::Unreachable { .. } => true,
    }
}

fn letter_failed(error: &BrokerError) -> ConnectError {
    ConnectError { retriable: false, ..broker_error("Could not produce message to dead letter queue", error) }
}

fn send_failed(error: &BrokerError) -> ConnectError {
    let failed = broker_error("Unrecoverable exception from producer send callback", error);
    // The producer has retried already, for as long as its delivery timeout says.
    ConnectError { retriable: false, ..failed }
}
