//! The `Store` trait: guarded transactions and a followed view of everything stored, on etcd and on an embedded
//! database. One contract suite runs on both.
//!
//! It moves entries, and knows nothing of what they mean beyond the codec: no planning happens here.

pub mod embedded;
pub mod etcd;

use control_plane_core::{
    ids::Revision,
    incarnation::StoreIdentity,
    keys::{DecodeError, Entry, Key},
    space::Space,
    txn::Txn,
};
use futures::{future::BoxFuture, stream::BoxStream};

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All conditions held; the writes happened at this revision.
    Committed(Revision),
    /// A condition did not hold; nothing was written.
    Refused,
}

/// The store could not be asked, or what it holds cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It does not answer, or answers that it cannot now. A write may or may not have happened.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// A stored key or value is unreadable: written by a later version, or not by us.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
    /// The transaction is too large for the store.
    #[error("the transaction is too large for the store: {0}")]
    TooLarge(String),
    /// It has no space left: nothing is written any more, and nothing was.
    #[error("the store has no space left: {0}")]
    OutOfSpace(String),
    /// The embedded database failed.
    #[error("the embedded store failed: {0}")]
    Embedded(String),
}

/// One step of the followed view.
#[derive(Debug)]
pub enum Followed {
    /// Everything, as of `revision`: at the start, and after each gap.
    Reset {
        /// All entries with the revisions that last wrote them.
        entries: Vec<(Key, Entry, Revision)>,
        /// True as of this revision.
        revision: Revision,
    },
    /// Changes, in order; a revision's changes are never split.
    Changes {
        /// A put has an entry, a deletion has none.
        changes: Vec<(Key, Option<Entry>, Revision)>,
        /// Everything up to this revision has now been told.
        revision: Revision,
    },
    /// All keys with the revisions that last wrote them; now and then, for who wants to check what it was told.
    Listing(Vec<(Key, Revision)>),
    /// The store does not answer; a Reset follows when it does again.
    Away(StoreError),
    /// The stream has ended for good: something stored cannot be read.
    Broken(StoreError),
}

/// Everything that is kept. Cheap to share; every call may be made at any time.
pub trait Store: Send + Sync + 'static {
    /// Writes all or nothing. Ephemeral keys (`Key::is_ephemeral`) go when this process's store session ends.
    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<Outcome, StoreError>>;

    /// Which store this is, and the revision of the last committed transaction by anybody, heartbeat documents included.
    fn present(&self) -> BoxFuture<'_, Result<(StoreIdentity, Revision), StoreError>>;

    /// The revision of the last committed transaction by anybody (linearizable; heartbeat documents not counted):
    /// a view that has reached it is up to date.
    fn head(&self) -> BoxFuture<'_, Result<Revision, StoreError>>;

    /// Everything, then every change, for ever; repairs itself after gaps. Revisions of configs are left out.
    fn follow(&self) -> BoxStream<'static, Followed>;

    /// Forgets what was overwritten before a revision, so that the store does not grow without end. Followers that are
    /// further behind begin anew.
    fn compact(&self, before: Revision) -> BoxFuture<'_, Result<(), StoreError>>;

    /// How much space it uses of what it may; None where nobody has set a limit.
    fn space(&self) -> BoxFuture<'_, Result<Option<Space>, StoreError>>;

    /// The entries of a connector's config history, oldest first.
    fn history(
        &self,
        connector: control_plane_core::ids::ConnectorUid,
    ) -> BoxFuture<'_, Result<Vec<control_plane_core::history::ConfigRevision>, StoreError>>;

    /// Ends this process's store session, and with it its ephemeral keys: the last thing that is asked of a store. One that
    /// does not answer notices the end by itself, later.
    fn leave(&self) -> BoxFuture<'_, ()>;
}

/// The key, relative to the prefix, that every transaction writes that has a durable write: `head` reads it.
const HEAD: &str = "head";
