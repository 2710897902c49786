//! The Broker trait, on librdkafka and in memory.
