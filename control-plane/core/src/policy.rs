//! The leader's numbers.

use std::time::Duration;

/// What the planner may decide by. The defaults are the promises of the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// A worker whose heartbeat number stands still for this long has lost its lease.
    pub lease_ttl: Duration,
    /// After a leader change or a gap in the store's stream nobody is expired for this long.
    pub settle: Duration,
    /// Most units that are being moved for balance at a time.
    pub balance_moves: usize,
    /// Most grants of one plan: a plan is stored before the next is made, and none may take long to make.
    pub grants_per_plan: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            lease_ttl: Duration::from_millis(1500),
            settle: Duration::from_secs(3),
            balance_moves: 16,
            grants_per_plan: 2000,
        }
    }
}
