//! The sessions of this replica: who is connected, with which plugins, and how to reach them.

use control_plane_core::ids::WorkerId;
use parking_lot::Mutex;
use proto::worker_v1 as wire;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Messages that may wait for a worker; one that does not read is cut off.
pub const OUTBOX: usize = 1024;
/// Commands that may wait for a worker's answer.
const COMMANDS_LIMIT: usize = 256;

/// What is sent to a worker.
pub type Outgoing = Result<wire::SessionResponse, tonic::Status>;

/// All sessions of this replica. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Mutex<BTreeMap<WorkerId, Session>>>,
    next: Arc<AtomicU64>,
    most: usize,
}

struct Session {
    id: u64,
    outbox: mpsc::Sender<Outgoing>,
    plugins: Arc<Vec<wire::PluginInfo>>,
    commands: BTreeMap<u64, oneshot::Sender<wire::CommandResult>>,
}

/// A command was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandFailure {
    /// The session is not there, or ended meanwhile.
    Gone,
    /// Too many commands wait already.
    Busy,
    /// No answer in time.
    Late,
}

impl Sessions {
    /// At most so many.
    pub fn new(most: usize) -> Sessions {
        Sessions { inner: Arc::default(), next: Arc::default(), most }
    }

    /// Whether a worker's session would be taken: one that has a session may replace it at any time.
    pub fn has_room(&self, worker: WorkerId) -> bool {
        let sessions = self.inner.lock();
        sessions.len() < self.most || sessions.contains_key(&worker)
    }

    /// A registered worker's session; replaces an older one of the same worker. Gives the session's number, or None
    /// where all places are taken.
    pub fn insert(
        &self,
        worker: WorkerId,
        outbox: mpsc::Sender<Outgoing>,
        plugins: Vec<wire::PluginInfo>,
    ) -> Option<u64> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let session = Session { id, outbox, plugins: Arc::new(plugins), commands: BTreeMap::new() };
        let mut sessions = self.inner.lock();
        if sessions.len() >= self.most && !sessions.contains_key(&worker) {
            return None;
        }
        sessions.insert(worker, session);
        Some(id)
    }

    /// Tells a worker why its session ends.
    pub fn end(&self, worker: WorkerId, session: u64, status: tonic::Status) {
        let mut sessions = self.inner.lock();
        if sessions.get(&worker).is_some_and(|current| current.id == session)
            && let Some(ended) = sessions.remove(&worker)
        {
            // One that does not read learns nothing; its stream ends all the same.
            let _ = ended.outbox.try_send(Err(status));
        }
    }

    /// The session has ended; false if another has taken its place.
    pub fn remove(&self, worker: WorkerId, session: u64) -> bool {
        let mut sessions = self.inner.lock();
        let is_current = sessions.get(&worker).is_some_and(|current| current.id == session);
        if is_current {
            sessions.remove(&worker);
        }
        is_current
    }

    /// Whether this session is the worker's present one.
    pub fn is_current(&self, worker: WorkerId, session: u64) -> bool {
        self.inner.lock().get(&worker).is_some_and(|current| current.id == session)
    }

    /// Whether the worker has a session.
    pub fn contains(&self, worker: WorkerId) -> bool {
        self.inner.lock().contains_key(&worker)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.inner.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Who is connected.
    pub fn workers(&self) -> Vec<WorkerId> {
        self.inner.lock().keys().copied().collect()
    }

    /// Each connected worker's plugins, in the order of ids.
    pub fn plugins(&self) -> Vec<(WorkerId, Arc<Vec<wire::PluginInfo>>)> {
        self.inner.lock().iter().map(|(id, session)| (*id, session.plugins.clone())).collect()
    }

    /// Sends to a worker. One whose outbox is full has stopped reading: its session is ended, and it will come back.
    pub fn send(&self, worker: WorkerId, message: wire::session_response::Message) {
        let mut sessions = self.inner.lock();
        let Some(session) = sessions.get(&worker) else { return };
        if session.outbox.try_send(Ok(wire::SessionResponse { message: Some(message) })).is_err() {
            tracing::warn!(%worker, "a worker does not read its session; it is cut off");
            sessions.remove(&worker);
        }
    }

    /// Asks a worker and waits for its answer.
    pub async fn command(
        &self,
        worker: WorkerId,
        command: wire::command::Command,
        patience: Duration,
    ) -> Result<wire::CommandResult, CommandFailure> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let answer = {
            let mut sessions = self.inner.lock();
            let session = sessions.get_mut(&worker).ok_or(CommandFailure::Gone)?;
            if session.commands.len() >= COMMANDS_LIMIT {
                return Err(CommandFailure::Busy);
            }
            let (sender, receiver) = oneshot::channel();
            session.commands.insert(id, sender);
            let command = wire::Command { id, command: Some(command) };
            let message = wire::session_response::Message::Command(command);
            if session.outbox.try_send(Ok(wire::SessionResponse { message: Some(message) })).is_err() {
                session.commands.remove(&id);
                return Err(CommandFailure::Busy);
            }
            receiver
        };
        let result = tokio::time::timeout(patience, answer).await;
        if let Some(session) = self.inner.lock().get_mut(&worker) {
            session.commands.remove(&id);
        }
        match result {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Err(CommandFailure::Gone),
            Err(_) => Err(CommandFailure::Late),
        }
    }

    /// A worker answered a command.
    pub fn answered(&self, worker: WorkerId, result: wire::CommandResult) {
        let waiting = self.inner.lock().get_mut(&worker).and_then(|session| session.commands.remove(&result.id));
        if let Some(waiting) = waiting {
            // Whoever asked may have given up.
            let _ = waiting.send(result);
        }
    }
}
