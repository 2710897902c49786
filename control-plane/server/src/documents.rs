//! A worker's document, derived from the World: what it is to hold.

use control_plane_core::{
    connector::TargetState,
    ids::{Epoch, Unit, UnitKind, WorkerId},
    lease::{FenceClass, GrantState, Owner},
    world::World,
};
use proto::worker_v1 as wire;
use std::collections::BTreeSet;

/// All of it.
pub fn whole(world: &World, worker: WorkerId) -> wire::Document {
    let assignments = world
        .owners
        .iter()
        .filter(|(_, owner)| owner.value.worker == worker)
        .map(|(unit, owner)| assignment(world, *unit, &owner.value))
        .collect();
    wire::Document { revision: world.revision.0 as u64, whole: true, assignments, removed: Vec::new() }
}

/// What is to be said to a worker about units that were touched. `before` gives the owners of then.
pub fn changes(world: &World, worker: WorkerId, touched: &BTreeSet<Unit>, before: &[(Unit, Owner)]) -> wire::Document {
    let mut assignments = Vec::new();
    for unit in touched {
        if let Some(owner) = world.owners.get(unit).filter(|owner| owner.value.worker == worker) {
            let assignment = assignment(world, *unit, &owner.value);
            // A grant of what is no longer wanted is about to be revoked by the leader: its word is waited for.
            let unstorable = assignment.revoking && owner.value.state == GrantState::Granted;
            if !unstorable {
                assignments.push(assignment);
            }
        }
    }
    let removed = before
        .iter()
        .filter(|(unit, old)| {
            old.worker == worker && world.owners.get(unit).is_none_or(|owner| owner.value.epoch != old.epoch)
        })
        .map(|(unit, old)| wire::UnitGrant { unit: Some(wire_unit(*unit)), epoch: Some(wire_epoch(old.epoch)) })
        .collect();
    wire::Document { revision: world.revision.0 as u64, whole: false, assignments, removed }
}

/// A unit as it is to be held. Where the grant is not for what is wanted now, its content is not known any more: the
/// worker is asked to give it back, as the leader is about to do.
fn assignment(world: &World, unit: Unit, owner: &Owner) -> wire::Assignment {
    let mut assignment = wire::Assignment {
        unit: Some(wire_unit(unit)),
        epoch: Some(wire_epoch(owner.epoch)),
        revoking: owner.state == GrantState::Revoking || world.wanted_digest(unit) != Some(owner.digest),
        fence_class: wire_fence_class(owner.fence_class).into(),
        ..wire::Assignment::default()
    };
    let Some(connector) = world.connectors.get(&unit.connector).map(|stored| &stored.value) else { return assignment };
    assignment.namespace = connector.namespace.to_string();
    assignment.connector = connector.name.to_string();
    assignment.target = wire_target(connector.target).into();
    assignment.target_generation = connector.target_generation.0;
    match unit.kind {
        UnitKind::Planner => {
            assignment.connector_config = connector.config.clone();
            assignment.config_generation = connector.config_generation.0;
            assignment.settings_id = connector.settings.to_string();
        }
        UnitKind::Task(number) => {
            if let Some(set) = world.task_sets.get(&unit.connector).map(|stored| &stored.value) {
                assignment.connector_config = set.connector_config.clone();
                assignment.config_generation = set.config_generation.0;
                assignment.settings_id = set.settings.to_string();
                assignment.task_config = set.tasks.get(number as usize).cloned().unwrap_or_default();
            }
        }
    }
    assignment
}

/// To the wire.
pub fn wire_unit(unit: Unit) -> wire::Unit {
    let task = match unit.kind {
        UnitKind::Planner => None,
        UnitKind::Task(number) => Some(number),
    };
    wire::Unit { connector_uid: unit.connector.to_string(), task }
}

/// To the wire.
pub fn wire_epoch(epoch: Epoch) -> wire::Epoch {
    wire::Epoch { incarnation: epoch.incarnation, counter: epoch.counter }
}

fn wire_fence_class(class: FenceClass) -> wire::FenceClass {
    match class {
        FenceClass::Lease => wire::FenceClass::Lease,
        FenceClass::TargetEpoch => wire::FenceClass::TargetEpoch,
        FenceClass::Transactional => wire::FenceClass::Transactional,
    }
}

fn wire_target(target: TargetState) -> wire::Target {
    match target {
        TargetState::Running => wire::Target::Running,
        TargetState::Paused => wire::Target::Paused,
        TargetState::Stopped => wire::Target::Stopped,
    }
}
