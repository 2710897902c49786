//! The consuming side of [`Broker`](crate::Broker): a member of a consumer group that hands out rows in an arena.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::BrokerError;

/// One partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
}

impl TopicPartition {
    /// Names a partition.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}-{}", self.topic, self.partition)
    }
}

/// A rule for names of topics.
#[derive(Clone)]
pub struct TopicFilter(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl TopicFilter {
    /// The topics for which `is_wanted` is true.
    pub fn new(is_wanted: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_wanted))
    }

    /// Whether a topic is one of them.
    pub fn wants(&self, topic: &str) -> bool {
        (self.0)(topic)
    }
}

impl std::fmt::Debug for TopicFilter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("TopicFilter")
    }
}

/// What a group consumer reads.
#[derive(Debug, Clone)]
pub enum Subscription {
    /// These topics.
    Topics(Vec<String>),
    /// All topics that a rule names but Kafka's own, those created later included: they are looked for at every metadata refresh.
    Matching(TopicFilter),
}

/// Bytes in a [`FetchedBatch`]'s arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first byte's index.
    pub start: u32,
    /// Length in bytes.
    pub length: u32,
}

/// Who set a record's timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampKind {
    /// There is none.
    None,
    /// The producer.
    CreateTime,
    /// The broker.
    LogAppendTime,
}

/// One record read; its bytes lie in the batch's arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchedRow {
    /// The partition's index: see [`GroupConsumer::partition`].
    pub partition: u32,
    /// The record's offset.
    pub offset: i64,
    /// Milliseconds since the epoch, or -1.
    pub timestamp: i64,
    /// Who set the timestamp.
    pub timestamp_kind: TimestampKind,
    /// The key, if there is one.
    pub key: Option<Span>,
    /// The value; `None` is a tombstone.
    pub value: Option<Span>,
    /// The first of the record's headers in the batch's `headers`.
    pub first_header: u32,
    /// How many there are.
    pub header_count: u32,
}

/// One header of a fetched record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchedHeader {
    /// The name, UTF-8 unless its producer broke the protocol.
    pub name: Span,
    /// The value.
    pub value: Option<Span>,
}

/// Rows and their bytes; reused from poll to poll. The arena is limited to 4 GiB.
#[derive(Debug, Default)]
pub struct FetchedBatch {
    /// All keys, values, header names and header values.
    pub arena: Vec<u8>,
    /// The records, in offset order within a partition.
    pub rows: Vec<FetchedRow>,
    /// The headers of all rows.
    pub headers: Vec<FetchedHeader>,
}

impl FetchedBatch {
    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.rows.clear();
        self.headers.clear();
    }

    /// The bytes of a span.
    pub fn bytes(&self, span: Span) -> &[u8] {
        &self.arena[span.start as usize..(span.start + span.length) as usize]
    }

    /// Copies bytes in.
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) -> Span {
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        Span { start, length: bytes.len() as u32 }
    }
}

/// What happened to the group membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsumerEvent {
    /// Partitions are ours once [`GroupConsumer::acknowledge_assign`] is called; possibly none.
    Assigned(Vec<TopicPartition>),
    /// Finish with these and call [`GroupConsumer::acknowledge_revoke`]; the group waits.
    Revoked(Vec<TopicPartition>),
    /// These are somebody else's already: commit nothing, then call [`GroupConsumer::acknowledge_revoke`].
    Lost(Vec<TopicPartition>),
    /// Something that the client goes on from by itself, unless it says that it is fatal.
    Error(BrokerError),
}

/// A member of a consumer group. Not shared: one owner calls it, from any thread.
///
/// No auto-commit. A rebalance is only reported; the group waits for the acknowledgement, while other partitions go on.
pub trait GroupConsumer: Send {
    /// Waits until a broker has answered; `timeout` bounds the call.
    fn connect(&mut self, timeout: Duration) -> Result<(), BrokerError>;

    /// Serves the group's events, then appends up to `max_rows` rows or about `max_bytes` bytes to `batch`.
    /// Never blocks. An event is handed out alone, before further rows.
    fn poll(
        &mut self,
        batch: &mut FetchedBatch,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<Option<ConsumerEvent>, BrokerError>;

    /// Notified when [`GroupConsumer::poll`] may have something to hand out.
    fn waker(&self) -> Arc<Notify>;

    /// Starts reading newly assigned partitions, at the given offset or else at the committed one.
    fn acknowledge_assign(&mut self, partitions: &[(TopicPartition, Option<i64>)]) -> Result<(), BrokerError>;

    /// Stops reading partitions and lets the group give them to others.
    fn acknowledge_revoke(&mut self, partitions: &[TopicPartition]) -> Result<(), BrokerError>;

    /// The partition behind a row's index. Indexes stay valid for the consumer's life.
    fn partition(&self, index: u32) -> &TopicPartition;

    /// The partitions that are being read.
    fn assignment(&self) -> Vec<TopicPartition>;

    /// Stops handing out rows of a partition; fetched ones are kept.
    fn pause(&mut self, partition: &TopicPartition);

    /// Goes on handing out rows of a partition.
    fn resume(&mut self, partition: &TopicPartition);

    /// Reads on from `offset`; rows already handed out stay handed out.
    fn seek(&mut self, partition: &TopicPartition, offset: i64, timeout: Duration) -> Result<(), BrokerError>;

    /// The offset after the last row handed out, if any was.
    fn position(&self, partition: &TopicPartition) -> Option<i64>;

    /// The group's committed offsets.
    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<(TopicPartition, Option<i64>)>, BrokerError>;

    /// Asks for the next offsets to read to be committed; does not wait. One commit at a time.
    fn start_commit(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<(), BrokerError>;

    /// Waits for the answer to [`GroupConsumer::start_commit`].
    fn finish_commit(&mut self, timeout: Duration) -> Result<(), BrokerError>;

    /// Commits the next offsets to read and waits for the answer.
    fn commit(&mut self, offsets: &[(TopicPartition, i64)], timeout: Duration) -> Result<(), BrokerError> {
        self.start_commit(offsets)?;
        self.finish_commit(timeout)
    }

    /// Records between our positions and the high watermarks last seen, summed; `None` before the first fetch.
    fn lag(&self) -> Option<u64>;

    /// Gives the partitions back and stops. A static member does not leave the group: its partitions stay reserved
    /// until it is back or its session ends. Bounded by `timeout`.
    fn close(&mut self, timeout: Duration) -> Result<(), BrokerError>;
}
