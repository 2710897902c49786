//! What the leader does next: `plan` decides, `Plan::txns` says how to store it.
//!
//! Pure, total and idempotent. Nothing here waits: what cannot be done yet is planned again when the world changes or
//! at `Plan::again_at`. The rules of a move: GRANTED → REVOKING (still owned) → free, by the stop's acknowledgement or
//! because the worker's entry says EXPIRED → GRANTED to another under a higher epoch. All changed or removed tasks of
//! a connector are free before any changed one is granted; unchanged ones run on.

use crate::{
    connector::{Connector, TargetState},
    history::kept_revisions,
    ids::{ConnectorName, ConnectorUid, Epoch, Namespace, Revision, Unit, UnitKind, WorkerId},
    keys::{Key, encode},
    lease::{FenceClass, GrantState, Owner},
    placement::{MayStart, place},
    policy::Policy,
    task::UnitDigest,
    time::Monotonic,
    txn::{Compare, TXN_LIMIT_OPS, Txn},
    worker::{Worker, WorkerState},
    world::World,
};
use std::collections::BTreeSet;

/// A unit to be given to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The unit.
    pub unit: Unit,
    /// To whom.
    pub worker: WorkerId,
    /// What it is to run.
    pub digest: UnitDigest,
    /// How this owner would be fenced.
    pub fence_class: FenceClass,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Workers whose lease has ended.
    pub expire: Vec<WorkerId>,
    /// Expired workers that own nothing any more.
    pub forget: Vec<WorkerId>,
    /// Units whose worker's lease has ended.
    pub free: Vec<Unit>,
    /// Units to be taken back.
    pub revoke: Vec<Unit>,
    /// Units to be given.
    pub grant: Vec<Grant>,
    /// Statuses of units that neither exist nor are owned.
    pub sweep: Vec<Unit>,
    /// Deleted connectors that nobody runs any more.
    pub bury: Vec<ConnectorUid>,
    /// When a silence may become an expiry, if nothing changes before.
    pub again_at: Option<Monotonic>,
}

/// Decides what to do in this world.
pub fn plan(world: &World, policy: &Policy, now: Monotonic) -> Plan {
    let mut plan = Plan::default();
    plan_leases(world, policy, now, &mut plan);
    plan_taking_back(world, &mut plan);
    plan_giving(world, policy, &mut plan);
    plan_cleaning(world, &mut plan);
    plan
}

fn plan_leases(world: &World, policy: &Policy, now: Monotonic, plan: &mut Plan) {
    // A HOLD lets its worker go on for a lease; without any, `held_at` is zero and lies in the past.
    let settled_at = (world.timers_since + policy.settle).max(world.held_at + policy.lease_ttl);
    let owning: BTreeSet<WorkerId> = world.owners.values().map(|owner| owner.value.worker).collect();
    for (id, worker) in &world.workers {
        if worker.value.state == WorkerState::Expired {
            if !owning.contains(id) {
                plan.forget.push(*id);
            }
            continue;
        }
        let silent_since = world.beats.get(id).map_or(world.timers_since, |beat| beat.since);
        let due = (silent_since + policy.lease_ttl).max(settled_at);
        if now >= due {
            plan.expire.push(*id);
        } else {
            plan.again_at = Some(plan.again_at.map_or(due, |at| at.min(due)));
        }
    }
}

fn plan_taking_back(world: &World, plan: &mut Plan) {
    for (unit, owner) in &world.owners {
        let owner = &owner.value;
        let worker = world.workers.get(&owner.worker).map(|stored| &stored.value);
        match worker {
            None => plan.free.push(*unit),
            Some(worker) if worker.state == WorkerState::Expired => plan.free.push(*unit),
            Some(_) if owner.state == GrantState::Revoking => {}
            Some(_) if is_as_wanted(world, unit, owner) => {}
            Some(_) => plan.revoke.push(*unit),
        }
    }
}

/// The unit exists and runs what it should.
fn is_as_wanted(world: &World, unit: &Unit, owner: &Owner) -> bool {
    is_wanted(world, unit) && world.wanted_digest(*unit) == Some(owner.digest)
}

fn is_wanted(world: &World, unit: &Unit) -> bool {
    let Some(connector) = world.connectors.get(&unit.connector) else { return false };
    match unit.kind {
        UnitKind::Planner => true,
        UnitKind::Task(number) => {
            connector.value.target != TargetState::Stopped
                && world.task_sets.get(&unit.connector).is_some_and(|set| (number as usize) < set.value.tasks.len())
        }
    }
}

fn plan_giving(world: &World, policy: &Policy, plan: &mut Plan) {
    let taken: BTreeSet<Unit> = plan.revoke.iter().chain(&plan.free).copied().collect();
    let names_of_deleted: BTreeSet<(&Namespace, &ConnectorName)> =
        world.deleted.values().map(|deleted| (&deleted.value.namespace, &deleted.value.name)).collect();
    let may_start = |connector: &Connector| {
        let waits_for_namesake = names_of_deleted.contains(&(&connector.namespace, &connector.name));
        let changed_tasks_run = world
            .owned_units(connector.uid)
            .any(|(unit, owner)| unit.kind != UnitKind::Planner && !is_as_wanted(world, unit, &owner.value));
        MayStart { planner: !waits_for_namesake, tasks: !waits_for_namesake && !changed_tasks_run }
    };
    let placement = place(world, policy, &taken, may_start);
    for (unit, worker) in placement.give {
        if let (Some(digest), Some(connector)) = (world.wanted_digest(unit), world.connectors.get(&unit.connector)) {
            plan.grant.push(Grant { unit, worker, digest, fence_class: connector.value.fence_class });
        }
    }
    plan.revoke.extend(placement.vacate);
}

fn plan_cleaning(world: &World, plan: &mut Plan) {
    for unit in world.statuses.keys() {
        if !world.owners.contains_key(unit) && !is_wanted(world, unit) {
            plan.sweep.push(*unit);
        }
    }
    for uid in world.deleted.keys() {
        if world.owned_units(*uid).next().is_none() {
            plan.bury.push(*uid);
        }
    }
}

impl Plan {
    /// Nothing is to be done now.
    pub fn is_empty(&self) -> bool {
        let Plan { expire, forget, free, revoke, grant, sweep, bury, again_at: _ } = self;
        expire.is_empty()
            && forget.is_empty()
            && free.is_empty()
            && revoke.is_empty()
            && grant.is_empty()
            && sweep.is_empty()
            && bury.is_empty()
    }

    /// The transactions for all but the grants, each guarded by the leadership and by what was decided upon.
    pub fn txns(&self, world: &World) -> Vec<Txn> {
        let Some(leader) = leader_guard(world) else { return Vec::new() };
        let mut txns = Vec::new();
        for id in &self.expire {
            let Some(worker) = world.workers.get(id) else { continue };
            let expired = Worker { state: WorkerState::Expired, ..worker.value.clone() };
            txns.push(
                Txn::new()
                    .when(leader.clone())
                    .when(Compare::Unchanged(Key::Worker(*id), worker.revision))
                    // A heartbeat that is stored but not yet seen here would extend the worker's lease.
                    .when(Compare::NoReplicaNewer(world.replicas_revision))
                    .put(Key::Worker(*id), encode(&expired)),
            );
        }
        for unit in &self.free {
            let Some(owner) = world.owners.get(unit) else { continue };
            let worker = Key::Worker(owner.value.worker);
            let worker_guard = match world.workers.get(&owner.value.worker) {
                Some(stored) => Compare::Unchanged(worker, stored.revision),
                None => Compare::Absent(worker),
            };
            batch(
                &mut txns,
                &leader,
                vec![worker_guard, Compare::Unchanged(Key::Owner(*unit), owner.revision)],
                |txn| txn.delete(Key::Owner(*unit)),
            );
        }
        for unit in &self.revoke {
            let Some(owner) = world.owners.get(unit) else { continue };
            let revoking = Owner { state: GrantState::Revoking, ..owner.value.clone() };
            batch(&mut txns, &leader, vec![Compare::Unchanged(Key::Owner(*unit), owner.revision)], |txn| {
                txn.put(Key::Owner(*unit), encode(&revoking))
            });
        }
        for id in &self.forget {
            let Some(worker) = world.workers.get(id) else { continue };
            batch(&mut txns, &leader, vec![Compare::Unchanged(Key::Worker(*id), worker.revision)], |txn| {
                txn.delete(Key::Worker(*id))
            });
        }
        for unit in &self.sweep {
            let Some(status) = world.statuses.get(unit) else { continue };
            batch(
                &mut txns,
                &leader,
                vec![Compare::Unchanged(Key::Status(*unit), status.revision), Compare::Absent(Key::Owner(*unit))],
                |txn| txn.delete(Key::Status(*unit)),
            );
        }
        for uid in &self.bury {
            let Some(deleted) = world.deleted.get(uid) else { continue };
            let burial = Txn::new()
                .when(leader.clone())
                .when(Compare::Unchanged(Key::Deleted(*uid), deleted.revision))
                .delete(Key::TaskSet(*uid))
                .delete(Key::Deleted(*uid));
            txns.push(
                kept_revisions(deleted.value.config_generation)
                    .fold(burial, |txn, generation| txn.delete(Key::Revision(*uid, generation))),
            );
        }
        txns
    }
}

/// Grants raise the epoch one by one, so their transactions form a chain: each takes the epoch that the one before
/// left and the revision that wrote it.
pub struct GrantChain {
    epoch: Epoch,
    revision: Option<Revision>,
    incarnation: u32,
}

impl GrantChain {
    /// Begins at the epoch that the world knows.
    pub fn new(world: &World) -> GrantChain {
        let epoch = world.epoch.as_ref().map_or(Epoch { incarnation: 1, counter: 0 }, |stored| stored.value);
        GrantChain {
            epoch,
            revision: world.epoch.as_ref().map(|stored| stored.revision),
            incarnation: epoch.incarnation,
        }
    }

    /// Takes grants off the front and makes their transaction; None when there are none left.
    pub fn next(&mut self, world: &World, grants: &mut &[Grant]) -> Option<Txn> {
        let leader = leader_guard(world)?;
        if grants.is_empty() {
            return None;
        }
        let epoch_guard = match self.revision {
            Some(revision) => Compare::Unchanged(Key::Epoch, revision),
            None => Compare::Absent(Key::Epoch),
        };
        let mut txn = Txn::new().when(leader).when(epoch_guard);
        while let Some((grant, rest)) = grants.split_first() {
            if txn.compares.len() + 4 > TXN_LIMIT_OPS || txn.writes.len() + 2 > TXN_LIMIT_OPS {
                break;
            }
            *grants = rest;
            let (Some(worker), Some(connector)) =
                (world.workers.get(&grant.worker), world.connectors.get(&grant.unit.connector))
            else {
                continue;
            };
            self.epoch = Epoch { incarnation: self.incarnation, counter: self.epoch.counter + 1 };
            let owner = Owner {
                worker: grant.worker,
                epoch: self.epoch,
                state: GrantState::Granted,
                fence_class: grant.fence_class,
                digest: grant.digest,
            };
            let named = Key::Connector(connector.value.namespace.clone(), connector.value.name.clone());
            txn = txn
                .when(Compare::Absent(Key::Owner(grant.unit)))
                .when(Compare::Unchanged(Key::Worker(grant.worker), worker.revision))
                .when(Compare::Unchanged(named, connector.revision))
                .put(Key::Owner(grant.unit), encode(&owner));
            if let (UnitKind::Task(_), Some(set)) = (grant.unit.kind, world.task_sets.get(&grant.unit.connector)) {
                txn = txn.when(Compare::Unchanged(Key::TaskSet(grant.unit.connector), set.revision));
            }
        }
        Some(txn.put(Key::Epoch, encode(&self.epoch)))
    }

    /// The transaction was committed at this revision.
    pub fn committed(&mut self, revision: Revision) {
        self.revision = Some(revision);
    }
}

fn leader_guard(world: &World) -> Option<Compare> {
    world.leader.as_ref().map(|leader| Compare::Unchanged(Key::Leader, leader.revision))
}

/// Adds a guarded write to the last transaction, or to a new one where that is full.
fn batch(txns: &mut Vec<Txn>, leader: &Compare, guards: Vec<Compare>, write: impl FnOnce(Txn) -> Txn) {
    let full = |txn: &Txn| {
        txn.compares.len() + guards.len() > TXN_LIMIT_OPS
            || txn.writes.len() + 1 > TXN_LIMIT_OPS
            || txn.compares.iter().any(|compare| matches!(compare, Compare::NoReplicaNewer(_)))
    };
    let mut txn = match txns.last() {
        Some(last) if !full(last) => txns.pop().unwrap_or_default(),
        _ => Txn::new().when(leader.clone()),
    };
    for guard in guards {
        txn = txn.when(guard);
    }
    txns.push(write(txn));
}

#[cfg(test)]
mod tests;
