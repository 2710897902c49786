//! Which settings of its Kafka clients a connector may override (KIP-458, KIP-722, KIP-1188). Pure.
//!
//! A connector writes `producer.override.*`, `consumer.override.*` and `admin.override.*`; the worker's
//! `connector.client.config.override.policy` says which of them it may. Names and texts are Connect's. Whether a value has
//! the right type is for the one who makes the client to say.

use std::collections::{BTreeMap, BTreeSet};

/// The worker key that names the policy.
pub const POLICY_KEY: &str = "connector.client.config.override.policy";
/// The worker key that lists what the policy `Allowlist` allows.
pub const ALLOWLIST_KEY: &str = "connector.client.config.override.allowlist";

const PACKAGE: &str = "org.apache.kafka.connect.connector.policy.";
const SUFFIX: &str = "ConnectorClientConfigOverridePolicy";
/// What the policy `Principal` allows.
const PRINCIPAL_KEYS: [&str; 3] = ["sasl.jaas.config", "sasl.mechanism", "security.protocol"];

/// Which client settings connectors may override.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OverridePolicy {
    /// All; what Connect 4 does by default.
    #[default]
    All,
    /// No setting.
    None,
    /// Who the client is: `sasl.jaas.config`, `sasl.mechanism` and `security.protocol`.
    Principal,
    /// Those listed, for each kind of client.
    Allowlist(BTreeSet<String>),
}

/// Why the worker's properties make no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// There is no such policy.
    #[error(
        "{POLICY_KEY}: there is no policy {0:?}; use All, None, Principal or Allowlist (or its full class name in {PACKAGE}*)"
    )]
    Unknown(String),
    /// The list has an entry without a name.
    #[error("Configuration '{ALLOWLIST_KEY}' values must not be empty.")]
    EmptyEntry,
}

impl OverridePolicy {
    /// The policy that the worker's properties name; `All` where they name none.
    ///
    /// # Errors
    /// [`PolicyError`], naming the key.
    pub fn from_worker_properties(properties: &BTreeMap<String, String>) -> Result<Self, PolicyError> {
        let Some(name) = properties.get(POLICY_KEY).map(|name| name.trim()) else { return Ok(Self::All) };
        let short = name.strip_prefix(PACKAGE).filter(|class| class.ends_with(SUFFIX)).unwrap_or(name);
        match short.strip_suffix(SUFFIX).unwrap_or(short) {
            "All" => Ok(Self::All),
            "None" => Ok(Self::None),
            "Principal" => Ok(Self::Principal),
            "Allowlist" => allowlist(properties.get(ALLOWLIST_KEY).map_or("", String::as_str)).map(Self::Allowlist),
            _ => Err(PolicyError::Unknown(name.to_owned())),
        }
    }

    /// The policy's name in Connect's texts.
    pub fn name(&self) -> &'static str {
        match self {
            Self::All => "All",
            Self::None => "None",
            Self::Principal => "Principal",
            Self::Allowlist(_) => "Allowlist",
        }
    }

    /// Whether a client's setting may be overridden.
    pub fn allows(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Principal => PRINCIPAL_KEYS.contains(&key),
            Self::Allowlist(allowed) => allowed.contains(key),
        }
    }
}

fn allowlist(text: &str) -> Result<BTreeSet<String>, PolicyError> {
    let entries = text.split(',').map(str::trim);
    match text.trim() {
        "" => Ok(BTreeSet::new()),
        _ => entries
            .map(|entry| if entry.is_empty() { Err(PolicyError::EmptyEntry) } else { Ok(entry.to_owned()) })
            .collect(),
    }
}

/// A kind of Kafka client that a connector has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum OverriddenClient {
    Producer,
    Admin,
    Consumer,
}

impl OverriddenClient {
    /// In the order in which Connect looks at them.
    pub const ALL: [Self; 3] = [Self::Producer, Self::Admin, Self::Consumer];

    /// The prefix of its overrides in a connector's config.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Producer => "producer.override.",
            Self::Admin => "admin.override.",
            Self::Consumer => "consumer.override.",
        }
    }
}

/// What kind of connector asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A source.
    Source {
        /// Whether the worker's `exactly.once.source.support` is `enabled`.
        exactly_once: bool,
    },
    /// A sink.
    Sink,
}

/// The clients that a connector's own config gives it, and whose overrides are looked at; others are ignored.
///
/// A source has a producer, an administrator if it has any `topic.creation.*` key, and for offsets of its own
/// (exactly once, or `offsets.storage.topic`) an administrator and a consumer. A sink has a consumer, and for a dead-letter
/// topic a producer and an administrator.
pub fn clients_of(side: Side, config: &BTreeMap<String, String>) -> Vec<OverriddenClient> {
    let is_set = |key: &str| config.get(key).is_some_and(|value| !value.trim().is_empty());
    let uses = |client| match (side, client) {
        (Side::Source { .. }, OverriddenClient::Producer) | (Side::Sink, OverriddenClient::Consumer) => true,
        (Side::Source { exactly_once }, _) => {
            let creates_topics = client == OverriddenClient::Admin
                && config
                    .range("topic.creation.".to_owned()..)
                    .next()
                    .is_some_and(|(key, _)| key.starts_with("topic.creation."));
            creates_topics || exactly_once || is_set("offsets.storage.topic")
        }
        (Side::Sink, _) => is_set("errors.deadletterqueue.topic.name"),
    };
    OverriddenClient::ALL.into_iter().filter(|client| uses(*client)).collect()
}

/// One override of a connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOverride<'a> {
    /// Whose setting.
    pub client: OverriddenClient,
    /// The client's name of it, without the prefix.
    pub key: &'a str,
    /// The value as the connector's config has it. May be a secret.
    pub value: &'a str,
    /// Why the policy refuses it, as Connect says it.
    pub error: Option<String>,
}

impl ClientOverride<'_> {
    /// The key in the connector's config.
    pub fn full_key(&self) -> String {
        format!("{}{}", self.client.prefix(), self.key)
    }
}

/// The overrides of the clients that the connector has, by client and key, each with what the policy says.
pub fn overrides<'a>(
    policy: &OverridePolicy,
    side: Side,
    config: &'a BTreeMap<String, String>,
) -> Vec<ClientOverride<'a>> {
    let of_client = |client: OverriddenClient| {
        let keys = config.range(client.prefix().to_owned()..);
        keys.map_while(move |(key, value)| Some((key.strip_prefix(client.prefix())?, value)))
            .filter(|(key, _)| !key.is_empty())
            .map(move |(key, value)| ClientOverride { client, key, value, error: refusal(policy, key) })
    };
    clients_of(side, config).into_iter().flat_map(of_client).collect()
}

fn refusal(policy: &OverridePolicy, key: &str) -> Option<String> {
    let name = policy.name();
    (!policy.allows(key))
        .then(|| format!("The '{name}' policy does not allow '{key}' to be overridden in the connector configuration."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Side = Side::Source { exactly_once: false };

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn policy(name: &str, list: &str) -> Result<OverridePolicy, PolicyError> {
        OverridePolicy::from_worker_properties(&map(&[(POLICY_KEY, name), (ALLOWLIST_KEY, list)]))
    }

    #[test]
    fn policies_are_found_under_connects_names() {
        assert_eq!(OverridePolicy::from_worker_properties(&map(&[])), Ok(OverridePolicy::All));
        for short in ["All", "None", "Principal", "Allowlist"] {
            let class = format!("{short}ConnectorClientConfigOverridePolicy");
            for name in [short.to_owned(), format!(" {short}"), class.clone(), format!("{PACKAGE}{class}")] {
                assert_eq!(policy(&name, "").unwrap().name(), short, "{name}");
            }
        }
        for name in ["none", "", "Some", "org.apache.kafka.connect.connector.policy.All", "com.acme.Mine"] {
            let error = policy(name, "").unwrap_err().to_string();
            assert!(error.contains(POLICY_KEY) && error.contains("Principal"), "{error}");
        }
    }

    #[test]
    fn the_allowlist_is_read_as_kafka_reads_lists() {
        let list = |text| match policy("Allowlist", text) {
            Ok(OverridePolicy::Allowlist(keys)) => Ok(keys.into_iter().collect::<Vec<_>>().join("+")),
            other => Err(other),
        };
        assert_eq!(list(" acks , linger.ms,acks"), Ok("acks+linger.ms".to_owned()));
        assert_eq!(list(" "), Ok(String::new()));
        for text in [",", "a,,b", "a,"] {
            assert_eq!(list(text), Err(Err(PolicyError::EmptyEntry)), "{text}");
        }
    }

    #[test]
    fn a_policy_says_what_it_refuses() {
        let config = map(&[
            ("consumer.override.max.poll.records", "5"),
            ("producer.override.", "x"),
            ("producer.override.acks", "1"),
            ("producer.override.sasl.mechanism", "PLAIN"),
            ("producer.overridden", "x"),
        ]);
        let refused = |policy: &OverridePolicy| {
            let found = overrides(policy, SOURCE, &config);
            assert_eq!(found.iter().map(|entry| entry.key).collect::<Vec<_>>(), ["acks", "sasl.mechanism"]);
            found.into_iter().filter(|entry| entry.error.is_some()).map(|entry| entry.full_key()).collect::<Vec<_>>()
        };
        assert_eq!(refused(&OverridePolicy::All), [""; 0]);
        assert_eq!(refused(&OverridePolicy::None), ["producer.override.acks", "producer.override.sasl.mechanism"]);
        assert_eq!(refused(&OverridePolicy::Principal), ["producer.override.acks"]);
        assert_eq!(refused(&policy("Allowlist", "acks").unwrap()), ["producer.override.sasl.mechanism"]);
        assert_eq!(
            overrides(&OverridePolicy::Principal, SOURCE, &config)[0].error.as_deref(),
            Some("The 'Principal' policy does not allow 'acks' to be overridden in the connector configuration.")
        );
    }

    #[test]
    fn a_connectors_config_says_which_clients_it_has() {
        use OverriddenClient::{Admin, Consumer, Producer};
        let clients = |side, entries: &[(&str, &str)]| clients_of(side, &map(entries));
        assert_eq!(clients(SOURCE, &[("topics", "t")]), [Producer]);
        assert_eq!(clients(SOURCE, &[("topic.creation.groups", "")]), [Producer, Admin]);
        assert_eq!(clients(SOURCE, &[("offsets.storage.topic", "o")]), [Producer, Admin, Consumer]);
        assert_eq!(clients(SOURCE, &[("offsets.storage.topic", " ")]), [Producer]);
        assert_eq!(clients(Side::Source { exactly_once: true }, &[]), [Producer, Admin, Consumer]);
        assert_eq!(clients(Side::Sink, &[("topic.creation.groups", "g")]), [Consumer]);
        assert_eq!(clients(Side::Sink, &[("errors.deadletterqueue.topic.name", "d")]), [Producer, Admin, Consumer]);
        assert_eq!(clients(Side::Sink, &[("errors.deadletterqueue.topic.name", " ")]), [Consumer]);
    }
}
