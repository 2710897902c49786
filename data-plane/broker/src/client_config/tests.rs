//! The whole table, key by key.

use super::*;

use ClientKind::{Admin, Consumer, Producer};

fn translated(kind: ClientKind, entries: &[(&str, &str)]) -> Vec<(String, String)> {
    let translated = translate(&entries.iter().copied().collect(), kind).unwrap_or_else(|error| panic!("{error}"));
    translated.settings.into_iter().map(|(name, value, _)| (name, value)).collect()
}

fn check(kind: ClientKind, key: &str, value: &str, expected: &[(&str, &str)]) {
    check_all(kind, &[(key, value)], expected);
}

fn check_all(kind: ClientKind, entries: &[(&str, &str)], expected: &[(&str, &str)]) {
    let found = translated(kind, entries);
    let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(found, expected, "{entries:?}");
}

fn refusal(kind: ClientKind, entries: &[(&str, &str)]) -> (String, String) {
    match translate(&entries.iter().copied().collect(), kind) {
        Err(BrokerError::Config { key, reason }) => (key, reason),
        other => panic!("{entries:?}: {other:?}"),
    }
}

#[test]
fn every_key_of_javas_clients_has_a_rule() {
    let mut count = 0;
    for key in keys::names() {
        count += 1;
        for kind in [Admin, Consumer, Producer].into_iter().filter(|kind| keys::is_key(key, *kind)) {
            let rule = rules::rule(key, kind);
            assert!(!matches!(rule, Rule::Unknown), "{key} of {kind:?}");
        }
    }
    // ProducerConfig, ConsumerConfig and AdminClientConfig of Kafka 4.3 together.
    assert_eq!(count, 141);
}

#[test]
fn java_keys_become_librdkafkas() {
    check(Producer, "acks", "all", &[("acks", "all")]);
    check(Producer, "buffer.memory", "33554432", &[("queue.buffering.max.kbytes", "32768")]);
    check(Producer, "request.timeout.ms", "40000", &[("request.timeout.ms", "40000")]);
    check(Consumer, "request.timeout.ms", "40000", &[("socket.timeout.ms", "40000")]);
    check(Admin, "request.timeout.ms", "40000", &[("socket.timeout.ms", "40000")]);
    check(Consumer, "auto.offset.reset", "none", &[("auto.offset.reset", "error")]);
    check(Consumer, "max.poll.records", "10", &[]);
    check(Producer, "bootstrap.servers", "a:1, b:2", &[("bootstrap.servers", "a:1,b:2")]);
    check(Producer, "receive.buffer.bytes", "-1", &[("socket.receive.buffer.bytes", "0")]);
    check(Producer, "delivery.timeout.ms", "2147483647", &[("delivery.timeout.ms", "0")]);
    check(Producer, "delivery.timeout.ms", "60000", &[("delivery.timeout.ms", "60000")]);
    check(Producer, "linger.ms", "1000000000", &[("linger.ms", "900000")]);
    check(Producer, "batch.size", "0", &[("batch.size", "1")]);
    check(Producer, "partitioner.ignore.keys", "true", &[("partitioner", "random")]);
    check(Producer, "partitioner.class", "", &[("partitioner", "murmur2_random")]);
    check(Producer, "interceptor.classes", "com.acme.Mine", &[]);
    check(Producer, "metadata.max.age.ms", "5000", &[("topic.metadata.refresh.interval.ms", "5000")]);
    check(Consumer, "group.protocol", "CONSUMER", &[("group.protocol", "consumer")]);
    check(
        Consumer,
        "partition.assignment.strategy",
        "org.apache.kafka.clients.consumer.RangeAssignor,org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
        &[("partition.assignment.strategy", "cooperative-sticky")],
    );
    check(Producer, "librdkafka.sticky.partitioning.linger.ms", "0", &[("sticky.partitioning.linger.ms", "0")]);
}

#[test]
fn keys_that_depend_on_each_other_are_settled() {
    check_all(
        Producer,
        &[("compression.lz4.level", "17"), ("compression.gzip.level", "9"), ("compression.type", "lz4")],
        &[("compression.type", "lz4"), ("compression.level", "12")],
    );
    check(Producer, "compression.zstd.level", "9", &[]);
    check(
        Consumer,
        "reconnect.backoff.ms",
        "5000",
        &[("reconnect.backoff.ms", "5000"), ("reconnect.backoff.max.ms", "5000")],
    );
    check(Consumer, "fetch.max.bytes", "5000", &[("fetch.max.bytes", "5000"), ("message.max.bytes", "5000")]);
    check(Consumer, "fetch.max.wait.ms", "100000", &[("fetch.wait.max.ms", "59000")]);
    check(Consumer, "request.timeout.ms", "1", &[("socket.timeout.ms", "1000"), ("fetch.wait.max.ms", "0")]);
    check(
        Consumer,
        "session.timeout.ms",
        "600000",
        &[("session.timeout.ms", "600000"), ("max.poll.interval.ms", "600000")],
    );
}

#[test]
fn unusable_values_name_their_key() {
    for (kind, key, value, reason) in [
        (Consumer, "auto.offset.reset", "now", "Invalid value now for configuration auto.offset.reset: "),
        (Consumer, "auto.offset.reset", "by_duration:PT1H", "use earliest, latest or none"),
        (Consumer, "partition.assignment.strategy", "com.acme.Mine", "CooperativeStickyAssignor"),
        (Consumer, "session.timeout.ms", "soon", "Not a number of type INT"),
        (Producer, "partitioner.class", "com.acme.Mine", "murmur2"),
        (Producer, "delivery.timeout.ms", "100", "linger.ms + request.timeout.ms, which is 30005"),
        (Producer, "security.providers", "com.acme.Mine", "OpenSSL"),
        (Producer, "ssl.enabled.protocols", "TLSv1.1,TLSv1", "TLSv1.3"),
        (Admin, "bootstrap.controllers", "a:1", "bootstrap.servers"),
    ] {
        let (found, text) = refusal(kind, &[(key, value)]);
        assert_eq!(found, key);
        assert!(text.contains(reason), "{key}: {text}");
    }
    let idempotent = ("enable.idempotence", "true");
    assert_eq!(refusal(Producer, &[idempotent, ("acks", "1")]).0, "acks");
    let (key, _) = refusal(Producer, &[idempotent, ("max.in.flight.requests.per.connection", "6")]);
    assert_eq!(key, "max.in.flight.requests.per.connection");
}

#[test]
fn unknown_keys_are_ignored_with_a_reason() {
    for (kind, key, reason) in [
        (Producer, "acme.mode", "not a key of Kafka's producer"),
        (Producer, "max.poll.records", "not a key of Kafka's producer"),
        (Consumer, "acks", "not a key of Kafka's consumer"),
        (Admin, "transaction.two.phase.commit.enable", "not a key of Kafka's admin client"),
        (Producer, "transaction.two.phase.commit.enable", "it is so anyway"),
    ] {
        let translated = translate(&[(key, "false")].into_iter().collect(), kind).unwrap();
        assert_eq!(translated.ignored, [(key.to_owned(), reason)]);
    }
}

#[test]
fn logins_are_translated() {
    const PLAIN: &str =
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"p=;\";";
    let with = |mechanism: &'static str, jaas: &'static str| {
        [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", mechanism), ("sasl.jaas.config", jaas)]
    };
    check_all(
        Producer,
        &with("PLAIN", PLAIN),
        &[
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "u"),
            ("sasl.password", "p=;"),
        ],
    );
    check_all(
        Consumer,
        &with(
            "OAUTHBEARER",
            "a.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"me\" extension_x=\"y\" ;",
        ),
        &[
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "OAUTHBEARER"),
            ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
            ("sasl.oauthbearer.config", "principal=me extension_x=y"),
        ],
    );
    // Without SASL they have no effect, whatever they are.
    check_all(Producer, &[("sasl.mechanism", "GSSAPI"), ("sasl.jaas.config", "x")], &[]);
    for (entries, key, reason) in [
        (&with("GSSAPI", PLAIN)[..], "sasl.mechanism", "SCRAM-SHA-512"),
        (&with("", PLAIN), "sasl.mechanism", "Kafka's default"),
        (&with("PLAIN", "x.Krb5LoginModule required;"), "sasl.jaas.config", "PlainLoginModule"),
        (&with("PLAIN", ""), "sasl.jaas.config", "is missing"),
        (&with("PLAIN", "x.PlainLoginModule required username=\"u\";"), "sasl.jaas.config", "needs password"),
        (&with("OAUTHBEARER", PLAIN), "sasl.jaas.config", "OAuthBearerLoginModule"),
    ] {
        let (found, text) = refusal(Producer, entries);
        assert_eq!(found, key);
        assert!(text.contains(reason) && !text.contains("p=;"), "{text}");
    }
}

#[test]
fn tokens_come_from_an_endpoint() {
    let found = translated(
        Producer,
        &[
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "OAUTHBEARER"),
            ("sasl.oauthbearer.token.endpoint.url", "https://h/token"),
            (
                "sasl.login.callback.handler.class",
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler",
            ),
            ("sasl.jaas.config", "a.OAuthBearerLoginModule required clientId=\"i\" clientSecret=\"s\" scope=\"x y\";"),
        ],
    );
    for (name, value) in [
        ("sasl.oauthbearer.method", "oidc"),
        ("sasl.oauthbearer.token.endpoint.url", "https://h/token"),
        ("sasl.oauthbearer.client.id", "i"),
        ("sasl.oauthbearer.client.secret", "s"),
        ("sasl.oauthbearer.scope", "x y"),
    ] {
        assert!(found.contains(&(name.to_owned(), value.to_owned())), "{name}: {found:?}");
    }
}

#[test]
fn encryption_is_translated() {
    let pem = "-----BEGIN CERTIFICATE----- AA AA -----END CERTIFICATE-----";
    let lines = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    check_all(
        Producer,
        &[
            ("security.protocol", "SSL"),
            ("ssl.endpoint.identification.algorithm", ""),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.certificates", pem),
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.key", key),
            ("ssl.keystore.certificate.chain", pem),
            ("ssl.key.password", " x "),
            (
                "ssl.cipher.suites",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_AES_128_GCM_SHA256,TLS_RSA_WITH_AES_256_CBC_SHA",
            ),
        ],
        &[
            ("security.protocol", "ssl"),
            ("ssl.endpoint.identification.algorithm", "none"),
            ("ssl.cipher.suites", "ECDHE-RSA-AES128-GCM-SHA256:AES256-SHA"),
            ("ssl.ca.pem", lines),
            ("ssl.key.password", " x "),
            ("ssl.key.pem", key),
            ("ssl.certificate.pem", lines),
        ],
    );
    let stores = [("security.protocol", "SSL"), ("ssl.truststore.location", "/t"), ("ssl.truststore.password", "p")];
    let found = translate(&stores.into_iter().collect(), Consumer).unwrap().stores;
    assert!(
        found.trust == Some(Store { location: "/t".into(), password: Some("p".to_owned()) }) && found.key.is_none()
    );
    let with = |key: &'static str, value: &'static str| {
        [("security.protocol", "SSL"), ("ssl.truststore.location", "/t"), (key, value)]
    };
    for (entries, key) in [
        (with("ssl.truststore.certificates", "x"), "ssl.truststore.certificates"),
        (with("ssl.truststore.type", "BCFKS"), "ssl.truststore.type"),
        (with("ssl.keystore.key", "x"), "ssl.keystore.key"),
        (with("ssl.keystore.certificate.chain", "x"), "ssl.keystore.certificate.chain"),
        (with("ssl.endpoint.identification.algorithm", "ldaps"), "ssl.endpoint.identification.algorithm"),
    ] {
        assert_eq!(refusal(Producer, &entries).0, key);
    }
}

#[test]
fn a_later_value_wins_over_an_earlier_one() {
    let mut config = ClientConfig::new();
    config.set("acks", "all").set("acks", "1").set_default("acks", "0");
    assert_eq!(config.get("acks"), Some("1"));
}

#[test]
fn secrets_are_not_shown() {
    let config: ClientConfig =
        [("sasl.jaas.config", "s3cret"), ("ssl.key.password", "s3cret"), ("acks", "1")].into_iter().collect();
    assert_eq!(
        format!("{config:?}"),
        r#"{"sasl.jaas.config": "[hidden]", "ssl.key.password": "[hidden]", "acks": "1"}"#
    );
}
