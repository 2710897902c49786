//! What can go wrong between us and a Kafka cluster.

/// A failed client operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// A client setting that cannot be used.
    #[error("client setting {key}: {reason}")]
    Config {
        /// The key as the user wrote it.
        key: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// Nobody answered at the bootstrap addresses in the stated time.
    #[error("no Kafka broker answered at bootstrap.servers={bootstrap_servers} within {waited_ms} ms: {cause}")]
    Unreachable {
        /// The addresses that were tried.
        bootstrap_servers: String,
        /// How long we waited, in milliseconds.
        waited_ms: u64,
        /// The last thing that the client said.
        cause: String,
    },
    /// Kafka, or the client, refused.
    #[error("{operation}: {message} ({code})")]
    Kafka {
        /// What was attempted.
        operation: &'static str,
        /// librdkafka's name of the code, such as `TOPIC_AUTHORIZATION_FAILED`; local codes start with `_`.
        code: &'static str,
        /// The explanation.
        message: String,
        /// Whether the same request may succeed later.
        retriable: bool,
        /// Whether the client is unusable from now on.
        fatal: bool,
    },
}

impl BrokerError {
    /// Whether the same request may succeed later.
    pub fn retriable(&self) -> bool {
        match self {
            Self::Config { .. } => false,
            Self::Unreachable { .. } => true,
            Self::Kafka { retriable, .. } => *retriable,
        }
    }

    /// The class that Kafka's Java client would have thrown.
    pub fn java_class(&self) -> &'static str {
        let code = match self {
            Self::Config { .. } => return "org.apache.kafka.common.config.ConfigException",
            Self::Unreachable { .. } => return "org.apache.kafka.common.errors.TimeoutException",
            Self::Kafka { code, .. } => *code,
        };
        match code {
            "TOPIC_AUTHORIZATION_FAILED" => "org.apache.kafka.common.errors.TopicAuthorizationException",
            "GROUP_AUTHORIZATION_FAILED" => "org.apache.kafka.common.errors.GroupAuthorizationException",
            "CLUSTER_AUTHORIZATION_FAILED" => "org.apache.kafka.common.errors.ClusterAuthorizationException",
            "SASL_AUTHENTICATION_FAILED" | "_AUTHENTICATION" => {
                "org.apache.kafka.common.errors.SaslAuthenticationException"
            }
            "_SSL" => "org.apache.kafka.common.errors.SslAuthenticationException",
            "MSG_SIZE_TOO_LARGE" | "INVALID_MSG_SIZE" => "org.apache.kafka.common.errors.RecordTooLargeException",
            "UNKNOWN_TOPIC_OR_PART" | "_UNKNOWN_TOPIC" | "_UNKNOWN_PARTITION" => {
                "org.apache.kafka.common.errors.UnknownTopicOrPartitionException"
            }
            "TOPIC_EXCEPTION" => "org.apache.kafka.common.errors.InvalidTopicException",
            "INVALID_REPLICATION_FACTOR" => "org.apache.kafka.common.errors.InvalidReplicationFactorException",
            "INVALID_RECORD" => "org.apache.kafka.common.InvalidRecordException",
            "_MSG_TIMED_OUT" | "_TIMED_OUT" | "REQUEST_TIMED_OUT" | "_TRANSPORT" | "_ALL_BROKERS_DOWN" => {
                "org.apache.kafka.common.errors.TimeoutException"
            }
            "FENCED_INSTANCE_ID" => "org.apache.kafka.common.errors.FencedInstanceIdException",
            "ILLEGAL_GENERATION" | "UNKNOWN_MEMBER_ID" => "org.apache.kafka.clients.consumer.CommitFailedException",
            _ => "org.apache.kafka.common.KafkaException",
        }
    }
}
