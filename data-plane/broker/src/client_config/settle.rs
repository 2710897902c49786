//! Keys that depend on each other: what Java's clients check, and what librdkafka would refuse but Java takes.

use super::{ClientConfig, ClientKind, Translated};
use crate::BrokerError;

/// Settles what single keys could not.
pub(super) fn settle(config: &ClientConfig, kind: ClientKind, out: &mut Translated) -> Result<(), BrokerError> {
    // Java takes the greater one as the limit; librdkafka starts from a limit of a second here, as Java does.
    raise(out, "reconnect.backoff.max.ms", 1000, "reconnect.backoff.ms", 50);
    raise(out, "retry.backoff.max.ms", 1000, "retry.backoff.ms", 100);
    match kind {
        ClientKind::Admin => Ok(()),
        ClientKind::Consumer => {
            // The session that clients start from here, or librdkafka's where the brokers decide it.
            let session = if out.get("group.protocol") == Some("consumer") { 45_000 } else { 6000 };
            raise(out, "max.poll.interval.ms", 300_000, "session.timeout.ms", session);
            wait_less_than_the_socket(out);
            // librdkafka wants room for its greatest message of 1 MB, which only producers have a use for.
            if let Some(bytes) = out.get("fetch.max.bytes").filter(|bytes| bytes.len() < 7).map(str::to_owned) {
                out.put("message.max.bytes", bytes, "fetch.max.bytes");
            }
            Ok(())
        }
        ClientKind::Producer => {
            compression_level(config, out);
            if is_true(config, "partitioner.ignore.keys") {
                out.put("partitioner", "random".to_owned(), "partitioner.ignore.keys");
            }
            check_producer(config)
        }
    }
}

/// Raises `upper` where `lower` was set above it.
fn raise(out: &mut Translated, upper: &str, upper_default: i64, lower: &str, lower_default: i64) {
    let number =
        |out: &Translated, name, default| out.get(name).and_then(|value| value.parse().ok()).unwrap_or(default);
    let (top, bottom) = (number(out, upper, upper_default), number(out, lower, lower_default));
    if bottom > top {
        out.put(upper, bottom.to_string(), lower);
    }
}

/// librdkafka wants a second between a fetch's wait and the request's end.
fn wait_less_than_the_socket(out: &mut Translated) {
    let number = |name: &str| out.get(name).and_then(|value| value.parse::<i64>().ok());
    let Some(socket) = number("socket.timeout.ms") else {
        // librdkafka's own timeout is a minute.
        if number("fetch.wait.max.ms").is_some_and(|wait| wait > 59_000) {
            out.put("fetch.wait.max.ms", "59000".to_owned(), "fetch.max.wait.ms");
        }
        return;
    };
    let most = (socket - 1000).max(0);
    if number("fetch.wait.max.ms").unwrap_or(500) > most {
        out.put("fetch.wait.max.ms", most.to_string(), "request.timeout.ms");
    }
}

/// Only the level of the compression in use counts. librdkafka's levels end at 12, and -1 is the default.
fn compression_level(config: &ClientConfig, out: &mut Translated) {
    for name in ["gzip", "lz4", "zstd"] {
        let key = format!("compression.{name}.level");
        let Some(level) = config.get(&key) else { continue };
        match (config.get("compression.type").map(str::trim) == Some(name), level.trim().parse::<i64>()) {
            (true, Ok(level)) => {
                let least = if name == "gzip" { -1 } else { 1 };
                out.put("compression.level", level.clamp(least, 12).to_string(), &key);
            }
            _ => out.ignored.push((key, "compression.type is another")),
        }
    }
}

fn is_true(config: &ClientConfig, key: &str) -> bool {
    config.get(key).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

fn check_producer(config: &ClientConfig) -> Result<(), BrokerError> {
    let number =
        |key: &str, default: i64| config.get(key).and_then(|value| value.trim().parse().ok()).unwrap_or(default);
    let refuse = |key: &str, reason: String| Err(BrokerError::Config { key: key.to_owned(), reason });
    let least = number("linger.ms", 5).saturating_add(number("request.timeout.ms", 30_000));
    if number("delivery.timeout.ms", i64::MAX) < least.min(i64::from(i32::MAX)) {
        return refuse(
            "delivery.timeout.ms",
            format!("should be equal to or larger than linger.ms + request.timeout.ms, which is {least}"),
        );
    }
    if is_true(config, "enable.idempotence") {
        if config.get("acks").is_some_and(|acks| !matches!(acks.trim(), "all" | "-1")) {
            return refuse(
                "acks",
                "Must set acks to all in order to use the idempotent producer. Otherwise we cannot guarantee idempotence."
                    .to_owned(),
            );
        }
        let in_flight = number("max.in.flight.requests.per.connection", 1);
        if in_flight > 5 {
            return refuse(
                "max.in.flight.requests.per.connection",
                format!("To use the idempotent producer, it must be set to at most 5. Current value is {in_flight}."),
            );
        }
    }
    Ok(())
}
