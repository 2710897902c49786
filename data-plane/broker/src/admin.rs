//! The few administrative requests that a worker makes.

use std::time::Duration;

use crate::BrokerError;

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

/// An administrator of a cluster. Every call blocks, for `timeout` at most.
pub trait Admin: Send {
    /// Creates a topic; gives false where it exists already.
    fn ensure_topic(&mut self, topic: &NewTopic, timeout: Duration) -> Result<bool, BrokerError>;

    /// The partitions of a topic, or `None` where there is no such topic.
    fn partition_count(&mut self, topic: &str, timeout: Duration) -> Result<Option<i32>, BrokerError>;

    /// Kafka's id of the cluster.
    fn cluster_id(&mut self, timeout: Duration) -> Result<String, BrokerError>;
}
