//! Kafka as far as source tasks use it: one log of records and one of offsets a task, each record with its epoch; and
//! transactional producers: whoever initialised last is the only one whose records are taken.

use control_plane_core::ids::Epoch;
use std::collections::{BTreeMap, BTreeSet};

/// (connector's name, task number): what offsets are keyed by, whatever the connector's uid.
pub type TaskKey = (String, u32);

/// One record of the offsets log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetRecord {
    /// Carried in the record's header.
    pub epoch: Epoch,
    /// The first position that is not done.
    pub position: u64,
}

/// One key's logs.
#[derive(Debug, Clone, Default)]
pub struct TaskLog {
    /// All positions below are there.
    complete_below: u64,
    beyond: BTreeSet<u64>,
    /// Records appended, duplicates among them.
    pub appended: u64,
    /// The offsets log.
    pub offsets: Vec<OffsetRecord>,
    /// The transactional producer that initialised last.
    pub producer: Option<u64>,
}

impl TaskLog {
    /// Whether all positions below `position` were appended.
    pub fn has_all_below(&self, position: u64) -> bool {
        self.complete_below >= position
    }

    /// The stored offset in the first `end` offset records: the highest epoch's, and the later one within it.
    pub fn stored(&self, end: usize) -> Option<OffsetRecord> {
        let mut newest: Option<OffsetRecord> = None;
        for record in &self.offsets[..end.min(self.offsets.len())] {
            if newest.is_none_or(|known| record.epoch >= known.epoch) {
                newest = Some(*record);
            }
        }
        newest
    }
}

/// The cluster.
#[derive(Debug, Default)]
pub struct Kafka {
    /// By key.
    pub tasks: BTreeMap<TaskKey, TaskLog>,
    /// It takes nothing until then.
    pub stalled_until: u64,
}

impl Kafka {
    /// Appends a record.
    pub fn append(&mut self, key: &TaskKey, position: u64) {
        let log = self.tasks.entry(key.clone()).or_default();
        log.appended += 1;
        if position >= log.complete_below {
            log.beyond.insert(position);
        }
        while log.beyond.remove(&log.complete_below) {
            log.complete_below += 1;
        }
    }

    /// A transactional producer initialises: all others of the key are refused from now on. Kafka knows nothing of epochs
    /// of grants.
    pub fn initialise(&mut self, key: &TaskKey, producer: u64) {
        self.tasks.entry(key.clone()).or_default().producer = Some(producer);
    }

    /// Whether what this producer sends is taken; one that is not transactional is never refused.
    pub fn takes(&self, key: &TaskKey, producer: Option<u64>) -> bool {
        producer.is_none() || self.tasks.get(key).is_some_and(|log| log.producer == producer)
    }

    /// Appends an offset record.
    pub fn append_offset(&mut self, key: &TaskKey, record: OffsetRecord) {
        self.tasks.entry(key.clone()).or_default().offsets.push(record);
    }

    /// The offsets log's end now.
    pub fn end(&self, key: &TaskKey) -> usize {
        self.tasks.get(key).map_or(0, |log| log.offsets.len())
    }
}
