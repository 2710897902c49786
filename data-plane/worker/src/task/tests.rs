//! Units on the in-memory broker.

mod epochs;
mod harness;
mod plan;
mod reloads;
mod sink_errors;
mod sinks;
mod source_errors;
mod sources;
mod troubles;
mod validation;
