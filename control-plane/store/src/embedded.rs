//! The store in a file, for one process: standalone and development mode.
//!
//! redb keeps the entries; one lock orders transactions and tells the followers. Ephemeral keys are not written to the
//! file: they end with the process.

use crate::{Followed, Outcome, Store, StoreError};
use control_plane_core::{
    history::ConfigRevision,
    ids::{ConnectorUid, Revision},
    incarnation::StoreIdentity,
    keys::{Entry, Key},
    space::Space,
    txn::{Compare, Txn, Write},
};
use futures::{future::BoxFuture, stream::BoxStream};
use parking_lot::Mutex;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::{collections::BTreeMap, path::Path, sync::Arc};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

/// Key → (revision of the last write, value).
const ENTRIES: TableDefinition<&str, (i64, &[u8])> = TableDefinition::new("entries");
/// The one row `revision`.
const META: TableDefinition<&str, i64> = TableDefinition::new("meta");
const REVISION: &str = "revision";

/// The store in a file.
#[derive(Clone)]
pub struct EmbeddedStore {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    database: Database,
    entries: BTreeMap<String, (Revision, Vec<u8>)>,
    revision: Revision,
    head: Revision,
    /// In process and drained at once by the server's one follower; a follower that is gone is dropped at a send.
    followers: Vec<mpsc::UnboundedSender<Followed>>,
}

impl EmbeddedStore {
    /// Opens or creates the file; refuses one that another process holds.
    pub fn open(path: &Path) -> Result<EmbeddedStore, StoreError> {
        let database = Database::create(path)
            .map_err(|error| StoreError::Embedded(format!("{} cannot be opened: {error}", path.display())))?;
        Self::load(database)
    }

    /// In memory: gone with the process.
    pub fn in_memory() -> Result<EmbeddedStore, StoreError> {
        let database =
            Database::builder().create_with_backend(redb::backends::InMemoryBackend::new()).map_err(failed)?;
        Self::load(database)
    }

    fn load(database: Database) -> Result<EmbeddedStore, StoreError> {
        let mut entries = BTreeMap::new();
        let setup = database.begin_write().map_err(failed)?;
        setup.open_table(ENTRIES).map_err(failed)?;
        setup.open_table(META).map_err(failed)?;
        setup.commit().map_err(failed)?;
        let reading = database.begin_read().map_err(failed)?;
        let table = reading.open_table(ENTRIES).map_err(failed)?;
        for row in table.iter().map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            let (revision, bytes) = value.value();
            entries.insert(key.value().to_owned(), (Revision(revision), bytes.to_vec()));
        }
        let meta = reading.open_table(META).map_err(failed)?;
        let revision = Revision(meta.get(REVISION).map_err(failed)?.map_or(0, |row| row.value()));
        drop((table, meta, reading));
        let inner = Inner { database, entries, revision, head: revision, followers: Vec::new() };
        Ok(EmbeddedStore { inner: Arc::new(Mutex::new(inner)) })
    }
}

impl Store for EmbeddedStore {
    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<Outcome, StoreError>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            tokio::task::spawn_blocking(move || inner.lock().commit(txn))
                .await
                .map_err(|error| StoreError::Embedded(error.to_string()))?
        })
    }

    fn present(&self) -> BoxFuture<'_, Result<(StoreIdentity, Revision), StoreError>> {
        // One process has it for itself, and no worker outlives that.
        Box::pin(async { Ok((StoreIdentity::default(), self.inner.lock().revision)) })
    }

    fn head(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        Box::pin(async { Ok(self.inner.lock().head) })
    }

    fn compact(&self, _before: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        // Only the newest values are kept.
        Box::pin(async { Ok(()) })
    }

    fn space(&self) -> BoxFuture<'_, Result<Option<Space>, StoreError>> {
        // A file has what the disk has.
        Box::pin(async { Ok(None) })
    }

    fn follow(&self) -> BoxStream<'static, Followed> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut inner = self.inner.lock();
        let first = match inner.everything() {
            Ok(entries) => Followed::Reset { entries, revision: inner.revision },
            Err(error) => Followed::Broken(error),
        };
        // The receiver is at hand: this send has somebody to take it.
        let _ = sender.send(first);
        inner.followers.push(sender);
        Box::pin(UnboundedReceiverStream::new(receiver))
    }

    fn history(&self, connector: ConnectorUid) -> BoxFuture<'_, Result<Vec<ConfigRevision>, StoreError>> {
        Box::pin(async move {
            let from = format!("revisions/{connector}/");
            let inner = self.inner.lock();
            let mut revisions = Vec::new();
            for (path, (_, value)) in
                inner.entries.range(from.clone()..).take_while(|(path, _)| path.starts_with(&from))
            {
                if let Entry::Revision(revision) = Key::parse(path)?.decode(value)? {
                    revisions.push(revision);
                }
            }
            Ok(revisions)
        })
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        // Nobody else waits for the end of this process.
        Box::pin(async {})
    }
}

impl Inner {
    fn everything(&self) -> Result<Vec<(Key, Entry, Revision)>, StoreError> {
        let mut entries = Vec::new();
        for (path, (revision, value)) in &self.entries {
            let key = Key::parse(path)?;
            if !matches!(key, Key::Revision(..)) {
                let entry = key.decode(value)?;
                entries.push((key, entry, *revision));
            }
        }
        Ok(entries)
    }

    fn commit(&mut self, txn: Txn) -> Result<Outcome, StoreError> {
        let revision_of = |key: &Key| self.entries.get(&key.to_string()).map(|(revision, _)| *revision);
        let holds = txn.compares.iter().all(|compare| match compare {
            Compare::Unchanged(key, revision) => revision_of(key) == Some(*revision),
            Compare::Absent(key) => revision_of(key).is_none(),
            Compare::NoReplicaNewer(limit) => self
                .entries
                .range(control_plane_core::keys::REPLICAS.to_owned()..)
                .take_while(|(path, _)| path.starts_with(control_plane_core::keys::REPLICAS))
                .all(|(_, (revision, _))| revision <= limit),
        });
        if !holds {
            return Ok(Outcome::Refused);
        }
        let revision = Revision(self.revision.0 + 1);
        let mut changes = Vec::new();
        for write in &txn.writes {
            match write {
                Write::Put(key, value) => changes.push((key.clone(), Some(key.decode(value)?), revision)),
                Write::Delete(key) if revision_of(key).is_some() => changes.push((key.clone(), None, revision)),
                Write::Delete(_) => {}
            }
        }
        self.write_file(&txn, revision)?;
        if txn.writes.iter().any(|write| !write.key().is_ephemeral()) {
            self.head = revision;
        }
        for write in txn.writes {
            match write {
                Write::Put(key, value) => drop(self.entries.insert(key.to_string(), (revision, value))),
                Write::Delete(key) => drop(self.entries.remove(&key.to_string())),
            }
        }
        self.revision = revision;
        changes.retain(|(key, _, _)| !matches!(key, Key::Revision(..)));
        self.followers
            .retain(|follower| follower.send(Followed::Changes { changes: changes.clone(), revision }).is_ok());
        Ok(Outcome::Committed(revision))
    }

    fn write_file(&self, txn: &Txn, revision: Revision) -> Result<(), StoreError> {
        if txn.writes.iter().all(|write| write.key().is_ephemeral()) {
            return Ok(());
        }
        let writing = self.database.begin_write().map_err(failed)?;
        {
            let mut table = writing.open_table(ENTRIES).map_err(failed)?;
            for write in txn.writes.iter().filter(|write| !write.key().is_ephemeral()) {
                let path = write.key().to_string();
                match write {
                    Write::Put(_, value) => {
                        drop(table.insert(path.as_str(), (revision.0, value.as_slice())).map_err(failed)?)
                    }
                    Write::Delete(_) => drop(table.remove(path.as_str()).map_err(failed)?),
                }
            }
            let mut meta = writing.open_table(META).map_err(failed)?;
            meta.insert(REVISION, revision.0).map_err(failed)?;
        }
        writing.commit().map_err(failed)
    }
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Embedded(error.to_string())
}
