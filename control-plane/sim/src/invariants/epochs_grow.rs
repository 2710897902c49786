//! Epochs only grow and are given once; a unit is granted only when nobody has it.

use crate::etcd::Change;
use control_plane_core::{
    ids::{Epoch, Unit},
    keys::{Entry, Key},
    lease::{GrantState, Owner},
};
use std::collections::BTreeMap;

/// Grants as they were stored.
#[derive(Debug, Default)]
pub struct Seen {
    highest: Epoch,
    owners: BTreeMap<Unit, Owner>,
}

impl Seen {
    /// These are the grants now. Epochs that nobody holds any more may be given again: where they left offsets, whoever
    /// reads them tells.
    pub fn restored(&mut self, owners: BTreeMap<Unit, Owner>) {
        self.highest = owners.values().map(|owner| owner.epoch).max().unwrap_or_default();
        self.owners = owners;
    }

    /// A change was stored.
    pub fn stored(&mut self, change: &Change) -> Result<(), String> {
        let Key::Owner(unit) = &change.key else { return Ok(()) };
        let Some(Entry::Owner(owner)) = &change.entry else {
            self.owners.remove(unit);
            return Ok(());
        };
        match self.owners.insert(*unit, owner.clone()) {
            None if owner.epoch <= self.highest => {
                Err(format!("{unit} is granted under {}, after {}", owner.epoch, self.highest))
            }
            None => {
                self.highest = owner.epoch;
                Ok(())
            }
            Some(old) if old.epoch != owner.epoch || old.worker != owner.worker => {
                Err(format!("{unit} goes from {} to {} without having been free", old.epoch, owner.epoch))
            }
            Some(old) if old.state == GrantState::Revoking && owner.state == GrantState::Granted => {
                Err(format!("{unit} under {} is granted again while it is taken back", owner.epoch))
            }
            Some(_) => Ok(()),
        }
    }
}
