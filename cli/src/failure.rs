//! Why a command failed: lines for standard error, and an exit code.

use std::io::{self, Write};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It went wrong at run time.
    Runtime,
    /// The arguments or files are wrong, or what they name is not there.
    Caller,
    /// Nobody answers at the server's address, or a file cannot be read or written.
    Environment,
}

impl Kind {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Runtime => 1,
            Kind::Caller => 2,
            Kind::Environment => 3,
        }
    }
}

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    /// Whose fault it is.
    pub kind: Kind,
    lines: Vec<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, line: impl Into<String>) -> Self {
        Failure { kind, lines: vec![line.into()] }
    }

    pub(crate) fn caller(lines: Vec<String>) -> Self {
        Failure { kind: Kind::Caller, lines }
    }

    /// All of them; of the first one's kind. None if there are none.
    pub(crate) fn all(failures: Vec<Failure>) -> Result<(), Failure> {
        let Some(first) = failures.first() else {
            return Ok(());
        };
        Err(Failure { kind: first.kind, lines: failures.into_iter().flat_map(|failure| failure.lines).collect() })
    }

    /// Says which of several things it was about.
    pub(crate) fn about(mut self, what: &str) -> Self {
        for line in &mut self.lines {
            *line = format!("{what}: {line}");
        }
        self
    }

    /// Writes `error: …` lines.
    ///
    /// # Errors
    /// Those of `err`.
    pub fn write(&self, err: &mut dyn Write) -> io::Result<()> {
        for line in &self.lines {
            writeln!(err, "error: {line}")?;
        }
        Ok(())
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let kind = match status.code() {
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::FailedPrecondition
            | Code::OutOfRange => Kind::Caller,
            Code::Unavailable => Kind::Environment,
            _ => Kind::Runtime,
        };
        let details = status.get_error_details();
        let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
        if violations.is_empty() {
            return Failure::new(kind, status.message());
        }
        Failure { kind, lines: violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect() }
    }
}

/// Standard output is gone: a pager that was closed is nobody's fault, and nobody reads why.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure { kind: Kind::Environment, lines: Vec::new() },
            _ => Failure::new(Kind::Environment, format!("the output cannot be written: {error}")),
        }
    }
}
