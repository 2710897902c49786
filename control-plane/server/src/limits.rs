//! What one replica takes on at a time: the numbers, as flags, and who is over them.
//!
//! Over a limit nothing waits in a queue: the answer is RESOURCE_EXHAUSTED with RetryInfo (429 with Retry-After over
//! REST), the refusal is counted, and everybody else is served as before.

pub mod calls;
pub mod connections;
pub mod grpc;
pub mod refusals;
pub mod rest;
pub mod sessions;

use std::num::NonZeroU32;

/// All limits of a replica.
#[derive(Debug, Clone, clap::Args)]
pub struct Limits {
    /// Calls of users that are served at a time, over gRPC and REST together.
    #[arg(long = "max-calls", env = "FERRY_MAX_CALLS", default_value_t = DEFAULT.calls, value_name = "CALLS")]
    pub calls: NonZeroU32,
    /// Calls of one caller (a peer's IP address, or an IPv6 /64) that are served at a time.
    #[arg(
        long = "max-calls-per-caller",
        env = "FERRY_MAX_CALLS_PER_CALLER",
        default_value_t = DEFAULT.calls_per_caller,
        value_name = "CALLS"
    )]
    pub calls_per_caller: NonZeroU32,
    /// Calls of one caller per second, in the long run; health and reflection are not counted.
    #[arg(
        long = "max-call-rate",
        env = "FERRY_MAX_CALL_RATE",
        default_value_t = DEFAULT.call_rate,
        value_name = "CALLS/S"
    )]
    pub call_rate: NonZeroU32,
    /// Calls that a caller may make at once after a pause.
    #[arg(
        long = "max-call-burst",
        env = "FERRY_MAX_CALL_BURST",
        default_value_t = DEFAULT.call_burst,
        value_name = "CALLS"
    )]
    pub call_burst: NonZeroU32,
    /// Callers whose rate is counted apart; those beyond share one rate.
    #[arg(long = "max-callers", env = "FERRY_MAX_CALLERS", default_value_t = DEFAULT.callers, value_name = "CALLERS")]
    pub callers: NonZeroU32,
    /// Watches that are open at a time.
    #[arg(long = "max-watches", env = "FERRY_MAX_WATCHES", default_value_t = DEFAULT.watches, value_name = "WATCHES")]
    pub watches: NonZeroU32,
    /// Watches of one caller that are open at a time.
    #[arg(
        long = "max-watches-per-caller",
        env = "FERRY_MAX_WATCHES_PER_CALLER",
        default_value_t = DEFAULT.watches_per_caller,
        value_name = "WATCHES"
    )]
    pub watches_per_caller: NonZeroU32,
    /// Connections to a users' listener, gRPC and REST each.
    #[arg(
        long = "max-connections",
        env = "FERRY_MAX_CONNECTIONS",
        default_value_t = DEFAULT.connections,
        value_name = "CONNECTIONS"
    )]
    pub connections: NonZeroU32,
    /// Connections of one caller to a users' listener.
    #[arg(
        long = "max-connections-per-caller",
        env = "FERRY_MAX_CONNECTIONS_PER_CALLER",
        default_value_t = DEFAULT.connections_per_caller,
        value_name = "CONNECTIONS"
    )]
    pub connections_per_caller: NonZeroU32,
    /// Streams (calls) at a time on one HTTP/2 connection.
    #[arg(long = "max-streams", env = "FERRY_MAX_STREAMS", default_value_t = DEFAULT.streams, value_name = "STREAMS")]
    pub streams: NonZeroU32,
    /// Headers of one HTTP/2 request, in bytes.
    #[arg(
        long = "max-header-bytes",
        env = "FERRY_MAX_HEADER_BYTES",
        default_value_t = DEFAULT.header_bytes,
        value_name = "BYTES"
    )]
    pub header_bytes: NonZeroU32,
    /// A user's request, and the answer to it, in bytes.
    #[arg(
        long = "max-message-bytes",
        env = "FERRY_MAX_MESSAGE_BYTES",
        default_value_t = DEFAULT.message_bytes,
        value_name = "BYTES"
    )]
    pub message_bytes: NonZeroU32,
    /// A message of a worker, in bytes.
    #[arg(
        long = "max-worker-message-bytes",
        env = "FERRY_MAX_WORKER_MESSAGE_BYTES",
        default_value_t = DEFAULT.worker_message_bytes,
        value_name = "BYTES"
    )]
    pub worker_message_bytes: NonZeroU32,
    /// Workers with a session to this replica.
    #[arg(
        long = "max-sessions",
        env = "FERRY_MAX_SESSIONS",
        default_value_t = DEFAULT.sessions,
        value_name = "SESSIONS"
    )]
    pub sessions: NonZeroU32,
    /// Sessions that have not said Hello yet.
    #[arg(
        long = "max-sessions-without-hello",
        env = "FERRY_MAX_SESSIONS_WITHOUT_HELLO",
        default_value_t = DEFAULT.greetings,
        value_name = "SESSIONS"
    )]
    pub greetings: NonZeroU32,
    /// Messages of one session per second: a worker that sends more is read more slowly.
    #[arg(
        long = "max-session-rate",
        env = "FERRY_MAX_SESSION_RATE",
        default_value_t = DEFAULT.session_rate,
        value_name = "MESSAGES/S"
    )]
    pub session_rate: NonZeroU32,
}

const fn at_most(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("no limit is zero")
}

/// The limits where nothing else is said: far above what people and their tools do, far below what hurts.
const DEFAULT: Limits = Limits {
    calls: at_most(2048),
    calls_per_caller: at_most(256),
    call_rate: at_most(1000),
    call_burst: at_most(2000),
    callers: at_most(10_000),
    watches: at_most(1000),
    watches_per_caller: at_most(100),
    connections: at_most(4096),
    connections_per_caller: at_most(512),
    streams: at_most(256),
    header_bytes: at_most(16 << 10),
    message_bytes: at_most(4 << 20),
    worker_message_bytes: at_most(4 << 20),
    sessions: at_most(5000),
    greetings: at_most(500),
    session_rate: at_most(5000),
};

impl Default for Limits {
    fn default() -> Limits {
        DEFAULT
    }
}

impl Limits {
    /// Connections to the workers' listener: one a session, and as many again for those that are on their way.
    pub fn worker_connections(&self) -> NonZeroU32 {
        self.sessions.saturating_add(self.sessions.get()).saturating_add(self.greetings.get())
    }
}
