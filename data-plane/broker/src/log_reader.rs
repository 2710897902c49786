//! Reading a compacted topic whole, and staying at its end.

use std::time::Instant;

use crate::BrokerError;

/// One record of the log; borrowed for the time of the call.
#[derive(Debug, Clone, Copy)]
pub struct LogRecord<'a> {
    /// The partition it came from.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The key's bytes.
    pub key: Option<&'a [u8]>,
    /// The value's bytes; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Names and values, in order.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// What a reader does with each record.
pub type OnLogRecord = Box<dyn FnMut(LogRecord<'_>) + Send>;

/// A reader that follows the end of a topic until it is dropped.
pub trait LogReader: Send + Sync {
    /// How many partitions the topic has.
    fn partition_count(&self) -> i32;

    /// Waits until everything written before this call has been handed to the callback.
    ///
    /// # Errors
    /// When `deadline` passes first, or the reader has failed for good.
    fn read_to_end(&self, deadline: Instant) -> Result<(), BrokerError>;
}
