//! Settings of Kafka's Java clients, and what each is called in librdkafka. Pure.
//!
//! Users write Java's keys. A key is mapped, ignored for a stated reason, or refused. `librdkafka.<name>` hands
//! `<name>` to librdkafka as it is.

use crate::BrokerError;

/// Ordered client settings under Java's names; a later value replaces an earlier one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientConfig {
    entries: Vec<(String, String)>,
}

impl ClientConfig {
    /// No settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) -> &mut Self {
        let (key, value) = (key.into(), value.into());
        match self.entries.iter_mut().find(|(name, _)| *name == key) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((key, value)),
        }
        self
    }

    /// Sets a value where there is none.
    pub fn set_default(&mut self, key: &str, value: &str) -> &mut Self {
        if self.get(key).is_none() {
            self.entries.push((key.to_owned(), value.to_owned()));
        }
        self
    }

    /// A value.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for ClientConfig {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut config = Self::new();
        for (key, value) in entries {
            config.set(key, value);
        }
        config
    }
}

/// Which client the settings are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// A producer, or an administrator.
    Producer,
    /// A consumer.
    Consumer,
}

/// Settings as librdkafka takes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Translated {
    /// librdkafka's name, the value, and the key that the user wrote.
    pub settings: Vec<(String, String, String)>,
    /// Keys without effect, and why.
    pub ignored: Vec<(String, &'static str)>,
}

enum Rule {
    Same,
    As(&'static str),
    Convert(&'static str, fn(&str) -> Result<String, String>),
    Ignored(&'static str),
    Refused(&'static str),
    Jaas,
}

/// Translates Java client settings.
///
/// # Errors
/// [`BrokerError::Config`] naming the key, for a value that cannot be used.
pub fn translate(config: &ClientConfig, kind: ClientKind) -> Result<Translated, BrokerError> {
    let mut translated = Translated::default();
    for (key, value) in config.iter() {
        let refuse = |reason: String| BrokerError::Config { key: key.to_owned(), reason };
        let mut put = |name: &str, value: String| {
            translated.settings.retain(|(known, _, _)| known != name);
            translated.settings.push((name.to_owned(), value, key.to_owned()));
        };
        if let Some(native) = key.strip_prefix("librdkafka.") {
            put(native, value.to_owned());
            continue;
        }
        match rule(key, kind) {
            Rule::Same => put(key, value.trim().to_owned()),
            Rule::As(name) => put(name, value.trim().to_owned()),
            Rule::Convert(name, convert) => put(name, convert(value.trim()).map_err(refuse)?),
            Rule::Jaas => {
                let (username, password) = jaas_credentials(value).map_err(refuse)?;
                put("sasl.username", username);
                put("sasl.password", password);
            }
            Rule::Ignored(reason) => translated.ignored.push((key.to_owned(), reason)),
            Rule::Refused(reason) => return Err(refuse(reason.to_owned())),
        }
    }
    Ok(translated)
}

fn rule(key: &str, kind: ClientKind) -> Rule {
    use Rule::{As, Convert, Ignored, Jaas, Refused, Same};
    match key {
        "bootstrap.servers"
        | "client.id"
        | "client.dns.lookup"
        | "metadata.max.age.ms"
        | "reconnect.backoff.ms"
        | "reconnect.backoff.max.ms"
        | "retry.backoff.ms"
        | "retry.backoff.max.ms"
        | "connections.max.idle.ms"
        | "socket.connection.setup.timeout.ms"
        | "sasl.kerberos.service.name"
        | "ssl.key.password"
        | "ssl.keystore.password" => Same,
        "security.protocol" => Convert("security.protocol", |value| Ok(value.to_ascii_lowercase())),
        "sasl.mechanism" => Convert("sasl.mechanism", |value| Ok(value.to_ascii_uppercase())),
        "sasl.jaas.config" => Jaas,
        "send.buffer.bytes" => Convert("socket.send.buffer.bytes", buffer_bytes),
        "receive.buffer.bytes" => Convert("socket.receive.buffer.bytes", buffer_bytes),
        "ssl.endpoint.identification.algorithm" => Convert("ssl.endpoint.identification.algorithm", |value| {
            Ok(if value.is_empty() { "none".to_owned() } else { value.to_ascii_lowercase() })
        }),
        "ssl.truststore.location" => As("ssl.ca.location"),
        "ssl.truststore.certificates" => As("ssl.ca.pem"),
        "ssl.truststore.type" => Convert("ssl.ca.location", |value| match value.to_ascii_uppercase().as_str() {
            "PEM" => Err("is implied: leave it out, ssl.truststore.location is read as PEM".to_owned()),
            _ => Err("only PEM trust stores can be read: convert the store and leave this key out".to_owned()),
        }),
        "ssl.keystore.location" => Same,
        "ssl.keystore.certificate.chain" => As("ssl.certificate.pem"),
        "ssl.keystore.key" => As("ssl.key.pem"),
        "ssl.keystore.type" => Ignored("the type is seen from ssl.keystore.location (PKCS12) or the PEM keys"),
        "ssl.protocol"
        | "ssl.enabled.protocols"
        | "ssl.provider"
        | "ssl.keymanager.algorithm"
        | "ssl.trustmanager.algorithm"
        | "ssl.secure.random.implementation"
        | "ssl.truststore.password" => Ignored("OpenSSL's own choice is used"),
        "request.timeout.ms" if kind == ClientKind::Producer => Same,
        "request.timeout.ms" => As("socket.timeout.ms"),
        "metric.reporters"
        | "metrics.num.samples"
        | "metrics.recording.level"
        | "metrics.sample.window.ms"
        | "auto.include.jmx.reporter"
        | "enable.metrics.push" => Ignored("metrics are the worker's own"),
        "key.serializer" | "value.serializer" | "key.deserializer" | "value.deserializer" => {
            Ignored("converters make the bytes")
        }
        "socket.connection.setup.timeout.max.ms"
        | "default.api.timeout.ms"
        | "metadata.recovery.strategy"
        | "metadata.recovery.rebootstrap.trigger.ms"
        | "bootstrap.resolve.timeout.ms" => Ignored("librdkafka has no such setting"),
        "interceptor.classes" => Refused("Java interceptors cannot run here: remove the key"),
        _ if kind == ClientKind::Producer => producer_rule(key),
        _ => consumer_rule(key),
    }
}

fn producer_rule(key: &str) -> Rule {
    use Rule::{As, Convert, Ignored, Refused, Same};
    match key {
        "acks"
        | "linger.ms"
        | "batch.size"
        | "enable.idempotence"
        | "delivery.timeout.ms"
        | "max.in.flight.requests.per.connection"
        | "transactional.id"
        | "transaction.timeout.ms" => Same,
        "retries" => Same,
        "compression.type" => Same,
        "compression.gzip.level" | "compression.lz4.level" | "compression.zstd.level" => As("compression.level"),
        "buffer.memory" => Convert("queue.buffering.max.kbytes", |value| {
            let bytes: u64 = value.parse().map_err(|_| format!("must be a number of bytes, not {value:?}"))?;
            Ok((bytes / 1024).clamp(1, 2_147_483_647).to_string())
        }),
        "max.request.size" => As("message.max.bytes"),
        "max.block.ms" => Ignored("a full buffer holds the task back, whatever the time"),
        "metadata.max.idle.ms"
        | "partitioner.ignore.keys"
        | "partitioner.adaptive.partitioning.enable"
        | "partitioner.availability.timeout.ms" => Ignored("librdkafka has no such setting"),
        "partitioner.class" => Refused("Java partitioners cannot run here: remove the key"),
        _ => Ignored("not a setting of Kafka's producer"),
    }
}

fn consumer_rule(key: &str) -> Rule {
    use Rule::{As, Convert, Ignored, Same};
    match key {
        "group.id"
        | "group.instance.id"
        | "session.timeout.ms"
        | "heartbeat.interval.ms"
        | "max.poll.interval.ms"
        | "isolation.level"
        | "fetch.min.bytes"
        | "fetch.max.bytes"
        | "max.partition.fetch.bytes"
        | "check.crcs"
        | "client.rack"
        | "allow.auto.create.topics"
        | "group.protocol"
        | "group.remote.assignor" => Same,
        "auto.offset.reset" => Convert("auto.offset.reset", |value| match value {
            "earliest" | "latest" => Ok(value.to_owned()),
            "none" => Ok("error".to_owned()),
            other => Err(format!("must be earliest, latest or none, not {other:?}")),
        }),
        "enable.auto.commit" | "auto.commit.interval.ms" => Ignored("the worker commits offsets itself"),
        "fetch.max.wait.ms" => As("fetch.wait.max.ms"),
        "max.poll.records" => Ignored("it shapes the batches that a task is given"),
        "partition.assignment.strategy" => Convert("partition.assignment.strategy", assignors),
        "exclude.internal.topics" => Ignored("a pattern that matches internal topics reads them"),
        _ => Ignored("not a setting of Kafka's consumer"),
    }
}

fn buffer_bytes(value: &str) -> Result<String, String> {
    match value {
        "-1" => Ok("0".to_owned()),
        _ => Ok(value.to_owned()),
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

/// Finds username and password in `...LoginModule required username="u" password="p";`.
fn jaas_credentials(value: &str) -> Result<(String, String), String> {
    if !value.contains("PlainLoginModule") && !value.contains("ScramLoginModule") {
        return Err("only PlainLoginModule and ScramLoginModule can be used".to_owned());
    }
    let option = |name: &str| {
        let start = value.find(&format!("{name}="))? + name.len() + 1;
        let rest = &value[start..];
        match rest.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next(),
            None => rest.split([' ', ';']).next(),
        }
        .map(str::to_owned)
    };
    match (option("username"), option("password")) {
        (Some(username), Some(password)) => Ok((username, password)),
        _ => Err("needs username=\"…\" and password=\"…\"".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: ClientKind, key: &str, value: &str, expected: &[(&str, &str)]) {
        let translated = translate(&[(key, value)].into_iter().collect(), kind).expect(key);
        let settings: Vec<_> =
            translated.settings.iter().map(|(name, value, _)| (name.as_str(), value.as_str())).collect();
        assert_eq!(settings, expected, "{key}");
    }

    #[test]
    fn java_keys_become_librdkafkas() {
        use ClientKind::{Consumer, Producer};
        check(Producer, "acks", "all", &[("acks", "all")]);
        check(Producer, "buffer.memory", "33554432", &[("queue.buffering.max.kbytes", "32768")]);
        check(Producer, "request.timeout.ms", "40000", &[("request.timeout.ms", "40000")]);
        check(Consumer, "request.timeout.ms", "40000", &[("socket.timeout.ms", "40000")]);
        check(Consumer, "auto.offset.reset", "none", &[("auto.offset.reset", "error")]);
        check(Consumer, "max.poll.records", "10", &[]);
        check(Producer, "security.protocol", "SASL_SSL", &[("security.protocol", "sasl_ssl")]);
        check(Producer, "receive.buffer.bytes", "-1", &[("socket.receive.buffer.bytes", "0")]);
        check(
            Consumer,
            "partition.assignment.strategy",
            "org.apache.kafka.clients.consumer.RangeAssignor,org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
            &[("partition.assignment.strategy", "cooperative-sticky")],
        );
        check(
            Producer,
            "sasl.jaas.config",
            "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"p=;\";",
            &[("sasl.username", "u"), ("sasl.password", "p=;")],
        );
        check(Producer, "librdkafka.sticky.partitioning.linger.ms", "0", &[("sticky.partitioning.linger.ms", "0")]);
    }

    #[test]
    fn unusable_values_name_their_key() {
        for (key, value) in [
            ("auto.offset.reset", "now"),
            ("partition.assignment.strategy", "com.acme.Mine"),
            ("interceptor.classes", "X"),
        ] {
            let error = translate(&[(key, value)].into_iter().collect(), ClientKind::Consumer).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn unknown_keys_are_ignored_with_a_reason() {
        let translated = translate(&[("acme.mode", "x")].into_iter().collect(), ClientKind::Producer).unwrap();
        assert_eq!(translated.ignored, [("acme.mode".to_owned(), "not a setting of Kafka's producer")]);
    }

    #[test]
    fn a_later_value_wins_over_an_earlier_one() {
        let mut config = ClientConfig::new();
        config.set("acks", "all").set("acks", "1").set_default("acks", "0");
        assert_eq!(config.get("acks"), Some("1"));
    }
}
