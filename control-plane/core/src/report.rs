//! What a worker reports of a unit that it holds, decided on a view of the store: what is to be stored, under which
//! guards.
//!
//! A report may come late, through a replica that hung, after another replica has stored a later one. So a worker numbers
//! what it says of a unit under a grant, and the number is stored with it: an older one changes nothing. What is said
//! again, because a session was lost, keeps its number and costs no write.

use crate::{
    connector::{Config, TargetState},
    ids::{Epoch, Generation, Unit, UnitKind, WorkerId},
    keys::{Key, encode},
    lease::{GrantState, Owner},
    status::UnitStatus,
    task::{Said, TASK_SET_LIMIT_BYTES, TaskSet},
    txn::{Compare, Txn},
    world::{Stored, World},
};

/// What became of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Stored.
    Accepted,
    /// Its grant or generation is past, or a later one is stored.
    Void,
    /// It cannot be stored; the text is for the user.
    Refused(String),
    /// It is not stored for want of space; the worker repeats it.
    Postponed,
}

/// What to do for a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Store this, and then it is that. Where a guard does not hold: decide again.
    Store(Txn, Verdict),
    /// Nothing is to be stored.
    Done(Verdict),
    /// The view may be behind: decide again once it is up to date.
    Behind,
}

/// Of which grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Who reports.
    pub worker: WorkerId,
    /// The unit.
    pub unit: Unit,
    /// Under which grant.
    pub epoch: Epoch,
}

/// What is reported.
#[derive(Debug, Clone)]
pub enum Report {
    /// A unit's state.
    Status(Box<UnitStatus>),
    /// The grant has ended on its worker.
    Ended,
    /// The grant is to be replaced by one under a higher epoch.
    TakeBack,
    /// A planner made these tasks.
    TaskSet {
        /// The number under its grant; 1 is the first.
        change: u64,
        /// One config a task, in order.
        tasks: Vec<Config>,
    },
}

/// What else a decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// The view was brought up to date since the report came.
    pub is_up_to_date: bool,
    /// There is space for statuses.
    pub takes_statuses: bool,
}

/// Decides what to do for a report.
pub fn decide(world: &World, grant: Grant, report: &Report, circumstances: Circumstances) -> Step {
    let owner = match world.owners.get(&grant.unit) {
        Some(owner) if owner.value.epoch == grant.epoch && owner.value.worker == grant.worker => owner,
        Some(owner) if owner.value.epoch > grant.epoch => return Step::Done(Verdict::Void),
        _ if world.epoch.as_ref().is_some_and(|stored| stored.value >= grant.epoch) => {
            return Step::Done(Verdict::Void);
        }
        // The grant is newer than this view.
        _ => return Step::Behind,
    };
    match report {
        Report::Status(status) => decide_status(world, grant.unit, owner, status, circumstances.takes_statuses),
        Report::Ended => Step::Store(release(grant.unit, owner), Verdict::Accepted),
        Report::TakeBack if owner.value.state == GrantState::Revoking => Step::Done(Verdict::Accepted),
        Report::TakeBack => {
            let revoking = Owner { state: GrantState::Revoking, ..owner.value.clone() };
            Step::Store(held(grant.unit, owner).put(Key::Owner(grant.unit), encode(&revoking)), Verdict::Accepted)
        }
        Report::TaskSet { change, tasks } => {
            decide_task_set(world, grant.unit, owner, *change, tasks, circumstances.is_up_to_date)
        }
    }
}

/// The grant goes.
pub fn release(unit: Unit, owner: &Stored<Owner>) -> Txn {
    held(unit, owner).delete(Key::Owner(unit))
}

fn held(unit: Unit, owner: &Stored<Owner>) -> Txn {
    Txn::new().when(Compare::Unchanged(Key::Owner(unit), owner.revision))
}

fn decide_status(world: &World, unit: Unit, owner: &Stored<Owner>, status: &UnitStatus, takes_statuses: bool) -> Step {
    let key = Key::Status(unit);
    let before = world.statuses.get(&unit);
    let unchanged = match before {
        Some(before) if before.value.epoch == status.epoch && before.value.change == status.change => {
            return Step::Done(Verdict::Accepted);
        }
        Some(before) if before.value.epoch == status.epoch && before.value.change > status.change => {
            return Step::Done(Verdict::Void);
        }
        Some(before) => Compare::Unchanged(key.clone(), before.revision),
        None => Compare::Absent(key.clone()),
    };
    let guarded = held(unit, owner).when(unchanged);
    match (takes_statuses, before) {
        (true, _) => Step::Store(guarded.put(key, encode(status)), Verdict::Accepted),
        (false, None) => Step::Done(Verdict::Postponed),
        // What is stored is not true any more, and a deletion takes no space.
        (false, Some(_)) => Step::Store(guarded.delete(key), Verdict::Postponed),
    }
}

/// Tasks count if the planner's grant is for what the connector is now: the grant's digest says so, also where the config
/// has changed and changed back since.
fn decide_task_set(
    world: &World,
    planner: Unit,
    owner: &Stored<Owner>,
    change: u64,
    tasks: &[Config],
    is_up_to_date: bool,
) -> Step {
    let uid = planner.connector;
    let Some(connector) = world.connectors.get(&uid).filter(|_| planner.kind == UnitKind::Planner) else {
        return Step::Done(Verdict::Void);
    };
    let is_current = world.wanted_digest(planner) == Some(owner.value.digest);
    if !is_current || connector.value.target == TargetState::Stopped {
        // This view may be behind the resumption that the planner obeyed.
        return if is_up_to_date { Step::Done(Verdict::Void) } else { Step::Behind };
    }
    let said = Some(Said { epoch: owner.value.epoch, change });
    let old = world.task_sets.get(&uid);
    if old.is_some_and(|old| old.value.said > said) {
        return Step::Done(Verdict::Void);
    }
    let set = TaskSet {
        connector: uid,
        number: old.map_or(Generation::FIRST, |old| old.value.number),
        said,
        config_generation: connector.value.config_generation,
        connector_config: connector.value.config.clone(),
        settings: connector.value.settings.clone(),
        tasks: tasks.to_vec(),
    };
    let (set, old_guard) = match old {
        None => (set, Compare::Absent(Key::TaskSet(uid))),
        Some(old) if old.value == set => return Step::Done(Verdict::Accepted),
        Some(old) => {
            let is_same = TaskSet { said, ..old.value.clone() } == set;
            if is_same && change <= 1 {
                // Nothing was said before under this grant, so that nothing else may come late.
                return Step::Done(Verdict::Accepted);
            }
            // Where only who said it is new, it is the same set: nobody's task starts anew.
            let number = if is_same { set.number } else { set.number.next() };
            (TaskSet { number, ..set }, Compare::Unchanged(Key::TaskSet(uid), old.revision))
        }
    };
    let value = encode(&set);
    if value.len() > TASK_SET_LIMIT_BYTES {
        return Step::Done(Verdict::Refused(format!(
            "the connector made {} tasks whose configs take {} bytes together; at most {} can be stored: lower tasks.max or \
             shorten the configs",
            tasks.len(),
            value.len(),
            TASK_SET_LIMIT_BYTES
        )));
    }
    let named = Key::Connector(connector.value.namespace.clone(), connector.value.name.clone());
    let txn = held(planner, owner)
        .when(Compare::Unchanged(named, connector.revision))
        .when(old_guard)
        .put(Key::TaskSet(uid), value);
    Step::Store(txn, Verdict::Accepted)
}

#[cfg(test)]
mod tests;
