//! Commits of a sink: what the task says is safe, once the dead letters before it are written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use data_plane_broker::TopicPartition as BrokerPartition;
use data_plane_connector_api::{ConnectError, OffsetAndMetadata, SinkOffsets, TopicPartition};
use data_plane_core::activity::Stage;

use super::{REQUEST_TIMEOUT, Reached, SinkUnit, api_partition};
use crate::task::runtime::broker_error;

/// Before a commit is tried again that waits for dead letters.
const LETTERS_RETRY: Duration = Duration::from_millis(50);

impl SinkUnit {
    /// Commits what the task says is safe, of all partitions or of those that are being closed.
    /// Waits this long for dead letters; the commit is put off while they are on their way.
    pub(super) fn commit(
        &mut self,
        closing: Option<&[TopicPartition]>,
        letters_timeout: Duration,
    ) -> Result<(), ConnectError> {
        (self.next_commit, self.is_commit_held) = (Instant::now() + self.spec.settings.offset_flush_interval, false);
        let is_meant = |partition: &TopicPartition| closing.is_none_or(|closing| closing.contains(partition));
        let current: SinkOffsets = self
            .reached
            .iter()
            .filter(|(partition, _)| is_meant(partition))
            .filter_map(|(partition, reached)| Some((partition.clone(), OffsetAndMetadata::from(reached.put?))))
            .collect();
        if current.is_empty() {
            return Ok(());
        }
        {
            let mut failures = self.shared.failures.lock();
            failures.check_tolerance()?;
            let flushed = self.activity.during(Stage::DeadLetters, || failures.flush(letters_timeout))?;
            self.is_commit_held = !flushed;
            self.activity.retries(Stage::DeadLetters, !flushed);
            if self.is_commit_held {
                self.next_commit = Instant::now() + LETTERS_RETRY;
                if closing.is_some() {
                    tracing::warn!(connector = %self.spec.connector, "dead letters are not written: nothing is committed");
                }
                return Ok(());
            }
        }
        let safe = self.activity.during(Stage::Flush, || self.task.pre_commit(&current));
        self.activity.retries(Stage::Flush, safe.is_err());
        let safe = match safe {
            Ok(safe) => safe,
            Err(error) => {
                let error = self.context.config.masks().error(error);
                tracing::warn!(connector = %self.spec.connector, %error, "flushing failed; reading again from the last commit");
                return if closing.is_some() { Ok(()) } else { self.rewind(&current) };
            }
        };
        let mut offsets = Vec::new();
        for (partition, wanted) in safe {
            let Some(reached) = self.reached.get(&partition) else { continue };
            if reached.put.is_none_or(|put| wanted.offset > put) {
                tracing::warn!(topic = %partition.topic, partition = partition.partition, offset = wanted.offset,
                    "the task offered an offset that it was not given; it is not committed");
            } else if reached.committed != Some(wanted.offset) {
                offsets.push((BrokerPartition::new(partition.topic, partition.partition), wanted.offset));
            }
        }
        self.send_commit(&offsets)
    }

    fn send_commit(&mut self, offsets: &[(BrokerPartition, i64)]) -> Result<(), ConnectError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let Some(consumer) = &mut self.consumer else { return Ok(()) };
        let _entered = self.activity.enter(Stage::Commit);
        let committed = match self.gate.pass(|| consumer.start_commit(offsets)) {
            None => return Err(ConnectError::retriable("the task's lease has ended")),
            Some(started) => started.and_then(|()| consumer.finish_commit(REQUEST_TIMEOUT)),
        };
        self.activity.retries(Stage::Commit, committed.is_err());
        match committed {
            Ok(()) => {
                self.commits += 1;
                for (partition, offset) in offsets {
                    if let Some(reached) = self.reached.get_mut(&api_partition(partition)) {
                        reached.committed = Some(*offset);
                    }
                }
            }
            // Nothing is lost: the offsets are tried again at the next commit, or read again by the next owner.
            Err(error) => tracing::warn!(connector = %self.spec.connector, %error, "offsets were not committed"),
        }
        Ok(())
    }

    /// Reads partitions again from their last commit.
    fn rewind(&mut self, partitions: &SinkOffsets) -> Result<(), ConnectError> {
        // A batch that waits may hold more partitions than have been put yet.
        self.drop_waiting_batch()?;
        let names: Vec<BrokerPartition> =
            partitions.keys().map(|name| BrokerPartition::new(Arc::clone(&name.topic), name.partition)).collect();
        let consumer = self.consumer()?;
        let committed = consumer.committed(&names, REQUEST_TIMEOUT);
        let committed = committed.map_err(|error| broker_error("Reading committed offsets failed", &error))?;
        for (partition, offset) in committed {
            let name = api_partition(&partition);
            let first = self.reached.get(&name).and_then(|reached| reached.first);
            // Never committed: from where the task began.
            self.seek(&partition, offset.or(first).unwrap_or(0))?;
            self.reached.insert(name, Reached { put: None, committed: offset, first });
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, deadline: Instant) -> Result<(), ConnectError> {
        let left = || deadline.saturating_duration_since(Instant::now());
        let committed = match self.gate.is_closed() {
            true => {
                // What the client still holds must not follow.
                self.shared.failures.lock().purge();
                Ok(())
            }
            false => self.commit(None, left().min(REQUEST_TIMEOUT)),
        };
        let open: Vec<TopicPartition> = std::mem::take(&mut self.reached).into_keys().collect();
        let closed =
            if open.is_empty() { Ok(()) } else { self.activity.during(Stage::Close, || self.task.close(&open)) };
        if let Some(mut consumer) = self.consumer.take()
            && let Err(error) =
                self.activity.during(Stage::Drain, || consumer.close(left().max(Duration::from_millis(100))))
        {
            tracing::warn!(connector = %self.spec.connector, %error, "closing the consumer failed");
        }
        committed.and(closed)
    }
}
