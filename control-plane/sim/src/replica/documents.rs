//! A worker's document, derived from the World; as the server derives it.

use crate::messages::{Work, unit_name, worker_epoch};
use control_plane_core::{
    connector::TargetState,
    ids::{Unit, UnitKind, WorkerId},
    lease::{FenceClass, GrantState, Owner},
    world::World,
};
use data_plane_core::assignment::{Assigned, Document, Target};
use std::{collections::BTreeSet, rc::Rc};

/// All of it.
pub fn whole(world: &World, worker: WorkerId) -> Document<Rc<Work>> {
    let assigned = world
        .owners
        .iter()
        .filter(|(_, owner)| owner.value.worker == worker)
        .map(|(unit, owner)| assignment(world, *unit, &owner.value))
        .collect();
    Document { revision: world.revision.0, whole: true, assigned, removed: Vec::new() }
}

/// What is to be said about units that were touched; `before` gives the owners of then.
pub fn changes(
    world: &World,
    worker: WorkerId,
    touched: &BTreeSet<Unit>,
    before: &[(Unit, Owner)],
) -> Document<Rc<Work>> {
    let mut assigned = Vec::new();
    for unit in touched {
        if let Some(owner) = world.owners.get(unit).filter(|owner| owner.value.worker == worker) {
            let assignment = assignment(world, *unit, &owner.value);
            let unstorable = assignment.revoking && owner.value.state == GrantState::Granted;
            if !unstorable {
                assigned.push(assignment);
            }
        }
    }
    let removed = before
        .iter()
        .filter(|(unit, old)| {
            old.worker == worker && world.owners.get(unit).is_none_or(|owner| owner.value.epoch != old.epoch)
        })
        .map(|(unit, old)| (unit_name(*unit), worker_epoch(old.epoch)))
        .collect();
    Document { revision: world.revision.0, whole: false, assigned, removed }
}

fn assignment(world: &World, unit: Unit, owner: &Owner) -> Assigned<Rc<Work>> {
    let connector = world.connectors.get(&unit.connector).map(|stored| &stored.value);
    let set = world.task_sets.get(&unit.connector).map(|stored| &stored.value);
    let connector_config = match (unit.kind, connector, set) {
        (UnitKind::Planner, Some(connector), _) => connector.config.clone(),
        (UnitKind::Task(_), Some(_), Some(set)) => set.connector_config.clone(),
        _ => Default::default(),
    };
    Assigned {
        unit: unit_name(unit),
        epoch: worker_epoch(owner.epoch),
        revoking: owner.state == GrantState::Revoking || world.wanted_digest(unit) != Some(owner.digest),
        target: match connector.map(|connector| connector.target) {
            Some(TargetState::Paused) => Target::Paused,
            Some(TargetState::Stopped) => Target::Stopped,
            Some(TargetState::Running) | None => Target::Running,
        },
        target_generation: connector.map_or(0, |connector| connector.target_generation.0),
        severable: true,
        outlives_lease: owner.fence_class != FenceClass::Lease,
        work: Rc::new(Work {
            connector: connector.map_or_else(String::new, |connector| connector.name.to_string()),
            connector_config,
        }),
    }
}
