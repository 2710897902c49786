//! [`Broker`] on librdkafka: the only place that names rdkafka or rdkafka-sys.
//!
//! librdkafka's C interface is used directly, for what its safe wrapper hides: cached topic handles, delivery reports
//! as events, split partition queues, wake-ups from queue callbacks.

mod admin;
mod consumer;
mod failure;
mod headers;
mod log_reader;
mod native;
mod pkcs12;
mod producer;
mod stores;

use std::time::Duration;

use crate::client_config::ClientKind;
use crate::{Admin, Broker, BrokerError, ClientConfig, GroupConsumer, LogReader, OnLogRecord, Producer, Subscription};

/// Clients made by librdkafka.
#[derive(Debug, Clone, Copy, Default)]
pub struct KafkaBroker;

impl Broker for KafkaBroker {
    fn producer(&self, config: &ClientConfig) -> Result<Box<dyn Producer>, BrokerError> {
        Ok(Box::new(producer::KafkaProducer::new(config)?))
    }

    fn group_consumer(
        &self,
        config: &ClientConfig,
        subscription: &Subscription,
    ) -> Result<Box<dyn GroupConsumer>, BrokerError> {
        Ok(Box::new(consumer::KafkaConsumer::new(config, subscription)?))
    }

    fn log_reader(
        &self,
        config: &ClientConfig,
        topic: &str,
        on_record: OnLogRecord,
    ) -> Result<Box<dyn LogReader>, BrokerError> {
        Ok(Box::new(log_reader::KafkaLogReader::new(config, topic, on_record)?))
    }

    fn admin(&self, config: &ClientConfig, reach_timeout: Duration) -> Result<Box<dyn Admin>, BrokerError> {
        let forced = [("allow.auto.create.topics", "false")];
        let client = native::Client::new(config, ClientKind::Admin, &[], &forced, 0)?;
        client.reach(reach_timeout)?;
        Ok(Box::new(admin::KafkaAdmin::new(client)))
    }
}
