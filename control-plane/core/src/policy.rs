//! The leader's numbers.

use std::time::Duration;

/// When more than so many of a hundred workers, and more than one, are lost together, their units are freed at a limited
/// rate: those that are left, and what they connect to, are not overrun.
pub const MASS_LOSS_PERCENT: usize = 30;

/// What the planner may decide by. The defaults are the promises of the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// A worker whose heartbeat number stands still for this long has lost its lease.
    pub lease_ttl: Duration,
    /// After a leader change or a gap in the store's stream nobody is expired for this long.
    pub settle: Duration,
    /// A session that ended is taken up again within this time, or its worker is suspect.
    pub suspect_after: Duration,
    /// Units of TRANSACTIONAL and TARGET_EPOCH are taken over from suspects while these are at most one, or one in so
    /// many workers.
    pub suspects_per_worker: usize,
    /// Most units that a worker that drains or leaves is asked for at a time; or one in eight of what it has, so that
    /// a large one is through in time.
    pub drain_at_a_time: usize,
    /// Units that are freed at once when [`MASS_LOSS_PERCENT`] of the workers are lost together.
    pub mass_loss_burst: u64,
    /// And then so many a second.
    pub mass_loss_rate: u64,
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
            suspect_after: Duration::from_millis(250),
            suspects_per_worker: 10,
            drain_at_a_time: 16,
            mass_loss_burst: 500,
            mass_loss_rate: 500,
            balance_moves: 16,
            grants_per_plan: 2000,
        }
    }
}
