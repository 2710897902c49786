//! The source task unit: poll, convert, produce; commit the offsets of what is durable.

mod committing;
mod dead_letters;
mod partitions;
mod producing;
mod sending;
mod settling;
mod topics;

pub(crate) use self::topics::problem as topic_creation_problem;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_plane_broker::{Delivery, Producer, TopicHandle};
use data_plane_connector_api::{ConnectError, OffsetReader, Poll, SourceTask, SourceTaskContext, SourceTaskControl};
use data_plane_core::acks::{Acks, Ticket};
use data_plane_core::activity::{Pending, Stage};
use data_plane_core::backoff::{Backoff, BackoffPolicy};
use data_plane_record::RecordBatch;
use tokio::sync::Notify;

use self::committing::Committing;
use self::dead_letters::SourceDeadLetters;
use self::partitions::{Mark, SourcePartitions};
use self::sending::Sending;
use self::topics::TopicCreation;
use super::activity::SharedActivity;
use super::counters::TaskCounters;
use super::gate::Gate;
use super::offset_store::{OffsetStore, READ_TIMEOUT, StoreReader, later_epoch};
use super::runtime::{CONNECT_TIMEOUT, Runtime, broker_error};
use super::source_context::SourceContext;
use super::unit::{Interrupt, Step, Unit};
use super::{Target, TaskEvent, TaskSpec, clients};
use crate::clock::now_ms;
use crate::pipeline::{Flow, Outbound};
use crate::secrets::LiveConfig;

/// How long one step works before the driver looks for orders.
const SLICE: Duration = Duration::from_millis(50);

/// How long a step waits for room in the producer's buffer.
const FULL_WAIT: Duration = Duration::from_millis(20);

/// The longest wait between two steps.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Before a topic that could not be found or created is looked for again.
const TOPIC_RETRY: Duration = Duration::from_millis(500);

/// Rows that were left out may wait behind one that is not durable yet, before no more is polled.
const MAX_BEHIND: usize = 1_000_000;

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
    activity: SharedActivity,
    task: Box<dyn SourceTask>,
    control: Arc<dyn SourceTaskControl>,
    wants_record_acks: bool,
    context: Arc<SourceContext>,
    /// As the task has it.
    reader: Arc<StoreReader>,
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
    /// Rows whose outcome is durable without being produced, and the task has not been told.
    left_out: Vec<Ticket>,
    /// How many there were since nothing was in flight.
    behind: usize,
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
    /// Found where the offsets are stored, and still to be told.
    later_epoch: Option<(u32, u64)>,
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
        (gate, activity): (Arc<Gate>, SharedActivity),
        task: Box<dyn SourceTask>,
        spec: TaskSpec,
        config: LiveConfig,
        number: u32,
        store: Arc<dyn OffsetStore>,
    ) -> Result<Self, ConnectError> {
        let mut pipeline = Outbound::new(&runtime.plugins, &spec.settings.raw, &spec.connector_config)?;
        pipeline.set_slice(SLICE);
        let creation = TopicCreation::new(runtime, &spec, number)?;
        let client = clients::producer(&spec.settings, &spec.connector, number, &spec.connector_config);
        let failed = |error| broker_error("Making the task's producer failed", &error);
        let mut producer = runtime.broker.producer(&client).map_err(failed)?;
        producer.connect(CONNECT_TIMEOUT).map_err(failed)?;
        let dead_letters = SourceDeadLetters::new(runtime, &spec, number, &mut *producer)?;
        let reader = Arc::new(StoreReader::new(&spec.connector, Arc::clone(&store)));
        let context = Arc::new(SourceContext {
            config,
            reader: Arc::clone(&reader) as Arc<dyn OffsetReader>,
            wake: Arc::new(Notify::new()),
        });
        Ok(Self {
            gate,
            activity,
            control: task.control(),
            wants_record_acks: task.wants_record_acks(),
            task,
            context,
            reader,
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
            left_out: Vec::new(),
            behind: 0,
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
            later_epoch: None,
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
            self.activity.retries(Stage::Poll, true);
            let pause = self.poll_backoff.after_failure(self.polled_well_since.elapsed());
            let error = self.context.config.masks().error(error);
            tracing::warn!(connector = %self.spec.connector, %error, ?pause, "poll failed; it is called again");
            self.polled_well_since = Instant::now() + pause;
            return Ok(self.rest(pause));
        }
        if self.is_finished {
            return Ok(Work::Idle(LONGEST_WAIT));
        }
        if !self.has_room() {
            return Ok(Work::Full);
        }
        let polled = self.activity.during(Stage::Poll, || self.task.poll(&mut self.batch));
        if polled.is_ok() {
            self.activity.retries(Stage::Poll, false);
        }
        self.refuse_later(self.reader.highest_epoch())?;
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

    /// An error where this epoch of an offset of the task's is later than the task's own; it is told once.
    fn refuse_later(&mut self, found: Option<(u32, u64)>) -> Result<(), ConnectError> {
        match found.filter(|found| *found > self.spec.epoch) {
            None => Ok(()),
            Some(later) => {
                self.later_epoch = Some(later);
                Err(later_epoch(later, &self.spec.connector))
            }
        }
    }

    /// Whether what is kept until it is durable is few enough for another batch.
    fn has_room(&mut self) -> bool {
        if self.acks.unfinished() == 0 {
            self.behind = 0;
        }
        self.behind < MAX_BEHIND && self.dead_letters.has_room()
    }

    /// Leaves the task alone for a while.
    fn rest(&mut self, pause: Duration) -> Work {
        self.not_before = Some(Instant::now() + pause);
        Work::Idle(pause)
    }

    /// Brings the batch on its way to the producer; `None` when all of it is there.
    fn hand_over(&mut self) -> Result<Option<Work>, ConnectError> {
        if self.stage == BatchStage::Pipeline {
            let run = || self.pipeline.run(&mut self.batch, now_ms());
            let flow = self.activity.during(Stage::Convert, run);
            self.activity.retries(Stage::Convert, flow.is_retry());
            if let Flow::Wait(pause) = flow {
                return Ok(Some(self.rest(pause)));
            }
            self.stage = BatchStage::Converted;
        }
        if self.stage == BatchStage::Converted {
            let Self { sending, batch, pipeline, producer, creation, partitions, acks, activity, .. } = self;
            let outcomes = (pipeline.outcomes(), pipeline.rows().len());
            let until = Instant::now() + SLICE;
            let begin = || sending.begin(batch, outcomes, &mut **producer, creation, (partitions, acks), until);
            let begun = activity.during(Stage::Topics, begin);
            activity.retries(Stage::Topics, begun.is_err());
            match begun {
                Ok(true) => self.stage = BatchStage::Sending,
                Ok(false) => return Ok(Some(Work::More)),
                Err(error) if error.retriable => {
                    tracing::warn!(connector = %self.spec.connector, %error, "the topic is looked for again");
                    return Ok(Some(self.rest(TOPIC_RETRY)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(if self.produce()? { None } else { Some(Work::Full) })
    }

    /// How long to leave the task alone: not past the next commit, if there will be something to commit.
    fn wait(&self, wanted: Duration) -> Step {
        if self.dead_letters.is_waiting() {
            return Step::Again;
        }
        let has_uncommitted = self.acks.has_advanced() && !self.committing.is_under_way();
        let until_commit = self.committing.due().saturating_duration_since(Instant::now());
        let wait = if has_uncommitted { wanted.min(until_commit) } else { wanted };
        Step::Wait(wait.min(LONGEST_WAIT))
    }

    fn note_progress(&self) {
        let (records, offsets) = (self.acks.unfinished() as u64, self.committing.under_way() as u64);
        let pending = match (records, offsets) {
            (0, 0) => None,
            (0, offsets) => Some(Pending::Offsets(offsets)),
            (records, _) => Some(Pending::Records(records)),
        };
        self.activity.note(self.acks.finished() + self.committing.count() as u64, pending);
    }

    fn work_for_a_slice(&mut self, target: Target) -> Result<Step, ConnectError> {
        let end = Instant::now() + SLICE;
        self.take_deliveries(Duration::ZERO)?;
        loop {
            if !self.send_letters()? {
                self.take_deliveries(FULL_WAIT)?;
                if Instant::now() >= end {
                    return Ok(Step::Again);
                }
                continue;
            }
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
}

impl Unit for SourceUnit {
    fn start(&mut self) -> Result<(), ConnectError> {
        let deadline = Instant::now() + READ_TIMEOUT;
        self.activity.during(Stage::ReadOffsets, || self.store.read_to_end(deadline))?;
        let context = Arc::clone(&self.context) as Arc<dyn SourceTaskContext>;
        let started = self.activity.during(Stage::Start, || self.task.start(context, &self.spec.task_config));
        self.refuse_later(self.reader.highest_epoch())?;
        started
    }

    fn step(&mut self, target: Target) -> Result<Step, ConnectError> {
        let step = self.work_for_a_slice(target);
        self.note_progress();
        step
    }

    fn stop(&mut self, deadline: Instant) {
        self.activity.during(Stage::Stop, || self.control.stop());
        let activity = self.activity.clone();
        if let Err(error) = activity.during(Stage::Drain, || self.finish(deadline)) {
            let error = self.context.config.masks().error(error);
            tracing::warn!(connector = %self.spec.connector, %error, "finishing a source task failed");
        }
        self.activity.during(Stage::Stop, || self.task.stop());
    }

    fn take_events(&mut self, events: &mut Vec<TaskEvent>) {
        events.extend(self.later_epoch.take().map(TaskEvent::LaterEpoch));
    }

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
