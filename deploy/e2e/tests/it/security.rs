//! A worker's Kafka clients on a secured broker, with nothing but the keys that Java's clients take.

mod certificates;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use data_plane_broker::kafka::KafkaBroker;
use data_plane_broker::{
    Broker, BrokerError, ClientConfig, ConsumerEvent, FetchedBatch, NewTopic, ProduceRow, Subscription,
};
use deploy_e2e::{Kafka, KafkaOptions};

use crate::cluster::{LIMIT, turn};
use certificates::{Certificates, PASSWORD};

const TOPIC: &str = "secured";
const PARTITIONS: i32 = 7;

/// Keys, and the partition of seven that Java's producer puts each in (`BuiltInPartitioner.partitionForKey`).
const JAVAS_PARTITIONS: [(&str, i32); 7] =
    [("", 2), ("a", 5), ("b", 6), ("key", 4), ("ключ", 4), ("0123456789", 1), ("another key", 5)];

#[test]
fn clients_connect_with_javas_settings() -> Result<()> {
    let _turn = turn();
    let certificates = Certificates::make()?;
    let kafka = start(&certificates)?;

    let open = settings(&kafka, "PLAINTEXT", &[]);
    let topic = NewTopic { name: TOPIC.to_owned(), partitions: PARTITIONS, replication_factor: 1, configs: Vec::new() };
    ensure!(KafkaBroker.admin(&open, LIMIT)?.ensure_topic(&topic, LIMIT)?);
    keys_go_to_javas_partitions(&open)?;

    let ca = certificates.text("ca.pem")?;
    let one_line = ca.replace('\n', " ");
    let file = |name: &str| certificates.path(name);
    let trusts: [Vec<(&str, String)>; 4] = [
        vec![("ssl.truststore.type", "PEM".to_owned()), ("ssl.truststore.location", file("ca.pem"))],
        vec![("ssl.truststore.type", "PEM".to_owned()), ("ssl.truststore.certificates", one_line)],
        vec![("ssl.truststore.location", file("ca.p12")), ("ssl.truststore.password", PASSWORD.to_owned())],
        vec![("ssl.truststore.location", file("ca.jks")), ("ssl.truststore.password", PASSWORD.to_owned())],
    ];
    let identities: [Vec<(&str, String)>; 3] = [
        vec![
            ("ssl.keystore.type", "PEM".to_owned()),
            ("ssl.keystore.key", certificates.text("client.key")?),
            ("ssl.keystore.certificate.chain", certificates.text("client.crt")?),
        ],
        vec![("ssl.keystore.location", file("client.pem")), ("ssl.key.password", PASSWORD.to_owned())],
        vec![
            ("ssl.keystore.type", "PKCS12".to_owned()),
            ("ssl.keystore.location", file("client.p12")),
            ("ssl.keystore.password", PASSWORD.to_owned()),
        ],
    ];
    let (plain, scram) = (login("PLAIN", "alice", "alice-s3cret"), login("SCRAM-SHA-512", "carol", "carol-s3cret"));
    let token = [
        ("sasl.mechanism", "OAUTHBEARER".to_owned()),
        (
            "sasl.jaas.config",
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
             unsecuredLoginStringClaim_sub=\"alice\";"
                .to_owned(),
        ),
    ];
    let cases = [
        settings(&kafka, "PLAINTEXT", &[]),
        settings(&kafka, "PLAINTEXT", &[("group.protocol", "consumer".to_owned())]),
        settings(&kafka, "SSL", &[&trusts[0][..], &identities[0]].concat()),
        settings(&kafka, "SSL", &[&trusts[1][..], &identities[1]].concat()),
        settings(&kafka, "SSL", &[&trusts[2][..], &identities[2]].concat()),
        settings(&kafka, "SASL_PLAINTEXT", &plain),
        settings(&kafka, "SASL_PLAINTEXT", &scram),
        settings(&kafka, "SASL_PLAINTEXT", &token),
        settings(&kafka, "SASL_SSL", &[&trusts[3][..], &plain].concat()),
        settings(&kafka, "SASL_SSL", &[&trusts[2][..], &scram].concat()),
    ];
    for (number, config) in cases.iter().enumerate() {
        copies(config, number).with_context(|| format!("case {number}: {config:?}"))?;
    }

    wrong_logins_are_told(&kafka)?;
    wrong_certificates_are_told(&kafka, &certificates, &trusts, &plain)?;
    missing_rights_are_told(&kafka)
}

/// A broker that knows alice by PLAIN, bob and carol by SCRAM, and clients by certificate; bob may do nothing.
fn start(certificates: &Certificates) -> Result<Kafka> {
    let mut options = KafkaOptions {
        listeners: vec!["SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        scram_users: vec![("bob", "bob-s3cret"), ("carol", "carol-s3cret")],
        ..KafkaOptions::default()
    };
    let mut set = |key: &str, value: &str| options.properties.push((key.to_owned(), value.to_owned()));
    set("ssl.keystore.type", "PEM");
    set("ssl.keystore.location", &certificates.path("server.pem"));
    set("ssl.truststore.type", "PEM");
    set("ssl.truststore.location", &certificates.path("ca.pem"));
    set("listener.name.ssl.ssl.client.auth", "required");
    set("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-512,OAUTHBEARER");
    for listener in ["sasl_plaintext", "sasl_ssl"] {
        let package = "org.apache.kafka.common.security";
        let key = |mechanism: &str| format!("listener.name.{listener}.{mechanism}.sasl.jaas.config");
        set(&key("plain"), &format!("{package}.plain.PlainLoginModule required user_alice=\"alice-s3cret\";"));
        set(&key("scram-sha-512"), &format!("{package}.scram.ScramLoginModule required;"));
        let token = "OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";";
        set(&key("oauthbearer"), &format!("{package}.oauthbearer.{token}"));
    }
    set("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer");
    set("super.users", "User:ANONYMOUS;User:alice;User:carol;User:CN=ferry-client");
    Kafka::start_with(&options)
}

fn settings(kafka: &Kafka, protocol: &str, more: &[(&str, String)]) -> ClientConfig {
    let bootstrap = match protocol {
        "PLAINTEXT" => kafka.bootstrap(),
        other => kafka.bootstrap_of(other),
    };
    let common = [("bootstrap.servers", bootstrap), ("security.protocol", protocol.to_owned())];
    common.into_iter().chain(more.iter().cloned()).collect()
}

fn login(mechanism: &str, user: &str, password: &str) -> Vec<(&'static str, String)> {
    let module = if mechanism == "PLAIN" { "plain.PlainLoginModule" } else { "scram.ScramLoginModule" };
    let jaas =
        format!("org.apache.kafka.common.security.{module} required username=\"{user}\" password=\"{password}\";");
    vec![("sasl.mechanism", mechanism.to_owned()), ("sasl.jaas.config", jaas)]
}

fn keys_go_to_javas_partitions(config: &ClientConfig) -> Result<()> {
    let mut producer = KafkaBroker.producer(config)?;
    let topic = producer.topic(TOPIC)?;
    for (number, (key, _)) in (0..).zip(JAVAS_PARTITIONS) {
        let row = ProduceRow {
            topic,
            partition: None,
            timestamp: None,
            key: Some(key.as_bytes()),
            value: None,
            headers: &[],
            opaque: number,
        };
        producer.produce(&row)?;
    }
    let mut reports = Vec::new();
    ensure!(producer.flush(LIMIT, &mut reports)?, "not all was delivered");
    for report in reports {
        let (key, expected) = JAVAS_PARTITIONS[usize::try_from(report.opaque)?];
        assert_eq!(report.result?.partition, expected, "{key:?}");
    }
    Ok(())
}

/// Writes a record and reads it back, as a member of a group.
fn copies(config: &ClientConfig, number: usize) -> Result<()> {
    let value = format!("case {number}");
    let mut producer = KafkaBroker.producer(config)?;
    producer.connect(LIMIT)?;
    let topic = producer.topic(TOPIC)?;
    let row = ProduceRow {
        topic,
        partition: None,
        timestamp: None,
        key: None,
        value: Some(value.as_bytes()),
        headers: &[],
        opaque: 0,
    };
    producer.produce(&row)?;
    let mut reports = Vec::new();
    ensure!(producer.flush(LIMIT, &mut reports)?, "not delivered: {reports:?}");

    let mut config = config.clone();
    config.set("group.id", format!("group-{number}"));
    let mut consumer = KafkaBroker.group_consumer(&config, &Subscription::Topics(vec![TOPIC.to_owned()]))?;
    consumer.connect(LIMIT)?;
    let (mut batch, deadline) = (FetchedBatch::default(), Instant::now() + LIMIT);
    loop {
        ensure!(Instant::now() < deadline, "{value:?} is not read back");
        match consumer.poll(&mut batch, 100, 1 << 20)? {
            Some(ConsumerEvent::Assigned(partitions)) => {
                let partitions: Vec<_> = partitions.into_iter().map(|partition| (partition, None)).collect();
                consumer.acknowledge_assign(&partitions)?;
            }
            Some(ConsumerEvent::Revoked(partitions) | ConsumerEvent::Lost(partitions)) => {
                consumer.acknowledge_revoke(&partitions)?;
            }
            Some(ConsumerEvent::Error(error)) => return Err(error.into()),
            None => std::thread::sleep(Duration::from_millis(2)),
        }
        let is_it =
            |row: &data_plane_broker::FetchedRow| row.value.is_some_and(|span| batch.bytes(span) == value.as_bytes());
        if batch.rows.iter().any(is_it) {
            consumer.close(LIMIT)?;
            return Ok(());
        }
        batch.clear();
    }
}

/// The error of each kind of client; it comes long before the deadline and holds no secret.
fn failure(config: &ClientConfig) -> BrokerError {
    let started = Instant::now();
    let failed = |result: Result<(), BrokerError>| match result {
        Ok(()) => panic!("it connected: {config:?}"),
        Err(error) => error,
    };
    let error = failed(KafkaBroker.producer(config).and_then(|mut producer| producer.connect(LIMIT)));
    let other = failed(KafkaBroker.admin(config, LIMIT).map(drop));
    assert_eq!(error.java_class(), other.java_class(), "{error} / {other}");
    assert!(started.elapsed() < LIMIT / 2, "{error} took {:?}", started.elapsed());
    assert!(!error.to_string().contains("s3cret"), "{error}");
    error
}

fn assert_failure(config: &ClientConfig, class: &str, words: &[&str]) {
    let error = failure(config);
    let text = error.to_string();
    assert_eq!(error.java_class().rsplit('.').next(), Some(class), "{text}");
    assert!(!error.retriable(), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

fn wrong_logins_are_told(kafka: &Kafka) -> Result<()> {
    for (mechanism, user) in [("PLAIN", "alice"), ("SCRAM-SHA-512", "carol"), ("PLAIN", "nobody")] {
        let config = settings(kafka, "SASL_PLAINTEXT", &login(mechanism, user, "wrong-s3cret"));
        assert_failure(&config, "SaslAuthenticationException", &["uthentication failed"]);
    }
    Ok(())
}

fn wrong_certificates_are_told(
    kafka: &Kafka,
    certificates: &Certificates,
    trusts: &[Vec<(&'static str, String)>],
    plain: &[(&'static str, String)],
) -> Result<()> {
    let stranger = [("ssl.truststore.location", certificates.path("stranger.pem"))];
    let untrusted = settings(kafka, "SASL_SSL", &[&stranger[..], plain].concat());
    let words = ["certificate verify failed", "ssl.truststore.location"];
    assert_failure(&untrusted, "SslAuthenticationException", &words);

    // The broker's certificate is for 127.0.0.1 only.
    let mut elsewhere = settings(kafka, "SASL_SSL", &[&trusts[0][..], plain].concat());
    elsewhere.set("bootstrap.servers", kafka.bootstrap_of("SASL_SSL").replace("127.0.0.1", "localhost"));
    assert_failure(&elsewhere, "SslAuthenticationException", &["certificate verify failed"]);
    elsewhere.set("ssl.endpoint.identification.algorithm", "");
    KafkaBroker.producer(&elsewhere)?.connect(LIMIT)?;

    let anonymous = settings(kafka, "SSL", &trusts[0]);
    assert_failure(&anonymous, "SslAuthenticationException", &["certificate", "ssl.keystore.location"]);

    let mut unopened = settings(kafka, "SSL", &trusts[0]);
    unopened.set("ssl.keystore.location", certificates.path("client.pem")).set("ssl.key.password", "wrong-s3cret");
    assert_failure(&unopened, "ConfigException", &["client setting ssl.keystore.location", "ssl.key.pem"]);
    unopened.set("ssl.cipher.suites", "NONE_SUCH");
    assert_failure(&unopened, "ConfigException", &["client setting ssl.cipher.suites", "no cipher match"]);

    let mut locked = settings(kafka, "SASL_SSL", &[&trusts[2][..], plain].concat());
    locked.set("ssl.truststore.password", "wrong-s3cret");
    assert_failure(&locked, "ConfigException", &["ssl.truststore.location", "ca.p12", "password"]);
    locked.set("ssl.truststore.location", certificates.path("none.pem"));
    assert_failure(&locked, "ConfigException", &["ssl.truststore.location", "none.pem", "No such file"]);
    Ok(())
}

fn missing_rights_are_told(kafka: &Kafka) -> Result<()> {
    let config = settings(kafka, "SASL_PLAINTEXT", &login("SCRAM-SHA-512", "bob", "bob-s3cret"));
    let mut admin = KafkaBroker.admin(&config, LIMIT)?;
    let topic = NewTopic { name: "bobs".to_owned(), partitions: 1, replication_factor: 1, configs: Vec::new() };
    let error = admin.ensure_topic(&topic, LIMIT).err().context("bob made a topic")?;
    ensure!(error.is_denied() && !error.retriable(), "{error}");
    assert_eq!(error.java_class(), "org.apache.kafka.common.errors.TopicAuthorizationException");
    Ok(())
}
