//! Where units stand, as workers sampled it: in memory only, for readers. Bounded by the units that are owned.

use control_plane_api::service::Position;
use control_plane_core::ids::{Epoch, Unit};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// A sample.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    /// Under which grant.
    pub epoch: Epoch,
    /// Records since start.
    pub records: u64,
    /// Durable positions.
    pub positions: Vec<Position>,
}

/// Positions kept of a unit.
pub const POSITIONS_LIMIT: usize = 100;

/// The latest sample of each unit.
#[derive(Debug, Clone, Default)]
pub struct ProgressTable(Arc<Mutex<BTreeMap<Unit, Sample>>>);

impl ProgressTable {
    /// A sample under a grant that is current.
    pub fn put(&self, unit: Unit, sample: Sample) {
        self.0.lock().insert(unit, sample);
    }

    /// The unit is not owned any more.
    pub fn forget(&self, unit: &Unit) {
        self.0.lock().remove(unit);
    }

    /// The sample under this grant.
    pub fn get(&self, unit: &Unit, epoch: Epoch) -> Option<Sample> {
        self.0.lock().get(unit).filter(|sample| sample.epoch == epoch).cloned()
    }
}
