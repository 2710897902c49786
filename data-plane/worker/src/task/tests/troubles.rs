//! What a test can make go wrong: a transform whose attempts fail, a broker that refuses records and topics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use data_plane_broker::memory::MemoryBroker;
use data_plane_broker::{
    Admin, Broker, BrokerError, ClientConfig, Delivered, Delivery, GroupConsumer, LogReader, NewTopic, OnLogRecord,
    ProduceError, ProduceRow, Producer, Subscription, TopicHandle,
};
use data_plane_connector_api::{ConfigDef, ConnectError, Factory, PerRecord, RecordTransform, Verdict};
use data_plane_record::{OpenRecord, Side, Value};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::harness::Config;

/// A transform that does what the test says, by the text of a record's value; `transforms=touchy` in [`TOUCHY`].
#[derive(Default)]
pub(super) struct Touchy {
    /// Raised by the next attempts, the last first.
    pub(super) errors: Mutex<BTreeMap<String, Vec<ConnectError>>>,
    /// Raised by each attempt.
    pub(super) always: Mutex<BTreeMap<String, ConnectError>>,
    pub(super) drops: Mutex<BTreeSet<String>>,
    /// Sends each record to a topic of its own.
    pub(super) routes: AtomicBool,
    /// Values that were tried.
    pub(super) seen: Mutex<Vec<String>>,
}

/// Config keys of one [`Touchy`], which marks what it lets through.
pub(super) const TOUCHY: [(&str, &str); 2] = [("transforms", "touchy"), ("transforms.touchy.type", "test.Touchy")];

struct Transform(Arc<Touchy>);

impl RecordTransform for Transform {
    fn class(&self) -> &'static str {
        "test.Touchy"
    }
    fn configure(&mut self, _: &Config) -> Result<(), ConnectError> {
        Ok(())
    }
    fn config_def(&self) -> ConfigDef {
        ConfigDef::default()
    }
    fn apply(&mut self, record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError> {
        let text = record.value(Side::Value).as_str(record.arena).unwrap_or_default().to_owned();
        self.0.seen.lock().push(text.clone());
        if let Some(error) = self.0.errors.lock().get_mut(&text).and_then(Vec::pop) {
            return Err(error);
        }
        if let Some(error) = self.0.always.lock().get(&text) {
            return Err(error.clone());
        }
        if self.0.drops.lock().contains(&text) {
            return Ok(Verdict::Drop);
        }
        if self.0.routes.load(Ordering::Relaxed) {
            record.set_topic(format!("topic-{text}").into());
        }
        let marked = record.arena.push(format!("{text}!").as_bytes());
        *record.value_mut(Side::Value) = Value::StringSpan(marked);
        Ok(Verdict::Keep)
    }
}

impl Touchy {
    pub(super) fn plugin(self: &Arc<Self>) -> (&'static str, Factory) {
        let script = Arc::clone(self);
        let make = move || Box::new(PerRecord(Transform(Arc::clone(&script)))) as _;
        ("test.Touchy", Factory::Transformation(Arc::new(make)))
    }

    pub(super) fn fail(&self, value: &str, error: ConnectError) {
        self.always.lock().insert(value.to_owned(), error);
    }

    pub(super) fn fail_times(&self, value: &str, times: usize) {
        self.errors.lock().insert(value.to_owned(), vec![ConnectError::retriable("not yet"); times]);
    }

    pub(super) fn heal(&self) {
        self.always.lock().clear();
    }

    pub(super) fn has_seen(&self, value: &str) -> bool {
        self.seen.lock().iter().any(|seen| seen == value)
    }
}

/// What the broker refuses; all by topic.
#[derive(Default)]
pub(super) struct Troubles {
    /// Longer values are refused at once.
    pub(super) longest: Mutex<BTreeMap<String, usize>>,
    /// Deliveries fail.
    pub(super) failing: Mutex<BTreeMap<String, BrokerError>>,
    /// Deliveries are reported only once a topic is not here any more.
    pub(super) silent: Mutex<BTreeSet<String>>,
    /// The buffer is full so many times.
    pub(super) full: Mutex<BTreeMap<String, usize>>,
    /// Creation fails with these, the last first.
    pub(super) uncreatable: Mutex<BTreeMap<String, Vec<BrokerError>>>,
    /// Administrators that were made.
    pub(super) admins: AtomicUsize,
}

pub(super) fn kafka_error(code: &'static str, retriable: bool) -> BrokerError {
    BrokerError::Kafka { operation: "asking Kafka", code, message: code.to_owned(), retriable, fatal: false }
}

pub(super) struct TroubledBroker {
    pub(super) memory: MemoryBroker,
    pub(super) troubles: Arc<Troubles>,
}

impl Broker for TroubledBroker {
    fn producer(&self, config: &ClientConfig) -> Result<Box<dyn Producer>, BrokerError> {
        let (inner, troubles) = (self.memory.producer(config)?, Arc::clone(&self.troubles));
        let (topics, lost, silenced) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Box::new(TroubledProducer { inner, troubles, topics, lost, silenced }))
    }

    fn group_consumer(
        &self,
        config: &ClientConfig,
        subscription: &Subscription,
    ) -> Result<Box<dyn GroupConsumer>, BrokerError> {
        self.memory.group_consumer(config, subscription)
    }

    fn log_reader(
        &self,
        config: &ClientConfig,
        topic: &str,
        on_record: OnLogRecord,
    ) -> Result<Box<dyn LogReader>, BrokerError> {
        self.memory.log_reader(config, topic, on_record)
    }

    fn admin(&self, config: &ClientConfig, timeout: Duration) -> Result<Box<dyn Admin>, BrokerError> {
        self.troubles.admins.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(TroubledAdmin(self.memory.admin(config, timeout)?, Arc::clone(&self.troubles))))
    }
}

struct TroubledProducer {
    inner: Box<dyn Producer>,
    troubles: Arc<Troubles>,
    topics: Vec<String>,
    lost: Vec<Delivery>,
    /// By topic.
    silenced: Vec<(String, Delivery)>,
}

impl TroubledProducer {
    fn report(&mut self, out: &mut Vec<Delivery>) {
        out.append(&mut self.lost);
        let silent = self.troubles.silent.lock();
        out.extend(self.silenced.extract_if(.., |(topic, _)| !silent.contains(topic)).map(|(_, delivery)| delivery));
    }
}

impl Producer for TroubledProducer {
    fn connect(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.inner.connect(timeout)
    }

    fn topic(&mut self, name: &str) -> Result<TopicHandle, BrokerError> {
        let handle = self.inner.topic(name)?;
        if handle.index() == self.topics.len() {
            self.topics.push(name.to_owned());
        }
        Ok(handle)
    }

    fn produce(&mut self, row: &ProduceRow<'_>) -> Result<(), ProduceError> {
        let topic = &self.topics[row.topic.index()];
        if let Some(left) = self.troubles.full.lock().get_mut(topic).filter(|left| **left > 0) {
            *left -= 1;
            return Err(ProduceError::QueueFull);
        }
        let longest = self.troubles.longest.lock().get(topic).copied();
        if longest.is_some_and(|longest| row.value.is_some_and(|value| value.len() > longest)) {
            return Err(kafka_error("MSG_SIZE_TOO_LARGE", false).into());
        }
        if let Some(error) = self.troubles.failing.lock().get(topic) {
            self.lost.push(Delivery { opaque: row.opaque, result: Err(Box::new(error.clone())) });
            self.waker().notify_one();
            return Ok(());
        }
        if self.troubles.silent.lock().contains(topic) {
            let result = Ok(Delivered { partition: 0, offset: 0 });
            self.silenced.push((topic.clone(), Delivery { opaque: row.opaque, result }));
            return Ok(());
        }
        self.inner.produce(row)
    }

    fn poll(&mut self, timeout: Duration, out: &mut Vec<Delivery>) -> Result<(), BrokerError> {
        self.report(out);
        self.inner.poll(timeout, out)
    }

    fn in_flight(&self) -> usize {
        self.lost.len() + self.silenced.len() + self.inner.in_flight()
    }

    fn flush(&mut self, timeout: Duration, out: &mut Vec<Delivery>) -> Result<bool, BrokerError> {
        self.report(out);
        self.inner.flush(timeout, out)
    }

    fn purge(&mut self) {
        self.inner.purge();
    }

    fn waker(&self) -> Arc<Notify> {
        self.inner.waker()
    }
}

struct TroubledAdmin(Box<dyn Admin>, Arc<Troubles>);

impl Admin for TroubledAdmin {
    fn ensure_topic(&mut self, topic: &NewTopic, timeout: Duration) -> Result<bool, BrokerError> {
        if let Some(error) = self.1.uncreatable.lock().get_mut(&topic.name).and_then(Vec::pop) {
            return Err(error);
        }
        self.0.ensure_topic(topic, timeout)
    }

    fn partition_count(&mut self, topic: &str, timeout: Duration) -> Result<Option<i32>, BrokerError> {
        self.0.partition_count(topic, timeout)
    }

    fn cluster_id(&mut self, timeout: Duration) -> Result<String, BrokerError> {
        self.0.cluster_id(timeout)
    }
}
