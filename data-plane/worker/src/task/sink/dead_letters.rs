//! A sink's failed records: counted, logged, written to the dead letter topic; those that the pipeline finds, and those that the task
//! reports itself (KIP-610).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_plane_broker::{Broker, ClientConfig, Delivery, ProduceError, ProduceRow, Producer, TopicHandle};
use data_plane_connector_api::{Completion, ConnectError, ErrantRecordReporter, Failure, Stage};
use data_plane_record::{Position, RecordBatch};
use parking_lot::Mutex;

use super::incoming::Incoming;
use crate::pipeline::{
    DeadLetter, DeadLetterSettings, ErrorCounts, ErrorPolicy, LogDetail, Place, Tolerance, context_headers,
};
use crate::task::TaskSpec;
use crate::task::clients::{self, ensure_dead_letter_topic};
use crate::task::error_log::log_failure;
use crate::task::gate::Gate;
use crate::task::runtime::{CONNECT_TIMEOUT, Runtime, broker_error};

/// How long a dead letter may wait for room in the producer's buffer.
const ROOM_TIMEOUT: Duration = Duration::from_secs(30);

/// Between looks at the producer while something waits for it.
const POLL: Duration = Duration::from_millis(20);

/// The Java class whose call fails when a task reports a record.
const SINK_TASK: &str = "org.apache.kafka.connect.sink.SinkTask";

/// The dead letter topic and its producer, made at the first letter.
struct Letters {
    settings: DeadLetterSettings,
    broker: Arc<dyn Broker>,
    client: ClientConfig,
    gate: Arc<Gate>,
    producer: Option<(Box<dyn Producer>, TopicHandle)>,
    deliveries: Vec<Delivery>,
    next: u64,
    in_flight: HashSet<u64>,
    failure: Option<ConnectError>,
}

/// A sink task's failures.
pub(super) struct Failures {
    connector: String,
    task: u32,
    policy: ErrorPolicy,
    letters: Option<Letters>,
    /// What failed, besides what the pipeline counts.
    pub(super) counts: ErrorCounts,
}

impl Failures {
    /// Reads the connector's keys.
    pub(super) fn new(
        runtime: &Runtime,
        gate: &Arc<Gate>,
        spec: &TaskSpec,
        task: u32,
        policy: ErrorPolicy,
    ) -> Result<Self, ConnectError> {
        let letters = DeadLetterSettings::parse(&spec.connector_config)?.map(|settings| Letters {
            settings,
            broker: Arc::clone(&runtime.broker),
            client: clients::dead_letter_producer(spec, task),
            gate: Arc::clone(gate),
            producer: None,
            deliveries: Vec::new(),
            next: 0,
            in_flight: HashSet::new(),
            failure: None,
        });
        Ok(Self { connector: spec.connector.clone(), task, policy, letters, counts: ErrorCounts::default() })
    }

    /// Finds or creates the dead letter topic.
    pub(super) fn start(&self, admin: &ClientConfig) -> Result<(), ConnectError> {
        match &self.letters {
            Some(letters) => ensure_dead_letter_topic(&*letters.broker, admin, &letters.settings),
            None => Ok(()),
        }
    }

    /// Whether tasks may report records themselves (KIP-610): where it leaves a trace.
    pub(super) fn has_reporter(&self) -> bool {
        self.letters.is_some() || self.policy.log.is_some()
    }

    /// A consumed record failed for good: logs it, sends its dead letter. Gives the letter's number.
    pub(super) fn report(
        &mut self,
        incoming: &Incoming,
        row: usize,
        failure: &Failure,
    ) -> Result<Option<u64>, ConnectError> {
        if let Some(detail) = self.policy.log {
            self.counts.logged += 1;
            log_failure(&self.connector, self.task, &incoming.describe(row, detail == LogDetail::Messages), failure);
        }
        let Some(letters) = &mut self.letters else { return Ok(None) };
        let mut letter = incoming.letter(row);
        if letters.settings.has_context_headers {
            let (topic, partition, offset) = incoming.position(row);
            let place =
                Place { connector: &self.connector, task: self.task, topic, consumed: Some((partition, offset)) };
            letter.headers.extend(context_headers(place, failure));
        }
        self.counts.dead_letters += 1;
        letters.send(&letter).map(Some)
    }

    /// Waits until all dead letters are written.
    ///
    /// # Errors
    /// When one is not: no offset may be committed then.
    pub(super) fn flush(&mut self, timeout: Duration) -> Result<(), ConnectError> {
        match &mut self.letters {
            Some(letters) => letters.flush(timeout, &mut self.counts),
            None => Ok(()),
        }
    }
}

impl Letters {
    fn send(&mut self, letter: &DeadLetter) -> Result<u64, ConnectError> {
        if self.producer.is_none() {
            let failed = |error| broker_error("Making the dead letter producer failed", &error);
            let mut producer = self.broker.producer(&self.client).map_err(failed)?;
            producer.connect(CONNECT_TIMEOUT).map_err(failed)?;
            let topic = producer.topic(&self.settings.topic).map_err(failed)?;
            self.producer = Some((producer, topic));
        }
        let Some((producer, topic)) = &mut self.producer else { return Err(ConnectError::connect("no producer")) };
        let headers: Vec<_> = letter.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let row = ProduceRow {
            topic: *topic,
            partition: None,
            timestamp: letter.timestamp,
            key: letter.key.as_deref(),
            value: letter.value.as_deref(),
            headers: &headers,
            opaque: self.next,
        };
        let until = Instant::now() + ROOM_TIMEOUT;
        loop {
            match self.gate.pass(|| producer.produce(&row)) {
                None => return Err(ConnectError::retriable("the task's lease has ended")),
                Some(Ok(())) => break,
                Some(Err(ProduceError::QueueFull)) if Instant::now() < until => {
                    let polled = producer.poll(POLL, &mut self.deliveries);
                    polled.map_err(|error| broker_error("The dead letter producer failed", &error))?;
                }
                Some(Err(error)) => {
                    let text = format!("Could not produce message to dead letter queue: {error}");
                    return Err(ConnectError::connect(text));
                }
            }
        }
        self.in_flight.insert(self.next);
        self.next += 1;
        Ok(self.next - 1)
    }

    /// Takes delivery reports, waiting up to `timeout` for the first.
    fn poll(&mut self, timeout: Duration, counts: &mut ErrorCounts) -> Result<(), ConnectError> {
        let Some((producer, _)) = &mut self.producer else { return Ok(()) };
        let polled = producer.poll(timeout, &mut self.deliveries);
        for delivery in self.deliveries.drain(..) {
            self.in_flight.remove(&delivery.opaque);
            if let Err(error) = delivery.result {
                counts.dead_letter_failures += 1;
                let failed = broker_error("Could not produce message to dead letter queue", &error);
                self.failure.get_or_insert(ConnectError { retriable: false, ..failed });
            }
        }
        polled.map_err(|error| broker_error("The dead letter producer failed", &error))
    }

    fn flush(&mut self, timeout: Duration, counts: &mut ErrorCounts) -> Result<(), ConnectError> {
        let until = Instant::now() + timeout;
        self.poll(Duration::ZERO, counts)?;
        while !self.in_flight.is_empty() && self.failure.is_none() {
            if Instant::now() >= until {
                let left = self.in_flight.len();
                return Err(ConnectError::retriable(format!("{left} dead letters are not written after {timeout:?}")));
            }
            self.poll(POLL, counts)?;
        }
        self.failure.clone().map_or(Ok(()), Err)
    }
}

/// What a task and its runner share: the records being put, and the failures.
pub(super) struct Reporter {
    pub(super) incoming: Mutex<Incoming>,
    pub(super) failures: Arc<Mutex<Failures>>,
}

impl ErrantRecordReporter for Reporter {
    fn report(
        &self,
        batch: &RecordBatch,
        row: usize,
        error: &ConnectError,
    ) -> Result<Box<dyn Completion>, ConnectError> {
        let origin = batch.head_of(row).and_then(|head| head.origin.as_ref());
        let position = batch.rows().get(row).map(|row| row.position);
        let (Some(origin), Some(Position::Kafka(offset))) = (origin, position) else {
            return Err(ConnectError::connect(format!("row {row} is no record of the batch that is being put")));
        };
        let incoming = self.incoming.lock();
        let Some(row) = incoming.find(&origin.topic, origin.partition, offset) else {
            return Err(ConnectError::connect("the record is not one of the batch that is being put"));
        };
        let failure =
            Failure { stage: Stage::TaskPut, class: SINK_TASK.to_owned(), transform: None, cause: error.clone() };
        let mut failures = self.failures.lock();
        failures.counts.failures += 1;
        let number = failures.report(&incoming, row, &failure)?;
        failures.counts.errors += 1;
        if failures.policy.tolerance == Tolerance::None {
            return Err(ConnectError::connect("Tolerance exceeded in error handler")
                .caused_by(error.class.clone(), error.message.clone()));
        }
        failures.counts.skipped += 1;
        Ok(Box::new(Letter { number, failures: Arc::clone(&self.failures) }))
    }
}

/// A dead letter on its way, or nothing to wait for.
struct Letter {
    number: Option<u64>,
    failures: Arc<Mutex<Failures>>,
}

impl Completion for Letter {
    fn is_done(&self) -> bool {
        self.wait(Duration::ZERO).is_some()
    }

    fn wait(&self, timeout: Duration) -> Option<Result<(), ConnectError>> {
        let until = Instant::now() + timeout;
        let Some(number) = self.number else { return Some(Ok(())) };
        loop {
            let mut failures = self.failures.lock();
            let Failures { letters, counts, .. } = &mut *failures;
            let letters = letters.as_mut()?;
            if let Err(error) = letters.poll(Duration::ZERO, counts) {
                return Some(Err(error));
            }
            if !letters.in_flight.contains(&number) {
                return Some(letters.failure.clone().map_or(Ok(()), Err));
            }
            drop(failures);
            if Instant::now() >= until {
                return None;
            }
            std::thread::sleep(POLL.min(until.saturating_duration_since(Instant::now())));
        }
    }
}
