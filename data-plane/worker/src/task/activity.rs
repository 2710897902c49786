//! What a unit is doing, shared with whoever watches it: noted around calls, never for each record.

use std::sync::Arc;
use std::time::Duration;

use data_plane_core::activity::{Activity, Pending, Place, Stage, Stall};
use data_plane_core::time::Monotonic;
use parking_lot::Mutex;

use crate::clock;

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct SharedActivity(Arc<Mutex<Activity>>);

/// A call under way; it is over when this is dropped, also by a panic.
pub(super) struct Entered {
    activity: SharedActivity,
    before: Option<(Stage, Monotonic)>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.activity.0.lock().leave(self.before);
    }
}

impl SharedActivity {
    /// Notes that a call is under way.
    pub(super) fn enter(&self, stage: Stage) -> Entered {
        let before = self.0.lock().enter(stage, clock::now());
        Entered { activity: self.clone(), before }
    }

    /// Notes that a call is under way while `act` does it.
    pub(super) fn during<R>(&self, stage: Stage, act: impl FnOnce() -> R) -> R {
        let _entered = self.enter(stage);
        act()
    }

    /// Notes whether something that failed is tried again.
    pub(super) fn retries(&self, stage: Stage, is_so: bool) {
        let mut activity = self.0.lock();
        match is_so {
            true => activity.retries(stage, clock::now()),
            false => activity.settled(stage),
        }
    }

    /// Notes what waits after so many outcomes.
    pub(super) fn note(&self, done: u64, pending: Option<Pending>) {
        self.0.lock().note(done, pending, clock::now());
    }

    /// Where the unit has stood still for `after` or longer, of the time since `from`.
    pub fn stall(&self, from: Monotonic, after: Duration) -> Option<Stall> {
        self.0.lock().stall(from, clock::now(), after)
    }

    /// The call that does not return yet.
    pub fn place(&self) -> Option<Place> {
        self.0.lock().stage().map(|(stage, _)| Place::In(stage))
    }
}
