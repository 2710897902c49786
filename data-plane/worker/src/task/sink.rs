//! The sink task unit: reads as a member of the connector's consumer group, converts, puts, commits what the task says
//! is safe.

mod dead_letters;
mod incoming;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_plane_broker::{
    Broker, ClientConfig, ConsumerEvent, GroupConsumer, Subscription, TopicPartition as BrokerPartition,
};
use data_plane_connector_api::{
    ConnectError, ErrantRecordReporter, OffsetAndMetadata, Outcome, SinkOffsets, SinkTask, SinkTaskContext,
    TopicPartition,
};
use data_plane_record::RecordBatch;
use parking_lot::Mutex;
use tokio::sync::Notify;

use self::dead_letters::{Failures, Reporter};
use super::counters::TaskCounters;
use super::gate::Gate;
use super::runtime::{CONNECT_TIMEOUT, Runtime, broker_error};
use super::sink_context::{SinkContext, Wishes};
use super::unit::{Step, Unit};
use super::{Target, TaskEvent, TaskSpec, clients};
use crate::clock::now_ms;
use crate::pipeline::{Flow, Inbound};
use crate::secrets::LiveConfig;

/// How long one step works before the driver looks for orders.
const SLICE: Duration = Duration::from_millis(50);

/// A batch for `put` at most, in bytes and, unless `max.poll.records` says otherwise, in records.
const MAX_BYTES: usize = 1 << 20;
const MAX_RECORDS: usize = 4096;

/// Before a batch is put again, unless the task says otherwise.
const RETRY_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest wait between two steps: the group must see the member polling within max.poll.interval.ms.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// For a commit, a seek, a read of committed offsets.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Positions shown at most.
const MAX_SHOWN: usize = 100;

/// Where one partition is.
#[derive(Debug, Clone, Copy, Default)]
struct Reached {
    /// The next offset that the task has not been given yet; `None` before the first.
    put: Option<i64>,
    committed: Option<i64>,
}

pub(super) struct SinkUnit {
    gate: Arc<Gate>,
    broker: Arc<dyn Broker>,
    client: ClientConfig,
    subscription: Subscription,
    task: Box<dyn SinkTask>,
    context: Arc<SinkContext>,
    spec: TaskSpec,
    number: u32,
    pipeline: Inbound,
    counters: Arc<TaskCounters>,
    consumer: Option<Box<dyn GroupConsumer>>,
    consumer_wake: Arc<Notify>,
    max_records: usize,
    /// What was fetched, and what failed: shared with the task's reporter of records.
    shared: Arc<Reporter>,
    batch: RecordBatch,
    /// The batch goes on through the pipeline, not before this moment.
    convert_again: Option<Instant>,
    /// The batch has to be put again, not before this moment.
    put_again: Option<Instant>,
    /// Rows of the fetch that are through the pipeline: all of them, or those before one that fails the task.
    rows: usize,
    /// Fails the task once the rows before it are put.
    fatal: Option<ConnectError>,
    reached: BTreeMap<TopicPartition, Reached>,
    next_commit: Instant,
    is_started: bool,
    records: u64,
    bytes: u64,
    sampled: u64,
}

impl SinkUnit {
    pub(super) fn new(
        runtime: &Runtime,
        gate: Arc<Gate>,
        task: Box<dyn SinkTask>,
        spec: TaskSpec,
        config: LiveConfig,
        number: u32,
    ) -> Result<Self, ConnectError> {
        let pipeline = Inbound::new(&runtime.plugins, &spec.settings.raw, &spec.connector_config)?;
        let failures = Failures::new(runtime, &gate, &spec, number, pipeline.policy())?;
        let has_reporter = failures.has_reporter();
        let shared = Arc::new(Reporter { incoming: Mutex::default(), failures: Arc::new(Mutex::new(failures)) });
        let client = clients::consumer(&spec.settings, &spec.connector, number, &spec.connector_config);
        let max_records = match client.get("max.poll.records") {
            None => MAX_RECORDS,
            Some(text) => text.trim().parse().ok().filter(|count| *count > 0).ok_or_else(|| {
                ConnectError::config_value("consumer.override.max.poll.records", text, "Value must be at least 1")
            })?,
        };
        let wake = Arc::new(Notify::new());
        let context = Arc::new(SinkContext {
            config,
            epoch: spec.epoch,
            wishes: Mutex::new(Wishes::default()),
            assignment: Mutex::default(),
            wake: Arc::clone(&wake),
            reporter: has_reporter.then(|| Arc::clone(&shared) as Arc<dyn ErrantRecordReporter>),
        });
        Ok(Self {
            gate,
            broker: Arc::clone(&runtime.broker),
            client,
            subscription: clients::subscription(&spec.connector_config)?,
            task,
            context,
            number,
            pipeline,
            counters: runtime.counters.of(&spec.connector, number),
            consumer: None,
            consumer_wake: wake,
            max_records,
            shared,
            batch: RecordBatch::new(),
            convert_again: None,
            put_again: None,
            rows: 0,
            fatal: None,
            reached: BTreeMap::new(),
            next_commit: Instant::now() + spec.settings.offset_flush_interval,
            is_started: false,
            records: 0,
            bytes: 0,
            sampled: 0,
            spec,
        })
    }
}

impl SinkUnit {
    fn consumer(&mut self) -> Result<&mut dyn GroupConsumer, ConnectError> {
        match &mut self.consumer {
            Some(consumer) => Ok(&mut **consumer),
            None => Err(ConnectError::connect("the task was not started")),
        }
    }

    /// Serves the group, and takes rows unless `max_records` is 0. True if something came.
    fn poll(&mut self, max_records: usize) -> Result<bool, ConnectError> {
        let Some(consumer) = &mut self.consumer else { return Ok(false) };
        let mut incoming = self.shared.incoming.lock();
        let polled = consumer.poll(&mut incoming.fetched, max_records, MAX_BYTES);
        let has_rows = max_records > 0 && !incoming.fetched.rows.is_empty();
        drop(incoming);
        match polled.map_err(|error| broker_error("The task's consumer failed", &error))? {
            None => Ok(has_rows),
            Some(event) => self.handle(event).map(|()| true),
        }
    }

    fn handle(&mut self, event: ConsumerEvent) -> Result<(), ConnectError> {
        match event {
            ConsumerEvent::Assigned(partitions) => self.open(partitions),
            ConsumerEvent::Revoked(partitions) => {
                let closing = api_partitions(&partitions);
                self.commit(Some(&closing))?;
                self.close(&partitions, &closing)
            }
            ConsumerEvent::Lost(partitions) => self.close(&partitions, &api_partitions(&partitions)),
            ConsumerEvent::Error(error) => {
                let is_fatal = matches!(error, data_plane_broker::BrokerError::Kafka { fatal: true, .. });
                if is_fatal {
                    return Err(broker_error("The task's consumer failed", &error));
                }
                tracing::info!(connector = %self.spec.connector, %error, "the consumer goes on by itself");
                Ok(())
            }
        }
    }

    fn open(&mut self, partitions: Vec<BrokerPartition>) -> Result<(), ConnectError> {
        let opened = api_partitions(&partitions);
        for partition in &opened {
            self.reached.insert(partition.clone(), Reached::default());
        }
        *self.context.assignment.lock() = self.reached.keys().cloned().collect();
        if !opened.is_empty() {
            self.task.open(&opened)?;
        }
        let mut starts = Vec::with_capacity(partitions.len());
        {
            let mut wishes = self.context.wishes.lock();
            for (partition, name) in partitions.into_iter().zip(&opened) {
                let offset = wishes.offsets.remove(name);
                starts.push((partition, offset));
            }
        }
        self.consumer()?.acknowledge_assign(&starts).map_err(|error| broker_error("Taking partitions failed", &error))
    }

    fn close(&mut self, partitions: &[BrokerPartition], closing: &[TopicPartition]) -> Result<(), ConnectError> {
        self.reached.retain(|partition, _| !closing.contains(partition));
        *self.context.assignment.lock() = self.reached.keys().cloned().collect();
        let closed = if closing.is_empty() { Ok(()) } else { self.task.close(closing) };
        let consumer = self.consumer()?;
        consumer
            .acknowledge_revoke(partitions)
            .map_err(|error| broker_error("Giving partitions back failed", &error))?;
        closed?;
        self.drop_waiting_batch()
    }

    /// A batch that waits may hold rows of partitions that are gone: reads the others' anew.
    fn drop_waiting_batch(&mut self) -> Result<(), ConnectError> {
        if self.put_again.take().is_none() && self.convert_again.take().is_none() {
            return Ok(());
        }
        self.convert_again = None;
        self.fatal = None;
        let mut firsts: BTreeMap<u32, i64> = BTreeMap::new();
        {
            let mut incoming = self.shared.incoming.lock();
            for row in &incoming.fetched.rows {
                firsts.entry(row.partition).or_insert(row.offset);
            }
            incoming.fetched.clear();
        }
        for (index, offset) in firsts {
            let consumer = self.consumer()?;
            let partition = consumer.partition(index).clone();
            if self.reached.contains_key(&api_partition(&partition)) {
                self.seek(&partition, offset)?;
            }
        }
        Ok(())
    }

    fn seek(&mut self, partition: &BrokerPartition, offset: i64) -> Result<(), ConnectError> {
        let sought = self.consumer()?.seek(partition, offset, REQUEST_TIMEOUT);
        sought.map_err(|error| broker_error(&format!("Seeking {partition} to {offset} failed"), &error))
    }

    /// Takes the fetched rows into the pipeline.
    fn begin(&mut self) -> Result<(), ConnectError> {
        let Some(consumer) = &self.consumer else { return Ok(()) };
        self.batch.clear();
        self.shared.incoming.lock().enter(&mut self.batch.arena, &**consumer);
        self.pipeline.begin();
        self.convert()
    }

    /// Brings the rows through the pipeline, reports those that failed, and puts the others.
    fn convert(&mut self) -> Result<(), ConnectError> {
        self.convert_again = None;
        let incoming = self.shared.incoming.lock();
        if let Flow::Wait(pause) = self.pipeline.run(&*incoming, &mut self.batch, now_ms()) {
            self.convert_again = Some(Instant::now() + pause);
            return Ok(());
        }
        let outcomes = self.pipeline.outcomes();
        self.rows = outcomes.len();
        let mut failures = self.shared.failures.lock();
        for (row, outcome) in outcomes.iter().enumerate() {
            let Outcome::Failed(failure) = outcome else { continue };
            failures.counts.errors += 1;
            failures.report(&incoming, row, failure)?;
            match self.pipeline.policy().judge(failure) {
                Ok(()) => failures.counts.skipped += 1,
                Err(error) => {
                    let (topic, partition, offset) = incoming.position(row);
                    let mut error = error;
                    error.message = format!("{} (record {topic}-{partition}@{offset})", error.message);
                    (self.fatal, self.rows) = (Some(error), row);
                    break;
                }
            }
        }
        drop((incoming, failures));
        let rows = self.rows;
        self.batch.retain(|row| row < rows && outcomes[row].is_ok());
        self.put()
    }

    fn put(&mut self) -> Result<(), ConnectError> {
        if self.gate.is_closed() {
            return Err(ConnectError::retriable("the task's lease has ended"));
        }
        match self.task.put(&self.batch) {
            Ok(()) => {
                self.put_again = None;
                self.note_put();
                self.fatal.take().map_or(Ok(()), Err)
            }
            Err(error) if error.retriable => {
                let pause = self.context.wishes.lock().retry_timeout.take().unwrap_or(RETRY_TIMEOUT);
                tracing::warn!(connector = %self.spec.connector, %error, ?pause, "put failed; it is called again");
                self.put_again = Some(Instant::now() + pause);
                Ok(())
            }
            Err(error) => {
                let text = format!("Exiting WorkerSinkTask due to unrecoverable exception: {error}");
                let mut failed = ConnectError::connect(text).caused_by(error.class, error.message);
                failed.causes.extend(error.causes);
                Err(failed)
            }
        }
    }

    /// Forgets the fetch.
    fn clear(&mut self) {
        self.shared.incoming.lock().fetched.clear();
        self.batch.clear();
        self.rows = 0;
    }

    fn note_put(&mut self) {
        let Some(consumer) = &self.consumer else { return };
        let incoming = self.shared.incoming.lock();
        let rows = &incoming.fetched.rows[..self.rows.min(incoming.fetched.rows.len())];
        for (index, row) in rows.iter().enumerate() {
            if rows.get(index + 1).is_some_and(|next| next.partition == row.partition) {
                continue;
            }
            if let Some(reached) = self.reached.get_mut(&api_partition(consumer.partition(row.partition))) {
                reached.put = Some(row.offset + 1);
            }
        }
        self.records += rows.len() as u64;
        self.bytes += incoming.fetched.arena.len() as u64;
    }

    /// Commits what the task says is safe, of all partitions or of those that are being closed.
    fn commit(&mut self, closing: Option<&[TopicPartition]>) -> Result<(), ConnectError> {
        self.next_commit = Instant::now() + self.spec.settings.offset_flush_interval;
        let is_meant = |partition: &TopicPartition| closing.is_none_or(|closing| closing.contains(partition));
        let current: SinkOffsets = self
            .reached
            .iter()
            .filter(|(partition, _)| is_meant(partition))
            .filter_map(|(partition, reached)| Some((partition.clone(), OffsetAndMetadata::from(reached.put?))))
            .collect();
        if current.is_empty() {
            return Ok(());
        }
        self.shared.failures.lock().flush(REQUEST_TIMEOUT)?;
        let safe = match self.task.pre_commit(&current) {
            Ok(safe) => safe,
            Err(error) => {
                tracing::warn!(connector = %self.spec.connector, %error, "flushing failed; reading again from the last commit");
                return if closing.is_some() { Ok(()) } else { self.rewind(&current) };
            }
        };
        let mut offsets = Vec::new();
        for (partition, wanted) in safe {
            let Some(reached) = self.reached.get(&partition) else { continue };
            if reached.put.is_none_or(|put| wanted.offset > put) {
                tracing::warn!(topic = %partition.topic, partition = partition.partition, offset = wanted.offset,
                    "the task offered an offset that it was not given; it is not committed");
            } else if reached.committed != Some(wanted.offset) {
                offsets.push((BrokerPartition::new(partition.topic, partition.partition), wanted.offset));
            }
        }
        self.send_commit(&offsets)
    }

    fn send_commit(&mut self, offsets: &[(BrokerPartition, i64)]) -> Result<(), ConnectError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let Some(consumer) = &mut self.consumer else { return Ok(()) };
        let committed = match self.gate.pass(|| consumer.start_commit(offsets)) {
            None => return Err(ConnectError::retriable("the task's lease has ended")),
            Some(started) => started.and_then(|()| consumer.finish_commit(REQUEST_TIMEOUT)),
        };
        match committed {
            Ok(()) => {
                for (partition, offset) in offsets {
                    if let Some(reached) = self.reached.get_mut(&api_partition(partition)) {
                        reached.committed = Some(*offset);
                    }
                }
            }
            // Nothing is lost: the offsets are tried again at the next commit, or read again by the next owner.
            Err(error) => tracing::warn!(connector = %self.spec.connector, %error, "offsets were not committed"),
        }
        Ok(())
    }

    /// Reads partitions again from their last commit.
    fn rewind(&mut self, partitions: &SinkOffsets) -> Result<(), ConnectError> {
        let names: Vec<BrokerPartition> =
            partitions.keys().map(|name| BrokerPartition::new(Arc::clone(&name.topic), name.partition)).collect();
        let consumer = self.consumer()?;
        let committed = consumer.committed(&names, REQUEST_TIMEOUT);
        let committed = committed.map_err(|error| broker_error("Reading committed offsets failed", &error))?;
        (self.put_again, self.convert_again, self.fatal) = (None, None, None);
        for (partition, offset) in committed {
            // Never committed: from the beginning, as a new member would.
            self.seek(&partition, offset.unwrap_or(0))?;
            self.reached.insert(api_partition(&partition), Reached { put: None, committed: offset });
        }
        Ok(())
    }

    fn grant_wishes(&mut self) -> Result<(), ConnectError> {
        let (offsets, pauses, wants_commit) = {
            let mut wishes = self.context.wishes.lock();
            let wants_commit = std::mem::take(&mut wishes.wants_commit);
            (std::mem::take(&mut wishes.offsets), std::mem::take(&mut wishes.pauses), wants_commit)
        };
        for (name, offset) in offsets {
            let Some(reached) = self.reached.get_mut(&name) else { continue };
            *reached = Reached { put: Some(offset), committed: reached.committed };
            self.seek(&BrokerPartition::new(name.topic, name.partition), offset)?;
        }
        for (name, is_pause) in pauses {
            let partition = BrokerPartition::new(name.topic, name.partition);
            let consumer = self.consumer()?;
            if is_pause { consumer.pause(&partition) } else { consumer.resume(&partition) }
        }
        if wants_commit {
            self.next_commit = Instant::now();
        }
        Ok(())
    }

    fn finish(&mut self, deadline: Instant) -> Result<(), ConnectError> {
        let committed = self.commit(None);
        let open: Vec<TopicPartition> = std::mem::take(&mut self.reached).into_keys().collect();
        if !open.is_empty() {
            self.task.close(&open)?;
        }
        if let Some(mut consumer) = self.consumer.take() {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
            if let Err(error) = consumer.close(left) {
                tracing::warn!(connector = %self.spec.connector, %error, "closing the consumer failed");
            }
        }
        committed
    }
}

impl Unit for SinkUnit {
    fn start(&mut self) -> Result<(), ConnectError> {
        self.is_started = true;
        self.task.start(Arc::clone(&self.context) as Arc<dyn SinkTaskContext>, &self.spec.task_config)?;
        self.shared.failures.lock().start(&clients::admin(&self.spec, self.number))?;
        let failed = |error| broker_error("Making the task's consumer failed", &error);
        let mut consumer = self.broker.group_consumer(&self.client, &self.subscription).map_err(failed)?;
        consumer.connect(CONNECT_TIMEOUT).map_err(failed)?;
        self.consumer_wake = consumer.waker();
        self.consumer = Some(consumer);
        Ok(())
    }

    fn step(&mut self, target: Target) -> Result<Step, ConnectError> {
        let end = Instant::now() + SLICE;
        let is_running = target == Target::Running;
        loop {
            self.grant_wishes()?;
            let now = Instant::now();
            let waits_until = self.put_again.or(self.convert_again);
            if now >= self.next_commit {
                if is_running && waits_until.is_none() {
                    // A chance to do timed work.
                    self.clear();
                    self.put()?;
                }
                self.commit(None)?;
            }
            if let Some(moment) = waits_until {
                let is_due = is_running && now >= moment;
                match (self.poll(0)?, self.put_again, self.convert_again) {
                    (true, _, _) | (_, None, None) => {}
                    (false, Some(_), _) if is_due => self.put()?,
                    (false, None, Some(_)) if is_due => self.convert()?,
                    _ => {
                        let left = moment.saturating_duration_since(now);
                        return Ok(Step::Wait(if is_running { left } else { LONGEST_WAIT }));
                    }
                }
            } else {
                self.clear();
                if !self.poll(if is_running { self.max_records } else { 0 })? {
                    let until_commit = self.next_commit.saturating_duration_since(now);
                    return Ok(Step::Wait(until_commit.min(LONGEST_WAIT)));
                }
                if !self.shared.incoming.lock().fetched.rows.is_empty() {
                    self.begin()?;
                }
            }
            if Instant::now() >= end {
                return Ok(Step::Again);
            }
        }
    }

    fn stop(&mut self, deadline: Instant) {
        if let Err(error) = self.finish(deadline) {
            tracing::warn!(connector = %self.spec.connector, %error, "finishing a sink task failed");
        }
        if self.is_started {
            self.task.stop();
        }
    }

    fn take_events(&mut self, _: &mut Vec<TaskEvent>) {}

    fn progress(&mut self) -> Option<TaskEvent> {
        let own = self.shared.failures.lock().counts;
        self.counters.set(self.records, &self.pipeline.counts.with(&own));
        if std::mem::replace(&mut self.sampled, self.records) == self.records {
            return None;
        }
        let positions = self.reached.iter().filter_map(|(partition, reached)| {
            let TopicPartition { topic, partition } = partition;
            let place = format!(r#"{{"kafka_topic":"{topic}","kafka_partition":{partition}}}"#);
            Some((place, format!(r#"{{"kafka_offset":{}}}"#, reached.committed?)))
        });
        let positions = positions.take(MAX_SHOWN).collect();
        let lag = self.consumer.as_ref().and_then(|consumer| consumer.lag());
        Some(TaskEvent::Progress { records: self.records, bytes: self.bytes, positions, lag })
    }

    fn wakers(&self) -> Vec<Arc<Notify>> {
        vec![Arc::clone(&self.context.wake), Arc::clone(&self.consumer_wake)]
    }
}

fn api_partition(partition: &BrokerPartition) -> TopicPartition {
    TopicPartition { topic: Arc::clone(&partition.topic), partition: partition.partition }
}

fn api_partitions(partitions: &[BrokerPartition]) -> Vec<TopicPartition> {
    partitions.iter().map(api_partition).collect()
}
