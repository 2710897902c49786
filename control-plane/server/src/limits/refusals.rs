//! What is answered over a limit, and how often that was.

use control_plane_api::service::{Overload, ServiceError};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family},
};
use std::{num::NonZeroU32, time::Duration};

/// Which limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Limit {
    /// `--max-calls`
    Calls,
    /// `--max-calls-per-caller`
    CallsPerCaller,
    /// `--max-call-rate`
    CallRate,
    /// `--max-callers`: nothing is refused, but the caller shares a rate with others.
    Callers,
    /// `--max-watches`
    Watches,
    /// `--max-watches-per-caller`
    WatchesPerCaller,
    /// `--max-connections`: the connection is closed.
    Connections,
    /// `--max-connections-per-caller`: the connection is closed.
    ConnectionsPerCaller,
    /// `--max-message-bytes`
    MessageBytes,
    /// `--max-worker-message-bytes`
    WorkerMessageBytes,
    /// `--max-sessions`
    Sessions,
    /// `--max-sessions-without-hello`
    Greetings,
    /// `--max-session-rate`: nothing is refused, but the session is read more slowly.
    SessionRate,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    limit: Limit,
}

/// Counts, by limit. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Refusals {
    counters: Family<Labels, Counter>,
}

impl Refusals {
    /// One more.
    pub fn count(&self, limit: Limit) {
        self.counters.get_or_create(&Labels { limit }).inc();
    }

    /// How many there were.
    pub fn counted(&self, limit: Limit) -> u64 {
        self.counters.get_or_create(&Labels { limit }).get()
    }

    /// For the registry of the metrics.
    pub fn metric(&self) -> impl prometheus_client::registry::Metric {
        self.counters.clone()
    }

    /// Counts a message that is larger than may be, and words it.
    pub fn too_large(&self, limit: Limit, bytes: NonZeroU32) -> ServiceError {
        self.worded(limit, bytes, None)
    }

    /// Counts a refusal and words it.
    pub fn refuse(&self, limit: Limit, number: NonZeroU32, retry_after: Duration) -> ServiceError {
        self.worded(limit, number, Some(retry_after))
    }

    fn worded(&self, limit: Limit, number: NonZeroU32, retry_after: Option<Duration>) -> ServiceError {
        self.count(limit);
        let (reason, flag, what) = match limit {
            Limit::Calls => ("TOO_MANY_CALLS", "--max-calls", "calls are served at a time"),
            Limit::CallsPerCaller => {
                ("TOO_MANY_CALLS_OF_CALLER", "--max-calls-per-caller", "calls of one caller are served at a time")
            }
            Limit::CallRate => ("CALL_RATE", "--max-call-rate", "calls of one caller are served per second"),
            Limit::Callers => ("TOO_MANY_CALLERS", "--max-callers", "callers are counted apart"),
            Limit::Watches => ("TOO_MANY_WATCHES", "--max-watches", "watches are open at a time"),
            Limit::WatchesPerCaller => {
                ("TOO_MANY_WATCHES_OF_CALLER", "--max-watches-per-caller", "watches of one caller are open at a time")
            }
            Limit::Connections => ("TOO_MANY_CONNECTIONS", "--max-connections", "connections are kept"),
            Limit::ConnectionsPerCaller => {
                ("TOO_MANY_CONNECTIONS_OF_CALLER", "--max-connections-per-caller", "connections of one caller are kept")
            }
            Limit::MessageBytes => ("MESSAGE_TOO_LARGE", "--max-message-bytes", "bytes may be in one message"),
            Limit::WorkerMessageBytes => {
                ("MESSAGE_TOO_LARGE", "--max-worker-message-bytes", "bytes may be in one message of a worker")
            }
            Limit::Sessions => ("TOO_MANY_SESSIONS", "--max-sessions", "workers have sessions to one replica"),
            Limit::Greetings => (
                "TOO_MANY_SESSIONS_WITHOUT_HELLO",
                "--max-sessions-without-hello",
                "sessions at a time may not have said Hello yet",
            ),
            Limit::SessionRate => ("SESSION_RATE", "--max-session-rate", "messages of one session are read per second"),
        };
        ServiceError::Overloaded(Overload { reason, flag, what, limit: number.get(), retry_after })
    }
}
