//! What becomes of each key of Java's clients: librdkafka's name for it, a reason to ignore it, or what to use instead.

use super::ClientKind;

/// What becomes of a key.
pub(super) enum Rule {
    /// librdkafka calls it the same.
    Same,
    /// librdkafka's name, and the least and the greatest value that it takes: others are moved there.
    Number(&'static str, i64, i64),
    /// librdkafka's name, and its form of the value.
    Convert(&'static str, fn(&str) -> Result<String, String>),
    /// Depends on other keys: see `settle` and `security`.
    Settled,
    /// Has no effect, and why.
    Ignored(&'static str),
    /// Has no effect when it is empty or has this value; else it is refused, with what to use instead.
    Refused(&'static str, &'static str),
    /// None of Java's keys.
    Unknown,
}

use Rule::{Convert, Ignored, Number, Refused, Same, Settled, Unknown};

const MAX_INT: i64 = i32::MAX as i64;

/// The rule for a key of a client.
pub(super) fn rule(key: &str, kind: ClientKind) -> Rule {
    match super::keys::is_key(key, kind) {
        false => Unknown,
        true => connection_rule(key, kind).or_else(|| security_rule(key)).unwrap_or_else(|| match kind {
            ClientKind::Admin => admin_rule(key),
            ClientKind::Consumer => consumer_rule(key),
            ClientKind::Producer => producer_rule(key),
        }),
    }
}

/// Keys that all clients have.
fn connection_rule(key: &str, kind: ClientKind) -> Option<Rule> {
    Some(match key {
        "bootstrap.servers" => Convert("bootstrap.servers", |value| Ok(value.split_whitespace().collect())),
        "client.dns.lookup" => Same,
        "client.id" => Convert("client.id", |value| Ok(if value.is_empty() { "ferry" } else { value }.to_owned())),
        "connections.max.idle.ms" => Number("connections.max.idle.ms", 0, MAX_INT),
        "reconnect.backoff.ms" => Number("reconnect.backoff.ms", 0, 3_600_000),
        "reconnect.backoff.max.ms" => Number("reconnect.backoff.max.ms", 0, 3_600_000),
        "retry.backoff.ms" => Number("retry.backoff.ms", 1, 300_000),
        "retry.backoff.max.ms" => Number("retry.backoff.max.ms", 1, 300_000),
        "socket.connection.setup.timeout.ms" => Number("socket.connection.setup.timeout.ms", 1000, MAX_INT),
        "request.timeout.ms" if kind == ClientKind::Producer => Number("request.timeout.ms", 1, 900_000),
        "request.timeout.ms" => Number("socket.timeout.ms", 1000, 300_000),
        "send.buffer.bytes" => Number("socket.send.buffer.bytes", 0, 100_000_000),
        "receive.buffer.bytes" => Number("socket.receive.buffer.bytes", 0, 100_000_000),
        // Java asks again at this age; librdkafka calls that the refresh interval, and its own age is a cache's.
        "metadata.max.age.ms" => Number("topic.metadata.refresh.interval.ms", 100, 3_600_000),
        "metadata.recovery.strategy" => Convert("metadata.recovery.strategy", lower),
        "metadata.recovery.rebootstrap.trigger.ms" => Number("metadata.recovery.rebootstrap.trigger.ms", 0, MAX_INT),
        "enable.metrics.push" => Convert("enable.metrics.push", lower),
        "socket.connection.setup.timeout.max.ms" | "default.api.timeout.ms" => {
            Ignored("librdkafka has no such setting; calls have deadlines of their own")
        }
        "metric.reporters" | "metrics.num.samples" | "metrics.recording.level" | "metrics.sample.window.ms" => {
            Ignored("metrics are the worker's own")
        }
        "interceptor.classes" => Ignored("Java interceptors cannot run here"),
        "key.serializer" | "value.serializer" | "key.deserializer" | "value.deserializer" => {
            Ignored("converters make the bytes")
        }
        "config.providers" => Ignored("the worker resolves references before a client is made"),
        "allow.auto.create.topics" | "check.crcs" => {
            Convert(if key == "check.crcs" { "check.crcs" } else { "allow.auto.create.topics" }, lower)
        }
        _ => return None,
    })
}

fn security_rule(key: &str) -> Option<Rule> {
    Some(match key {
        "security.protocol" => Convert("security.protocol", lower),
        "security.providers" => {
            Refused("", "Java security providers cannot run here: remove the key; OpenSSL does the encryption")
        }
        "ssl.engine.factory.class" => Refused(
            "",
            "Java classes cannot run here: remove the key and give ssl.keystore.* and ssl.truststore.*, PEM or PKCS12",
        ),
        "ssl.protocol" | "ssl.enabled.protocols" => Convert("", only_modern_tls),
        "ssl.provider"
        | "ssl.keymanager.algorithm"
        | "ssl.trustmanager.algorithm"
        | "ssl.secure.random.implementation" => Ignored("OpenSSL does the encryption"),
        "sasl.client.callback.handler.class" | "sasl.login.class" => Refused(
            "",
            "Java classes cannot run here: remove the key; PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER are built in",
        ),
        "sasl.kerberos.service.name"
        | "sasl.kerberos.kinit.cmd"
        | "sasl.kerberos.min.time.before.relogin"
        | "sasl.kerberos.ticket.renew.jitter"
        | "sasl.kerberos.ticket.renew.window.factor" => Ignored("Kerberos is not built in"),
        "sasl.oauthbearer.clock.skew.seconds"
        | "sasl.oauthbearer.expected.audience"
        | "sasl.oauthbearer.expected.issuer"
        | "sasl.oauthbearer.jwt.validator.class"
        | "sasl.oauthbearer.scope.claim.name"
        | "sasl.oauthbearer.sub.claim.name" => Ignored("the brokers check the token"),
        "sasl.oauthbearer.header.urlencode" => {
            Refused("false", "librdkafka does not encode the client's id and secret: choose some that need no encoding")
        }
        _ if key.starts_with("sasl.oauthbearer.jwks.") => Ignored("the brokers check the token"),
        _ if key.starts_with("sasl.login.") && key != "sasl.login.callback.handler.class" => {
            Ignored("librdkafka renews tokens at four fifths of their life")
        }
        _ if key.starts_with("sasl.") || key.starts_with("ssl.") => Settled,
        _ => return None,
    })
}

fn admin_rule(key: &str) -> Rule {
    match key {
        "bootstrap.controllers" => Refused("", "controllers cannot be asked directly: give bootstrap.servers"),
        "retries" => Ignored("requests are repeated until their deadline"),
        _ => Unknown,
    }
}

fn producer_rule(key: &str) -> Rule {
    match key {
        "acks" | "compression.type" | "transactional.id" => Same,
        "enable.idempotence" => Convert("enable.idempotence", lower),
        "linger.ms" => Number("linger.ms", 0, 900_000),
        "batch.size" => Number("batch.size", 1, MAX_INT),
        "max.in.flight.requests.per.connection" => Number("max.in.flight.requests.per.connection", 1, 1_000_000),
        "retries" => Number("retries", 0, MAX_INT),
        "transaction.timeout.ms" => Number("transaction.timeout.ms", 1000, MAX_INT),
        "max.request.size" => Number("message.max.bytes", 1000, 1_000_000_000),
        // librdkafka's 0 is forever, as Java's greatest value is in effect: 24 days.
        "delivery.timeout.ms" => Convert("delivery.timeout.ms", |value| match value.parse::<i32>() {
            Ok(i32::MAX) => Ok("0".to_owned()),
            Ok(ms) => Ok(ms.max(1).to_string()),
            Err(error) => Err(error.to_string()),
        }),
        "buffer.memory" => Convert("queue.buffering.max.kbytes", |value| {
            let bytes: i64 = value.parse().map_err(|_| format!("must be a number of bytes, not {value:?}"))?;
            Ok((bytes / 1024).clamp(1, MAX_INT).to_string())
        }),
        "partitioner.class" => Convert("partitioner", |value| match value.rsplit('.').next().unwrap_or(value) {
            "" => Ok("murmur2_random".to_owned()),
            "RoundRobinPartitioner" => Ok("random".to_owned()),
            _ => Err("Java partitioners cannot run here: remove the key for Kafka's default (murmur2 of the key), or \
                      use org.apache.kafka.clients.producer.RoundRobinPartitioner"
                .to_owned()),
        }),
        "compression.gzip.level" | "compression.lz4.level" | "compression.zstd.level" | "partitioner.ignore.keys" => {
            Settled
        }
        "transaction.two.phase.commit.enable" => {
            Refused("false", "librdkafka commits transactions in one phase: remove the key")
        }
        "max.block.ms" => Ignored("a full buffer holds the task back, whatever the time"),
        "metadata.max.idle.ms" | "partitioner.adaptive.partitioning.enable" | "partitioner.availability.timeout.ms" => {
            Ignored("librdkafka has no such setting")
        }
        _ => Unknown,
    }
}

fn consumer_rule(key: &str) -> Rule {
    match key {
        "group.id" | "group.instance.id" | "isolation.level" | "client.rack" | "group.remote.assignor" => Same,
        "group.protocol" => Convert("group.protocol", lower),
        "session.timeout.ms" => Number("session.timeout.ms", 1, 3_600_000),
        "heartbeat.interval.ms" => Number("heartbeat.interval.ms", 1, 3_600_000),
        "max.poll.interval.ms" => Number("max.poll.interval.ms", 1, 86_400_000),
        "fetch.min.bytes" => Number("fetch.min.bytes", 1, 100_000_000),
        "fetch.max.bytes" => Number("fetch.max.bytes", 1000, 2_147_483_135),
        "fetch.max.wait.ms" => Number("fetch.wait.max.ms", 0, 299_000),
        "max.partition.fetch.bytes" => Number("max.partition.fetch.bytes", 1, 1_000_000_000),
        "auto.offset.reset" => Convert("auto.offset.reset", |value| match value {
            "none" => Ok("error".to_owned()),
            value if value.starts_with("by_duration:") => {
                Err("librdkafka cannot look back by a time: use earliest, latest or none".to_owned())
            }
            value => Ok(value.to_owned()),
        }),
        "partition.assignment.strategy" => Convert("partition.assignment.strategy", assignors),
        "enable.auto.commit" | "auto.commit.interval.ms" => Ignored("the worker commits offsets itself"),
        "max.poll.records" => Ignored("it shapes the batches that a task is given"),
        "exclude.internal.topics" => Ignored("a pattern that matches internal topics reads them"),
        "internal.throw.on.fetch.stable.offset.unsupported" => Ignored("it is for Kafka Streams"),
        "share.acknowledgement.mode" | "share.acquire.mode" => Ignored("it is for share groups"),
        _ => Unknown,
    }
}

fn lower(value: &str) -> Result<String, String> {
    Ok(value.to_ascii_lowercase())
}

/// OpenSSL takes the newest version that both sides have; nothing is to be set, but the old ones are refused.
fn only_modern_tls(value: &str) -> Result<String, String> {
    let mut versions = value.split(',').map(str::trim).filter(|version| !version.is_empty());
    match versions.clone().count() == 0 || versions.any(|version| matches!(version, "TLSv1.2" | "TLSv1.3" | "TLS")) {
        true => Ok(String::new()),
        false => Err("only TLSv1.2 and TLSv1.3 can be used".to_owned()),
    }
}

fn assignors(value: &str) -> Result<String, String> {
    let names: Result<Vec<&str>, String> = value
        .split(',')
        .map(str::trim)
        .map(|name| match name.rsplit('.').next().unwrap_or(name) {
            "CooperativeStickyAssignor" | "cooperative-sticky" => Ok("cooperative-sticky"),
            "RangeAssignor" | "range" => Ok("range"),
            "RoundRobinAssignor" | "roundrobin" => Ok("roundrobin"),
            _ => Err(format!("{name:?} is none of CooperativeStickyAssignor, RangeAssignor, RoundRobinAssignor")),
        })
        .collect();
    let names = names?;
    // librdkafka cannot mix cooperative and eager assignors; Java's default list is range first, cooperative offered.
    match names.contains(&"cooperative-sticky") {
        true => Ok("cooperative-sticky".to_owned()),
        false => Ok(names.join(",")),
    }
}
