//! Planning is idempotent: the same world gives the same plan, and executing plans comes to rest.

use crate::sim::Sim;
use control_plane_core::{
    ids::Revision,
    lease::GrantState,
    plan::{Plan, plan},
    policy::Policy,
    time::Monotonic,
    txn::{Txn, Write},
    world::World,
};

/// Rounds of planning and obeying after which a world must be at rest.
const ROUNDS: usize = 60;

impl Sim {
    /// Of a world that a leader has just planned.
    pub fn check_planning(&mut self, world: &World, policy: &Policy, now: Monotonic, planned: &Plan) {
        self.trace.count("plans checked");
        if plan(world, policy, now) != *planned {
            self.violate("planning is idempotent", "the same world gave two plans".to_owned());
        }
        if let Some(left) = left_to_do(world.clone(), policy, now) {
            self.violate("planning is idempotent", format!("after {ROUNDS} rounds there is still to do: {left:?}"));
        }
    }
}

fn left_to_do(mut world: World, policy: &Policy, now: Monotonic) -> Option<Plan> {
    world.leader.as_ref()?;
    for _ in 0..ROUNDS {
        let planned = plan(&world, policy, now);
        let revoking: Vec<_> = world
            .owners
            .iter()
            .filter(|(_, owner)| owner.value.state == GrantState::Revoking)
            .map(|(unit, _)| *unit)
            .collect();
        // Another one is to lead; what there is to do is for that one.
        let is_over = planned.resign || (planned.is_empty() && revoking.is_empty());
        if is_over {
            return None;
        }
        let (txns, mut chain) = (planned.txns(&world), planned.grant_chain(&world));
        txns.iter().for_each(|txn| obey(&mut world, txn, now));
        while let Some(txn) = chain.next_txn() {
            obey(&mut world, &txn, now);
            chain.committed(world.revision);
        }
        let revision = Revision(world.revision.0 + 1);
        revoking.iter().for_each(|unit| world.delete(&control_plane_core::keys::Key::Owner(*unit), revision));
    }
    Some(plan(&world, policy, now))
}

/// A store without anybody else: all conditions hold.
fn obey(world: &mut World, txn: &Txn, now: Monotonic) {
    let revision = Revision(world.revision.0 + 1);
    for write in &txn.writes {
        match write {
            Write::Put(key, value) => {
                if let Ok(entry) = key.decode(value) {
                    world.apply(key.clone(), entry, revision, now);
                }
            }
            Write::Delete(key) => world.delete(key, revision),
        }
    }
    world.revision = world.revision.max(revision);
}
