//! The keys of Kafka 4.3's Java clients, with the types and ranges that its `ConfigDef`s give them. Pure data, and the
//! check that goes with it; texts are Kafka's.

use super::ClientKind;

/// `ConfigDef.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Boolean,
    Class,
    Double,
    Int,
    List,
    Long,
    Password,
    Short,
    String,
}

/// `ConfigDef.Validator`.
#[derive(Clone, Copy, Debug)]
enum Limit {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    BetweenReal(f64, f64),
    GzipLevel,
    NonEmpty,
    OffsetReset,
    OneOf(&'static [&'static str]),
    OneOfAnyCase(&'static [&'static str]),
}

use Limit::{Any, AtLeast, Between, BetweenReal, GzipLevel, NonEmpty, OffsetReset, OneOf, OneOfAnyCase};
use Type::{Boolean, Class, Double, Int, List, Long, Password, Short, String as Text};

/// Name; the clients that have it (a: admin, c: consumer, p: producer); type; limit.
#[rustfmt::skip]
const KEYS: &[(&str, &str, Type, Limit)] = &[
    ("acks", "p", Text, OneOf(&["all", "-1", "0", "1"])),
    ("allow.auto.create.topics", "c", Boolean, Any),
    ("auto.commit.interval.ms", "c", Int, AtLeast(0)),
    ("auto.offset.reset", "c", Text, OffsetReset),
    ("batch.size", "p", Int, AtLeast(0)),
    ("bootstrap.controllers", "a", List, Any),
    ("bootstrap.servers", "acp", List, Any),
    ("buffer.memory", "p", Long, AtLeast(0)),
    ("check.crcs", "c", Boolean, Any),
    ("client.dns.lookup", "acp", Text, OneOf(&["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"])),
    ("client.id", "acp", Text, Any),
    ("client.rack", "c", Text, Any),
    ("compression.gzip.level", "p", Int, GzipLevel),
    ("compression.lz4.level", "p", Int, Between(1, 17)),
    ("compression.type", "p", Text, OneOf(&["none", "gzip", "snappy", "lz4", "zstd"])),
    ("compression.zstd.level", "p", Int, Between(-131072, 22)),
    ("config.providers", "acp", List, Any),
    ("connections.max.idle.ms", "acp", Long, Any),
    ("default.api.timeout.ms", "ac", Int, AtLeast(0)),
    ("delivery.timeout.ms", "p", Int, AtLeast(0)),
    ("enable.auto.commit", "c", Boolean, Any),
    ("enable.idempotence", "p", Boolean, Any),
    ("enable.metrics.push", "acp", Boolean, Any),
    ("exclude.internal.topics", "c", Boolean, Any),
    ("fetch.max.bytes", "c", Int, AtLeast(0)),
    ("fetch.max.wait.ms", "c", Int, AtLeast(0)),
    ("fetch.min.bytes", "c", Int, AtLeast(0)),
    ("group.id", "c", Text, Any),
    ("group.instance.id", "c", Text, NonEmpty),
    ("group.protocol", "c", Text, OneOfAnyCase(&["CONSUMER", "CLASSIC"])),
    ("group.remote.assignor", "c", Text, Any),
    ("heartbeat.interval.ms", "c", Int, Any),
    ("interceptor.classes", "cp", List, Any),
    ("internal.throw.on.fetch.stable.offset.unsupported", "c", Boolean, Any),
    ("isolation.level", "c", Text, OneOf(&["read_committed", "read_uncommitted"])),
    ("key.deserializer", "c", Class, Any),
    ("key.serializer", "p", Class, Any),
    ("linger.ms", "p", Long, AtLeast(0)),
    ("max.block.ms", "p", Long, AtLeast(0)),
    ("max.in.flight.requests.per.connection", "p", Int, AtLeast(1)),
    ("max.partition.fetch.bytes", "c", Int, AtLeast(0)),
    ("max.poll.interval.ms", "c", Int, AtLeast(1)),
    ("max.poll.records", "c", Int, AtLeast(1)),
    ("max.request.size", "p", Int, AtLeast(0)),
    ("metadata.max.age.ms", "acp", Long, AtLeast(0)),
    ("metadata.max.idle.ms", "p", Long, AtLeast(5000)),
    ("metadata.recovery.rebootstrap.trigger.ms", "acp", Long, AtLeast(0)),
    ("metadata.recovery.strategy", "acp", Text, OneOfAnyCase(&["REBOOTSTRAP", "NONE"])),
    ("metric.reporters", "acp", List, Any),
    ("metrics.num.samples", "acp", Int, AtLeast(1)),
    ("metrics.recording.level", "acp", Text, OneOf(&["INFO", "DEBUG", "TRACE"])),
    ("metrics.sample.window.ms", "acp", Long, AtLeast(0)),
    ("partition.assignment.strategy", "c", List, Any),
    ("partitioner.adaptive.partitioning.enable", "p", Boolean, Any),
    ("partitioner.availability.timeout.ms", "p", Long, AtLeast(0)),
    ("partitioner.class", "p", Class, Any),
    ("partitioner.ignore.keys", "p", Boolean, Any),
    ("receive.buffer.bytes", "acp", Int, AtLeast(-1)),
    ("reconnect.backoff.max.ms", "acp", Long, AtLeast(0)),
    ("reconnect.backoff.ms", "acp", Long, AtLeast(0)),
    ("request.timeout.ms", "acp", Int, AtLeast(0)),
    ("retries", "ap", Int, Between(0, 2147483647)),
    ("retry.backoff.max.ms", "acp", Long, AtLeast(0)),
    ("retry.backoff.ms", "acp", Long, AtLeast(0)),
    ("sasl.client.callback.handler.class", "acp", Class, Any),
    ("sasl.jaas.config", "acp", Password, Any),
    ("sasl.kerberos.kinit.cmd", "acp", Text, Any),
    ("sasl.kerberos.min.time.before.relogin", "acp", Long, Any),
    ("sasl.kerberos.service.name", "acp", Text, Any),
    ("sasl.kerberos.ticket.renew.jitter", "acp", Double, Any),
    ("sasl.kerberos.ticket.renew.window.factor", "acp", Double, Any),
    ("sasl.login.callback.handler.class", "acp", Class, Any),
    ("sasl.login.class", "acp", Class, Any),
    ("sasl.login.connect.timeout.ms", "acp", Int, Any),
    ("sasl.login.read.timeout.ms", "acp", Int, Any),
    ("sasl.login.refresh.buffer.seconds", "acp", Short, Between(0, 3600)),
    ("sasl.login.refresh.min.period.seconds", "acp", Short, Between(0, 900)),
    ("sasl.login.refresh.window.factor", "acp", Double, BetweenReal(0.5, 1.0)),
    ("sasl.login.refresh.window.jitter", "acp", Double, BetweenReal(0.0, 0.25)),
    ("sasl.login.retry.backoff.max.ms", "acp", Long, Any),
    ("sasl.login.retry.backoff.ms", "acp", Long, Any),
    ("sasl.mechanism", "acp", Text, Any),
    ("sasl.oauthbearer.assertion.algorithm", "acp", Text, OneOfAnyCase(&["ES256", "RS256"])),
    ("sasl.oauthbearer.assertion.claim.aud", "acp", Text, Any),
    ("sasl.oauthbearer.assertion.claim.exp.seconds", "acp", Int, Between(0, 86400)),
    ("sasl.oauthbearer.assertion.claim.iss", "acp", Text, Any),
    ("sasl.oauthbearer.assertion.claim.jti.include", "acp", Boolean, Any),
    ("sasl.oauthbearer.assertion.claim.nbf.seconds", "acp", Int, Between(0, 3600)),
    ("sasl.oauthbearer.assertion.claim.sub", "acp", Text, Any),
    ("sasl.oauthbearer.assertion.file", "acp", Text, Any),
    ("sasl.oauthbearer.assertion.private.key.file", "acp", Text, Any),
    ("sasl.oauthbearer.assertion.private.key.passphrase", "acp", Password, Any),
    ("sasl.oauthbearer.assertion.template.file", "acp", Text, Any),
    ("sasl.oauthbearer.client.credentials.client.id", "acp", Text, Any),
    ("sasl.oauthbearer.client.credentials.client.secret", "acp", Password, Any),
    ("sasl.oauthbearer.clock.skew.seconds", "acp", Int, Any),
    ("sasl.oauthbearer.expected.audience", "acp", List, Any),
    ("sasl.oauthbearer.expected.issuer", "acp", Text, Any),
    ("sasl.oauthbearer.header.urlencode", "acp", Boolean, Any),
    ("sasl.oauthbearer.jwks.endpoint.refresh.ms", "acp", Long, Any),
    ("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", "acp", Long, Any),
    ("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", "acp", Long, Any),
    ("sasl.oauthbearer.jwks.endpoint.url", "acp", Text, Any),
    ("sasl.oauthbearer.jwt.retriever.class", "acp", Class, Any),
    ("sasl.oauthbearer.jwt.validator.class", "acp", Class, Any),
    ("sasl.oauthbearer.scope", "acp", Text, Any),
    ("sasl.oauthbearer.scope.claim.name", "acp", Text, Any),
    ("sasl.oauthbearer.sub.claim.name", "acp", Text, Any),
    ("sasl.oauthbearer.token.endpoint.url", "acp", Text, Any),
    ("security.protocol", "acp", Text, OneOfAnyCase(&["SASL_SSL", "PLAINTEXT", "SSL", "SASL_PLAINTEXT"])),
    ("security.providers", "acp", Text, Any),
    ("send.buffer.bytes", "acp", Int, AtLeast(-1)),
    ("session.timeout.ms", "c", Int, Any),
    ("share.acknowledgement.mode", "c", Text, OneOf(&["implicit", "explicit"])),
    ("share.acquire.mode", "c", Text, OneOf(&["batch_optimized", "record_limit"])),
    ("socket.connection.setup.timeout.max.ms", "acp", Long, Any),
    ("socket.connection.setup.timeout.ms", "acp", Long, Any),
    ("ssl.cipher.suites", "acp", List, Any),
    ("ssl.enabled.protocols", "acp", List, Any),
    ("ssl.endpoint.identification.algorithm", "acp", Text, Any),
    ("ssl.engine.factory.class", "acp", Class, Any),
    ("ssl.key.password", "acp", Password, Any),
    ("ssl.keymanager.algorithm", "acp", Text, Any),
    ("ssl.keystore.certificate.chain", "acp", Password, Any),
    ("ssl.keystore.key", "acp", Password, Any),
    ("ssl.keystore.location", "acp", Text, Any),
    ("ssl.keystore.password", "acp", Password, Any),
    ("ssl.keystore.type", "acp", Text, Any),
    ("ssl.protocol", "acp", Text, Any),
    ("ssl.provider", "acp", Text, Any),
    ("ssl.secure.random.implementation", "acp", Text, Any),
    ("ssl.trustmanager.algorithm", "acp", Text, Any),
    ("ssl.truststore.certificates", "acp", Password, Any),
    ("ssl.truststore.location", "acp", Text, Any),
    ("ssl.truststore.password", "acp", Password, Any),
    ("ssl.truststore.type", "acp", Text, Any),
    ("transaction.timeout.ms", "p", Int, Any),
    ("transaction.two.phase.commit.enable", "p", Boolean, Any),
    ("transactional.id", "p", Text, NonEmpty),
    ("value.deserializer", "c", Class, Any),
    ("value.serializer", "p", Class, Any),
];

/// Names of all keys that any of the clients has.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(name, ..)| *name)
}

/// The numeric keys of a client, each with the least and the greatest value that Java takes.
#[cfg(test)]
pub(crate) fn extremes(kind: ClientKind) -> Vec<(&'static str, String)> {
    let whole = |limit, least: i64, most: i64| match limit {
        AtLeast(least) => [least, most],
        Between(least, most) => [least, most],
        GzipLevel => [-1, 9],
        _ => [least, most],
    };
    let values = |key: &'static str| match find(key, kind)? {
        (Int, limit) => Some(whole(limit, i64::from(i32::MIN), i64::from(i32::MAX))),
        (Long, limit) => Some(whole(limit, i64::MIN, i64::MAX)),
        (Short, limit) => Some(whole(limit, i64::from(i16::MIN), i64::from(i16::MAX))),
        _ => None,
    };
    let pairs = |key| values(key).into_iter().flatten().map(move |value: i64| (key, value.to_string()));
    names().flat_map(pairs).collect()
}

fn find(key: &str, kind: ClientKind) -> Option<(Type, Limit)> {
    let letter = match kind {
        ClientKind::Admin => 'a',
        ClientKind::Consumer => 'c',
        ClientKind::Producer => 'p',
    };
    KEYS.iter()
        .find(|(name, clients, ..)| *name == key && clients.contains(letter))
        .map(|(_, _, kind, limit)| (*kind, *limit))
}

/// Whether the client has such a key.
pub(super) fn is_key(key: &str, kind: ClientKind) -> bool {
    find(key, kind).is_some()
}

/// Whether the key's value is a secret.
pub(super) fn is_password(key: &str) -> bool {
    KEYS.iter().any(|(name, _, kind, _)| *name == key && *kind == Password)
}

/// What Java's client says against a value, after `Invalid value X for configuration Y: `; fine for keys that it lacks.
pub(super) fn check(key: &str, value: &str, kind: ClientKind) -> Result<(), String> {
    let Some((kind, limit)) = find(key, kind) else { return Ok(()) };
    let value = value.trim();
    let not_a_number = |name: &str| format!("Not a number of type {name}");
    let whole = |name, least: i64, most: i64| {
        let number = value.parse::<i64>().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| not_a_number(name))
    };
    match kind {
        Boolean if !value.eq_ignore_ascii_case("true") && !value.eq_ignore_ascii_case("false") => {
            Err("Expected value to be either true or false".to_owned())
        }
        Boolean | Class | List | Password => Ok(()),
        Int => in_range(whole("INT", i64::from(i32::MIN), i64::from(i32::MAX))?, limit),
        Short => in_range(whole("SHORT", i64::from(i16::MIN), i64::from(i16::MAX))?, limit),
        Long => in_range(whole("LONG", i64::MIN, i64::MAX)?, limit),
        Double => match (value.parse::<f64>(), limit) {
            (Err(_), _) => Err(not_a_number("DOUBLE")),
            (Ok(number), BetweenReal(least, _)) if number < least => Err(format!("Value must be at least {least:?}")),
            (Ok(number), BetweenReal(_, most)) if number > most => Err(format!("Value must be no more than {most:?}")),
            _ => Ok(()),
        },
        Text => allowed_text(key, value, limit),
    }
}

fn in_range(number: i64, limit: Limit) -> Result<(), String> {
    match limit {
        GzipLevel if number != -1 && !(1..=9).contains(&number) => {
            Err("Value must be between 1 and 9 or equal to -1".to_owned())
        }
        AtLeast(least) | Between(least, _) if number < least => Err(format!("Value must be at least {least}")),
        Between(_, most) if number > most => Err(format!("Value must be no more than {most}")),
        _ => Ok(()),
    }
}

fn allowed_text(key: &str, value: &str, limit: Limit) -> Result<(), String> {
    match limit {
        NonEmpty if value.is_empty() => Err("String must be non-empty".to_owned()),
        OneOf(allowed) if !allowed.contains(&value) => Err(format!("String must be one of: {}", allowed.join(", "))),
        OneOfAnyCase(allowed) if !allowed.iter().any(|name| name.eq_ignore_ascii_case(value)) => {
            Err(format!("String must be one of (case insensitive): {}", allowed.join(", ")))
        }
        OffsetReset if !matches!(value, "earliest" | "latest" | "none") && !value.starts_with("by_duration:P") => {
            Err(format!(
                "Invalid value `{value}` for configuration {key}. The value must be either 'earliest', 'latest', \
                 'none' or of the format 'by_duration:<PnDTnHnMn.nS.>'."
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_refused_in_kafkas_words() {
        use ClientKind::{Consumer, Producer};
        for (kind, key, value, problem) in [
            (Producer, "linger.ms", "soon", "Not a number of type LONG"),
            (Producer, "batch.size", "1.5", "Not a number of type INT"),
            (Producer, "batch.size", "-5", "Value must be at least 0"),
            (Producer, "max.request.size", "2147483648", "Not a number of type INT"),
            (Producer, "enable.idempotence", "yes", "Expected value to be either true or false"),
            (Producer, "acks", "7", "String must be one of: all, -1, 0, 1"),
            (Producer, "compression.gzip.level", "0", "Value must be between 1 and 9 or equal to -1"),
            (Producer, "compression.lz4.level", "18", "Value must be no more than 17"),
            (Consumer, "group.protocol", "x", "String must be one of (case insensitive): CONSUMER, CLASSIC"),
            (Consumer, "group.instance.id", "", "String must be non-empty"),
            (Consumer, "sasl.login.refresh.window.factor", "0.1", "Value must be at least 0.5"),
            (Consumer, "sasl.login.refresh.buffer.seconds", "99999", "Not a number of type SHORT"),
        ] {
            assert_eq!(check(key, value, kind), Err(problem.to_owned()), "{key}={value}");
        }
        assert!(
            check("auto.offset.reset", "EARLIEST", Consumer).unwrap_err().ends_with("'by_duration:<PnDTnHnMn.nS.>'.")
        );
        for (key, value) in
            [("acks", " all "), ("enable.idempotence", " TRUE "), ("security.protocol", "ssl"), ("linger.ms", "+5")]
        {
            assert_eq!(check(key, value, Producer), Ok(()), "{key}={value}");
        }
        // Not the producer's.
        assert_eq!(check("max.poll.records", "x", Producer), Ok(()));
    }
}
