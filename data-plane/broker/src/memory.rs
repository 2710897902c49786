//! [`Broker`] in memory, for tests: topics are vectors, groups are rebalanced at once, and a test can make deliveries
//! fail or wait. Nothing is ever dropped from a topic: it is as bounded as the test.

mod clients;
mod group;
mod log_reader;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use crate::{Admin, Broker, BrokerError, ClientConfig, GroupConsumer, LogReader, OnLogRecord, Producer, Subscription};

/// A record that was produced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Milliseconds since the epoch, or -1.
    pub timestamp: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// Names and values, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A Kafka cluster in memory; clones share it.
#[derive(Clone, Default)]
pub struct MemoryBroker {
    cluster: Arc<Cluster>,
}

#[derive(Default)]
struct Cluster {
    state: Mutex<State>,
    appended: Condvar,
}

#[derive(Default)]
struct State {
    topics: BTreeMap<String, Vec<Vec<StoredRecord>>>,
    groups: BTreeMap<String, group::Group>,
    next_member: u64,
    produce_failure: Option<BrokerError>,
    is_holding_deliveries: bool,
    wakers: Vec<Weak<Notify>>,
}

impl State {
    fn wake_all(&mut self) {
        self.wakers.retain(|waker| match waker.upgrade() {
            Some(waker) => {
                waker.notify_one();
                true
            }
            None => false,
        });
    }

    fn new_waker(&mut self) -> Arc<Notify> {
        let waker = Arc::new(Notify::new());
        self.wakers.push(Arc::downgrade(&waker));
        waker
    }
}

impl MemoryBroker {
    /// An empty cluster.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a topic, or leaves it as it is.
    pub fn create_topic(&self, name: &str, partitions: usize) {
        let mut state = self.cluster.state.lock();
        state.topics.entry(name.to_owned()).or_insert_with(|| vec![Vec::new(); partitions]);
        group::rebalance_all(&mut state);
    }

    /// All records of a topic, partition by partition.
    pub fn records(&self, topic: &str) -> Vec<Vec<StoredRecord>> {
        self.cluster.state.lock().topics.get(topic).cloned().unwrap_or_default()
    }

    /// The committed offset of a group.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let state = self.cluster.state.lock();
        state.groups.get(group)?.committed.get(&crate::TopicPartition::new(topic, partition)).copied()
    }

    /// From now on every delivery fails with this, or succeeds again.
    pub fn fail_produces(&self, failure: Option<BrokerError>) {
        self.cluster.state.lock().produce_failure = failure;
    }

    /// While true, records are taken but neither written nor reported.
    pub fn hold_deliveries(&self, is_holding: bool) {
        let mut state = self.cluster.state.lock();
        state.is_holding_deliveries = is_holding;
        state.wake_all();
    }

    /// Takes all partitions away from a group's members without asking, as an expired session does.
    pub fn expire_members(&self, group: &str) {
        group::expire(&mut self.cluster.state.lock(), group);
    }
}

impl Broker for MemoryBroker {
    fn producer(&self, _: &ClientConfig) -> Result<Box<dyn Producer>, BrokerError> {
        Ok(Box::new(clients::MemoryProducer::new(Arc::clone(&self.cluster))))
    }

    fn group_consumer(
        &self,
        config: &ClientConfig,
        subscription: &Subscription,
    ) -> Result<Box<dyn GroupConsumer>, BrokerError> {
        Ok(Box::new(group::MemoryConsumer::join(Arc::clone(&self.cluster), config, subscription)?))
    }

    fn log_reader(
        &self,
        _: &ClientConfig,
        topic: &str,
        on_record: OnLogRecord,
    ) -> Result<Box<dyn LogReader>, BrokerError> {
        Ok(Box::new(log_reader::MemoryLogReader::new(Arc::clone(&self.cluster), topic, on_record)?))
    }

    fn admin(&self, _: &ClientConfig, _: Duration) -> Result<Box<dyn Admin>, BrokerError> {
        Ok(Box::new(clients::MemoryAdmin::new(Arc::clone(&self.cluster))))
    }
}

fn failed(operation: &'static str, code: &'static str, fatal: bool) -> BrokerError {
    BrokerError::Kafka { operation, code, message: code.to_owned(), retriable: false, fatal }
}
