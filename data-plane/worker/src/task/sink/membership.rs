//! Membership in the consumer group: partitions that come, go, or are lost, and the batch that may be waiting meanwhile.

use std::collections::BTreeMap;

use data_plane_broker::{BrokerError, ConsumerEvent, TopicPartition as BrokerPartition};
use data_plane_connector_api::{ConnectError, TopicPartition};
use data_plane_core::activity::Stage;

use super::{REQUEST_TIMEOUT, Reached, SinkUnit, api_partition, api_partitions};
use crate::task::runtime::broker_error;

impl SinkUnit {
    pub(super) fn handle(&mut self, event: ConsumerEvent) -> Result<(), ConnectError> {
        match event {
            ConsumerEvent::Assigned(partitions) => self.open(partitions),
            ConsumerEvent::Revoked(partitions) => {
                let closing = api_partitions(&partitions);
                self.commit(Some(&closing), REQUEST_TIMEOUT)?;
                self.close(&partitions, &closing)
            }
            ConsumerEvent::Lost(partitions) => self.close(&partitions, &api_partitions(&partitions)),
            ConsumerEvent::Error(error) => {
                let is_fatal = matches!(error, BrokerError::Kafka { fatal: true, .. });
                if is_fatal {
                    return Err(broker_error("The task's consumer failed", &error));
                }
                tracing::info!(connector = %self.spec.connector, %error, "the consumer goes on by itself");
                Ok(())
            }
        }
    }

    fn open(&mut self, partitions: Vec<BrokerPartition>) -> Result<(), ConnectError> {
        let opened = api_partitions(&partitions);
        for partition in &opened {
            self.reached.insert(partition.clone(), Reached::default());
        }
        *self.context.assignment.lock() = self.reached.keys().cloned().collect();
        if !opened.is_empty() {
            self.activity.during(Stage::Open, || self.task.open(&opened))?;
        }
        let mut starts = Vec::with_capacity(partitions.len());
        {
            let mut wishes = self.context.wishes.lock();
            for (partition, name) in partitions.into_iter().zip(&opened) {
                let offset = wishes.offsets.remove(name);
                starts.push((partition, offset));
            }
        }
        self.consumer()?.acknowledge_assign(&starts).map_err(|error| broker_error("Taking partitions failed", &error))
    }

    fn close(&mut self, partitions: &[BrokerPartition], closing: &[TopicPartition]) -> Result<(), ConnectError> {
        self.reached.retain(|partition, _| !closing.contains(partition));
        self.paused.retain(|partition| !closing.contains(partition));
        *self.context.assignment.lock() = self.reached.keys().cloned().collect();
        let closed =
            if closing.is_empty() { Ok(()) } else { self.activity.during(Stage::Close, || self.task.close(closing)) };
        let consumer = self.consumer()?;
        consumer
            .acknowledge_revoke(partitions)
            .map_err(|error| broker_error("Giving partitions back failed", &error))?;
        closed?;
        self.drop_waiting_batch()
    }

    /// A batch that waits may hold rows of partitions that are gone, or rewound: reads them anew where they are still held.
    pub(super) fn drop_waiting_batch(&mut self) -> Result<(), ConnectError> {
        let waits = (self.put_again.take(), self.convert_again.take());
        [Stage::Put, Stage::Convert].into_iter().for_each(|stage| self.activity.retries(stage, false));
        if waits == (None, None) {
            return Ok(());
        }
        self.fatal = None;
        let mut firsts: BTreeMap<u32, i64> = BTreeMap::new();
        {
            let mut incoming = self.shared.incoming.lock();
            for row in &incoming.fetched.rows {
                firsts.entry(row.partition).or_insert(row.offset);
            }
            incoming.clear();
        }
        for (index, offset) in firsts {
            let consumer = self.consumer()?;
            let partition = consumer.partition(index).clone();
            if self.reached.contains_key(&api_partition(&partition)) {
                self.seek(&partition, offset)?;
            }
        }
        Ok(())
    }

    pub(super) fn seek(&mut self, partition: &BrokerPartition, offset: i64) -> Result<(), ConnectError> {
        let sought = self.consumer()?.seek(partition, offset, REQUEST_TIMEOUT);
        sought.map_err(|error| broker_error(&format!("Seeking {partition} to {offset} failed"), &error))
    }
}
