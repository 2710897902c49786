//! [`GroupConsumer`] on librdkafka: rebalances as events, one split queue per partition.
//!
//! librdkafka bounds its prefetch per queue, so a split consumer may hold `queued.max.messages.kbytes` for each of its
//! partitions.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t as Code;
use tokio::sync::Notify;

use super::headers::each_header;
use super::native::{Client, PartitionList, Queue, bytes, c_string, check, error, millis, take_error};
use crate::client_config::ClientKind;
use crate::{
    BrokerError, ClientConfig, ConsumerEvent, FetchedBatch, FetchedHeader, FetchedRow, GroupConsumer, Subscription,
    TimestampKind, TopicFilter, TopicPartition,
};

/// What Connect imposes, and limits.
const DEFAULTS: &[(&str, &str)] = &[
    ("auto.offset.reset", "earliest"),
    // As Java's consumer, and so Connect's, unless told otherwise.
    ("isolation.level", "read_uncommitted"),
    ("queued.max.messages.kbytes", "16384"),
    ("queued.min.messages", "50000"),
    // By default a partition whose prefetch is full is left alone for a whole second, however fast it is drained.
    ("fetch.queue.backoff.ms", "5"),
    ("fetch.wait.max.ms", "500"),
    ("fetch.error.backoff.ms", "100"),
    // As Java's consumer does: a topic that is subscribed to and not there yet is created, where the broker allows it.
    ("allow.auto.create.topics", "true"),
    // Topics that come later, and partitions that are added, are found this soon; Java looks every five minutes.
    ("topic.metadata.refresh.interval.ms", "5000"),
    ("socket.nagle.disable", "true"),
];

/// Where the brokers do not decide it (KIP-848 `group.protocol=consumer`).
const CLASSIC_DEFAULTS: &[(&str, &str)] = &[
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "1500"),
];

const FORCED: &[(&str, &str)] = &[("enable.auto.commit", "false"), ("enable.auto.offset.store", "false")];

/// Between looks for topics that a rule names, unless `metadata.max.age.ms` says otherwise; and at least.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(100);

/// How long one look may hold up a poll.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);

/// Kafka's own topics, which no rule names, as with Java's `exclude.internal.topics`.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// Messages taken from a queue at a time.
const CHUNK: usize = 1024;

/// A partition that is or was ours.
struct Slot {
    partition: TopicPartition,
    queue: Option<Queue>,
    paused: bool,
    position: Option<i64>,
}

pub(super) struct KafkaConsumer {
    slots: Vec<Slot>,
    by_partition: BTreeMap<TopicPartition, u32>,
    next_slot: usize,
    messages: Vec<*mut sys::rd_kafka_message_t>,
    commit_answers: Option<Queue>,
    queue: Queue,
    client: Client,
    waker: Arc<Notify>,
    search: Option<Search>,
}

/// A rule for topics, and what it has found.
struct Search {
    filter: TopicFilter,
    found: Vec<String>,
    every: Duration,
    next: Instant,
}

impl Search {
    fn new(filter: TopicFilter, config: &ClientConfig) -> Self {
        let every = config.get("metadata.max.age.ms").and_then(|millis| millis.trim().parse().ok());
        let every = every.map_or(LOOK_EVERY, Duration::from_millis).max(LOOK_AT_MOST_EVERY);
        Self { filter, found: Vec::new(), every, next: Instant::now() }
    }
}

fn subscribe(client: &Client, topics: &[String]) -> Result<(), BrokerError> {
    let list = PartitionList::new(topics.iter().map(|name| (name.as_str(), -1, 0)))?;
    // SAFETY: both are live; the list is copied.
    check("subscribing", unsafe { sys::rd_kafka_subscribe(client.handle(), list.0) })
}

// SAFETY: `messages` is empty between calls; everything else is Send by itself.
unsafe impl Send for KafkaConsumer {}

impl KafkaConsumer {
    pub(super) fn new(config: &ClientConfig, subscription: &Subscription) -> Result<Self, BrokerError> {
        if config.get("group.id").is_none_or(|group| group.trim().is_empty()) {
            return Err(BrokerError::Config { key: "group.id".to_owned(), reason: "is missing".to_owned() });
        }
        let protocol = config.get("group.protocol").map_or("", str::trim);
        let defaults = match protocol.eq_ignore_ascii_case("consumer") {
            true => DEFAULTS.to_vec(),
            false => [DEFAULTS, CLASSIC_DEFAULTS].concat(),
        };
        let client = Client::new(config, ClientKind::Consumer, &defaults, FORCED, sys::RD_KAFKA_EVENT_REBALANCE)?;
        // SAFETY: the client is live; its main queue is served through the consumer queue from here on.
        let queue = unsafe {
            check("opening a consumer", sys::rd_kafka_poll_set_consumer(client.handle()))?;
            Queue(sys::rd_kafka_queue_get_consumer(client.handle()))
        };
        let waker = Arc::new(Notify::new());
        queue.notify(&waker);
        let search = match subscription {
            Subscription::Topics(topics) => {
                subscribe(&client, topics)?;
                None
            }
            Subscription::Matching(filter) => Some(Search::new(filter.clone(), config)),
        };
        Ok(Self {
            search,
            slots: Vec::new(),
            by_partition: BTreeMap::new(),
            next_slot: 0,
            messages: vec![std::ptr::null_mut(); CHUNK],
            commit_answers: None,
            queue,
            client,
            waker,
        })
    }

    /// Looks for topics that a rule names, when it is time to.
    fn look(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        let Some(search) = self.search.as_mut().filter(|search| Instant::now() >= search.next) else { return Ok(()) };
        search.next = Instant::now() + search.every;
        let names = match self.client.topic_names(timeout) {
            Ok(names) => names,
            Err(code) => {
                let problem = error("looking for topics", code);
                tracing::info!(%problem, "topics are looked for again");
                return Ok(());
            }
        };
        let mut wanted: Vec<String> =
            names.into_iter().filter(|name| !INTERNAL.contains(&name.as_str()) && search.filter.wants(name)).collect();
        wanted.sort_unstable();
        if wanted != search.found && !wanted.is_empty() {
            subscribe(&self.client, &wanted)?;
            search.found = wanted;
        }
        Ok(())
    }

    fn slot(&self, partition: &TopicPartition) -> Option<&Slot> {
        self.by_partition.get(partition).map(|index| &self.slots[*index as usize])
    }

    fn slot_mut(&mut self, partition: &TopicPartition) -> &mut Slot {
        let slots = &mut self.slots;
        let index = *self.by_partition.entry(partition.clone()).or_insert_with(|| {
            slots.push(Slot { partition: partition.clone(), queue: None, paused: false, position: None });
            slots.len() as u32 - 1
        });
        &mut self.slots[index as usize]
    }

    /// Takes the partition's queue out of the common one, before its fetcher starts.
    fn split(&mut self, partition: &TopicPartition) -> Result<(), BrokerError> {
        let topic = c_string("topic", &partition.topic)?;
        // SAFETY: the client is live; forwarding to null makes the queue serve itself.
        let queue = unsafe {
            let queue = sys::rd_kafka_queue_get_partition(self.client.handle(), topic.as_ptr(), partition.partition);
            sys::rd_kafka_queue_forward(queue, std::ptr::null_mut());
            Queue(queue)
        };
        queue.notify(&self.waker);
        let slot = self.slot_mut(partition);
        slot.queue = Some(queue);
        slot.paused = false;
        slot.position = None;
        Ok(())
    }

    fn is_cooperative(&self) -> bool {
        // SAFETY: the client is live; gives a static string.
        let protocol = unsafe { sys::rd_kafka_rebalance_protocol(self.client.handle()) };
        // SAFETY: as above.
        !protocol.is_null() && unsafe { CStr::from_ptr(protocol) }.to_bytes() == b"COOPERATIVE"
    }

    fn next_event(&mut self) -> Option<ConsumerEvent> {
        while let Some(event) = self.queue.poll(Duration::ZERO) {
            match event.kind() {
                sys::RD_KAFKA_EVENT_REBALANCE => {
                    let partitions = event.partitions();
                    // SAFETY: the client is live.
                    let is_lost = unsafe { sys::rd_kafka_assignment_lost(self.client.handle()) } != 0;
                    return Some(match event.code() {
                        Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => ConsumerEvent::Assigned(partitions),
                        _ if is_lost => ConsumerEvent::Lost(partitions),
                        _ => ConsumerEvent::Revoked(partitions),
                    });
                }
                sys::RD_KAFKA_EVENT_ERROR => {
                    if let Err(problem) = event.result("consuming") {
                        return Some(ConsumerEvent::Error(problem));
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn drain(
        &mut self,
        slot: usize,
        batch: &mut FetchedBatch,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<(), BrokerError> {
        let entry = &mut self.slots[slot];
        let Some(queue) = entry.queue.as_ref() else { return Ok(()) };
        while batch.rows.len() < max_rows && batch.arena.len() < max_bytes {
            let wanted = (max_rows - batch.rows.len()).min(CHUNK);
            // SAFETY: the buffer holds CHUNK pointers; `count` of them are written.
            let count = unsafe { sys::rd_kafka_consume_batch_queue(queue.0, 0, self.messages.as_mut_ptr(), wanted) };
            let mut problem = None;
            for message in &mut self.messages[..count.max(0) as usize] {
                // SAFETY: a message handed out is valid until destroyed, once, here.
                unsafe {
                    match (**message).err {
                        Code::RD_KAFKA_RESP_ERR_NO_ERROR => {
                            entry.position = Some((**message).offset + 1);
                            push_row(batch, slot as u32, *message);
                        }
                        code => problem = Some(error("consuming", code)),
                    }
                    sys::rd_kafka_message_destroy(*message);
                }
                *message = std::ptr::null_mut();
            }
            if let Some(problem) = problem {
                tracing::warn!(partition = %entry.partition, %problem, "a fetch failed");
                if !problem.retriable() {
                    return Err(problem);
                }
            }
            if count < wanted as isize {
                break;
            }
        }
        Ok(())
    }

    fn list(partitions: &[TopicPartition]) -> Result<PartitionList, BrokerError> {
        let offset = i64::from(sys::RD_KAFKA_OFFSET_INVALID);
        PartitionList::new(partitions.iter().map(|entry| (&*entry.topic, entry.partition, offset)))
    }
}

impl GroupConsumer for KafkaConsumer {
    fn connect(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.client.reach(timeout)?;
        self.look(timeout)
    }

    fn poll(
        &mut self,
        batch: &mut FetchedBatch,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<Option<ConsumerEvent>, BrokerError> {
        self.look(LOOK_TIMEOUT)?;
        if let Some(event) = self.next_event() {
            return Ok(Some(event));
        }
        let count = self.slots.len();
        for step in 0..count {
            if batch.rows.len() >= max_rows || batch.arena.len() >= max_bytes {
                break;
            }
            let slot = (self.next_slot + step) % count;
            if !self.slots[slot].paused {
                self.drain(slot, batch, max_rows, max_bytes)?;
            }
        }
        self.next_slot = self.next_slot.wrapping_add(1) % count.max(1);
        Ok(None)
    }

    fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.waker)
    }

    fn acknowledge_assign(&mut self, partitions: &[(TopicPartition, Option<i64>)]) -> Result<(), BrokerError> {
        for (partition, _) in partitions {
            self.split(partition)?;
        }
        let invalid = i64::from(sys::RD_KAFKA_OFFSET_INVALID);
        let list = PartitionList::new(
            partitions.iter().map(|(entry, offset)| (&*entry.topic, entry.partition, offset.unwrap_or(invalid))),
        )?;
        // SAFETY: both are live; the list is copied.
        unsafe {
            match self.is_cooperative() {
                true => take_error("taking partitions", sys::rd_kafka_incremental_assign(self.client.handle(), list.0)),
                false => check("taking partitions", sys::rd_kafka_assign(self.client.handle(), list.0)),
            }
        }
    }

    fn acknowledge_revoke(&mut self, partitions: &[TopicPartition]) -> Result<(), BrokerError> {
        let list = Self::list(partitions)?;
        // SAFETY: both are live; the list is copied.
        let result = unsafe {
            match self.is_cooperative() {
                true => take_error(
                    "giving partitions back",
                    sys::rd_kafka_incremental_unassign(self.client.handle(), list.0),
                ),
                false => check("giving partitions back", sys::rd_kafka_assign(self.client.handle(), std::ptr::null())),
            }
        };
        for partition in partitions {
            let slot = self.slot_mut(partition);
            slot.queue = None;
            slot.position = None;
        }
        result
    }

    fn partition(&self, index: u32) -> &TopicPartition {
        &self.slots[index as usize].partition
    }

    fn assignment(&self) -> Vec<TopicPartition> {
        self.slots.iter().filter(|slot| slot.queue.is_some()).map(|slot| slot.partition.clone()).collect()
    }

    fn pause(&mut self, partition: &TopicPartition) {
        self.slot_mut(partition).paused = true;
    }

    fn resume(&mut self, partition: &TopicPartition) {
        self.slot_mut(partition).paused = false;
        self.waker.notify_one();
    }

    fn seek(&mut self, partition: &TopicPartition, offset: i64, timeout: Duration) -> Result<(), BrokerError> {
        let list = PartitionList::new([(&*partition.topic, partition.partition, offset)].into_iter())?;
        // SAFETY: both are live; per-partition results are written into the list.
        take_error("seeking", unsafe { sys::rd_kafka_seek_partitions(self.client.handle(), list.0, millis(timeout)) })?;
        check("seeking", list.entries()[0].err)?;
        self.slot_mut(partition).position = Some(offset);
        Ok(())
    }

    fn position(&self, partition: &TopicPartition) -> Option<i64> {
        self.slot(partition).and_then(|slot| slot.position)
    }

    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<(TopicPartition, Option<i64>)>, BrokerError> {
        let list = Self::list(partitions)?;
        // SAFETY: both are live; offsets are written into the list.
        check("reading committed offsets", unsafe {
            sys::rd_kafka_committed(self.client.handle(), list.0, millis(timeout))
        })?;
        let offsets = list.entries().iter().map(|entry| (entry.offset >= 0).then_some(entry.offset));
        Ok(partitions.iter().cloned().zip(offsets).collect())
    }

    fn start_commit(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<(), BrokerError> {
        self.commit_answers = None;
        if offsets.is_empty() {
            return Ok(());
        }
        let list = PartitionList::new(offsets.iter().map(|(entry, offset)| (&*entry.topic, entry.partition, *offset)))?;
        let answers = self.client.new_queue();
        // SAFETY: all are live; the list is copied; no callback, so the answer is an event on `answers`.
        check("committing offsets", unsafe {
            sys::rd_kafka_commit_queue(self.client.handle(), list.0, answers.0, None, std::ptr::null_mut())
        })?;
        self.commit_answers = Some(answers);
        Ok(())
    }

    fn finish_commit(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        let Some(answers) = self.commit_answers.take() else { return Ok(()) };
        match answers.poll(timeout) {
            Some(answer) => answer.result("committing offsets"),
            None => Err(error("committing offsets", Code::RD_KAFKA_RESP_ERR__TIMED_OUT)),
        }
    }

    fn lag(&self) -> Option<u64> {
        let mut total = None;
        for slot in self.slots.iter().filter(|slot| slot.queue.is_some()) {
            let (Some(position), Ok(topic)) = (slot.position, c_string("topic", &slot.partition.topic)) else {
                continue;
            };
            let (mut low, mut high) = (0, 0);
            // SAFETY: the client is live; cached values are written.
            let code = unsafe {
                sys::rd_kafka_get_watermark_offsets(
                    self.client.handle(),
                    topic.as_ptr(),
                    slot.partition.partition,
                    &mut low,
                    &mut high,
                )
            };
            if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0 {
                total = Some(total.unwrap_or(0) + high.saturating_sub(position).max(0) as u64);
            }
        }
        total
    }

    fn close(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        let deadline = Instant::now() + timeout;
        // SAFETY: the client is live; closing goes on in the background and reports on our own queue.
        take_error("closing a consumer", unsafe {
            sys::rd_kafka_consumer_close_queue(self.client.handle(), self.queue.0)
        })?;
        // SAFETY: the client is live.
        while unsafe { sys::rd_kafka_consumer_closed(self.client.handle()) } == 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(error("closing a consumer", Code::RD_KAFKA_RESP_ERR__TIMED_OUT));
            }
            let Some(event) = self.queue.poll(left.min(Duration::from_millis(20))) else { continue };
            if event.kind() == sys::RD_KAFKA_EVENT_REBALANCE {
                match event.code() {
                    Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {}
                    _ => self.acknowledge_revoke(&event.partitions())?,
                }
            }
        }
        Ok(())
    }
}

/// Copies a message into the batch.
///
/// # Safety
/// `message` is a live message.
unsafe fn push_row(batch: &mut FetchedBatch, partition: u32, message: *mut sys::rd_kafka_message_t) {
    let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: the caller's promise; keys and payloads belong to the message.
    let (timestamp, key, value, offset) = unsafe {
        (
            sys::rd_kafka_message_timestamp(message, &mut kind),
            bytes((*message).key, (*message).key_len),
            bytes((*message).payload, (*message).len),
            (*message).offset,
        )
    };
    let key = key.map(|key| batch.push_bytes(key));
    let value = value.map(|value| batch.push_bytes(value));
    let first_header = batch.headers.len() as u32;
    each_header(message, |name, value| {
        let name = batch.push_bytes(name);
        let value = value.map(|value| batch.push_bytes(value));
        batch.headers.push(FetchedHeader { name, value });
    });
    let timestamp_kind = match kind {
        sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME => TimestampKind::CreateTime,
        sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => TimestampKind::LogAppendTime,
        _ => TimestampKind::None,
    };
    let header_count = batch.headers.len() as u32 - first_header;
    batch.rows.push(FetchedRow {
        partition,
        offset,
        timestamp,
        timestamp_kind,
        key,
        value,
        first_header,
        header_count,
    });
}
