//! The offsets file of standalone mode: a Java-serialised map, rewritten whole at each commit, as Connect does.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use data_plane_connector_api::ConnectError;
use data_plane_core::offsets::java_map;
use parking_lot::Mutex;

use super::{Destination, OffsetStore};

/// Nulls are Java's: a map may hold them.
type Entries = BTreeMap<Option<Vec<u8>>, Option<Vec<u8>>>;

/// Source offsets in a file.
#[derive(Debug)]
pub struct FileOffsetStore {
    path: PathBuf,
    entries: Mutex<Entries>,
}

impl FileOffsetStore {
    /// Reads a file; none, or an empty one, holds no offsets.
    ///
    /// # Errors
    /// When it cannot be read: it is left as it is.
    pub fn open(path: &Path) -> Result<Self, ConnectError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(file_error("reading", path, &error)),
        };
        let mut entries = Entries::new();
        if !bytes.is_empty() {
            let read = java_map::read(&bytes).map_err(|error| {
                ConnectError::connect(format!(
                    "offset.storage.file.filename: {} is not a file of source offsets ({error}): it was left untouched; \
                     name another file, or move this one away",
                    path.display()
                ))
            })?;
            entries.extend(read);
        }
        Ok(Self { path: path.to_owned(), entries: Mutex::new(entries) })
    }

    /// Sets offsets and writes the file: a new one beside it, flushed to disk, then renamed over it.
    ///
    /// # Errors
    /// When the file cannot be written: it is as it was, and the offsets are not set.
    pub fn put(&self, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), ConnectError> {
        let mut entries = self.entries.lock();
        let mut changed = entries.clone();
        changed.extend(changes.into_iter().map(|(key, value)| (Some(key), value)));
        let pairs: Vec<_> = changed.iter().map(|(key, value)| (key.as_deref(), value.as_deref())).collect();
        self.replace(&java_map::write(&pairs)).map_err(|error| file_error("writing", &self.path, &error))?;
        *entries = changed;
        Ok(())
    }

    fn replace(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let beside = self.path.with_file_name(name);
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)
    }
}

impl OffsetStore for FileOffsetStore {
    fn read_to_end(&self, _: Instant) -> Result<(), ConnectError> {
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.entries.lock().get(&Some(key.to_vec())).cloned().flatten()
    }

    fn destination(&self) -> Destination<'_> {
        Destination::File(self)
    }
}

fn file_error(attempted: &str, path: &Path, error: &std::io::Error) -> ConnectError {
    ConnectError::io(&format!("offset.storage.file.filename: {attempted} {} failed", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("connect.offsets");
        let store = FileOffsetStore::open(&path).unwrap();
        assert_eq!(store.get(b"k"), None);
        store.put(vec![(b"k".to_vec(), Some(b"v".to_vec()))]).unwrap();
        store.put(vec![(b"l".to_vec(), None)]).unwrap();
        let reopened = FileOffsetStore::open(&path).unwrap();
        assert_eq!(reopened.get(b"k"), Some(b"v".to_vec()));
        assert_eq!(reopened.get(b"l"), None);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_unreadable_file_is_refused_and_left_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("connect.offsets");
        std::fs::write(&path, b"my shopping list").unwrap();
        let error = FileOffsetStore::open(&path).unwrap_err();
        assert!(error.message.contains("offset.storage.file.filename"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"my shopping list");
    }
}
