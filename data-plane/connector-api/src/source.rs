//! A source task: fills batches when polled; is controlled through a handle apart.

use std::sync::Arc;
use std::time::Duration;

use data_plane_record::{RecordBatch, SourceOffset, SourcePartition};

use crate::config_def::Config;
use crate::connector::{OffsetReader, PluginMetrics};
use crate::error::ConnectError;

/// How much one poll should append: it stops soon after either is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Records.
    pub records: usize,
    /// Bytes of the arena.
    pub bytes: usize,
}

/// What a poll found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Records were appended; poll again at once.
    Records,
    /// Nothing now; poll again after this time, or when [`SourceTaskContext::wake`] was called.
    Idle {
        /// How long to leave it alone.
        retry_after: Duration,
    },
    /// There will never be more records; the task stays as it is until it is stopped.
    Finished,
}

/// Marks of transactions that the task defines itself (`transaction.boundary=connector`, KIP-618).
/// Rows are counted in the batch that the running poll fills.
pub trait TransactionContext: Send + Sync {
    /// Commits after the last row of this poll.
    fn commit_after_batch(&self);
    /// Commits after a row.
    fn commit_after_row(&self, row: usize);
    /// Aborts what precedes and all rows of this poll.
    fn abort_after_batch(&self);
    /// Aborts what precedes, up to and with a row.
    fn abort_after_row(&self, row: usize);
}

/// What a source task may ask of its runtime.
pub trait SourceTaskContext: Send + Sync {
    /// The task's config, with config providers resolved anew.
    fn config(&self) -> Config;
    /// Reader of the connector's offsets.
    fn offset_reader(&self) -> Arc<dyn OffsetReader>;
    /// Present when the task defines transactions itself.
    fn transaction_context(&self) -> Option<Arc<dyn TransactionContext>>;
    /// How much a poll should append.
    fn limits(&self) -> BatchLimits;
    /// Ends an idle wait: the task has records. Callable from any thread.
    fn wake(&self);
    /// The plugin's metrics.
    fn metrics(&self) -> Arc<dyn PluginMetrics>;
}

/// Where Kafka put a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducedTo {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Offset; -1 if the broker does not say (acks=0).
    pub offset: i64,
}

/// A record whose outcome is durable. Names the record as the task made it, before transforms.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordAck {
    /// Its source partition.
    pub partition: Option<Arc<SourcePartition>>,
    /// Its source offset.
    pub offset: Option<SourceOffset>,
    /// Where it went; `None` if it was filtered, or skipped by error tolerance.
    pub produced_to: Option<ProducedTo>,
}

/// Control of a source task, called from other threads while a poll runs. Must not block on the poll.
pub trait SourceTaskControl: Send + Sync {
    /// Asks the task to end: a poll that runs returns soon. More polls may come; they find nothing.
    fn stop(&self);

    /// Offsets of everything acknowledged so far are being committed.
    ///
    /// # Errors
    /// Are logged.
    fn commit(&self) -> Result<(), ConnectError> {
        Ok(())
    }

    /// A record's outcome is durable. Only called if [`SourceTask::wants_record_acks`].
    ///
    /// # Errors
    /// Fail the task.
    fn record_done(&self, ack: &RecordAck) -> Result<(), ConnectError> {
        let _ = ack;
        Ok(())
    }
}

/// A source task. `start`, `poll` and `stop` are called one at a time, not always on the same thread.
pub trait SourceTask: Send {
    /// The plugin's version.
    fn version(&self) -> &str;

    /// Starts. May block; runs before the first poll.
    ///
    /// # Errors
    /// Fail the task.
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, config: &Config) -> Result<(), ConnectError>;

    /// Appends records to the batch, about as many as [`SourceTaskContext::limits`] says. Returns promptly: a poll never waits
    /// for records, so that an idle task needs no thread.
    ///
    /// # Errors
    /// Retriable ones make the runtime poll again after a pause, others fail the task. Rows appended before an error count:
    /// they are sent, the error is handled after.
    fn poll(&mut self, batch: &mut RecordBatch) -> Result<Poll, ConnectError>;

    /// The control handle. Asked for once, before `start`.
    fn control(&self) -> Arc<dyn SourceTaskControl>;

    /// Whether [`SourceTaskControl::record_done`] is called for each record; costs a call a record.
    fn wants_record_acks(&self) -> bool {
        false
    }

    /// Releases what the task holds. Called after the last poll, also after a failed start.
    fn stop(&mut self) {}
}
