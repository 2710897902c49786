//! Users: they create, change, pause, stop, resume, restart, delete and create again, through any replica.

use crate::{
    replica::{CLASS, UserChange},
    sim::{CALM_AT, Sim, To, What},
};
use control_plane_core::{
    connector::{Config, Connector, TargetState},
    ids::{ConnectorName, ConnectorUid},
    lease::FenceClass,
    time::Wall,
};
use std::collections::BTreeMap;

/// Names that are used.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
/// Those whose tasks copy exactly once.
const TRANSACTIONAL: [&str; 2] = ["b", "d"];

/// What users remember.
#[derive(Debug, Default)]
pub struct Users {
    changes: u64,
    /// Deleted a moment ago, and to be created again.
    again: Vec<(usize, Connector)>,
}

/// Tasks that a config makes.
pub fn task_count(config: &Config) -> u32 {
    config.get("n").and_then(|n| n.parse().ok()).unwrap_or(1)
}

impl Sim {
    /// The first connectors soon, then a change now and then.
    pub fn schedule_users(&mut self) {
        for at in [300, 320, 340] {
            self.after(at, To::World, What::User);
        }
        let mut at = 3000;
        while at < CALM_AT {
            at += self.rng.between(200, 5000);
            self.after(at, To::World, What::User);
        }
    }

    /// Every connector is restarted, through whoever listens.
    pub fn restart_all(&mut self) {
        let able = self.replicas.iter().position(|replica| replica.is_listening && !replica.is_paused);
        let Some(index) = able.filter(|_| self.now < CALM_AT) else { return };
        for name in NAMES {
            if let Some(connector) = self.connector(name) {
                self.begin_user_change(index, UserChange::Restart(connector));
            }
        }
    }

    /// One change.
    pub fn user_acts(&mut self) {
        if let Some((index, connector)) = self.users.again.pop() {
            self.trace.count("connectors created again");
            return self.begin_user_change(index, UserChange::Put(Box::new(connector)));
        }
        let able: Vec<usize> = (0..self.replicas.len())
            .filter(|index| self.replicas[*index].is_listening && !self.replicas[*index].is_paused)
            .collect();
        if able.is_empty() || self.now >= CALM_AT {
            return;
        }
        let index = able[self.rng.index(able.len())];
        self.users.changes += 1;
        let name = match self.users.changes {
            early @ 1..=3 => NAMES[early as usize - 1],
            _ => NAMES[self.rng.index(NAMES.len())],
        };
        let Some(connector) = self.connector(name) else { return };
        let change = match (self.users.changes, self.rng.below(100)) {
            (1..=3, _) | (_, 0..=34) => UserChange::Put(Box::new(connector)),
            (_, 35..=44) => UserChange::Target(connector, TargetState::Paused),
            (_, 45..=54) => UserChange::Target(connector, TargetState::Stopped),
            (_, 55..=74) => UserChange::Target(connector, TargetState::Running),
            (_, 75..=83) => UserChange::Restart(connector),
            (_, 84..=87) => UserChange::Settings,
            _ => {
                // Often created again at once, under a new uid.
                if self.rng.chance(70) {
                    self.users.again.push((index, connector.clone()));
                    let delay = self.rng.between(5, 300);
                    self.after(delay, To::World, What::User);
                }
                UserChange::Delete(connector)
            }
        };
        self.trace.count("changes by users");
        self.begin_user_change(index, change);
    }

    fn connector(&mut self, name: &str) -> Option<Connector> {
        let (tasks, flavour) = (self.rng.between(1, 3), self.rng.below(3));
        Some(Connector {
            config: BTreeMap::from([("n".to_owned(), tasks.to_string()), ("v".to_owned(), flavour.to_string())]),
            fence_class: if TRANSACTIONAL.contains(&name) { FenceClass::Transactional } else { FenceClass::Lease },
            ..Connector::new(
                ConnectorUid(uuid::Uuid::nil()),
                ConnectorName::parse(name).ok()?,
                CLASS.to_owned(),
                Wall(0),
            )
        })
    }
}
