//! Rules between units: which connectors share no worker, and which spread their tasks at any price.

use super::rules::Spread;
use crate::{ids::ConnectorUid, world::World};
use std::collections::{BTreeMap, BTreeSet};

/// The rules of the connectors that have any.
#[derive(Debug, Default)]
pub(super) struct Pairs(BTreeMap<ConnectorUid, Pair>);

/// What a connector's units may not stand beside.
#[derive(Debug, Default)]
pub(super) struct Pair {
    /// Units of these connectors; each has this one among its own.
    pub(super) foes: BTreeSet<ConnectorUid>,
    /// Its own tasks.
    pub(super) spreads: bool,
}

impl Pairs {
    pub(super) fn new(world: &World) -> Pairs {
        let mut pairs: BTreeMap<ConnectorUid, Pair> = BTreeMap::new();
        for (uid, rules) in world.all_placement_rules() {
            if rules.spread == Spread::Require {
                pairs.entry(*uid).or_default().spreads = true;
            }
            let Some(connector) = world.connectors.get(uid) else { continue };
            let namespace = &connector.value.namespace;
            let named = rules.apart_from.iter().filter_map(|name| world.names.get(&(namespace.clone(), name.clone())));
            for foe in named.filter(|foe| *foe != uid) {
                pairs.entry(*uid).or_default().foes.insert(*foe);
                pairs.entry(*foe).or_default().foes.insert(*uid);
            }
        }
        Pairs(pairs)
    }

    pub(super) fn of(&self, connector: ConnectorUid) -> Option<&Pair> {
        self.0.get(&connector)
    }
}
