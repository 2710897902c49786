//! No false takeover: where only the store's disk is slow, no lease ends but that of a worker which has died, and that one
//! ends in time.

use crate::sim::Sim;
use control_plane_core::ids::WorkerId;

const NAME: &str = "no lease ends for a slow disk";

/// From a worker's death to its expiry, in ms.
const LIMIT: u64 = 3500;

/// What becomes of the one worker that dies.
#[derive(Debug, Default)]
pub struct SlowDisk {
    dead: Option<(WorkerId, u64)>,
}

impl Sim {
    /// A worker dies.
    pub fn note_death(&mut self, index: usize) {
        let (id, now) = (self.workers[index].id, self.now);
        if let Some(slow) = &mut self.slow_disk {
            slow.dead = Some((id, now));
        }
    }

    /// A worker lost its lease by its own clock.
    pub fn check_self_fence(&mut self, index: usize) {
        if self.slow_disk.is_some() {
            self.violate(NAME, format!("w{index} closes its gates"));
        }
    }

    /// A worker's entry says that it is expired.
    pub fn check_expiry(&mut self, worker: WorkerId) {
        let now = self.now;
        let Some(slow) = &mut self.slow_disk else { return };
        match slow.dead {
            Some((dead, at)) if dead == worker => {
                self.trace.count("expiries in spite of a slow disk");
                if now > at + LIMIT {
                    self.violate(NAME, format!("{worker} is expired {} ms after its death", now - at));
                }
            }
            _ => self.violate(NAME, format!("{worker} is expired, and has not died")),
        }
    }
}
