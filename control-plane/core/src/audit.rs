//! Whether a view is what the store holds: a watch that loses an event would never tell by itself.
//!
//! Every few minutes the store lists its keys twice. What differs in one listing may be on its way; what differs in the
//! same way in both has been lost, and everything is to be read again.

use crate::{ids::Revision, keys::Key, world::World};
use std::collections::BTreeMap;

/// A key that the store and the view do not agree on, and the revisions that they hold: (store's, view's).
type Differences = BTreeMap<Key, (Option<Revision>, Option<Revision>)>;

/// Compares listings with a view.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    suspected: Differences,
}

impl Audit {
    /// The store listed these keys with the revisions that last wrote them. Gives a key that was lost, if one was.
    pub fn listed(&mut self, listing: Vec<(Key, Revision)>, world: &World) -> Option<Key> {
        let found = differences(listing, world);
        let lost = found.iter().find(|(key, revisions)| self.suspected.get(*key) == Some(*revisions));
        let lost = lost.map(|(key, _)| key.clone());
        self.suspected = found;
        lost
    }
}

fn differences(listing: Vec<(Key, Revision)>, world: &World) -> Differences {
    let mut held: BTreeMap<Key, Revision> = world.revisions().collect();
    let mut found = Differences::new();
    for (key, stored) in listing {
        // Heartbeats are always on their way, and configs' history is no part of the view.
        if matches!(key, Key::Replica(_) | Key::Revision(..)) {
            continue;
        }
        let known = held.remove(&key);
        if known.is_none_or(|known| known < stored) {
            found.insert(key, (Some(stored), known));
        }
    }
    found.extend(held.into_iter().map(|(key, known)| (key, (None, Some(known)))));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{Epoch, ReplicaId},
        keys::Entry,
        time::Monotonic,
        worker::Leader,
    };
    use uuid::Uuid;

    #[test]
    fn what_is_on_its_way_is_no_loss_and_what_stays_away_is() {
        let mut world = World::default();
        let leader = Entry::Leader(Leader { replica: ReplicaId(Uuid::from_u128(1)) });
        world.apply(Key::Leader, leader, Revision(3), Monotonic(0));
        let mut audit = Audit::default();
        let listing = |epoch: i64| vec![(Key::Leader, Revision(3)), (Key::Epoch, Revision(epoch))];
        assert_eq!(audit.listed(listing(5), &world), None, "it may be on its way");
        assert_eq!(audit.listed(listing(6), &world), None, "and is another change now");
        assert_eq!(audit.listed(listing(6), &world), Some(Key::Epoch));
        world.apply(Key::Epoch, Entry::Epoch(Epoch { incarnation: 1, counter: 1 }), Revision(7), Monotonic(0));
        assert_eq!(audit.listed(listing(6), &world), None, "the listing is older than the view");

        let gone = || vec![(Key::Epoch, Revision(7))];
        assert_eq!(audit.listed(gone(), &world), None);
        assert_eq!(audit.listed(gone(), &world), Some(Key::Leader), "its deletion was lost");
    }
}
