//! No acknowledged record is lost: everything below every stored offset was appended.

use crate::kafka::{Kafka, TaskKey};

/// What is missing, if anything is.
pub fn check(kafka: &Kafka, key: &TaskKey) -> Option<String> {
    let log = kafka.tasks.get(key)?;
    let newest = log.offsets.last()?;
    let is_lost = !log.has_all_below(newest.position);
    is_lost.then(|| {
        format!("{}-{}: offset {} is stored, and a record below it is not there", key.0, key.1, newest.position)
    })
}
