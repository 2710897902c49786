//! Where source offsets are read from: shared by the tasks of a worker, one per Kafka cluster.
//!
//! Keys and values are Connect's bytes; what they mean is in `data_plane_core::offsets`.

mod file;
mod kafka;

use std::sync::Arc;
use std::time::{Duration, Instant};

use data_plane_connector_api::{ConnectError, OffsetReader};
use data_plane_core::offsets;
use data_plane_record::{SourceOffset, SourcePartition};
use parking_lot::Mutex;

pub use file::FileOffsetStore;
pub use kafka::KafkaOffsetStore;

/// The record header that carries the epoch under which an offset was written: `incarnation.counter`.
pub(super) const EPOCH_HEADER: &str = "ferry.epoch";

/// How long reading the offsets to their end may take.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a task's offsets are to be written.
pub enum Destination<'a> {
    /// By the task's own producer, to the key's murmur2 partition of a topic.
    Topic {
        /// The topic.
        name: &'a str,
        /// Its partitions.
        partitions: u32,
    },
    /// By the store itself.
    File(&'a FileOffsetStore),
}

/// A store of source offsets. Methods may block; call them off the async threads.
pub trait OffsetStore: Send + Sync {
    /// Makes sure that everything written before this call is seen by [`OffsetStore::get`].
    ///
    /// # Errors
    /// When `deadline` passes first, or the store has failed.
    fn read_to_end(&self, deadline: Instant) -> Result<(), ConnectError>;

    /// The newest value of a key.
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// Where offsets are to be written.
    fn destination(&self) -> Destination<'_>;

    /// The epoch, (incarnation, counter), that a key's newest value was written under; None where there is none.
    fn epoch_of(&self, _key: &[u8]) -> Option<(u32, u64)> {
        None
    }

    /// Whether an older owner has written to this key after the present one, since the last call: readers ignore that,
    /// and compaction does not. The present owner writes its own again.
    fn take_overwritten(&self, _key: &[u8]) -> bool {
        false
    }
}

/// Reads one connector's offsets.
pub(super) struct StoreReader {
    connector: String,
    store: Arc<dyn OffsetStore>,
    /// The highest that an offset which was read was written under.
    epoch: Mutex<Option<(u32, u64)>>,
}

impl StoreReader {
    pub(super) fn new(connector: &str, store: Arc<dyn OffsetStore>) -> Self {
        Self { connector: connector.to_owned(), store, epoch: Mutex::default() }
    }

    /// The highest epoch of the offsets that were read so far.
    pub(super) fn highest_epoch(&self) -> Option<(u32, u64)> {
        *self.epoch.lock()
    }
}

/// The offsets of a task that were written under a later epoch than its own: its own would be taken for old.
pub(super) fn later_epoch((incarnation, counter): (u32, u64), connector: &str) -> ConnectError {
    ConnectError::retriable(format!(
        "offsets of {connector} were written under epoch {incarnation}.{counter}, which is later than this task's: the \
         control plane's store was restored or emptied since, or another task has left them; the task starts again under \
         a later one"
    ))
}

impl OffsetReader for StoreReader {
    fn offsets(&self, partitions: &[SourcePartition]) -> Result<Vec<Option<SourceOffset>>, ConnectError> {
        let offset = |partition: &SourcePartition| {
            let key = offsets::key_bytes(&self.connector, Some(partition));
            // A removed one, too, was removed under an epoch.
            let mut highest = self.epoch.lock();
            *highest = (*highest).max(self.store.epoch_of(&key));
            drop(highest);
            let Some(value) = self.store.get(&key) else { return Ok(None) };
            offsets::parse_value(&value).map_err(|error| {
                let key = String::from_utf8_lossy(&key);
                ConnectError::data(format!("the stored offset of {key} cannot be read: {error}"))
            })
        };
        partitions.iter().map(offset).collect()
    }
}
