//! The sink task unit: reads as a member of the connector's consumer group, converts, puts, commits what the task says
//! is safe.

mod committing;
mod dead_letters;
mod incoming;
mod membership;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_plane_broker::{
    Broker, ClientConfig, FetchedRow, GroupConsumer, Subscription, TopicPartition as BrokerPartition,
};
use data_plane_connector_api::{
    ConnectError, ErrantRecordReporter, Outcome, SinkTask, SinkTaskContext, TopicPartition,
};
use data_plane_core::activity::{Pending, Stage};
use data_plane_record::RecordBatch;
use parking_lot::Mutex;
use tokio::sync::Notify;

use self::dead_letters::{Failures, Reporter};
use super::activity::SharedActivity;
use super::counters::TaskCounters;
use super::gate::Gate;
use super::runtime::{CONNECT_TIMEOUT, Runtime, broker_error};
use super::sink_context::{SinkContext, Wishes};
use super::unit::{Step, Unit};
use super::{Target, TaskEvent, TaskSpec, clients};
use crate::clock::now_ms;
use crate::pipeline::{ErrorCounts, Flow, Inbound};
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

/// The longest wait where topics are looked for by a rule: the consumer looks when it is polled.
const LOOK_FOR_TOPICS: Duration = Duration::from_secs(5);

/// How long a step waits for dead letters that are on their way.
const LETTER_WAIT: Duration = Duration::from_millis(20);

/// For a commit, a seek, a read of committed offsets.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Between looks at how far behind the task is, while it works.
const LOOK_AT_LAG: Duration = Duration::from_millis(500);

/// Positions shown at most.
const MAX_SHOWN: usize = 100;

/// Where one partition is.
#[derive(Debug, Clone, Copy, Default)]
struct Reached {
    /// The next offset that the task has not been given yet; `None` before the first.
    put: Option<i64>,
    committed: Option<i64>,
    /// The first offset that the task was given.
    first: Option<i64>,
}

pub(super) struct SinkUnit {
    gate: Arc<Gate>,
    activity: SharedActivity,
    broker: Arc<dyn Broker>,
    client: ClientConfig,
    subscription: Subscription,
    task: Box<dyn SinkTask>,
    context: Arc<SinkContext>,
    spec: TaskSpec,
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
    /// Rows of the fetch that are through the pipeline and whose failures, if any, have been reported.
    settled: usize,
    /// Rows of the fetch that are through the pipeline: all of them, or those before one that fails the task.
    rows: usize,
    /// Fails the task once the rows before it are put.
    fatal: Option<ConnectError>,
    reached: BTreeMap<TopicPartition, Reached>,
    next_commit: Instant,
    /// The commit waits for dead letters: nothing is fetched until it is done, or there would always be others on their way.
    is_commit_held: bool,
    is_started: bool,
    /// Partitions that the task wants to be left alone.
    paused: BTreeSet<TopicPartition>,
    /// Records behind, when last looked.
    lag: u64,
    looked: Instant,
    records: u64,
    commits: u64,
    bytes: u64,
    sampled: u64,
    /// Of failures besides what the pipeline counts, as last seen.
    counts: ErrorCounts,
}

impl SinkUnit {
    pub(super) fn new(
        runtime: &Runtime,
        (gate, activity): (Arc<Gate>, SharedActivity),
        task: Box<dyn SinkTask>,
        spec: TaskSpec,
        config: LiveConfig,
        number: u32,
    ) -> Result<Self, ConnectError> {
        let mut pipeline = Inbound::new(&runtime.plugins, &spec.settings.raw, &spec.connector_config)?;
        pipeline.set_slice(SLICE);
        let failures = Failures::new(runtime, &gate, &spec, number, (pipeline.policy(), config.masks().clone()))?;
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
            activity,
            broker: Arc::clone(&runtime.broker),
            client,
            subscription: clients::subscription(&spec.connector_config)?,
            task,
            context,
            pipeline,
            counters: runtime.counters.of(&spec.connector, number),
            consumer: None,
            consumer_wake: wake,
            max_records,
            shared,
            batch: RecordBatch::new(),
            convert_again: None,
            put_again: None,
            settled: 0,
            rows: 0,
            fatal: None,
            reached: BTreeMap::new(),
            next_commit: Instant::now() + spec.settings.offset_flush_interval,
            is_commit_held: false,
            is_started: false,
            paused: BTreeSet::new(),
            lag: 0,
            looked: Instant::now(),
            records: 0,
            commits: 0,
            bytes: 0,
            sampled: 0,
            counts: ErrorCounts::default(),
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

    /// Takes the fetched rows into the pipeline.
    fn begin(&mut self) -> Result<(), ConnectError> {
        let Some(consumer) = &self.consumer else { return Ok(()) };
        self.batch.clear();
        self.shared.incoming.lock().enter(&mut self.batch.arena, &**consumer);
        self.pipeline.begin();
        self.settled = 0;
        self.convert()
    }

    /// Brings the rows through the pipeline, reports those that failed, and puts the others.
    fn convert(&mut self) -> Result<(), ConnectError> {
        self.convert_again = None;
        let incoming = self.shared.incoming.lock();
        let run = || self.pipeline.run(&*incoming, &mut self.batch, now_ms());
        let flow = self.activity.during(Stage::Convert, run);
        self.activity.retries(Stage::Convert, flow.is_retry());
        if let Flow::Wait(pause) = flow {
            self.convert_again = Some(Instant::now() + pause);
            return Ok(());
        }
        let outcomes = self.pipeline.outcomes();
        self.rows = outcomes.len();
        let mut failures = self.shared.failures.lock();
        for (row, outcome) in outcomes.iter().enumerate().skip(self.settled) {
            let Outcome::Failed(failure) = outcome else { continue };
            let failure = failures.masked(failure);
            if failures.report(&incoming, row, &failure, Duration::ZERO)?.is_none() {
                self.activity.retries(Stage::DeadLetters, true);
                (self.settled, self.convert_again) = (row, Some(Instant::now() + LETTER_WAIT));
                return Ok(());
            }
            failures.counts.errors += 1;
            match self.pipeline.policy().judge(&failure) {
                Ok(()) => failures.counts.skipped += 1,
                Err(mut error) => {
                    error.message = format!("{} (record {})", error.message, incoming.place(row));
                    (self.fatal, self.rows) = (Some(error), row);
                    break;
                }
            }
        }
        drop((incoming, failures));
        self.activity.retries(Stage::DeadLetters, false);
        let rows = self.rows;
        self.batch.retain(|row| row < rows && outcomes[row].is_ok());
        self.put()
    }

    fn put(&mut self) -> Result<(), ConnectError> {
        if self.gate.is_closed() {
            return Err(ConnectError::retriable("the task's lease has ended"));
        }
        let put = self.activity.during(Stage::Put, || self.task.put(&self.batch));
        self.activity.retries(Stage::Put, put.is_err());
        match put {
            Ok(()) => {
                // The task may have swallowed what its reports told it.
                self.shared.failures.lock().check_tolerance()?;
                self.put_again = None;
                self.note_put();
                self.fatal.take().map_or(Ok(()), Err)
            }
            Err(error) if error.retriable => {
                let pause = self.context.wishes.lock().retry_timeout.take().unwrap_or(RETRY_TIMEOUT);
                let error = self.context.config.masks().error(error);
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
        self.shared.incoming.lock().clear();
        self.batch.clear();
        self.rows = 0;
    }

    fn note_put(&mut self) {
        let Some(consumer) = &self.consumer else { return };
        let incoming = self.shared.incoming.lock();
        let rows = &incoming.fetched.rows[..self.rows.min(incoming.fetched.rows.len())];
        for (index, row) in rows.iter().enumerate() {
            let is_alone = |other: Option<&FetchedRow>| other.is_none_or(|other| other.partition != row.partition);
            let (is_first, is_last) =
                (is_alone(index.checked_sub(1).and_then(|last| rows.get(last))), is_alone(rows.get(index + 1)));
            if !is_first && !is_last {
                continue;
            }
            if let Some(reached) = self.reached.get_mut(&api_partition(consumer.partition(row.partition))) {
                reached.first.get_or_insert(row.offset);
                reached.put = Some(row.offset + 1);
            }
        }
        self.records += rows.len() as u64;
        self.bytes += incoming.fetched.arena.len() as u64;
    }

    fn grant_wishes(&mut self) -> Result<(), ConnectError> {
        let (offsets, pauses, wants_commit) = {
            let mut wishes = self.context.wishes.lock();
            let wants_commit = std::mem::take(&mut wishes.wants_commit);
            (std::mem::take(&mut wishes.offsets), std::mem::take(&mut wishes.pauses), wants_commit)
        };
        for (name, offset) in offsets {
            let Some(reached) = self.reached.get_mut(&name) else { continue };
            reached.put = Some(offset);
            self.seek(&BrokerPartition::new(name.topic, name.partition), offset)?;
        }
        for (name, is_pause) in pauses {
            let partition = BrokerPartition::new(Arc::clone(&name.topic), name.partition);
            match is_pause {
                true => drop(self.paused.insert(name)),
                false => drop(self.paused.remove(&name)),
            }
            let consumer = self.consumer()?;
            if is_pause { consumer.pause(&partition) } else { consumer.resume(&partition) }
        }
        if wants_commit {
            self.next_commit = Instant::now();
        }
        Ok(())
    }

    /// What is there to be read waits, unless the task wants it so. What the task holds back from its commits is its own affair.
    fn note_progress(&mut self, is_resting: bool) {
        // Nobody looks again while the task rests: what was behind before may have been read since.
        if self.looked.elapsed() >= LOOK_AT_LAG || (is_resting && self.lag > 0) {
            self.looked = Instant::now();
            self.lag = self.consumer.as_ref().and_then(|consumer| consumer.lag()).unwrap_or(0);
        }
        // Behind the last record of a partition there may be the mark of a transaction, which nobody is given.
        let is_waiting = self.lag > self.reached.len() as u64 && self.paused.is_empty();
        self.activity.note(self.records + self.commits, is_waiting.then_some(Pending::Input(self.lag)));
    }

    fn work_for_a_slice(&mut self, target: Target) -> Result<Step, ConnectError> {
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
                self.commit(None, LETTER_WAIT)?;
            }
            let longest = match self.subscription {
                Subscription::Topics(_) => LONGEST_WAIT,
                Subscription::Matching(_) => LOOK_FOR_TOPICS,
            };
            let until_commit = self.next_commit.saturating_duration_since(now).min(longest);
            if let Some(moment) = waits_until {
                let is_due = is_running && now >= moment;
                match (self.poll(0)?, self.put_again, self.convert_again) {
                    (true, _, _) | (_, None, None) => {}
                    (false, Some(_), _) if is_due => self.put()?,
                    (false, None, Some(_)) if is_due => self.convert()?,
                    _ => {
                        let left = moment.saturating_duration_since(now);
                        return Ok(Step::Wait(if is_running { left.min(until_commit) } else { until_commit }));
                    }
                }
            } else {
                self.clear();
                if !self.poll(if is_running && !self.is_commit_held { self.max_records } else { 0 })? {
                    return Ok(Step::Wait(until_commit));
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
}

impl Unit for SinkUnit {
    fn start(&mut self) -> Result<(), ConnectError> {
        self.is_started = true;
        let context = Arc::clone(&self.context) as Arc<dyn SinkTaskContext>;
        self.activity.during(Stage::Start, || self.task.start(context, &self.spec.task_config))?;
        let _connecting = self.activity.enter(Stage::Connect);
        let failed = |error| broker_error("Making the task's consumer failed", &error);
        let mut consumer = self.broker.group_consumer(&self.client, &self.subscription).map_err(failed)?;
        consumer.connect(CONNECT_TIMEOUT).map_err(failed)?;
        self.consumer_wake = consumer.waker();
        self.consumer = Some(consumer);
        Ok(())
    }

    fn step(&mut self, target: Target) -> Result<Step, ConnectError> {
        let step = self.work_for_a_slice(target);
        self.note_progress(matches!(step, Ok(Step::Wait(_))));
        step
    }

    fn stop(&mut self, deadline: Instant) {
        if let Err(error) = self.finish(deadline) {
            let error = self.context.config.masks().error(error);
            tracing::warn!(connector = %self.spec.connector, %error, "finishing a sink task failed");
        }
        if self.is_started {
            self.activity.during(Stage::Stop, || self.task.stop());
        }
    }

    fn take_events(&mut self, _: &mut Vec<TaskEvent>) {}

    fn progress(&mut self) -> Option<TaskEvent> {
        // Held while a report waits for room: samples do not wait.
        if let Some(failures) = self.shared.failures.try_lock() {
            self.counts = failures.counts;
        }
        self.counters.set(self.records, &self.pipeline.counts.with(&self.counts));
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
