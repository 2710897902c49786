//! Which workers have what a connector needs, looked at once for all connectors that need the same.

use super::{board::SeatId, rules::PlacementRules, selector::Selector, versions::Versions};
use crate::{connector::Connector, ids::SettingsId, worker::Worker};
use std::{cell::Cell, collections::BTreeMap};

/// Connectors that need the same of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupId(usize);

/// What a connector needs of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Needs<'w> {
    class: &'w str,
    settings: &'w SettingsId,
    versions: &'w Option<Versions>,
    selector: &'w Selector,
}

/// One of the connectors of a group stands for all.
#[derive(Debug)]
struct Group<'w> {
    connector: &'w Connector,
    rules: &'w PlacementRules,
    /// By seat; None: not asked yet.
    allowed: Vec<Cell<Option<bool>>>,
}

/// All groups.
#[derive(Debug)]
pub(super) struct Eligibility<'w> {
    seats: usize,
    ids: BTreeMap<Needs<'w>, GroupId>,
    groups: Vec<Group<'w>>,
    last: Option<(Needs<'w>, GroupId)>,
}

impl<'w> Eligibility<'w> {
    pub(super) fn new(seats: usize) -> Eligibility<'w> {
        Eligibility { seats, ids: BTreeMap::new(), groups: Vec::new(), last: None }
    }

    /// The group of a connector.
    pub(super) fn group(&mut self, connector: &'w Connector, rules: &'w PlacementRules) -> GroupId {
        let needs = Needs {
            class: &connector.class,
            settings: &connector.settings,
            versions: &rules.versions,
            selector: &rules.selector,
        };
        if let Some((last, group)) = self.last
            && last == needs
        {
            return group;
        }
        let group = *self.ids.entry(needs).or_insert_with(|| {
            let allowed = vec![Cell::new(None); self.seats];
            self.groups.push(Group { connector, rules, allowed });
            GroupId(self.groups.len() - 1)
        });
        self.last = Some((needs, group));
        group
    }

    /// Whether the worker of a seat has what a group needs.
    pub(super) fn allows(&self, group: GroupId, seat: SeatId, worker: &Worker) -> bool {
        let Group { connector, rules, allowed } = &self.groups[group.0];
        let known = &allowed[seat.0];
        known.get().unwrap_or_else(|| {
            let allows = rules.allow(connector, worker);
            known.set(Some(allows));
            allows
        })
    }
}
