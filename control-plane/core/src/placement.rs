//! Where units go.
//!
//! Wanted: an unchanged world moves nothing; planners and tasks are balanced apart, to a difference of one; a
//! connector's tasks spread over workers; a worker is never given more than its capacity, nor what it cannot run.
//! Abstraction: a board of loads. Units that are under way (freed, or being revoked) are put on the board first, where
//! they would be granted now, so that planning again before they have arrived decides the same.

use crate::{
    connector::Connector,
    ids::{ConnectorUid, Unit, UnitKind, WorkerId},
    worker::{Worker, WorkerState},
    world::World,
};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Default)]
struct Load {
    planners: usize,
    tasks: usize,
    /// Still on the worker, and on its way off: takes room, and no part in the balance.
    leaving: usize,
    by_connector: BTreeMap<ConnectorUid, usize>,
}

impl Load {
    fn of_kind(&self, kind: UnitKind) -> usize {
        match kind {
            UnitKind::Planner => self.planners,
            UnitKind::Task(_) => self.tasks,
        }
    }
}

/// The loads of all workers that may be given something.
#[derive(Debug, Clone)]
pub struct Board<'w> {
    workers: BTreeMap<WorkerId, (&'w Worker, Load)>,
}

impl<'w> Board<'w> {
    /// The active workers with what they have been granted and keep.
    pub fn new(world: &'w World, keeps: impl Fn(&Unit) -> bool) -> Board<'w> {
        let mut board = Board {
            workers: world
                .workers
                .values()
                .filter(|worker| worker.value.state == WorkerState::Active)
                // Whether it will come back is about to be seen.
                .filter(|worker| !world.cut_off.contains_key(&worker.value.id))
                .map(|worker| (worker.value.id, (&worker.value, Load::default())))
                .collect(),
        };
        for (unit, owner) in &world.owners {
            if keeps(unit) {
                board.add(owner.value.worker, unit);
            } else if let Some((_, load)) = board.workers.get_mut(&owner.value.worker) {
                load.leaving += 1;
            }
        }
        board
    }

    /// Puts a unit on a worker.
    pub fn add(&mut self, worker: WorkerId, unit: &Unit) {
        if let Some((_, load)) = self.workers.get_mut(&worker) {
            match unit.kind {
                UnitKind::Planner => load.planners += 1,
                UnitKind::Task(_) => load.tasks += 1,
            }
            *load.by_connector.entry(unit.connector).or_insert(0) += 1;
        }
    }

    fn remove(&mut self, worker: WorkerId, unit: &Unit) {
        if let Some((_, load)) = self.workers.get_mut(&worker) {
            match unit.kind {
                UnitKind::Planner => load.planners -= 1,
                UnitKind::Task(_) => load.tasks -= 1,
            }
            if let Some(count) = load.by_connector.get_mut(&unit.connector) {
                *count -= 1;
            }
        }
    }

    /// The best worker for a unit now; None if nobody can run it.
    pub fn pick(&self, unit: &Unit, connector: &Connector) -> Option<WorkerId> {
        self.workers
            .values()
            .filter(|(worker, load)| can_run(worker, connector) && has_room(worker, load))
            .min_by_key(|(worker, load)| {
                let same_connector = load.by_connector.get(&unit.connector).copied().unwrap_or(0);
                (load.of_kind(unit.kind), same_connector, load.planners + load.tasks, worker.id)
            })
            .map(|(worker, _)| worker.id)
    }

    /// One move that brings the loads of a kind closer together, already made on the board.
    /// `movable` gives the units of a worker that may move, and their connectors.
    pub fn balance_one<'c>(
        &mut self,
        kind: UnitKind,
        movable: impl Fn(WorkerId) -> Vec<(Unit, &'c Connector)>,
    ) -> Option<Unit> {
        let mut from: Vec<(usize, WorkerId)> =
            self.workers.values().map(|(worker, load)| (load.of_kind(kind), worker.id)).collect();
        from.sort_by_key(|(load, id)| (std::cmp::Reverse(*load), *id));
        let least = from.last().map_or(0, |(load, _)| *load);
        // Nobody has so little that a move from here, or from a worker with less, would be better.
        for (load, source) in from.into_iter().take_while(|(load, _)| least + 2 <= *load) {
            for (unit, connector) in movable(source) {
                let better = self.pick(&unit, connector).filter(|target| {
                    self.workers.get(target).is_some_and(|(_, other)| other.of_kind(kind) + 2 <= load)
                });
                if let Some(target) = better {
                    self.remove(source, &unit);
                    self.add(target, &unit);
                    return Some(unit);
                }
            }
        }
        None
    }
}

/// Whether a worker has what the connector needs, leaving its load aside.
pub fn can_run(worker: &Worker, connector: &Connector) -> bool {
    worker.connectors.contains(&connector.class)
        && (worker.settings.is_empty() || worker.settings.contains(&connector.settings))
}

fn has_room(worker: &Worker, load: &Load) -> bool {
    worker.capacity == 0 || load.planners + load.tasks + load.leaving < worker.capacity as usize
}
