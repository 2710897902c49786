//! Why connections fail: librdkafka tells its log only, so the log is listened to.

use std::ffi::{c_char, c_int};

use parking_lot::Mutex;
use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t as Code;

use super::native::text;

/// Why a client's last connection failed, in librdkafka's words but for the keys that it advises.
#[derive(Default)]
pub(super) struct LastFailure(Mutex<String>);

impl LastFailure {
    /// The text; empty if none has failed.
    pub(super) fn text(&self) -> String {
        self.0.lock().clone()
    }
}

/// librdkafka's log callback. The client's opaque is a [`LastFailure`] that outlives it.
pub(super) unsafe extern "C" fn on_log(
    client: *const sys::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    line: *const c_char,
) {
    let (facility, line) = (text(facility), text(line));
    if facility == "FAIL" && !client.is_null() {
        // SAFETY: the client is live while it logs; its opaque is what `into_client` set, which outlives the client.
        let last_failure = unsafe { sys::rd_kafka_opaque(client).cast::<LastFailure>().as_ref() };
        if let Some(last_failure) = last_failure {
            *last_failure.0.lock() = in_our_words(&line);
        }
    }
    match level {
        0..=3 => tracing::warn!(target: "librdkafka", facility, "{line}"),
        4..=5 => tracing::info!(target: "librdkafka", facility, "{line}"),
        _ => tracing::debug!(target: "librdkafka", facility, "{line}"),
    }
}

/// A failure without the thread's name, with Java's key where librdkafka advises its own, or should.
fn in_our_words(line: &str) -> String {
    let line = line.split_once("]: ").filter(|_| line.starts_with("[thrd:")).map_or(line, |(_, line)| line);
    let mut words = line.replace("ssl.ca.location", "ssl.truststore.location");
    if ["alert bad certificate", "alert certificate required", "certificate unknown"]
        .iter()
        .any(|sign| line.contains(sign))
    {
        words.push_str(": the broker wants a certificate that it trusts, see ssl.keystore.location");
    }
    words
}

/// The code of a failure of login or encryption, which trying again does not change.
pub(super) fn failed_security(failure: &str) -> Option<Code> {
    let says = |signs: &[&str]| signs.iter().any(|sign| failure.contains(sign));
    // The network's failures in the middle of it are no answer.
    if says(&["Disconnected", "unexpected eof", "Timed out", "timed out", "transport failure", "transport error"]) {
        return None;
    }
    if says(&["certificate verify failed", "SSL routines"]) {
        return Some(Code::RD_KAFKA_RESP_ERR__SSL);
    }
    says(&["SASL authentication error", "uthentication failed", "broker's supported mechanisms"])
        .then_some(Code::RD_KAFKA_RESP_ERR__AUTHENTICATION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::native::name;

    #[test]
    fn failures_of_security_are_told_from_the_networks() {
        for (failure, code) in [
            ("SASL authentication error: Authentication failed: Invalid username or password", "_AUTHENTICATION"),
            ("SSL handshake failed: error:0A000086:SSL routines::certificate verify failed", "_SSL"),
            ("Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate: SSL alert number 42", "_SSL"),
            ("SSL handshake failed: Disconnected", ""),
            ("SSL handshake failed: error:0A000126:SSL routines::unexpected eof while reading", ""),
            ("Connect to ipv4#127.0.0.1:1 failed: Connection refused", ""),
            ("", ""),
        ] {
            assert_eq!(failed_security(failure).map_or("", name), code, "{failure}");
        }
    }

    #[test]
    fn failures_advise_javas_keys() {
        let line = "[thrd:ssl://b:1/bootstrap]: ssl://b:1/bootstrap: x: verify that ssl.ca.location is right";
        assert_eq!(in_our_words(line), "ssl://b:1/bootstrap: x: verify that ssl.truststore.location is right");
        assert!(in_our_words("x alert bad certificate").ends_with("see ssl.keystore.location"));
    }
}
