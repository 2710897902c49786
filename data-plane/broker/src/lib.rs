//! Kafka as the worker sees it: a [`Broker`] makes producers, group consumers, log readers and administrators for one
//! Kafka cluster. Two implementations: [`kafka`] (librdkafka) and [`memory`] (for tests); one contract suite binds both.
//!
//! This crate refuses to know what a connector, a task or an offset store is.

mod admin;
pub mod client_config;
mod consumer;
mod error;
mod java_errors;
#[expect(unsafe_code, reason = "librdkafka's C interface; every block states why it is sound")]
pub mod kafka;
mod log_reader;
pub mod memory;
mod producer;

#[cfg(test)]
mod contract;

use std::time::Duration;

pub use admin::{Admin, NewTopic};
pub use client_config::ClientConfig;
pub use consumer::{
    ConsumerEvent, FetchedBatch, FetchedHeader, FetchedRow, GroupConsumer, Span, Subscription, TimestampKind,
    TopicFilter, TopicPartition,
};
pub use error::BrokerError;
pub use log_reader::{LogReader, LogRecord, OnLogRecord};
pub use producer::{Delivered, Delivery, ProduceError, ProduceRow, Producer, TopicHandle};

/// A factory of clients for one Kafka cluster.
///
/// Every call may block (name resolution, thread creation): call it off the async threads.
pub trait Broker: Send + Sync {
    /// Makes a producer. It connects in the background; see [`Producer::connect`].
    fn producer(&self, config: &ClientConfig) -> Result<Box<dyn Producer>, BrokerError>;

    /// Makes a member of a consumer group and subscribes it.
    fn group_consumer(
        &self,
        config: &ClientConfig,
        subscription: &Subscription,
    ) -> Result<Box<dyn GroupConsumer>, BrokerError>;

    /// Reads all partitions of `topic` from the beginning and goes on reading until the reader is dropped.
    /// `on_record` runs on the reader's own thread, in order within a partition.
    fn log_reader(
        &self,
        config: &ClientConfig,
        topic: &str,
        on_record: OnLogRecord,
    ) -> Result<Box<dyn LogReader>, BrokerError>;

    /// Makes an administrator; the cluster must answer within `reach_timeout`.
    fn admin(&self, config: &ClientConfig, reach_timeout: Duration) -> Result<Box<dyn Admin>, BrokerError>;
}
