//! The worker's decisions: leases, assignment, acks, offsets. Pure.
