//! Guarded transactions: the only way that anything is stored.

use crate::{ids::Revision, keys::Key};

/// A condition on the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compare {
    /// The key was last written at exactly this revision.
    Unchanged(Key, Revision),
    /// The key does not exist.
    Absent(Key),
    /// No replica document was written after this revision: nobody's heartbeat was missed.
    NoReplicaNewer(Revision),
}

/// A write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Put a value.
    Put(Key, Vec<u8>),
    /// Delete a key.
    Delete(Key),
}

impl Write {
    /// The key written.
    pub fn key(&self) -> &Key {
        match self {
            Write::Put(key, _) | Write::Delete(key) => key,
        }
    }
}

/// All writes happen, in one revision, iff all conditions hold. No key is written twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Txn {
    /// Conditions.
    pub compares: Vec<Compare>,
    /// Writes.
    pub writes: Vec<Write>,
}

/// Most operations (conditions, and writes) of one transaction; etcd allows 128, and the store adds its own.
pub const TXN_LIMIT_OPS: usize = 120;

impl Txn {
    /// An empty one.
    pub fn new() -> Txn {
        Txn::default()
    }

    /// Adds a condition; the same one is kept once.
    pub fn when(mut self, compare: Compare) -> Txn {
        if !self.compares.contains(&compare) {
            self.compares.push(compare);
        }
        self
    }

    /// Adds a put.
    pub fn put(mut self, key: Key, value: Vec<u8>) -> Txn {
        self.writes.push(Write::Put(key, value));
        self
    }

    /// Adds a delete.
    pub fn delete(mut self, key: Key) -> Txn {
        self.writes.push(Write::Delete(key));
        self
    }
}
