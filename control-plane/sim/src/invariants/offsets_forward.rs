//! A stored offset never moves back, as readers see it: what was committed under a valid lease stays committed.
//!
//! What a fenced worker's client or kernel sends late may raise the offset that readers see, and the successor, who did
//! not see it, then writes its own: that is repeated work, not lost work, and is counted apart.

use crate::{
    kafka::{Kafka, TaskKey},
    mutation::Mutation,
    worker::read_offset,
};
use std::collections::BTreeMap;

/// The highest offset committed in time, by key.
#[derive(Debug, Default)]
pub struct Floors(BTreeMap<TaskKey, u64>);

impl Floors {
    /// An offset record was appended.
    pub fn landed(&mut self, key: &TaskKey, kafka: &Kafka, is_late: bool) {
        let position = kafka.tasks.get(key).and_then(|log| log.offsets.last()).map_or(0, |record| record.position);
        if !is_late {
            let floor = self.0.entry(key.clone()).or_default();
            *floor = position.max(*floor);
        }
    }

    /// What readers see is below the floor.
    pub fn check(&self, kafka: &Kafka, key: &TaskKey, mutation: Option<Mutation>) -> Option<String> {
        let (floor, log) = (*self.0.get(key)?, kafka.tasks.get(key)?);
        let seen = read_offset(log, log.offsets.len(), mutation);
        (seen < floor).then(|| format!("{}-{}: readers see {seen}, and {floor} was committed before", key.0, key.1))
    }
}
