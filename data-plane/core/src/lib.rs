//! The worker's decisions: leases, assignment, acks, offsets. Pure.

pub mod assignment;
pub mod lease;
pub mod report;
pub mod time;
