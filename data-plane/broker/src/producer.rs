//! The producing side of [`Broker`](crate::Broker): rows in, delivery reports out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::BrokerError;

/// A topic that a producer has looked up once; valid for that producer only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicHandle(pub(crate) u32);

impl TopicHandle {
    /// The handle's number: 0 for the first topic that the producer was asked for.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One record to produce. Everything is copied before [`Producer::produce`] returns.
#[derive(Debug, Clone, Copy)]
pub struct ProduceRow<'a> {
    /// Where to.
    pub topic: TopicHandle,
    /// The partition, or `None` for Kafka's own choice: murmur2 of the key, spread when there is no key.
    pub partition: Option<i32>,
    /// Milliseconds since the epoch, or `None` for now.
    pub timestamp: Option<i64>,
    /// The key's bytes.
    pub key: Option<&'a [u8]>,
    /// The value's bytes; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Header names and values, in order.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
    /// Comes back in the delivery report.
    pub opaque: u64,
}

/// Where a record was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// The partition.
    pub partition: i32,
    /// The offset; negative where the acks setting gives none.
    pub offset: i64,
}

/// The fate of one produced record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The row's opaque.
    pub opaque: u64,
    /// Durable as the acks setting says, or lost for good: the client has retried already.
    pub result: Result<Delivered, Box<BrokerError>>,
}

/// Why a row was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// The client's buffer is full: poll, then offer the same row again.
    #[error("the producer's buffer is full")]
    QueueFull,
    /// The row, or the producer, is unusable.
    #[error(transparent)]
    Failed(#[from] BrokerError),
}

/// A producer. Not shared: one owner calls it, from any thread.
pub trait Producer: Send {
    /// Waits until a broker has answered; `timeout` bounds the call.
    fn connect(&mut self, timeout: Duration) -> Result<(), BrokerError>;

    /// Looks a topic up, or remembers it. Handles are few: one a topic.
    fn topic(&mut self, name: &str) -> Result<TopicHandle, BrokerError>;

    /// Takes one record; never blocks.
    fn produce(&mut self, row: &ProduceRow<'_>) -> Result<(), ProduceError>;

    /// Appends the delivery reports that have come in to `out`, waiting up to `timeout` for the first.
    ///
    /// # Errors
    /// When the producer is unusable for good.
    fn poll(&mut self, timeout: Duration, out: &mut Vec<Delivery>) -> Result<(), BrokerError>;

    /// Records taken whose delivery report was not handed out yet.
    fn in_flight(&self) -> usize;

    /// Waits until nothing is in flight or `timeout` is over; reports go to `out`. Gives whether all is delivered.
    fn flush(&mut self, timeout: Duration, out: &mut Vec<Delivery>) -> Result<bool, BrokerError>;

    /// Throws away what was taken but not yet sent, and stops waiting for what was sent; each gets a failed report.
    fn purge(&mut self);

    /// Notified when [`Producer::poll`] may have something to hand out.
    fn waker(&self) -> Arc<Notify>;
}
