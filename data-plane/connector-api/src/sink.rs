//! A sink task: takes batches and says which offsets are safe to commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use data_plane_record::RecordBatch;

use crate::config_def::Config;
use crate::connector::PluginMetrics;
use crate::error::ConnectError;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
}

/// A consumer offset: the next record to read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OffsetAndMetadata {
    /// Offset of the next record.
    pub offset: i64,
    /// Free text kept beside it.
    pub metadata: String,
}

impl From<i64> for OffsetAndMetadata {
    fn from(offset: i64) -> Self {
        Self { offset, metadata: String::new() }
    }
}

/// Consumer offsets by partition.
pub type SinkOffsets = BTreeMap<TopicPartition, OffsetAndMetadata>;

/// Something that is done, or has failed, later.
pub trait Completion: Send {
    /// Whether it is over.
    fn is_done(&self) -> bool;
    /// Waits for the end, at most `timeout`; `None` if it is not over by then.
    fn wait(&self, timeout: Duration) -> Option<Result<(), ConnectError>>;
}

/// Takes records that the sink's store refuses (KIP-610).
pub trait ErrantRecordReporter: Send + Sync {
    /// Reports a row of the batch that is being put. Offsets are not committed past it until the completion is over.
    ///
    /// # Errors
    /// If errors are not tolerated: return it from `put`.
    fn report(
        &self,
        batch: &RecordBatch,
        row: usize,
        error: &ConnectError,
    ) -> Result<Box<dyn Completion>, ConnectError>;
}

/// What a sink task may ask of its runtime. Effects come after the running call returns.
pub trait SinkTaskContext: Send + Sync {
    /// The task's config, with config providers resolved anew.
    fn config(&self) -> Config;
    /// Rewinds (or forwards) partitions: the next batch starts at these offsets.
    fn set_offsets(&self, offsets: &BTreeMap<TopicPartition, i64>);
    /// Pause before the next call when `put` fails with a retriable error.
    fn set_retry_timeout(&self, timeout: Duration);
    /// The partitions assigned.
    fn assignment(&self) -> Vec<TopicPartition>;
    /// Stops delivery of partitions.
    fn pause(&self, partitions: &[TopicPartition]);
    /// Resumes delivery of partitions.
    fn resume(&self, partitions: &[TopicPartition]);
    /// Asks for a commit soon.
    fn request_commit(&self);
    /// Present unless errors fail the task silently (KIP-610: tolerance or a dead letter topic is configured).
    fn errant_record_reporter(&self) -> Option<Arc<dyn ErrantRecordReporter>>;
    /// The fencing token under which this task runs: (cluster incarnation, counter). Rises with each hand-over.
    fn epoch(&self) -> (u64, u64);
    /// The plugin's metrics.
    fn metrics(&self) -> Arc<dyn PluginMetrics>;
}

/// A sink task. Calls come one at a time, not always on the same thread.
pub trait SinkTask: Send {
    /// The plugin's version.
    fn version(&self) -> &str;

    /// Starts. Partitions are opened later.
    ///
    /// # Errors
    /// Fail the task.
    fn start(&mut self, context: Arc<dyn SinkTaskContext>, config: &Config) -> Result<(), ConnectError>;

    /// Partitions were assigned in addition to those held.
    ///
    /// # Errors
    /// Fail the task.
    fn open(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectError> {
        let _ = partitions;
        Ok(())
    }

    /// Takes records. May buffer them until [`SinkTask::flush`]. An empty batch is a chance to do timed work.
    ///
    /// # Errors
    /// Retriable ones make the runtime put the same batch again after a pause; others fail the task.
    fn put(&mut self, batch: &RecordBatch) -> Result<(), ConnectError>;

    /// Makes all records put so far durable, which reach up to these offsets.
    ///
    /// # Errors
    /// The offsets are not committed; the task goes back to the last committed ones.
    fn flush(&mut self, offsets: &SinkOffsets) -> Result<(), ConnectError> {
        let _ = offsets;
        Ok(())
    }

    /// The offsets that may be committed, given those reached by `put`. The default flushes and returns them all.
    ///
    /// # Errors
    /// As [`SinkTask::flush`].
    fn pre_commit(&mut self, offsets: &SinkOffsets) -> Result<SinkOffsets, ConnectError> {
        self.flush(offsets)?;
        Ok(offsets.clone())
    }

    /// Partitions are taken away; what was put for them has been committed, unless they were lost.
    ///
    /// # Errors
    /// Fail the task.
    fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectError> {
        let _ = partitions;
        Ok(())
    }

    /// Releases what the task holds. Called after the last `close`, also after a failed start.
    fn stop(&mut self) {}
}
