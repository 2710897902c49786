//! The few administrative requests that a worker makes.

use std::time::Duration;

use crate::BrokerError;

/// The most partitions, and replicas of each, that librdkafka asks for.
const MAX_PARTITIONS: i32 = 100_000;
const MAX_REPLICAS: i32 = 10_000;

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; -1 for the broker's default.
    pub partitions: i32,
    /// How many replicas; -1 for the broker's default.
    pub replication_factor: i32,
    /// Topic settings such as `cleanup.policy`.
    pub configs: Vec<(String, String)>,
}

impl NewTopic {
    /// Refuses counts that no broker takes, as a broker would.
    pub(crate) fn check(&self) -> Result<(), BrokerError> {
        let refuse = |code, what: &str, count: i32, limit: i32| {
            let message = format!(
                "topic {:?}: {what} is {count}; it must be from 1 to {limit}, or -1 for the broker's default",
                self.name
            );
            BrokerError::Kafka { operation: "creating a topic", code, message, retriable: false, fatal: false }
        };
        match (self.partitions, self.replication_factor) {
            (partitions, _) if partitions == 0 || !(-1..=MAX_PARTITIONS).contains(&partitions) => {
                Err(refuse("INVALID_PARTITIONS", "the number of partitions", partitions, MAX_PARTITIONS))
            }
            (_, factor) if factor == 0 || !(-1..=MAX_REPLICAS).contains(&factor) => {
                Err(refuse("INVALID_REPLICATION_FACTOR", "the replication factor", factor, MAX_REPLICAS))
            }
            _ => Ok(()),
        }
    }
}

/// An administrator of a cluster. Every call blocks, for `timeout` at most.
pub trait Admin: Send {
    /// Creates a topic and waits until Kafka has; gives false where it exists already, whatever its settings are.
    ///
    /// # Errors
    /// [`BrokerError::java_class`] tells them apart as Java's client does: `InvalidReplicationFactorException` (also for
    /// fewer brokers than replicas), `InvalidPartitionsException`, `InvalidConfigurationException`,
    /// `PolicyViolationException` and so on; see also [`BrokerError::is_denied`] and [`BrokerError::is_unsupported`].
    fn ensure_topic(&mut self, topic: &NewTopic, timeout: Duration) -> Result<bool, BrokerError>;

    /// The partitions of a topic, or `None` where there is no such topic. Never creates it by the asking.
    fn partition_count(&mut self, topic: &str, timeout: Duration) -> Result<Option<i32>, BrokerError>;

    /// Kafka's id of the cluster.
    fn cluster_id(&mut self, timeout: Duration) -> Result<String, BrokerError>;
}
