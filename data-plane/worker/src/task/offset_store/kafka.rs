//! The offsets topic: a reader at its end, and the newest value of every key in memory.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_plane_broker::{Broker, ClientConfig, LogReader, LogRecord, NewTopic};
use data_plane_connector_api::ConnectError;
use parking_lot::Mutex;

use super::super::runtime::{CONNECT_TIMEOUT, broker_error};
use super::{Destination, EPOCH_HEADER, OffsetStore};

/// Bytes of keys and values that are held at most; beyond it the store refuses to be read.
const LIMIT_BYTES: usize = 256 << 20;

/// For one administrative request.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Between two looks for a topic that was just created.
const TOPIC_POLL: Duration = Duration::from_millis(20);

/// Keys that older owners have written to lately, at most.
const OVERWRITTEN_LIMIT: usize = 10_000;

/// (incarnation, counter)
type Epoch = (u32, u64);

/// Who wrote a key last, and what; `None` is a tombstone.
type Written = (Epoch, Option<Box<[u8]>>);

#[derive(Default)]
struct Newest {
    values: HashMap<Box<[u8]>, Written>,
    bytes: usize,
    is_over_limit: bool,
    /// Keys whose last record is an older owner's.
    overwritten: HashSet<Box<[u8]>>,
}

impl Newest {
    fn apply(&mut self, record: LogRecord<'_>) {
        let Some(key) = record.key else { return };
        let header = record.headers.iter().rev().find(|(name, _)| *name == EPOCH_HEADER);
        let epoch = header.and_then(|(_, value)| parse_epoch((*value)?));
        let length = key.len() + record.value.map_or(0, <[u8]>::len);
        let known = self.values.get_mut(key);
        if known.is_none() && self.bytes + length > LIMIT_BYTES {
            self.is_over_limit = true;
            return;
        }
        let value = record.value.map(Box::from);
        match known {
            // An older owner that wrote after its lease had ended.
            Some((newest, _)) if epoch.is_some_and(|epoch| epoch < *newest) => {
                if self.overwritten.len() < OVERWRITTEN_LIMIT {
                    self.overwritten.insert(key.into());
                }
            }
            Some((newest, old)) => {
                self.overwritten.remove(key);
                self.bytes -= old.as_deref().map_or(0, <[u8]>::len);
                self.bytes += length - key.len();
                // Without an epoch it was written by Kafka Connect or a tool: that is on purpose, so it counts.
                *newest = epoch.unwrap_or(*newest);
                *old = value;
            }
            None => {
                self.bytes += length;
                self.values.insert(key.into(), (epoch.unwrap_or_default(), value));
            }
        }
    }
}

fn parse_epoch(text: &[u8]) -> Option<Epoch> {
    let (incarnation, counter) = std::str::from_utf8(text).ok()?.split_once('.')?;
    Some((incarnation.parse().ok()?, counter.parse().ok()?))
}

/// Source offsets in a compacted topic.
pub struct KafkaOffsetStore {
    topic: String,
    partitions: NonZeroU32,
    newest: Arc<Mutex<Newest>>,
    reader: Box<dyn LogReader>,
}

impl KafkaOffsetStore {
    /// Opens a topic, and creates it where there is none: compacted, with the given shape. Blocks.
    ///
    /// # Errors
    /// When the cluster is out of reach or refuses.
    pub fn open(
        broker: &dyn Broker,
        clients: &ClientConfig,
        topic: &str,
        partitions: i32,
        replication_factor: i32,
        configs: &[(String, String)],
    ) -> Result<Self, ConnectError> {
        let failed = |error| broker_error(&format!("Opening the offsets topic {topic} failed"), &error);
        let mut admin = broker.admin(clients, CONNECT_TIMEOUT).map_err(failed)?;
        if admin.partition_count(topic, ADMIN_TIMEOUT).map_err(failed)?.is_none() {
            let mut configs = configs.to_vec();
            configs.push(("cleanup.policy".to_owned(), "compact".to_owned()));
            let wanted = NewTopic { name: topic.to_owned(), partitions, replication_factor, configs };
            admin.ensure_topic(&wanted, ADMIN_TIMEOUT).map_err(failed)?;
            // Brokers hear of a new topic one after the other.
            let deadline = Instant::now() + ADMIN_TIMEOUT;
            while admin.partition_count(topic, ADMIN_TIMEOUT).map_err(failed)?.is_none_or(|count| count < 1)
                && Instant::now() < deadline
            {
                std::thread::sleep(TOPIC_POLL);
            }
        }
        drop(admin);
        let newest = Arc::new(Mutex::new(Newest::default()));
        let sink = Arc::clone(&newest);
        let reader =
            broker.log_reader(clients, topic, Box::new(move |record| sink.lock().apply(record))).map_err(failed)?;
        let partitions = u32::try_from(reader.partition_count()).ok().and_then(NonZeroU32::new);
        let partitions = partitions
            .ok_or_else(|| ConnectError::retriable(format!("the offsets topic {topic} has no partitions")))?;
        Ok(Self { topic: topic.to_owned(), partitions, newest, reader })
    }
}

impl OffsetStore for KafkaOffsetStore {
    fn read_to_end(&self, deadline: Instant) -> Result<(), ConnectError> {
        self.reader.read_to_end(deadline).map_err(|error| {
            let failed = broker_error(&format!("Reading the offsets topic {} failed", self.topic), &error);
            ConnectError { retriable: true, ..failed }
        })?;
        match self.newest.lock().is_over_limit {
            true => Err(ConnectError::connect(format!(
                "the offsets topic {} holds more than {} MiB of keys and values: split its connectors over several topics",
                self.topic,
                LIMIT_BYTES >> 20
            ))),
            false => Ok(()),
        }
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let newest = self.newest.lock();
        newest.values.get(key).and_then(|(_, value)| value.as_deref()).map(<[u8]>::to_vec)
    }

    fn destination(&self) -> Destination<'_> {
        Destination::Topic { name: &self.topic, partitions: self.partitions.get() }
    }

    fn epoch_of(&self, key: &[u8]) -> Option<Epoch> {
        self.newest.lock().values.get(key).map(|(epoch, _)| *epoch)
    }

    fn take_overwritten(&self, key: &[u8]) -> bool {
        self.newest.lock().overwritten.remove(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(newest: &mut Newest, epoch: Option<&str>, value: Option<&str>) -> Option<String> {
        let headers: Vec<(&str, Option<&[u8]>)> =
            epoch.iter().map(|epoch| (EPOCH_HEADER, Some(epoch.as_bytes()))).collect();
        let value = value.map(str::as_bytes);
        newest.apply(LogRecord { partition: 0, offset: 0, key: Some(b"k"), value, headers: &headers });
        let value = newest.values.get(&b"k"[..]).and_then(|(_, value)| value.clone());
        value.map(|value| String::from_utf8_lossy(&value).into_owned())
    }

    #[test]
    fn the_highest_epoch_wins_and_a_later_record_wins_within_it() {
        let mut newest = Newest::default();
        assert_eq!(apply(&mut newest, Some("1.9"), Some("a")).as_deref(), Some("a"));
        assert_eq!(apply(&mut newest, Some("1.10"), Some("b")).as_deref(), Some("b"));
        assert_eq!(apply(&mut newest, Some("1.9"), Some("zombie")).as_deref(), Some("b"));
        assert!(newest.overwritten.contains(&b"k"[..]), "compaction would leave the zombie's alone");
        assert_eq!(apply(&mut newest, Some("1.10"), Some("c")).as_deref(), Some("c"));
        assert!(newest.overwritten.is_empty());
        assert_eq!(apply(&mut newest, Some("2.1"), Some("d")).as_deref(), Some("d"));
    }

    #[test]
    fn records_without_an_epoch_count_and_do_not_lower_it() {
        let mut newest = Newest::default();
        assert_eq!(apply(&mut newest, Some("1.5"), Some("a")).as_deref(), Some("a"));
        assert_eq!(apply(&mut newest, None, Some("by a tool")).as_deref(), Some("by a tool"));
        assert_eq!(apply(&mut newest, Some("1.4"), Some("zombie")).as_deref(), Some("by a tool"));
        assert_eq!(apply(&mut newest, None, None), None);
        assert_eq!(newest.bytes, 1);
    }
}
