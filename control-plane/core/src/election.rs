//! Who should lead, where nobody does: any replica may, but a silent worker is expired only by one that it counts on.

use crate::{policy::Policy, time::Monotonic, worker::WorkerState, world::World};
use std::time::Duration;

/// How long a replica leaves the lead to others that can expire all silent workers, or more of them.
const YIELD_TO_BETTER: Duration = Duration::from_millis(300);
/// How long one leaves it that can expire none of them.
const YIELD_TO_ANY: Duration = Duration::from_millis(1000);

/// How long the replica that workers reach at `address` waits before it campaigns.
pub fn campaign_pause(world: &World, policy: &Policy, address: &str, now: Monotonic) -> Duration {
    let is_silent = |since: Monotonic| now.since(since) >= policy.lease_ttl;
    let silent = world.workers.iter().filter(|(id, stored)| {
        stored.value.state != WorkerState::Expired && world.beats.get(id).is_some_and(|beat| is_silent(beat.since))
    });
    let is_there = |other: &str| world.replicas.values().any(|replica| replica.value.address == other);
    let (mut mine, mut others) = (0, 0);
    for (_, stored) in silent {
        if stored.value.counts_on(address) {
            mine += 1;
        } else if stored.value.known_replicas.iter().any(|other| is_there(other)) {
            others += 1;
        }
    }
    match (mine, others) {
        (_, 0) => Duration::ZERO,
        (0, _) => YIELD_TO_ANY,
        _ => YIELD_TO_BETTER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{ReplicaId, Revision, WorkerId},
        keys::{Entry, Key},
        time::Wall,
        worker::{Replica, Worker},
    };
    use std::collections::BTreeMap;
    use uuid::Uuid;

    #[test]
    fn who_can_expire_the_silent_leads() {
        let mut world = World::default();
        for (n, known) in [(1, &["a"][..]), (2, &["a", "b"])] {
            let known_replicas = known.iter().map(|name| (*name).to_owned()).collect();
            let id = WorkerId(Uuid::from_u128(n));
            let worker = Worker { known_replicas, ..Worker::new(id, String::new(), Wall(0)) };
            world.apply(Key::Worker(worker.id), Entry::Worker(worker), Revision(1), Monotonic(0));
        }
        let pause = |world: &World, address: &str, at| {
            campaign_pause(world, &Policy::default(), address, Monotonic(at)).as_millis()
        };
        assert_eq!(pause(&world, "c", 9000), 0, "nobody is there who could do better");
        for (n, address) in [(8, "a"), (9, "b")] {
            let replica =
                Replica { id: ReplicaId(Uuid::from_u128(n)), address: address.to_owned(), beats: BTreeMap::new() };
            world.apply(Key::Replica(replica.id), Entry::Replica(replica), Revision(2), Monotonic(0));
        }
        assert_eq!(["a", "b", "c"].map(|address| pause(&world, address, 1000)), [0, 0, 0], "nobody is silent");
        assert_eq!(["a", "b", "c"].map(|address| pause(&world, address, 9000)), [0, 300, 1000]);
    }
}
