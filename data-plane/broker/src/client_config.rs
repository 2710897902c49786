//! Settings of Kafka's Java clients, and what each is called in librdkafka. Pure.
//!
//! Users write Java's keys. A key is mapped, ignored for a stated reason, or refused. `librdkafka.<name>` hands
//! `<name>` to librdkafka as it is.

mod jaas;
pub(crate) mod jks;
pub(crate) mod keys;
pub(crate) mod pem;
mod rules;
mod security;
mod settle;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::BrokerError;
use rules::Rule;
pub(crate) use security::{Store, Stores};

/// Ordered client settings under Java's names; a later value replaces an earlier one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientConfig {
    entries: Vec<(String, String)>,
}

impl fmt::Debug for ClientConfig {
    /// Without secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |key: &str, value| if is_secret(key) { "[hidden]" } else { value };
        formatter.debug_map().entries(self.iter().map(|(key, value)| (key, shown(key, value)))).finish()
    }
}

/// Whether a key's value must not be shown; keys that Kafka does not have may hold anything.
fn is_secret(key: &str) -> bool {
    keys::is_password(key) || key.starts_with("librdkafka.")
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
    /// An administrator.
    Admin,
    /// A consumer.
    Consumer,
    /// A producer.
    Producer,
}

/// Checks the type and range of one value, as Java's client does; fine for keys that the client does not have.
///
/// # Errors
/// Kafka's text: `Invalid value soon for configuration linger.ms: Not a number of type LONG`.
pub fn check_value(key: &str, value: &str, kind: ClientKind) -> Result<(), String> {
    keys::check(key, value, kind).map_err(|why| {
        let shown = if is_secret(key) { "[hidden]" } else { value };
        format!("Invalid value {shown} for configuration {key}: {why}")
    })
}

/// Settings as librdkafka takes them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Translated {
    /// librdkafka's name, the value, and the key that the user wrote.
    pub settings: Vec<(String, String, String)>,
    /// Keys without effect, and why.
    pub ignored: Vec<(String, &'static str)>,
    /// Files to read when the client is made.
    pub(crate) stores: Stores,
}

impl fmt::Debug for Translated {
    /// Names only: values may be secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.settings.iter().map(|(name, _, key)| (name, key));
        formatter.debug_struct("Translated").field("settings", &names.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

impl Translated {
    fn put(&mut self, name: &str, value: String, key: &str) {
        self.settings.retain(|(known, _, _)| known != name);
        self.settings.push((name.to_owned(), value, key.to_owned()));
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(known, _, _)| known == name).map(|(_, value, _)| value.as_str())
    }
}

/// Translates Java client settings.
///
/// # Errors
/// [`BrokerError::Config`] naming the key, for a value that cannot be used.
pub fn translate(config: &ClientConfig, kind: ClientKind) -> Result<Translated, BrokerError> {
    let mut out = Translated::default();
    for (key, value) in config.iter().filter(|(key, _)| !key.starts_with("librdkafka.")) {
        let refuse = |reason: String| BrokerError::Config { key: key.to_owned(), reason };
        check_value(key, value, kind).map_err(refuse)?;
        let value = value.trim();
        match rules::rule(key, kind) {
            Rule::Same => out.put(key, value.to_owned(), key),
            Rule::Number(name, least, most) => {
                // Checked above: it is a number.
                let number: i64 = value.parse().map_err(|_| refuse("must be a whole number".to_owned()))?;
                out.put(name, number.clamp(least, most).to_string(), key);
            }
            Rule::Convert(name, convert) => {
                let converted = convert(value).map_err(refuse)?;
                match name {
                    "" => out.ignored.push((key.to_owned(), "librdkafka has no such setting")),
                    name => out.put(name, converted, key),
                }
            }
            Rule::Settled => {}
            Rule::Ignored(reason) => out.ignored.push((key.to_owned(), reason)),
            Rule::Refused(harmless, _) if value.is_empty() || value.eq_ignore_ascii_case(harmless) => {
                out.ignored.push((key.to_owned(), "it is so anyway"));
            }
            Rule::Refused(_, reason) => return Err(refuse(reason.to_owned())),
            Rule::Unknown => out.ignored.push((key.to_owned(), unknown(kind))),
        }
    }
    settle::settle(config, kind, &mut out)?;
    security::settle(config, &mut out)?;
    for (key, value) in config.iter() {
        if let Some(native) = key.strip_prefix("librdkafka.") {
            out.put(native, value.to_owned(), key);
        }
    }
    Ok(out)
}

/// Java's clients only warn of such keys.
fn unknown(kind: ClientKind) -> &'static str {
    match kind {
        ClientKind::Admin => "not a key of Kafka's admin client",
        ClientKind::Consumer => "not a key of Kafka's consumer",
        ClientKind::Producer => "not a key of Kafka's producer",
    }
}
