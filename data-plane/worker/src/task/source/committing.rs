//! Committing source offsets: watermarks out, to the offsets topic by the task's own producer, or to the file.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use data_plane_broker::{ProduceError, ProduceRow, Producer};
use data_plane_connector_api::ConnectError;
use data_plane_core::acks::{Acks, PartitionId, Ticket};
use data_plane_core::offsets;

use super::partitions::{Mark, SourcePartitions};
use crate::task::gate::Gate;
use crate::task::offset_store::{Destination, EPOCH_HEADER, OffsetStore};
use crate::task::runtime::broker_error;

/// Before offsets that found no room in the producer's buffer, or were not written, are tried again.
const RETRY: Duration = Duration::from_millis(200);

/// Positions shown at most.
const MAX_SHOWN: usize = 100;

/// A commit is begun at most every `interval`, and never while one is under way.
pub(super) struct Committing {
    epoch: (u32, u64),
    header: String,
    interval: Duration,
    next: Instant,
    numbered: u64,
    under_way: HashMap<u64, (PartitionId, Vec<u8>)>,
    committed: BTreeMap<PartitionId, Vec<u8>>,
    count: usize,
    is_finished: bool,
}

impl Committing {
    pub(super) fn new(epoch: (u32, u64), interval: Duration) -> Self {
        Self {
            epoch,
            header: format!("{}.{}", epoch.0, epoch.1),
            interval,
            next: Instant::now() + interval,
            numbered: 0,
            under_way: HashMap::new(),
            committed: BTreeMap::new(),
            count: 0,
            is_finished: false,
        }
    }

    pub(super) fn due(&self) -> Instant {
        self.next
    }

    pub(super) fn is_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Offsets whose delivery reports are not in.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Offsets committed since the start.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether a commit was completed since the last call.
    pub(super) fn take_finished(&mut self) -> bool {
        std::mem::take(&mut self.is_finished)
    }

    /// Begins to commit what has moved.
    ///
    /// # Errors
    /// When the producer is unusable. Offsets that could not be written now are logged and tried again.
    pub(super) fn begin(
        &mut self,
        acks: &mut Acks<Mark>,
        partitions: &SourcePartitions,
        store: &dyn OffsetStore,
        producer: &mut dyn Producer,
        gate: &Gate,
    ) -> Result<(), ConnectError> {
        self.next = Instant::now() + self.interval;
        if self.is_under_way() || gate.is_closed() {
            return Ok(());
        }
        let moved: Vec<(PartitionId, Vec<u8>)> = acks
            .take_advanced()
            .into_iter()
            .filter(|(number, _)| partitions.key(*number).is_some())
            .map(|(number, mark)| (number, offsets::value_bytes(&partitions.source_offset(number, &mark))))
            .collect();
        let moved = self.with_overwritten(moved, partitions, store);
        match store.destination() {
            Destination::File(file) => {
                let changes = moved
                    .iter()
                    .filter_map(|(number, value)| Some((partitions.key(*number)?.to_vec(), Some(value.clone()))));
                match file.put(changes.collect()) {
                    Ok(()) => {
                        self.is_finished = !moved.is_empty();
                        self.count += moved.len();
                        self.committed.extend(moved);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "source offsets were not written");
                        self.give_back(acks, moved.into_iter().map(|(number, _)| number));
                    }
                }
                Ok(())
            }
            Destination::Topic { name, partitions: count } => {
                let topic =
                    producer.topic(name).map_err(|error| broker_error("Opening the offsets topic failed", &error))?;
                let mut left = moved.into_iter();
                while let Some((number, value)) = left.next() {
                    let (Some(key), Some(count)) = (partitions.key(number), NonZeroU32::new(count)) else { continue };
                    let row = ProduceRow {
                        topic,
                        partition: Some(offsets::partition_for(key, count)),
                        timestamp: None,
                        key: Some(key),
                        value: Some(&value),
                        headers: &[(EPOCH_HEADER, Some(self.header.as_bytes()))],
                        opaque: Ticket::foreign(self.numbered).0,
                    };
                    match gate.pass(|| producer.produce(&row)) {
                        Some(Ok(())) => {
                            self.under_way.insert(self.numbered, (number, value));
                            self.numbered += 1;
                        }
                        Some(Err(ProduceError::Failed(error))) => {
                            return Err(broker_error("Writing source offsets failed", &error));
                        }
                        Some(Err(ProduceError::QueueFull)) | None => {
                            self.give_back(acks, std::iter::once(number).chain(left.map(|(number, _)| number)));
                            break;
                        }
                    }
                }
                Ok(())
            }
        }
    }

    /// The highest epoch above this task's that one of the offsets to be committed was written under.
    pub(super) fn later_epoch(
        &self,
        acks: &Acks<Mark>,
        partitions: &SourcePartitions,
        store: &dyn OffsetStore,
    ) -> Option<(u32, u64)> {
        let keys = acks.advanced().filter_map(|number| partitions.key(number));
        keys.filter_map(|key| store.epoch_of(key)).max().filter(|found| *found > self.epoch)
    }

    /// Adds offsets that were committed and that an older owner has written over.
    fn with_overwritten(
        &self,
        mut moved: Vec<(PartitionId, Vec<u8>)>,
        partitions: &SourcePartitions,
        store: &dyn OffsetStore,
    ) -> Vec<(PartitionId, Vec<u8>)> {
        for (number, value) in &self.committed {
            let is_overwritten = partitions.key(*number).is_some_and(|key| store.take_overwritten(key));
            if is_overwritten && moved.iter().all(|(other, _)| other != number) {
                moved.push((*number, value.clone()));
            }
        }
        moved
    }

    /// An offset record's delivery report is in.
    pub(super) fn settle(&mut self, numbered: u64, is_delivered: bool, acks: &mut Acks<Mark>) {
        let Some((number, value)) = self.under_way.remove(&numbered) else { return };
        match is_delivered {
            true => {
                self.committed.insert(number, value);
                self.count += 1;
                self.is_finished |= self.under_way.is_empty();
            }
            false => self.give_back(acks, std::iter::once(number)),
        }
    }

    /// Committed positions, as JSON.
    pub(super) fn positions(&self, partitions: &SourcePartitions) -> Vec<(String, String)> {
        let shown = self.committed.iter().take(MAX_SHOWN);
        shown.map(|(number, value)| (partitions.json(*number), String::from_utf8_lossy(value).into_owned())).collect()
    }

    fn give_back(&mut self, acks: &mut Acks<Mark>, numbers: impl Iterator<Item = PartitionId>) {
        numbers.for_each(|number| acks.give_back(number));
        self.next = Instant::now() + RETRY;
    }
}
