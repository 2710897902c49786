//! The source task unit: poll, convert, produce; commit the offsets of what is durable.

mod committing;
mod partitions;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_plane_broker::{BrokerError, Delivered, Delivery, ProduceError, Producer, TopicHandle};
use data_plane_connector_api::{
    ConnectError, OffsetReader, Poll, ProducedTo, RecordAck, SourceTask, SourceTaskContext, SourceTaskControl,
};
use data_plane_core::acks::{Acks, Ticket};
use data_plane_core::backoff::{Backoff, BackoffPolicy};
use data_plane_record::RecordBatch;
use tokio::sync::Notify;

use self::committing::Committing;
use self::partitions::{Mark, SourcePartitions};
use self::wire::Wires;
use super::convert::Converters;
use super::gate::Gate;
use super::offset_store::{OffsetStore, READ_TIMEOUT, StoreReader};
use super::runtime::{CONNECT_TIMEOUT, Runtime, broker_error};
use super::source_context::SourceContext;
use super::unit::{Interrupt, Step, Unit};
use super::{Target, TaskEvent, TaskSpec, clients};

/// How long one step works before the driver looks for orders.
const SLICE: Duration = Duration::from_millis(50);

/// How long a step waits for room in the producer's buffer.
const FULL_WAIT: Duration = Duration::from_millis(20);

/// The longest wait between two steps.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Rows produced under one passage of the gate.
const CHUNK: usize = 256;

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
    converters: Converters,
    producer: Box<dyn Producer>,
    deliveries: Vec<Delivery>,
    batch: RecordBatch,
    wires: Wires,
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
        number: u32,
        store: Arc<dyn OffsetStore>,
    ) -> Result<Self, ConnectError> {
        let converters = Converters::new(&runtime.plugins, &spec.settings, &spec.connector_config)?;
        let client = clients::producer(&spec.settings, &spec.connector, number, &spec.connector_config);
        let failed = |error| broker_error("Making the task's producer failed", &error);
        let mut producer = runtime.broker.producer(&client).map_err(failed)?;
        producer.connect(CONNECT_TIMEOUT).map_err(failed)?;
        let context = Arc::new(SourceContext {
            config: spec.task_config.clone(),
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
            converters,
            producer,
            deliveries: Vec::new(),
            batch: RecordBatch::new(),
            wires: Wires::default(),
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
        if !self.produce()? {
            return Ok(Work::Full);
        }
        if let Some(error) = self.poll_failure.take() {
            if !error.retriable {
                return Err(error);
            }
            let pause = self.poll_backoff.after_failure(self.polled_well_since.elapsed());
            tracing::warn!(connector = %self.spec.connector, %error, ?pause, "poll failed; it is called again");
            self.polled_well_since = Instant::now() + pause;
            self.not_before = Some(Instant::now() + pause);
        }
        if let Some(moment) = self.not_before {
            let left = moment.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Ok(Work::Idle(left));
            }
            self.not_before = None;
        }
        if self.is_finished {
            return Ok(Work::Idle(LONGEST_WAIT));
        }
        let polled = self.task.poll(&mut self.batch);
        self.bytes += self.wires.convert(
            &mut self.batch,
            &mut self.converters,
            &mut *self.producer,
            &mut self.partitions,
            &mut self.acks,
        )?;
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
        Ok(match (self.produce()?, idle) {
            (false, _) => Work::Full,
            (true, None) => Work::More,
            (true, Some(wait)) => Work::Idle(wait),
        })
    }

    /// Hands rows over until all are, or the buffer is full (false).
    fn produce(&mut self) -> Result<bool, ConnectError> {
        let gate = Arc::clone(&self.gate);
        while self.wires.has_next() {
            match gate.pass(|| self.produce_chunk()) {
                Some(Ok(true)) => {}
                Some(result) => return result,
                None => return Err(ConnectError::retriable("the task's lease has ended")),
            }
        }
        self.batch.clear();
        self.wires.clear();
        Ok(true)
    }

    fn produce_chunk(&mut self) -> Result<bool, ConnectError> {
        for _ in 0..CHUNK {
            let Some(wire) = self.wires.next(&self.batch) else { break };
            let ticket = self.ticket.take().unwrap_or_else(|| self.acks.send(wire.source, wire.mark.clone()));
            match self.producer.produce(&wire.with(ticket.0)) {
                Ok(()) => {}
                Err(ProduceError::QueueFull) => {
                    self.ticket = Some(ticket);
                    return Ok(false);
                }
                Err(ProduceError::Failed(error)) => return Err(send_failed(&error)),
            }
            if self.wants_record_acks {
                self.topic_of.insert(ticket.0, wire.topic);
            }
            self.wires.advance();
        }
        Ok(true)
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
            let ticket = Ticket(delivery.opaque);
            match (ticket.as_foreign(), delivery.result) {
                (Some(number), result) => {
                    if let Err(error) = &result {
                        tracing::warn!(connector = %self.spec.connector, %error, "a source offset was not committed");
                    }
                    self.committing.settle(number, result.is_ok(), &mut self.acks);
                }
                (None, Ok(delivered)) => {
                    if self.wants_record_acks
                        && let Err(error) = self.control.record_done(&self.record_ack(ticket, delivered))
                    {
                        failure.get_or_insert(error);
                    }
                    self.topic_of.remove(&ticket.0);
                    self.acks.finish(ticket);
                    self.records += 1;
                }
                (None, Err(error)) => {
                    failure.get_or_insert_with(|| send_failed(&error));
                }
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

    fn record_ack(&self, ticket: Ticket, delivered: Delivered) -> RecordAck {
        let (partition, offset) = match self.acks.record(ticket) {
            Some((number, mark)) => {
                (self.partitions.source_partition(number), mark.map(|mark| self.partitions.source_offset(number, mark)))
            }
            None => (None, None),
        };
        let produced_to = self.topic_of.get(&ticket.0).and_then(|handle| self.wires.topic(*handle)).map(|topic| {
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
        while !self.produce()? && !left().is_zero() {
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

fn send_failed(error: &BrokerError) -> ConnectError {
    let failed = broker_error("Unrecoverable exception from producer send callback", error);
    // The producer has retried already, for as long as its delivery timeout says.
    ConnectError { retriable: false, ..failed }
}
