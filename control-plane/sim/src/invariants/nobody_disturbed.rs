//! Nobody else is disturbed: a unit that runs as it should is not fenced by one that starts late, nor taken back because
//! of others, but for balance.

use crate::{
    kafka::TaskKey,
    messages::{core_epoch, unit_of},
    sim::Sim,
    worker::RunnerKey,
};
use control_plane_core::{
    ids::UnitKind,
    keys::{Entry, Key},
    lease::GrantState,
    plan::Plan,
    policy::Policy,
    worker::WorkerState,
    world::World,
};
use std::collections::BTreeMap;

const NAME: &str = "nobody else is disturbed";

impl Sim {
    /// A transactional producer is about to initialise: whoever copies under the grant that stands must be itself, unless
    /// its own lease holds and its grant was confirmed, so that it could not know.
    pub fn check_joining(&mut self, index: usize, key: &RunnerKey, task_key: &TaskKey) {
        let unit = unit_of(&key.0);
        let Some(Entry::Owner(owner)) = self.etcd.get(&Key::Owner(unit)) else { return };
        if owner.epoch == core_epoch(key.1) || self.may_start(index, key) {
            return;
        }
        let rightful = owner.epoch;
        let is_at_work = |other: usize| self.is_at_work(other, &key.0, rightful);
        if let Some(other) = (0..self.workers.len()).find(|other| is_at_work(*other)) {
            let (name, task) = task_key;
            self.violate(
                NAME,
                format!("w{index} fences {name}-{task} on w{other} ({rightful}) by a grant of {}", key.1),
            );
        }
    }

    /// Of a world that a leader has planned.
    pub fn check_taking_back(&mut self, world: &World, policy: &Policy, plan: &Plan) {
        let mut loads: BTreeMap<_, (usize, usize)> = BTreeMap::new();
        for worker in world.workers.values().filter(|worker| worker.value.state == WorkerState::Active) {
            loads.entry(worker.value.id).or_default();
        }
        for (unit, owner) in &world.owners {
            if let Some((planners, tasks)) = loads.get_mut(&owner.value.worker) {
                *if unit.kind == UnitKind::Planner { planners } else { tasks } += 1;
            }
        }
        let mut for_balance = 0;
        for unit in &plan.revoke {
            let Some(owner) = world.owners.get(unit).map(|stored| &stored.value) else { continue };
            let state = world.workers.get(&owner.worker).map(|worker| worker.value.state);
            let is_changed = world.wanted_digest(*unit) != Some(owner.digest);
            if !is_changed && state == Some(WorkerState::Active) {
                for_balance += 1;
            }
        }
        // What is under way is on its way to somebody already.
        let is_settled = plan.grant.is_empty()
            && plan.free.is_empty()
            && plan.free_early.is_empty()
            && plan.revoke.len() == for_balance
            && world.cut_off.is_empty()
            && world.owners.values().all(|owner| {
                let state = world.workers.get(&owner.value.worker).map(|worker| worker.value.state);
                owner.value.state == GrantState::Granted && state == Some(WorkerState::Active)
            });
        let is_uneven = |of: fn(&(usize, usize)) -> usize| {
            let sizes = || loads.values().map(of);
            sizes().max().unwrap_or(0) > sizes().min().unwrap_or(0) + 1
        };
        if for_balance > policy.balance_moves {
            self.violate(NAME, format!("{for_balance} units are moved for balance at a time"));
        } else if for_balance > 0 && is_settled && !is_uneven(|load| load.0) && !is_uneven(|load| load.1) {
            self.violate(NAME, format!("units are moved though loads are even: {loads:?}"));
        }
    }
}
