//! What every [`Broker`] does, run on each of them: in memory, and librdkafka against the Kafka that
//! `FERRY_TEST_BOOTSTRAP` names, or else against librdkafka's own mock cluster (which has no administration).

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use rdkafka::mocking::MockCluster;

use crate::kafka::KafkaBroker;
use crate::memory::MemoryBroker;
use crate::{
    Broker, BrokerError, ClientConfig, ConsumerEvent, Delivery, FetchedBatch, GroupConsumer, NewTopic, ProduceRow,
    Producer, Subscription, TopicFilter, TopicPartition,
};

const DEADLINE: Duration = Duration::from_secs(30);

struct Fixture {
    broker: Box<dyn Broker>,
    bootstrap: String,
    mock: Option<MockCluster<'static, rdkafka::producer::DefaultProducerContext>>,
    prefix: String,
}

impl Fixture {
    fn memory() -> Self {
        let broker = Box::new(MemoryBroker::new());
        Self { broker, bootstrap: "memory:0".to_owned(), mock: None, prefix: "memory".to_owned() }
    }

    fn kafka() -> Self {
        let nanos = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let prefix = format!("contract-{}-{nanos}", std::process::id());
        let broker = Box::new(KafkaBroker);
        match std::env::var("FERRY_TEST_BOOTSTRAP") {
            Ok(bootstrap) => Self { broker, bootstrap, mock: None, prefix },
            Err(_) => {
                let mock = MockCluster::new(1).unwrap();
                Self { broker, bootstrap: mock.bootstrap_servers(), mock: Some(mock), prefix }
            }
        }
    }

    fn config(&self) -> ClientConfig {
        [("bootstrap.servers", self.bootstrap.as_str())].into_iter().collect()
    }

    fn topic(&self, name: &str, partitions: i32) -> String {
        let name = format!("{}-{name}", self.prefix);
        match &self.mock {
            Some(mock) => mock.create_topic(&name, partitions, 1).unwrap(),
            None => {
                let topic = NewTopic { name: name.clone(), partitions, replication_factor: 1, configs: Vec::new() };
                let mut admin = self.broker.admin(&self.config(), DEADLINE).unwrap();
                assert!(admin.ensure_topic(&topic, DEADLINE).unwrap());
            }
        }
        name
    }

    fn producer(&self) -> Box<dyn Producer> {
        let mut producer = self.broker.producer(&self.config()).unwrap();
        producer.connect(DEADLINE).unwrap();
        producer
    }

    fn consumer(&self, group: &str, instance: &str, topic: &str) -> Box<dyn GroupConsumer> {
        let mut config = self.config();
        config.set("group.id", format!("{}-{group}", self.prefix)).set("group.instance.id", instance);
        self.broker.group_consumer(&config, &Subscription::Topics(vec![topic.to_owned()])).unwrap()
    }
}

fn produce(producer: &mut dyn Producer, topic: &str, partition: i32, values: std::ops::Range<u64>) -> Vec<Delivery> {
    let handle = producer.topic(topic).unwrap();
    for value in values {
        let text = value.to_string();
        let row = ProduceRow {
            topic: handle,
            partition: Some(partition),
            timestamp: Some(1_700_000_000_000 + value as i64),
            key: None,
            value: Some(text.as_bytes()),
            headers: &[],
            opaque: value,
        };
        producer.produce(&row).unwrap();
    }
    let mut reports = Vec::new();
    assert!(producer.flush(DEADLINE, &mut reports).unwrap(), "not all was delivered");
    reports
}

/// Accepts what the group gives and takes, until `is_done`; gives the values read.
fn consume(
    consumer: &mut dyn GroupConsumer,
    mut is_done: impl FnMut(&dyn GroupConsumer, &[String]) -> bool,
) -> Vec<String> {
    let deadline = Instant::now() + DEADLINE;
    let (mut batch, mut values) = (FetchedBatch::default(), Vec::new());
    while !is_done(consumer, &values) {
        assert!(Instant::now() < deadline, "only {} values: {values:?}", values.len());
        step(consumer, &mut batch);
        values.extend(texts(&batch));
        batch.clear();
    }
    values
}

fn step(consumer: &mut dyn GroupConsumer, batch: &mut FetchedBatch) {
    match consumer.poll(batch, 1000, 1 << 20).unwrap() {
        Some(ConsumerEvent::Assigned(partitions)) => {
            let partitions: Vec<_> = partitions.into_iter().map(|partition| (partition, None)).collect();
            consumer.acknowledge_assign(&partitions).unwrap();
        }
        Some(ConsumerEvent::Revoked(partitions) | ConsumerEvent::Lost(partitions)) => {
            consumer.acknowledge_revoke(&partitions).unwrap();
        }
        Some(ConsumerEvent::Error(error)) => panic!("{error}"),
        None if batch.rows.is_empty() => std::thread::sleep(Duration::from_millis(2)),
        None => {}
    }
}

fn texts(batch: &FetchedBatch) -> Vec<String> {
    let text = |row: &crate::FetchedRow| row.value.map(|span| String::from_utf8_lossy(batch.bytes(span)).into_owned());
    batch.rows.iter().filter_map(text).collect()
}

fn numbers(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn what_is_produced_is_consumed_whole(fixture: &Fixture) {
    let topic = fixture.topic("whole", 1);
    let mut producer = fixture.producer();
    let handle = producer.topic(&topic).unwrap();
    let headers: &[(&str, Option<&[u8]>)] = &[("a", Some(b"1")), ("a", None), ("b", Some(b""))];
    let row = ProduceRow {
        topic: handle,
        partition: None,
        timestamp: Some(1_700_000_000_123),
        key: Some(b"k"),
        value: Some(b""),
        headers,
        opaque: 7,
    };
    producer.produce(&row).unwrap();
    producer.produce(&ProduceRow { value: None, headers: &[], opaque: 8, ..row }).unwrap();
    assert_eq!(producer.in_flight(), 2);
    let mut reports = Vec::new();
    assert!(producer.flush(DEADLINE, &mut reports).unwrap());
    assert_eq!(reports.iter().map(|report| report.opaque).collect::<Vec<_>>(), [7, 8]);
    assert_eq!(reports[1].result.as_ref().unwrap().offset, 1);
    assert_eq!(producer.in_flight(), 0);

    let mut consumer = fixture.consumer("whole", "0", &topic);
    let (mut batch, deadline) = (FetchedBatch::default(), Instant::now() + DEADLINE);
    while batch.rows.len() < 2 {
        assert!(Instant::now() < deadline);
        step(&mut *consumer, &mut batch);
    }
    let row = batch.rows[0];
    assert_eq!((row.offset, row.timestamp), (0, 1_700_000_000_123));
    assert_eq!(batch.bytes(row.key.unwrap()), b"k");
    assert_eq!(batch.bytes(row.value.unwrap()), b"");
    let found: Vec<_> = batch.headers[row.first_header as usize..][..row.header_count as usize]
        .iter()
        .map(|header| (batch.bytes(header.name), header.value.map(|span| batch.bytes(span))))
        .collect();
    assert_eq!(found, [(&b"a"[..], Some(&b"1"[..])), (b"a", None), (b"b", Some(b""))]);
    assert_eq!(batch.rows[1].value, None);
    assert_eq!(*consumer.partition(row.partition), TopicPartition::new(topic.as_str(), 0));
    consumer.close(DEADLINE).unwrap();
}

fn a_group_resumes_at_its_commit(fixture: &Fixture) {
    let topic = fixture.topic("resume", 1);
    let partition = TopicPartition::new(topic.as_str(), 0);
    let mut producer = fixture.producer();
    produce(&mut *producer, &topic, 0, 0..10);
    let mut first = fixture.consumer("resume", "0", &topic);
    assert_eq!(consume(&mut *first, |_, values| values.len() >= 10), numbers(0..10));
    assert_eq!(first.position(&partition), Some(10));
    first.commit(&[(partition.clone(), 4)], DEADLINE).unwrap();
    assert_eq!(first.committed(std::slice::from_ref(&partition), DEADLINE).unwrap(), [(partition.clone(), Some(4))]);
    first.close(DEADLINE).unwrap();
    drop(first);
    let mut second = fixture.consumer("resume", "0", &topic);
    assert_eq!(consume(&mut *second, |_, values| values.len() >= 6), numbers(4..10));
    second.close(DEADLINE).unwrap();
}

fn partitions_move_once_they_are_given_back(fixture: &Fixture) {
    let topic = fixture.topic("move", 2);
    let mut producer = fixture.producer();
    let mut first = fixture.consumer("move", "0", &topic);
    consume(&mut *first, |consumer, _| consumer.assignment().len() == 2);
    let mut second = fixture.consumer("move", "1", &topic);
    let (mut batch, deadline) = (FetchedBatch::default(), Instant::now() + DEADLINE);
    while first.assignment().len() != 1 || second.assignment().len() != 1 {
        assert!(Instant::now() < deadline);
        step(&mut *first, &mut batch);
        step(&mut *second, &mut batch);
    }
    produce(&mut *producer, &topic, 0, 0..5);
    produce(&mut *producer, &topic, 1, 5..10);
    let mut values = consume(&mut *first, |_, values| values.len() >= 5);
    values.extend(consume(&mut *second, |_, values| values.len() >= 5));
    values.sort_by_key(|value| value.parse::<u64>().unwrap());
    assert_eq!(values, numbers(0..10));
    first.close(DEADLINE).unwrap();
    second.close(DEADLINE).unwrap();
}

fn a_rule_takes_topics_that_come_later_too(fixture: &Fixture) {
    let (first, other) = (fixture.topic("rule-1", 1), fixture.topic("other", 1));
    let mut config = fixture.config();
    config.set("group.id", format!("{}-rule", fixture.prefix)).set("group.instance.id", "a");
    config.set("metadata.max.age.ms", "200");
    let prefix = format!("{}-rule-", fixture.prefix);
    let rule = TopicFilter::new(move |topic| topic.starts_with(&prefix));
    let mut consumer = fixture.broker.group_consumer(&config, &Subscription::Matching(rule)).unwrap();
    consumer.connect(DEADLINE).unwrap();
    let mut producer = fixture.producer();
    produce(&mut *producer, &first, 0, 0..3);
    produce(&mut *producer, &other, 0, 100..103);
    consume(&mut *consumer, |_, values| values.len() >= 3);
    let second = fixture.topic("rule-2", 1);
    produce(&mut *producer, &second, 0, 3..6);
    let mut values = consume(&mut *consumer, |_, values| values.len() >= 3);
    values.sort();
    assert_eq!(values, numbers(3..6));
}

fn pause_holds_rows_back_and_seek_repeats_them(fixture: &Fixture) {
    let topic = fixture.topic("pause", 2);
    let (held, free) = (TopicPartition::new(topic.as_str(), 0), TopicPartition::new(topic.as_str(), 1));
    let mut producer = fixture.producer();
    let mut consumer = fixture.consumer("pause", "0", &topic);
    consume(&mut *consumer, |consumer, _| consumer.assignment().len() == 2);
    consumer.pause(&held);
    produce(&mut *producer, &topic, 0, 0..5);
    produce(&mut *producer, &topic, 1, 5..10);
    assert_eq!(consume(&mut *consumer, |_, values| values.len() >= 5), numbers(5..10));
    assert_eq!(consumer.position(&free), Some(5));
    consumer.resume(&held);
    assert_eq!(consume(&mut *consumer, |_, values| values.len() >= 5), numbers(0..5));
    consumer.seek(&held, 3, DEADLINE).unwrap();
    assert_eq!(consume(&mut *consumer, |_, values| values.len() >= 2), numbers(3..5));
    assert_eq!(consumer.lag(), Some(0));
    consumer.close(DEADLINE).unwrap();
}

fn a_log_is_read_to_its_end(fixture: &Fixture) {
    let topic = fixture.topic("log", 3);
    let mut producer = fixture.producer();
    produce(&mut *producer, &topic, 0, 0..10);
    produce(&mut *producer, &topic, 2, 10..20);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let reader = fixture
        .broker
        .log_reader(
            &fixture.config(),
            &topic,
            Box::new(move |record| {
                let value = record.value.unwrap();
                sink.lock().push((record.partition, record.offset, String::from_utf8_lossy(value).into_owned()));
            }),
        )
        .unwrap();
    assert_eq!(reader.partition_count(), 3);
    reader.read_to_end(Instant::now() + DEADLINE).unwrap();
    assert_eq!(seen.lock().len(), 20);
    produce(&mut *producer, &topic, 1, 20..21);
    reader.read_to_end(Instant::now() + DEADLINE).unwrap();
    assert!(seen.lock().contains(&(1, 0, "20".to_owned())));
}

fn a_topic_is_made_once(fixture: &Fixture) {
    if fixture.mock.is_some() {
        return;
    }
    let name = fixture.topic("once", 2);
    let mut admin = fixture.broker.admin(&fixture.config(), DEADLINE).unwrap();
    let again = NewTopic { name: name.clone(), partitions: 5, replication_factor: 1, configs: Vec::new() };
    assert!(!admin.ensure_topic(&again, DEADLINE).unwrap());
    assert_eq!(admin.partition_count(&name, DEADLINE).unwrap(), Some(2));
    // Asking must not create it.
    for _ in 0..3 {
        assert_eq!(admin.partition_count(&format!("{name}-not"), DEADLINE).unwrap(), None);
    }
    assert!(!admin.cluster_id(DEADLINE).unwrap().is_empty());
}

fn a_topic_that_cannot_be_is_refused_by_name(fixture: &Fixture) {
    if fixture.mock.is_some() {
        return;
    }
    let mut admin = fixture.broker.admin(&fixture.config(), DEADLINE).unwrap();
    let name = format!("{}-refused", fixture.prefix);
    let mut refused = |partitions, replication_factor, configs: &[(&str, &str)]| {
        let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let topic = NewTopic { name: name.clone(), partitions, replication_factor, configs };
        let error = admin.ensure_topic(&topic, DEADLINE).unwrap_err();
        assert!(!error.retriable() && error.to_string().contains(&name), "{error}");
        assert_eq!(admin.partition_count(&name, DEADLINE).unwrap(), None);
        error.java_class().rsplit('.').next().unwrap_or_default()
    };
    for count in [0, -2, i32::MAX] {
        assert_eq!(refused(count, 1, &[]), "InvalidPartitionsException");
        assert_eq!(refused(1, count, &[]), "InvalidReplicationFactorException");
    }
    // What only a real broker knows.
    if fixture.prefix != "memory" {
        assert_eq!(refused(1, 9_000, &[]), "InvalidReplicationFactorException");
        assert_eq!(refused(1, 1, &[("no.such.setting", "1")]), "InvalidConfigurationException");
        assert_eq!(refused(1, 1, &[("retention.ms", "soon")]), "InvalidConfigurationException");
    }
}

fn the_brokers_defaults_are_asked_for_by_minus_one(fixture: &Fixture) {
    if fixture.mock.is_some() {
        return;
    }
    let name = format!("{}-defaults", fixture.prefix);
    let mut admin = fixture.broker.admin(&fixture.config(), DEADLINE).unwrap();
    let topic = NewTopic { name: name.clone(), partitions: -1, replication_factor: -1, configs: Vec::new() };
    assert!(admin.ensure_topic(&topic, DEADLINE).unwrap());
    assert!(admin.partition_count(&name, DEADLINE).unwrap().is_some_and(|count| count > 0));
    // The other one given: three partitions with the default replication.
    let name = format!("{}-some-defaults", fixture.prefix);
    let topic = NewTopic { name: name.clone(), partitions: 3, ..topic };
    assert!(admin.ensure_topic(&topic, DEADLINE).unwrap());
    assert_eq!(admin.partition_count(&name, DEADLINE).unwrap(), Some(3));
}

fn all(fixture: &Fixture) {
    what_is_produced_is_consumed_whole(fixture);
    a_group_resumes_at_its_commit(fixture);
    partitions_move_once_they_are_given_back(fixture);
    a_rule_takes_topics_that_come_later_too(fixture);
    pause_holds_rows_back_and_seek_repeats_them(fixture);
    a_log_is_read_to_its_end(fixture);
    a_topic_is_made_once(fixture);
    a_topic_that_cannot_be_is_refused_by_name(fixture);
    the_brokers_defaults_are_asked_for_by_minus_one(fixture);
}

#[test]
fn memory_keeps_the_contract() {
    all(&Fixture::memory());
}

#[test]
fn kafka_keeps_the_contract() {
    all(&Fixture::kafka());
}

#[test]
fn an_unreachable_broker_is_named() {
    let config: ClientConfig = [("bootstrap.servers", "127.0.0.1:1")].into_iter().collect();
    let error = KafkaBroker.producer(&config).unwrap().connect(Duration::from_millis(300)).unwrap_err();
    assert!(matches!(error, BrokerError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("bootstrap.servers=127.0.0.1:1 within 300 ms"), "{error}");
}

#[test]
fn an_unusable_value_is_named() {
    let config: ClientConfig = [("bootstrap.servers", "127.0.0.1:1"), ("linger.ms", "soon")].into_iter().collect();
    let error = KafkaBroker.producer(&config).err().unwrap();
    assert!(error.to_string().contains("linger.ms"), "{error}");
}

#[test]
fn whatever_java_takes_librdkafka_takes_or_the_key_is_named() {
    use crate::client_config::ClientKind;
    use crate::client_config::keys::extremes;
    for kind in [ClientKind::Producer, ClientKind::Consumer] {
        for (key, value) in extremes(kind) {
            let mut config: ClientConfig =
                [("bootstrap.servers", "127.0.0.1:1"), ("compression.type", "gzip")].into_iter().collect();
            config.set("group.id", "g").set(key, &value);
            let made = match kind {
                ClientKind::Producer => KafkaBroker.producer(&config).map(drop),
                _ => KafkaBroker.group_consumer(&config, &Subscription::Topics(vec!["t".to_owned()])).map(drop),
            };
            match made {
                Ok(()) => {}
                Err(BrokerError::Config { key: named, .. }) if named == key => {}
                Err(error) => panic!("{key}={value}: {error}"),
            }
        }
    }
}
