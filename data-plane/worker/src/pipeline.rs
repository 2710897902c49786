//! What happens to records between a connector and Kafka: converters, the transform chain, and what becomes of those that fail.
//!
//! No I/O and no waiting here: a pipeline that has to wait before it tries a record again says how long, and goes on where it was.

mod chain;
mod converters;
mod dead_letter;
mod envelope;
mod failures;
mod inbound;
mod outbound;
mod slice;

pub use chain::{Chain, ChainProgress};
pub(crate) use chain::{aliases, missing, under};
pub use converters::Converters;
pub use dead_letter::{DeadLetter, DeadLetterSettings, Place, context_headers};
pub use envelope::envelope;
pub use failures::{ErrorCounts, ErrorPolicy, LogDetail, Retrier, Tolerance};
pub use inbound::{Inbound, WireRecord, WireRecords};
pub use outbound::{Outbound, WireRow};

use std::time::Duration;

/// Whether a batch is through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Every record has its outcome.
    Done,
    /// A record is tried again after this time: call again then. Without any time, the slice of time is over.
    Wait(Duration),
}

impl Flow {
    /// Whether something failed and is tried again.
    pub fn is_retry(self) -> bool {
        matches!(self, Flow::Wait(pause) if !pause.is_zero())
    }
}
