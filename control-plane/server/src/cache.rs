//! What this replica has seen of the store, for everybody who reads: the World, how far it is, and what changed lately.
//!
//! Written by the hub alone. Readers take the lock for as long as they look, and never await under it.

use control_plane_core::{
    ids::{ConnectorName, ConnectorUid, Namespace, Revision},
    world::World,
};
use control_plane_store::{Store, StoreError};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::sync::watch;

/// How far the cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Everything up to this revision has been seen.
    pub revision: Revision,
    /// The store answers, and everything was read at least once.
    pub live: bool,
}

/// A change of a connector, of its tasks, grants or statuses.
#[derive(Debug, Clone)]
pub struct Change {
    /// When.
    pub revision: Revision,
    /// Whose.
    pub connector: ConnectorUid,
    /// The name, where it was deleted.
    pub deleted: Option<(Namespace, ConnectorName)>,
}

/// How many changes a watcher may lag behind.
const CHANGES_KEPT: usize = 16_384;

/// Longest wait for the cache to reach a revision.
const CATCH_UP: Duration = Duration::from_secs(5);

/// The shared view.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<RwLock<Inner>>,
    progress: watch::Sender<Progress>,
}

#[derive(Default)]
struct Inner {
    world: World,
    changes: VecDeque<Change>,
    /// Changes after this revision are all in `changes`.
    complete_after: Revision,
}

impl Default for Cache {
    fn default() -> Self {
        Cache { inner: Arc::default(), progress: watch::channel(Progress::default()).0 }
    }
}

/// Read access to the World.
pub struct WorldRef<'a>(RwLockReadGuard<'a, Inner>);

impl std::ops::Deref for WorldRef<'_> {
    type Target = World;
    fn deref(&self) -> &World {
        &self.0.world
    }
}

/// Write access to the World, for the hub.
pub struct WorldMut<'a>(RwLockWriteGuard<'a, Inner>);

impl WorldMut<'_> {
    /// The World.
    pub fn world(&mut self) -> &mut World {
        &mut self.0.world
    }

    /// Remembers a change for watchers.
    pub fn changed(&mut self, change: Change) {
        self.0.changes.push_back(change);
        if self.0.changes.len() > CHANGES_KEPT
            && let Some(dropped) = self.0.changes.pop_front()
        {
            self.0.complete_after = dropped.revision;
        }
    }

    /// Everything was read anew: what happened before is not known.
    pub fn forget_changes(&mut self, as_of: Revision) {
        self.0.changes.clear();
        self.0.complete_after = as_of;
    }
}

impl Cache {
    /// For reading; not to be held across an await.
    pub fn world(&self) -> WorldRef<'_> {
        WorldRef(self.inner.read())
    }

    /// For the hub.
    pub fn write(&self) -> WorldMut<'_> {
        WorldMut(self.inner.write())
    }

    /// The hub has taken a step.
    pub fn advanced(&self, progress: Progress) {
        self.progress.send_replace(progress);
    }

    /// Something else than the store has changed the World: whoever waits for steps looks again.
    pub fn touched(&self) {
        self.progress.send_modify(|_| {});
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Tells of every step.
    pub fn subscribe(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Waits until a revision has been seen. A store that was restored from a backup may never have it again.
    pub async fn reach(&self, revision: Revision) -> Result<(), StoreError> {
        let mut progress = self.progress.subscribe();
        let before = progress.borrow_and_update().revision;
        let reached = progress.wait_for(|progress| progress.revision >= revision || progress.revision < before);
        match tokio::time::timeout(CATCH_UP, reached).await {
            Ok(Ok(progress)) if progress.revision >= revision => Ok(()),
            _ => Err(StoreError::Unavailable(format!(
                "this replica has not seen revision {} of the store within {} s",
                revision.0,
                CATCH_UP.as_secs()
            ))),
        }
    }

    /// Waits until a revision has been seen. Where the view lags, that is logged: the caller goes on all the same.
    pub async fn reach_or_go_on(&self, revision: Revision) {
        if let Err(error) = self.reach(revision).await {
            tracing::warn!(%error, "the view lags behind");
        }
    }

    /// Waits until everything that was stored before this call has been seen: linearizable reads.
    pub async fn up_to_date(&self, store: &dyn Store) -> Result<(), StoreError> {
        if !self.progress().live {
            return Err(StoreError::Unavailable("the store does not answer this replica".to_owned()));
        }
        self.reach(store.head().await?).await
    }

    /// The changes after a revision; None if they are no longer all known, or if the store, restored from a backup, never
    /// had that revision.
    pub fn changes_after(&self, revision: Revision) -> Option<Vec<Change>> {
        let inner = self.inner.read();
        if revision < inner.complete_after || revision > inner.world.revision {
            return None;
        }
        let from = inner.changes.partition_point(|change| change.revision <= revision);
        Some(inner.changes.range(from..).cloned().collect())
    }
}
