//! The in-memory producer and administrator.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::{Cluster, StoredRecord, group};
use crate::{Admin, BrokerError, Delivered, Delivery, NewTopic, ProduceError, ProduceRow, Producer, TopicHandle};

/// Records that an in-memory producer holds at most.
const MAX_IN_FLIGHT: usize = 100_000;

struct Pending {
    topic: usize,
    partition: Option<i32>,
    record: StoredRecord,
    opaque: u64,
}

pub(super) struct MemoryProducer {
    cluster: Arc<Cluster>,
    topics: Vec<String>,
    pending: VecDeque<Pending>,
    purged: Vec<Delivery>,
    waker: Arc<Notify>,
}

impl MemoryProducer {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        let waker = cluster.state.lock().new_waker();
        Self { cluster, topics: Vec::new(), pending: VecDeque::new(), purged: Vec::new(), waker }
    }
}

impl Producer for MemoryProducer {
    fn connect(&mut self, _: Duration) -> Result<(), BrokerError> {
        Ok(())
    }

    fn topic(&mut self, name: &str) -> Result<TopicHandle, BrokerError> {
        let known = self.topics.iter().position(|topic| topic == name);
        let index = known.unwrap_or_else(|| {
            self.topics.push(name.to_owned());
            self.topics.len() - 1
        });
        Ok(TopicHandle(index as u32))
    }

    fn produce(&mut self, row: &ProduceRow<'_>) -> Result<(), ProduceError> {
        if self.pending.len() >= MAX_IN_FLIGHT {
            return Err(ProduceError::QueueFull);
        }
        let record = StoredRecord {
            timestamp: row.timestamp.unwrap_or(-1),
            key: row.key.map(<[u8]>::to_vec),
            value: row.value.map(<[u8]>::to_vec),
            headers: row.headers.iter().map(|(name, value)| ((*name).to_owned(), value.map(<[u8]>::to_vec))).collect(),
        };
        let topic = row.topic.0 as usize;
        self.pending.push_back(Pending { topic, partition: row.partition, record, opaque: row.opaque });
        self.waker.notify_one();
        Ok(())
    }

    fn poll(&mut self, _: Duration, out: &mut Vec<Delivery>) -> Result<(), BrokerError> {
        out.append(&mut self.purged);
        let mut guard = self.cluster.state.lock();
        let state = &mut *guard;
        if state.is_holding_deliveries || self.pending.is_empty() {
            return Ok(());
        }
        for pending in self.pending.drain(..) {
            if let Some(failure) = &state.produce_failure {
                out.push(Delivery { opaque: pending.opaque, result: Err(Box::new(failure.clone())) });
                continue;
            }
            let name = &self.topics[pending.topic];
            let partitions = state.topics.entry(name.clone()).or_insert_with(|| vec![Vec::new()]);
            let partition = pending.partition.unwrap_or_else(|| spread(&pending.record, partitions.len()));
            let result = match partitions.get_mut(partition as usize) {
                Some(log) => {
                    log.push(pending.record);
                    Ok(Delivered { partition, offset: log.len() as i64 - 1 })
                }
                None => Err(Box::new(super::failed("producing a record", "_UNKNOWN_PARTITION", false))),
            };
            out.push(Delivery { opaque: pending.opaque, result });
        }
        group::rebalance_all(state);
        state.wake_all();
        self.cluster.appended.notify_all();
        Ok(())
    }

    fn in_flight(&self) -> usize {
        self.pending.len() + self.purged.len()
    }

    fn flush(&mut self, timeout: Duration, out: &mut Vec<Delivery>) -> Result<bool, BrokerError> {
        let deadline = Instant::now() + timeout;
        loop {
            self.poll(Duration::ZERO, out)?;
            if self.in_flight() == 0 || Instant::now() >= deadline {
                return Ok(self.in_flight() == 0);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn purge(&mut self) {
        let purged = self.pending.drain(..).map(|pending| Delivery {
            opaque: pending.opaque,
            result: Err(Box::new(super::failed("producing a record", "_PURGE_QUEUE", false))),
        });
        self.purged.extend(purged);
    }

    fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.waker)
    }
}

/// A stable partition for a key (FNV-1a); the first one without a key.
fn spread(record: &StoredRecord, partitions: usize) -> i32 {
    let Some(key) = &record.key else { return 0 };
    let hash = key
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    (hash % partitions as u64) as i32
}

pub(super) struct MemoryAdmin {
    cluster: Arc<Cluster>,
}

impl MemoryAdmin {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster }
    }
}

impl Admin for MemoryAdmin {
    fn ensure_topic(&mut self, topic: &NewTopic, _: Duration) -> Result<bool, BrokerError> {
        topic.check()?;
        let mut state = self.cluster.state.lock();
        let is_new = !state.topics.contains_key(&topic.name);
        if is_new {
            state.topics.insert(topic.name.clone(), vec![Vec::new(); topic.partitions.max(1) as usize]);
            group::rebalance_all(&mut state);
        }
        Ok(is_new)
    }

    fn partition_count(&mut self, topic: &str, _: Duration) -> Result<Option<i32>, BrokerError> {
        Ok(self.cluster.state.lock().topics.get(topic).map(|partitions| partitions.len() as i32))
    }

    fn cluster_id(&mut self, _: Duration) -> Result<String, BrokerError> {
        Ok("memory".to_owned())
    }
}
