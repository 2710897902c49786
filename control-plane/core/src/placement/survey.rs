//! One walk over connectors and owners: how loaded the workers are, what has no worker, and what is on a wrong one.

use super::{
    board::{Applicant, Board, SeatId, is_settled},
    eligibility::GroupId,
    pairs::Pairs,
};
use crate::{
    connector::{Connector, TargetState},
    ids::{ConnectorUid, Unit, UnitKind},
    world::World,
};
use std::collections::BTreeSet;

/// What was found.
pub(super) struct Survey<'w> {
    pub(super) board: Board<'w>,
    /// Units to be placed.
    pub(super) homeless: Vec<Homeless<'w>>,
    /// Units on a worker that is being emptied, or that has not (or no longer) what they need.
    pub(super) misplaced: Vec<Applicant>,
    /// Connectors with units that stay, in order.
    pub(super) families: Vec<Family>,
}

/// Units of a connector that nobody has, or that end where they are.
pub(super) struct Homeless<'w> {
    pub(super) connector: &'w Connector,
    pub(super) units: Vec<Applicant>,
}

/// What the units of a connector have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    pub(super) connector: ConnectorUid,
    pub(super) group: GroupId,
    task_weight: u32,
}

impl Family {
    pub(super) fn applicant(&self, kind: UnitKind, at: Option<SeatId>) -> Applicant {
        let weight = match kind {
            UnitKind::Planner => 1,
            UnitKind::Task(_) => self.task_weight,
        };
        Applicant { unit: Unit { connector: self.connector, kind }, weight, group: self.group, at }
    }
}

pub(super) fn survey<'w>(world: &'w World, taken: &'w BTreeSet<Unit>, pairs: &'w Pairs) -> Survey<'w> {
    let mut board = Board::new(world, taken, pairs);
    let mut homeless = Vec::new();
    let mut misplaced = Vec::new();
    let mut families = Vec::new();
    let mut owners = world.owners.iter().peekable();

    for (uid, stored) in &world.connectors {
        let connector = &stored.value;
        let rules = world.placement_rules(*uid);
        let group = board.eligibility.group(connector, rules);
        let family = Family { connector: *uid, group, task_weight: rules.task_weight.get() };
        let mut wanted = wanted_kinds(world, connector).peekable();
        let mut missing = Vec::new();
        let mut has_residents = false;

        // Both are in order; what is owned of connectors that are gone comes between.
        while let Some((unit, owner)) = owners.next_if(|(unit, _)| unit.connector <= *uid) {
            let seat = board.seat(owner.value.worker);
            if unit.connector == *uid {
                while let Some(kind) = wanted.next_if(|kind| *kind < unit.kind) {
                    missing.push(family.applicant(kind, None));
                }
                let applicant = family.applicant(unit.kind, seat);
                let is_wanted = wanted.next_if_eq(&unit.kind).is_some();
                if is_settled(taken, unit, owner.value.state) {
                    board.settle(&applicant);
                    has_residents = true;
                    if board.must_leave(&applicant) {
                        misplaced.push(applicant);
                    }
                    continue;
                }
                if is_wanted {
                    missing.push(applicant);
                }
            }
            if let Some(seat) = seat {
                board.leave(seat);
            }
        }
        missing.extend(wanted.map(|kind| family.applicant(kind, None)));
        if !missing.is_empty() {
            homeless.push(Homeless { connector, units: missing });
        }
        if has_residents {
            families.push(family);
        }
    }
    for seat in owners.filter_map(|(_, owner)| board.seat(owner.value.worker)).collect::<Vec<_>>() {
        board.leave(seat);
    }
    board.put_in_order();
    Survey { board, homeless, misplaced, families }
}

fn wanted_kinds(world: &World, connector: &Connector) -> impl Iterator<Item = UnitKind> {
    let tasks = match (connector.target, world.task_sets.get(&connector.uid)) {
        (TargetState::Stopped, _) | (_, None) => 0,
        (_, Some(set)) => set.value.tasks.len() as u32,
    };
    std::iter::once(UnitKind::Planner).chain((0..tasks).map(UnitKind::Task))
}
