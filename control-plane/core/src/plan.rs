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
    worker::{Replica, Worker, WorkerState},
    world::{MassLoss, Stored, World},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

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
    /// Units of suspects, whose next owner fences this one by its epoch: no lease is waited for.
    pub free_early: Vec<Unit>,
    /// Units to be taken back.
    pub revoke: Vec<Unit>,
    /// Units to be given.
    pub grant: Vec<Grant>,
    /// Statuses of units that neither exist nor are owned.
    pub sweep: Vec<Unit>,
    /// Deleted connectors that nobody runs any more.
    pub bury: Vec<ConnectorUid>,
    /// Another replica can expire workers that this one must not: it is to lead.
    pub resign: bool,
    /// When a silence may become an expiry, if nothing changes before.
    pub again_at: Option<Monotonic>,
}

/// Decides what to do in this world.
pub fn plan(world: &World, policy: &Policy, now: Monotonic) -> Plan {
    let mut plan = Plan::default();
    if world.is_rewound() {
        // What the store says is not what was granted. The incarnation is raised first, by whoever sees it.
        return plan;
    }
    plan_leases(world, policy, now, &mut plan);
    // Those who were made void may run on until they are expired, and for a lease from then. One that does not count on
    // this leader cannot be: what is known to be its own stays so, and nobody else waits for it.
    let is_any_left =
        plan.expire.iter().any(|id| world.workers.get(id).is_some_and(|stored| world.is_void(&stored.value)));
    let voided_until = world.voided_at.map(|at| at + policy.lease_ttl).filter(|until| now < *until);
    if is_any_left || voided_until.is_some() {
        // By their entries a later leader knows of them too.
        plan.forget.clear();
        plan.again_at = plan.again_at.into_iter().chain(voided_until).min();
        return plan;
    }
    plan_taking_back(world, policy, now, &mut plan);
    // Also of a worker that the store has forgotten.
    let settled_at = settled_at(world, policy, world.held.values().max());
    match world.has_heard_all() || now >= settled_at {
        true => plan_giving(world, policy, &mut plan),
        false => plan.look_again(settled_at.min(now + HEARING_PAUSE)),
    }
    plan_cleaning(world, &mut plan);
    plan
}

fn plan_leases(world: &World, policy: &Policy, now: Monotonic, plan: &mut Plan) {
    let owning: BTreeSet<WorkerId> = world.owners.values().map(|owner| owner.value.worker).collect();
    let leader = world.leader_address();
    for (id, stored) in &world.workers {
        let worker = &stored.value;
        if worker.state == WorkerState::Expired {
            if !owning.contains(id) {
                plan.forget.push(*id);
            }
            continue;
        }
        let silent_since = world.beats.get(id).map_or(world.timers_since, |beat| beat.since);
        let due = (silent_since + policy.lease_ttl).max(settled_at(world, policy, world.held.get(id)));
        if !world.is_void(worker) && now < due {
            plan.look_again(due);
        } else if leader.is_none_or(|leader| worker.counts_on(leader)) {
            plan.expire.push(*id);
        } else {
            // Its lease may hold for as long as all that it counts on say that they cannot grant. One of them may
            // lead and expire it: then its own word would be missing.
            let counted_on = |replica: &Stored<Replica>| worker.counts_on(&replica.value.address);
            plan.resign |= world.replicas.values().any(counted_on);
        }
    }
}

/// No lease is taken as ended before. A HOLD lets its worker go on for a lease from then.
fn settled_at(world: &World, policy: &Policy, held: Option<&Monotonic>) -> Monotonic {
    let held_until = held.map_or(Monotonic::default(), |at| *at + policy.lease_ttl);
    (world.timers_since + policy.settle).max(held_until)
}

fn plan_taking_back(world: &World, policy: &Policy, now: Monotonic, plan: &mut Plan) {
    let suspects = suspects(world, policy, now, plan);
    let mut takeovers = world.mass_loss.map(|loss| takeovers_allowed(world, policy, loss, now));
    let mut leaving: BTreeMap<WorkerId, Departure> = BTreeMap::new();
    for (unit, owner) in &world.owners {
        let owner = &owner.value;
        let worker = world.workers.get(&owner.worker).map(|stored| &stored.value);
        let Some(worker) = worker.filter(|worker| worker.state != WorkerState::Expired) else {
            match &mut takeovers {
                None => plan.free.push(*unit),
                Some(0) => plan.look_again(now + TAKEOVER_PAUSE),
                Some(allowed) => {
                    *allowed -= 1;
                    plan.free.push(*unit);
                }
            }
            continue;
        };
        if owner.fence_class != FenceClass::Lease && suspects.contains(&worker.id) {
            plan.free_early.push(*unit);
            continue;
        }
        if owner.state == GrantState::Granted && !is_as_wanted(world, unit, owner) {
            plan.revoke.push(*unit);
        } else if worker.state == WorkerState::Leaving {
            let departure = leaving.entry(worker.id).or_default();
            match owner.state {
                GrantState::Revoking => departure.under_way += 1,
                GrantState::Granted => departure.waiting.push(*unit),
            }
        }
    }
    for departure in leaving.into_values() {
        let size = departure.under_way + departure.waiting.len();
        let at_a_time = policy.drain_at_a_time.max(size / 8);
        plan.revoke.extend(departure.waiting.into_iter().take(at_a_time.saturating_sub(departure.under_way)));
    }
}

/// How often it is looked whether all workers were heard.
const HEARING_PAUSE: Duration = Duration::from_millis(100);

/// How often a limited takeover goes on.
const TAKEOVER_PAUSE: Duration = Duration::from_millis(100);

/// What is taken from a worker that leaves.
#[derive(Default)]
struct Departure {
    under_way: usize,
    waiting: Vec<Unit>,
}

/// Units of lost workers that may be freed now.
fn takeovers_allowed(world: &World, policy: &Policy, loss: MassLoss, now: Monotonic) -> u64 {
    let earned = policy.mass_loss_rate * now.since(loss.since).as_millis() as u64 / 1000;
    (policy.mass_loss_burst + earned).saturating_sub(world.freed - loss.freed_before)
}

/// Workers of which a living replica saw the session end without a goodbye, and that did not come back. Where they are
/// many, it is not they who are in trouble: nobody is suspect.
fn suspects(world: &World, policy: &Policy, now: Monotonic, plan: &mut Plan) -> BTreeSet<WorkerId> {
    let mut suspects = BTreeSet::new();
    for (worker, since) in &world.cut_off {
        let due = (*since + policy.suspect_after).max(settled_at(world, policy, world.held.get(worker)));
        match now >= due {
            true => drop(suspects.insert(*worker)),
            false => plan.look_again(due),
        }
    }
    if suspects.len() > (world.workers.len() / policy.suspects_per_worker).max(1) {
        suspects.clear();
    }
    suspects
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
    let taken: BTreeSet<Unit> = plan.revoke.iter().chain(&plan.free).chain(&plan.free_early).copied().collect();
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
            // What a planner does is not fenced by what its tasks write to.
            let fence_class = match unit.kind {
                UnitKind::Planner => FenceClass::Lease,
                UnitKind::Task(_) => connector.value.fence_class,
            };
            plan.grant.push(Grant { unit, worker, digest, fence_class });
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
    /// The world may be another at this moment, by time alone.
    fn look_again(&mut self, at: Monotonic) {
        self.again_at = Some(self.again_at.map_or(at, |known| known.min(at)));
    }

    /// Nothing is to be done now.
    pub fn is_empty(&self) -> bool {
        let Plan { expire, forget, free, free_early, revoke, grant, sweep, bury, resign, again_at: _ } = self;
        !resign
            && expire.is_empty()
            && free_early.is_empty()
            && forget.is_empty()
            && free.is_empty()
            && revoke.is_empty()
            && grant.is_empty()
            && sweep.is_empty()
            && bury.is_empty()
    }

    /// The transactions of the grants.
    pub fn grant_chain(&self, world: &World) -> GrantChain {
        GrantChain::new(world, &self.grant)
    }

    /// The transactions for all but the grants, each guarded by the leadership and by what was decided upon.
    pub fn txns(&self, world: &World) -> Vec<Txn> {
        let Some(leader) = leader_guard(world) else { return Vec::new() };
        let mut txns = Vec::new();
        for id in &self.expire {
            let Some(worker) = world.workers.get(id) else { continue };
            let expired = Worker { state: WorkerState::Expired, ..worker.value.clone() };
            let mut txn = Txn::new().when(leader.clone()).when(Compare::Unchanged(Key::Worker(*id), worker.revision));
            if !world.is_void(&worker.value) {
                // A heartbeat that is stored but not yet seen here would extend the worker's lease.
                txn = txn.when(Compare::NoReplicaNewer(world.replicas_revision));
            }
            txns.push(txn.put(Key::Worker(*id), encode(&expired)));
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
        for unit in &self.free_early {
            let Some(owner) = world.owners.get(unit) else { continue };
            let guards = vec![
                Compare::Unchanged(Key::Owner(*unit), owner.revision),
                // A session that is stored again but not yet seen here makes its worker no suspect.
                Compare::NoReplicaNewer(world.replicas_revision),
            ];
            batch(&mut txns, &leader, guards, |txn| txn.delete(Key::Owner(*unit)));
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
        if self.resign {
            txns.push(Txn::new().when(leader).delete(Key::Leader));
        }
        txns
    }
}

/// Grants raise the epoch one by one, so their transactions form a chain: each takes the epoch that the one before
/// left and the revision that wrote it. What it needs of the world it has: nobody keeps the world for it.
pub struct GrantChain {
    /// Whole but for the guard of the epoch.
    txns: VecDeque<Txn>,
    /// That wrote the epoch last; None: nobody has.
    revision: Option<Revision>,
}

impl GrantChain {
    /// The transactions of these grants, from the epoch that the world knows on.
    fn new(world: &World, grants: &[Grant]) -> GrantChain {
        let mut chain =
            GrantChain { txns: VecDeque::new(), revision: world.epoch.as_ref().map(|stored| stored.revision) };
        let Some(leader) = leader_guard(world) else { return chain };
        let mut epoch = world.epoch.as_ref().map_or(Epoch { incarnation: 1, counter: 0 }, |stored| stored.value);
        let mut txn = Txn::new().when(leader.clone());
        for grant in grants {
            let (Some(worker), Some(connector)) =
                (world.workers.get(&grant.worker), world.connectors.get(&grant.unit.connector))
            else {
                continue;
            };
            // The epoch's guard and its put come on top.
            if txn.compares.len() + 5 > TXN_LIMIT_OPS || txn.writes.len() + 2 > TXN_LIMIT_OPS {
                let full = std::mem::replace(&mut txn, Txn::new().when(leader.clone()));
                chain.txns.push_back(full.put(Key::Epoch, encode(&epoch)));
            }
            epoch.counter += 1;
            let owner = Owner {
                worker: grant.worker,
                epoch,
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
        if !txn.writes.is_empty() {
            chain.txns.push_back(txn.put(Key::Epoch, encode(&epoch)));
        }
        chain
    }

    /// The next transaction, to be committed before another is asked for; None when there are none left.
    pub fn next_txn(&mut self) -> Option<Txn> {
        let guard = match self.revision {
            Some(revision) => Compare::Unchanged(Key::Epoch, revision),
            None => Compare::Absent(Key::Epoch),
        };
        self.txns.pop_front().map(|txn| txn.when(guard))
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
    // A heartbeat refuses those that must not miss one: what it does not concern is not held up with them.
    let must_miss_none =
        |compares: &[Compare]| compares.iter().any(|compare| matches!(compare, Compare::NoReplicaNewer(_)));
    let full = |txn: &Txn| {
        txn.compares.len() + guards.len() > TXN_LIMIT_OPS
            || txn.writes.len() + 1 > TXN_LIMIT_OPS
            || must_miss_none(&txn.compares) != must_miss_none(&guards)
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
