//! What can go wrong between us and a Kafka cluster.

use crate::java_errors;

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
            "_AUTHENTICATION" => "org.apache.kafka.common.errors.SaslAuthenticationException",
            "_SSL" => "org.apache.kafka.common.errors.SslAuthenticationException",
            "_UNKNOWN_TOPIC" | "_UNKNOWN_PARTITION" => {
                "org.apache.kafka.common.errors.UnknownTopicOrPartitionException"
            }
            "_UNSUPPORTED_FEATURE" => "org.apache.kafka.common.errors.UnsupportedVersionException",
            "_MSG_TIMED_OUT" | "_TIMED_OUT" | "_TIMED_OUT_QUEUE" | "_TRANSPORT" | "_ALL_BROKERS_DOWN" | "_RESOLVE" => {
                "org.apache.kafka.common.errors.TimeoutException"
            }
            // What Java's consumer makes of them when it commits, the only call of ours that they answer.
            "ILLEGAL_GENERATION" | "UNKNOWN_MEMBER_ID" => "org.apache.kafka.clients.consumer.CommitFailedException",
            code => java_errors::of(code).map_or("org.apache.kafka.common.KafkaException", |(class, _)| class),
        }
    }

    /// Whether Kafka did not allow it: an ACL is missing, or the credentials are wrong.
    pub fn is_denied(&self) -> bool {
        matches!(
            self,
            Self::Kafka {
                code: "TOPIC_AUTHORIZATION_FAILED"
                    | "GROUP_AUTHORIZATION_FAILED"
                    | "CLUSTER_AUTHORIZATION_FAILED"
                    | "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"
                    | "SASL_AUTHENTICATION_FAILED"
                    | "_AUTHENTICATION",
                ..
            }
        )
    }

    /// Whether the brokers are too old for the request.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Kafka { code: "UNSUPPORTED_VERSION" | "_UNSUPPORTED_FEATURE", .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kafka(code: &'static str) -> BrokerError {
        BrokerError::Kafka {
            operation: "creating a topic",
            code,
            message: String::new(),
            retriable: false,
            fatal: false,
        }
    }

    #[test]
    fn codes_have_javas_classes() {
        for (code, class) in [
            ("TOPIC_AUTHORIZATION_FAILED", "org.apache.kafka.common.errors.TopicAuthorizationException"),
            ("INVALID_REPLICATION_FACTOR", "org.apache.kafka.common.errors.InvalidReplicationFactorException"),
            ("INVALID_CONFIG", "org.apache.kafka.common.errors.InvalidConfigurationException"),
            ("MSG_SIZE_TOO_LARGE", "org.apache.kafka.common.errors.RecordTooLargeException"),
            ("INVALID_RECORD", "org.apache.kafka.common.InvalidRecordException"),
            ("_TRANSPORT", "org.apache.kafka.common.errors.TimeoutException"),
            ("UNKNOWN_MEMBER_ID", "org.apache.kafka.clients.consumer.CommitFailedException"),
            ("_NOBODY_KNOWS", "org.apache.kafka.common.KafkaException"),
        ] {
            assert_eq!(kafka(code).java_class(), class);
        }
        assert!(kafka("CLUSTER_AUTHORIZATION_FAILED").is_denied() && !kafka("INVALID_CONFIG").is_denied());
        assert!(kafka("UNSUPPORTED_VERSION").is_unsupported());
    }
}
