//! Units on the in-memory broker.

mod harness;
mod plan;
mod sinks;
mod sources;
