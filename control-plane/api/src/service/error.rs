//! Why a call of the service failed.

use std::time::Duration;

/// A mistake of the caller in one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, such as `config.tasks.max`.
    pub field: String,
    /// What is wrong and what would be right.
    pub description: String,
}

/// More is asked than one replica takes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overload {
    /// UPPER_SNAKE, for programs.
    pub reason: &'static str,
    /// The flag that sets the limit.
    pub flag: &'static str,
    /// What there are so many of at the most.
    pub what: &'static str,
    /// How many.
    pub limit: u32,
    /// When it may be tried again; None: the same would be refused again.
    pub retry_after: Option<Duration>,
}

/// Why a call failed. Each is mapped once to gRPC and once to HTTP.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ServiceError {
    /// No such thing.
    #[error("{what} {name} not found")]
    NotFound {
        /// "Connector", "Worker", "Task" or "Plugin".
        what: &'static str,
        /// Which.
        name: String,
    },
    /// The connector's history does not have it, or no longer.
    #[error("connector {connector} has no revision {revision}; {}", kept_text(*.kept))]
    NoRevision {
        /// Whose history.
        connector: String,
        /// Which is not there.
        revision: u64,
        /// The oldest and the newest that are kept.
        kept: Option<(u64, u64)>,
    },
    /// The name is taken.
    #[error("Connector {name} already exists")]
    AlreadyExists {
        /// The name.
        name: String,
    },
    /// The request itself is wrong.
    #[error("{}", join(.0))]
    Invalid(Vec<Violation>),
    /// The connector's config is wrong; the text is Kafka Connect's.
    #[error("{message}")]
    InvalidConfig {
        /// Kafka Connect's message.
        message: String,
        /// Each error with its key.
        violations: Vec<Violation>,
    },
    /// Somebody else changed it since.
    #[error(
        "the etag {given:?} is stale: what it was read from has changed since; read it again (its etag is now {current:?})"
    )]
    StaleEtag {
        /// What the caller gave.
        given: String,
        /// What it is.
        current: String,
    },
    /// Others change the same thing again and again.
    #[error("the connector is being changed by others; try again")]
    Contended,
    /// The present state forbids it.
    #[error("{0}")]
    FailedPrecondition(String),
    /// No connected worker can do it.
    #[error("{0}")]
    NoWorker(String),
    /// A worker did not answer in time.
    #[error("{0}")]
    Timeout(String),
    /// Too large for the store.
    #[error("{0}")]
    TooLarge(String),
    /// A watch cannot be resumed there.
    #[error("the resume token is too old: list again")]
    ResumeTooOld,
    /// The store does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// Over a limit; nothing was done.
    #[error("{}", overload_text(.0))]
    Overloaded(Overload),
    /// The store has too little space left for this; the text says what to do.
    #[error("{0}")]
    OutOfSpace(String),
    /// Not our caller's fault.
    #[error("{0}")]
    Internal(String),
}

fn kept_text(kept: Option<(u64, u64)>) -> String {
    match kept {
        None => "none are kept".to_owned(),
        Some((oldest, newest)) if oldest == newest => format!("only {newest} is kept"),
        Some((oldest, newest)) => format!("{oldest} to {newest} are kept"),
    }
}

fn overload_text(overload: &Overload) -> String {
    let Overload { flag, what, limit, retry_after, .. } = overload;
    match retry_after {
        Some(after) => format!("at most {limit} {what} ({flag}); try again in {} ms", after.as_millis().max(1)),
        None => format!("at most {limit} {what} ({flag})"),
    }
}

impl ServiceError {
    /// A page token that no list has answered.
    pub fn bad_page_token() -> ServiceError {
        ServiceError::Invalid(vec![Violation {
            field: "page_token".to_owned(),
            description: "it is not a token of an earlier answer; leave it empty for the first page".to_owned(),
        }])
    }
}

fn join(violations: &[Violation]) -> String {
    violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect::<Vec<_>>().join("; ")
}
