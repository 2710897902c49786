//! The worker's decisions: leases, assignment, acks, offsets. Pure.

pub mod acks;
pub mod activity;
pub mod assignment;
pub mod backoff;
pub mod client_overrides;
pub mod lease;
pub mod offsets;
pub mod report;
pub mod retry;
pub mod time;
