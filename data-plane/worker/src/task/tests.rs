//! Units on the in-memory broker.

mod epochs;
pub(crate) mod harness;
mod plan;
mod reloads;
mod sink_errors;
pub(crate) mod sinks;
mod source_errors;
mod sources;
mod standing_still;
mod troubles;
mod validation;
mod warm_up;
