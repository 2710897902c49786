//! A unit runs on at most one unfenced worker; so does a namesake's: they share offsets and consumer groups.

use crate::sim::Sim;
use control_plane_core::ids::{Epoch, Unit, UnitKind};
use std::collections::BTreeMap;

impl Sim {
    /// After a unit may have become active somewhere.
    pub fn check_owners(&mut self) {
        let mut active: BTreeMap<(String, UnitKind), (usize, Unit, Epoch)> = BTreeMap::new();
        let mut text = None;
        for index in 0..self.workers.len() {
            for (name, unit, epoch) in self.active_units(index) {
                let (key, this) = ((name, unit.kind), (index, unit, epoch));
                if let Some((other, that, earlier)) = active.get(&key) {
                    text = Some(format!(
                        "{} {} runs on w{other} ({that} under {earlier}) and on w{index} ({unit} under {epoch})",
                        key.0, key.1
                    ));
                }
                active.insert(key, this);
            }
        }
        if let Some(text) = text {
            self.violate("a unit runs on at most one unfenced worker", text);
        }
    }
}
