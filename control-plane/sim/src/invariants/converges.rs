//! When faults and changes have stopped, everything that should run does within a bound: once, with a true status, and
//! records move.

use crate::{
    sim::{CONVERGED_BY, Sim},
    users::task_count,
};
use control_plane_core::{
    connector::TargetState,
    ids::{ConnectorUid, Unit, UnitKind},
    keys::{Entry, Key},
    status::RunState,
};
use std::collections::BTreeMap;

const NAME: &str = "what should run does, once faults have stopped";

/// Offsets at convergence.
#[derive(Debug, Default)]
pub struct Rest {
    offsets: BTreeMap<(String, u32), u64>,
}

impl Sim {
    /// At the bound, and a little later.
    pub fn check_rest(&mut self) {
        let mut running: BTreeMap<Unit, usize> = BTreeMap::new();
        for index in 0..self.workers.len() {
            for (_, unit, _) in self.running_units(index) {
                *running.entry(unit).or_insert(0) += 1;
            }
        }
        let connectors: Vec<_> = self
            .etcd
            .entries()
            .filter_map(|(_, entry)| match entry {
                Entry::Connector(connector) => Some(connector.clone()),
                _ => None,
            })
            .collect();
        let mut wanted = Vec::new();
        for connector in &connectors {
            // A paused connector's planner makes nothing of a new config before it is resumed.
            let tasks = match connector.target {
                TargetState::Running => task_count(&connector.config) + u32::from(self.grown.contains(&connector.uid)),
                TargetState::Paused => self.stored_tasks(connector.uid),
                TargetState::Stopped => 0,
            };
            let kinds = std::iter::once(UnitKind::Planner).chain((0..tasks).map(UnitKind::Task));
            for kind in kinds {
                let unit = Unit { connector: connector.uid, kind };
                wanted.push(unit);
                if running.get(&unit) != Some(&1) {
                    self.violate(
                        NAME,
                        format!("{} {kind} runs {} times", connector.name, running.get(&unit).unwrap_or(&0)),
                    );
                    return;
                }
                if let Some(text) = self.untrue_status(unit, connector.target) {
                    self.violate("a status is true", format!("{} {kind}: {text}", connector.name));
                    return;
                }
                if let (UnitKind::Task(number), TargetState::Running) = (kind, connector.target) {
                    self.check_moves(connector.name.to_string(), number);
                }
            }
        }
        if let Some(extra) = running.keys().find(|unit| !wanted.contains(unit)) {
            self.violate(NAME, format!("{extra} runs and should not"));
        }
        self.trace.count("looks at rest");
    }

    fn stored_tasks(&self, uid: ConnectorUid) -> u32 {
        match self.etcd.get(&Key::TaskSet(uid)) {
            Some(Entry::TaskSet(set)) => set.tasks.len() as u32,
            _ => 0,
        }
    }

    fn untrue_status(&self, unit: Unit, target: TargetState) -> Option<String> {
        let Some(Entry::Owner(owner)) = self.etcd.get(&Key::Owner(unit)) else {
            return Some("it runs, and nobody owns it".to_owned());
        };
        let state = match self.etcd.get(&Key::Status(unit)) {
            Some(Entry::Status(status)) if status.epoch == owner.epoch => Some(status.state),
            _ => None,
        };
        let expected = match target {
            TargetState::Running => RunState::Running,
            TargetState::Paused => RunState::Paused,
            TargetState::Stopped => RunState::Stopped,
        };
        (state != Some(expected)).then(|| format!("shown as {state:?}, and it is {expected:?}"))
    }

    fn check_moves(&mut self, name: String, number: u32) {
        let key = (name, number);
        let log = self.kafka.tasks.get(&key);
        let offset = log.and_then(|log| log.stored(log.offsets.len())).map_or(0, |record| record.position);
        if self.now <= CONVERGED_BY {
            self.invariants.rest.offsets.insert(key, offset);
        } else if self.invariants.rest.offsets.get(&key).is_some_and(|before| *before >= offset) {
            self.violate(NAME, format!("{}-{} stands still at {offset}", key.0, key.1));
        }
    }
}
