//! Source offsets as the offsets topic has them, read by Ferry's rule: of each key the highest epoch counts.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use deploy_e2e::{Kcat, Message};
use serde_json::Value;

use crate::fleet::Fleet;

const TOPIC: &str = "ferry-offsets";

/// What is stored for the files of file sources.
pub(crate) struct StoredOffsets {
    kcat: Kcat,
    file: String,
}

/// (incarnation, counter).
pub(crate) type Epoch = (u64, u64);

impl StoredOffsets {
    /// Of one file.
    pub(crate) fn new<S>(fleet: &Fleet<S>, file: &Path) -> Self {
        Self { kcat: fleet.kafka.kcat(), file: file.to_string_lossy().into_owned() }
    }

    /// Where a task that starts now would begin.
    pub(crate) fn position(&self) -> Result<Option<u64>> {
        Ok(self.effective()?.last().copied())
    }

    /// The highest epoch that an offset of the file was stored under.
    pub(crate) fn epoch(&self) -> Result<Option<Epoch>> {
        let records = self.kcat.read_all(TOPIC)?;
        let epochs = records.iter().filter(|record| self.is_of_the_file(record)).map(epoch);
        Ok(epochs.collect::<Result<Vec<_>>>()?.into_iter().max())
    }

    /// An error if a task that started at some moment would have begun behind where one that started earlier would have.
    pub(crate) fn never_moved_back(&self) -> Result<()> {
        let positions = self.effective()?;
        for pair in positions.windows(2) {
            ensure!(
                pair[0] <= pair[1],
                "the stored offset of {} moved from {} back to {}",
                self.file,
                pair[0],
                pair[1]
            );
        }
        Ok(())
    }

    /// The position that holds after each record of the topic.
    fn effective(&self) -> Result<Vec<u64>> {
        let records = self.kcat.read_all(TOPIC)?;
        // Each connector has a key of its own, in one partition.
        let mut newest: BTreeMap<&str, Epoch> = BTreeMap::new();
        let mut positions = Vec::new();
        for record in records.iter().filter(|record| self.is_of_the_file(record)) {
            let key = record.key.as_deref().unwrap_or_default();
            let epoch = epoch(record)?;
            let known = newest.entry(key).or_insert(epoch);
            if epoch >= *known {
                *known = epoch;
                let value: Value = serde_json::from_str(record.value.as_deref().unwrap_or("null"))?;
                positions.push(value["position"].as_u64().with_context(|| format!("no position in {value}"))?);
            }
        }
        Ok(positions)
    }

    fn is_of_the_file(&self, record: &Message) -> bool {
        record.key.as_deref().is_some_and(|key| key.contains(&format!("{:?}", self.file)))
    }
}

fn epoch(record: &Message) -> Result<Epoch> {
    let text = record.headers.iter().rfind(|(name, _)| name == "ferry.epoch").map(|(_, value)| value.as_str());
    let parsed = text.and_then(|text| {
        let (incarnation, counter) = text.split_once('.')?;
        Some((incarnation.parse().ok()?, counter.parse().ok()?))
    });
    parsed.with_context(|| format!("an offset record without an epoch: {record:?}"))
}
