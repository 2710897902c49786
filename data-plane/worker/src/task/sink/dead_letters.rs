//! A sink's failed records: counted, logged, written to the dead letter topic; those that the pipeline finds, and those that the task
//! reports itself (KIP-610).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_plane_broker::{Broker, BrokerError, ClientConfig, Delivery, ProduceError, ProduceRow, Producer, TopicHandle};
use data_plane_connector_api::{Completion, ConnectError, ErrantRecordReporter, Failure, Stage};
use data_plane_record::{Position, RecordBatch};
use parking_lot::Mutex;

use super::incoming::Incoming;
use crate::pipeline::{
    DeadLetter, DeadLetterSettings, ErrorCounts, ErrorPolicy, LogDetail, Place, Tolerance, context_headers,
};
use crate::secrets::Masks;
use crate::task::TaskSpec;
use crate::task::clients::{self, ensure_dead_letter_topic};
use crate::task::error_log::log_failure;
use crate::task::gate::Gate;
use crate::task::runtime::{Runtime, broker_error};

/// How long the first dead letter waits for a broker.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a task's report may wait for room in the producer's buffer.
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
    /// Which records they are of, by the letters' numbers.
    in_flight: HashMap<u64, String>,
    /// The first letter that was not written: no offset is committed any more.
    failure: Option<ConnectError>,
}

/// A sink task's failures.
pub(super) struct Failures {
    connector: String,
    task: u32,
    policy: ErrorPolicy,
    letters: Option<Letters>,
    masks: Masks,
    /// A task reported a record, and errors are not tolerated.
    exceeded: Option<ConnectError>,
    /// What failed, besides what the pipeline counts.
    pub(super) counts: ErrorCounts,
}

impl Failures {
    /// Reads the connector's keys, and finds or creates the dead letter topic.
    pub(super) fn new(
        runtime: &Runtime,
        gate: &Arc<Gate>,
        spec: &TaskSpec,
        task: u32,
        (policy, masks): (ErrorPolicy, Masks),
    ) -> Result<Self, ConnectError> {
        let letters = match DeadLetterSettings::parse(&spec.connector_config)? {
            None => None,
            Some(settings) => {
                ensure_dead_letter_topic(&*runtime.broker, &clients::admin(spec, task), &settings)?;
                Some(Letters {
                    settings,
                    broker: Arc::clone(&runtime.broker),
                    client: clients::dead_letter_producer(spec, task),
                    gate: Arc::clone(gate),
                    producer: None,
                    deliveries: Vec::new(),
                    next: 0,
                    in_flight: HashMap::new(),
                    failure: None,
                })
            }
        };
        let (connector, exceeded, counts) = (spec.connector.clone(), None, ErrorCounts::default());
        Ok(Self { connector, task, policy, letters, masks, exceeded, counts })
    }

    /// Whether tasks may report records themselves (KIP-610): where it leaves a trace.
    pub(super) fn has_reporter(&self) -> bool {
        self.letters.is_some() || self.policy.log.is_some()
    }

    /// The failure with references in place of what config providers gave.
    pub(super) fn masked(&self, failure: &Failure) -> Failure {
        Failure { cause: self.masks.error(failure.cause.clone()), ..failure.clone() }
    }

    /// A consumed record failed for good: sends its dead letter, logs it. Gives the letter's number, if there is one; nothing if the
    /// producer's buffer is still full after `room`.
    pub(super) fn report(
        &mut self,
        incoming: &Incoming,
        row: usize,
        failure: &Failure,
        room: Duration,
    ) -> Result<Option<Option<u64>>, ConnectError> {
        let mut number = None;
        if let Some(letters) = &mut self.letters {
            let mut letter = incoming.letter(row);
            if letters.settings.has_context_headers {
                let (topic, partition, offset) = incoming.position(row);
                let place =
                    Place { connector: &self.connector, task: self.task, topic, consumed: Some((partition, offset)) };
                letter.headers.extend(context_headers(place, failure));
            }
            number = letters.send(&letter, incoming.place(row), room, &mut self.counts)?;
            if number.is_none() {
                return Ok(None);
            }
            self.counts.dead_letters += 1;
        }
        if let Some(detail) = self.policy.log {
            self.counts.logged += 1;
            log_failure(&self.connector, self.task, &incoming.describe(row, detail == LogDetail::Messages), failure);
        }
        Ok(Some(number))
    }

    /// Waits until all dead letters are written; false if some are still on their way then.
    ///
    /// # Errors
    /// When one is not written: no offset may be committed then.
    pub(super) fn flush(&mut self, timeout: Duration) -> Result<bool, ConnectError> {
        match &mut self.letters {
            Some(letters) => letters.flush(timeout, &mut self.counts),
            None => Ok(true),
        }
    }

    /// Throws away dead letters that are not sent yet.
    pub(super) fn purge(&mut self) {
        if let Some((producer, _)) = self.letters.as_mut().and_then(|letters| letters.producer.as_mut()) {
            producer.purge();
        }
    }

    /// Whether what the task has reported may be skipped.
    ///
    /// # Errors
    /// The task's failure, whatever it made of what its report answered.
    pub(super) fn check_tolerance(&self) -> Result<(), ConnectError> {
        self.exceeded.clone().map_or(Ok(()), Err)
    }
}

impl Letters {
    /// Hands a letter over; gives its number, or nothing if there is no room for it in time.
    fn send(
        &mut self,
        letter: &DeadLetter,
        record: String,
        room: Duration,
        counts: &mut ErrorCounts,
    ) -> Result<Option<u64>, ConnectError> {
        let until = Instant::now() + room;
        if self.producer.is_none() {
            let failed = |error| broker_error("Making the dead letter producer failed", &error);
            let mut producer = self.broker.producer(&self.client).map_err(failed)?;
            producer.connect(CONNECT_TIMEOUT).map_err(failed)?;
            let topic = producer.topic(&self.settings.topic).map_err(failed)?;
            self.producer = Some((producer, topic));
        }
        loop {
            // Early news of what failed; and what is written makes room.
            self.poll(Duration::ZERO, counts)?;
            if let Some(failure) = &self.failure {
                return Err(failure.clone());
            }
            let Some((producer, topic)) = &mut self.producer else { return Err(ConnectError::connect("no producer")) };
            let headers: Vec<_> =
                letter.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
            let row = ProduceRow {
                topic: *topic,
                partition: None,
                timestamp: letter.timestamp,
                key: letter.key.as_deref(),
                value: letter.value.as_deref(),
                headers: &headers,
                opaque: self.next,
            };
            match self.gate.pass(|| producer.produce(&row)) {
                None => return Err(ConnectError::retriable("the task's lease has ended")),
                Some(Ok(())) => break,
                Some(Err(ProduceError::QueueFull)) if Instant::now() < until => self.poll(POLL, counts)?,
                Some(Err(ProduceError::QueueFull)) => return Ok(None),
                Some(Err(ProduceError::Failed(error))) => {
                    counts.dead_letter_failures += 1;
                    return Err(not_written(&self.settings.topic, &record, &error));
                }
            }
        }
        self.in_flight.insert(self.next, record);
        self.next += 1;
        Ok(Some(self.next - 1))
    }

    /// Takes delivery reports, waiting up to `timeout` for the first.
    fn poll(&mut self, timeout: Duration, counts: &mut ErrorCounts) -> Result<(), ConnectError> {
        let Some((producer, _)) = &mut self.producer else { return Ok(()) };
        let polled = producer.poll(timeout, &mut self.deliveries);
        for delivery in self.deliveries.drain(..) {
            let record = self.in_flight.remove(&delivery.opaque).unwrap_or_default();
            if let Err(error) = delivery.result {
                counts.dead_letter_failures += 1;
                self.failure.get_or_insert_with(|| not_written(&self.settings.topic, &record, &error));
            }
        }
        polled.map_err(|error| broker_error("The dead letter producer failed", &error))
    }

    fn flush(&mut self, timeout: Duration, counts: &mut ErrorCounts) -> Result<bool, ConnectError> {
        let until = Instant::now() + timeout;
        self.poll(Duration::ZERO, counts)?;
        while !self.in_flight.is_empty() && self.failure.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            self.poll(POLL.min(left), counts)?;
        }
        self.failure.clone().map_or(Ok(true), Err)
    }
}

/// The failure of a task whose dead letter is not taken: its record may not be skipped then.
fn not_written(topic: &str, record: &str, error: &BrokerError) -> ConnectError {
    let text = format!(
        "Could not produce message to dead letter queue {topic} (errors.deadletterqueue.topic.name) for record {record}"
    );
    ConnectError { retriable: false, ..broker_error(&text, error) }
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
        let mut incoming = self.incoming.lock();
        let Some(row) = incoming.find(&origin.topic, origin.partition, offset) else {
            return Err(ConnectError::connect("the record is not one of the batch that is being put"));
        };
        let mut failures = self.failures.lock();
        // Once a record, however often the batch is put.
        let number = match incoming.reported.get(&row) {
            Some(number) => *number,
            None => {
                let failure = Failure {
                    stage: Stage::TaskPut,
                    class: SINK_TASK.to_owned(),
                    transform: None,
                    cause: failures.masks.error(error.clone()),
                };
                failures.counts.failures += 1;
                let reported = failures.report(&incoming, row, &failure, ROOM_TIMEOUT)?;
                let number = reported.ok_or_else(|| {
                    ConnectError::retriable("the dead letter producer's buffer stays full: no room for a report")
                })?;
                incoming.reported.insert(row, number);
                failures.counts.errors += 1;
                failures.counts.skipped += u64::from(failures.policy.tolerance == Tolerance::All);
                number
            }
        };
        if failures.policy.tolerance == Tolerance::None {
            let text = format!("Tolerance exceeded in error handler (record {})", incoming.place(row));
            let exceeded = ConnectError::connect(text).caused_by(error.class.clone(), error.message.clone());
            return Err(failures.exceeded.get_or_insert(exceeded).clone());
        }
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
            if !letters.in_flight.contains_key(&number) {
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
