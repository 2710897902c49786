//! No false takeover: where nothing is lost and only the store's disk is slow, nobody's lease ends.

use crate::sim::Sim;

const NAME: &str = "no lease ends for a slow disk";

impl Sim {
    /// A lease ended, on one side or the other.
    pub fn check_loss(&mut self, text: String) {
        if self.has_slow_disk {
            self.violate(NAME, text);
        }
    }
}
