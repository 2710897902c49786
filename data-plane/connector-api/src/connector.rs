//! A connector: validates its config and plans tasks.

use std::sync::Arc;

use data_plane_record::{SourceOffset, SourcePartition};

use crate::config_def::{Config, ConfigDef, ConfigValue};
use crate::error::ConnectError;
use crate::sink::TopicPartition;

/// Reads source offsets that were committed for this connector.
pub trait OffsetReader: Send + Sync {
    /// The offsets of partitions, in the order asked; `None` where there is none.
    ///
    /// # Errors
    /// Retriable while the offsets store is out of reach.
    fn offsets(&self, partitions: &[SourcePartition]) -> Result<Vec<Option<SourceOffset>>, ConnectError>;

    /// The offset of one partition.
    ///
    /// # Errors
    /// As [`OffsetReader::offsets`].
    fn offset(&self, partition: &SourcePartition) -> Result<Option<SourceOffset>, ConnectError> {
        Ok(self.offsets(std::slice::from_ref(partition))?.pop().flatten())
    }
}

/// Metrics of a plugin (KIP-877). Cheap handles; registering a name again gives the same metric.
pub trait PluginMetrics: Send + Sync {
    /// Sets a gauge.
    fn set_gauge(&self, name: &str, value: f64);
    /// Adds to a counter.
    fn add_counter(&self, name: &str, increment: u64);
}

/// What a connector may ask of its runtime.
pub trait ConnectorContext: Send + Sync {
    /// The connector's name.
    fn connector_name(&self) -> &str;
    /// Asks for [`Connector::task_configs`] to be called again. Returns at once.
    fn request_task_reconfiguration(&self);
    /// Fails the connector. Returns at once.
    fn raise_error(&self, error: ConnectError);
    /// Reader of this connector's source offsets; `None` for sinks.
    fn offset_reader(&self) -> Option<Arc<dyn OffsetReader>>;
    /// The plugin's metrics.
    fn metrics(&self) -> Arc<dyn PluginMetrics>;
}

/// Whether a source connector keeps exactly-once under a config (KIP-618).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "KIP-618's own names")]
pub enum ExactlyOnceSupport {
    Supported,
    Unsupported,
}

/// Whether a source connector can define its own transactions (KIP-618).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "KIP-618's own names")]
pub enum TransactionBoundaries {
    Supported,
    Unsupported,
}

/// Offsets that a user wants to write; `None` as offset removes it (KIP-875).
#[derive(Clone, Debug, PartialEq)]
pub enum ConnectorOffsets {
    /// For a source connector.
    Source(Vec<(SourcePartition, Option<SourceOffset>)>),
    /// For a sink connector.
    Sink(Vec<(TopicPartition, Option<i64>)>),
}

/// A source or sink connector. Made afresh for each start; `validate` and `alter_offsets` run on instances that were never started.
pub trait Connector: Send {
    /// The plugin's version.
    fn version(&self) -> &str;

    /// Its own config keys, without the common ones.
    fn config_def(&self) -> ConfigDef;

    /// Validates a config: its own keys only. The default parses by [`Connector::config_def`].
    fn validate(&self, config: &Config) -> Vec<ConfigValue> {
        self.config_def().validate(config)
    }

    /// Starts with a config that was validated. May block; runs on a thread of its own.
    ///
    /// # Errors
    /// Fails the connector.
    fn start(&mut self, context: Arc<dyn ConnectorContext>, config: &Config) -> Result<(), ConnectError>;

    /// Configs for at most `max_tasks` tasks. The same world must give the same list in the same order.
    ///
    /// # Errors
    /// Fails the connector; tasks that run keep running.
    fn task_configs(&mut self, max_tasks: usize) -> Result<Vec<Config>, ConnectError>;

    /// Stops; called once after a start, whether it succeeded or not.
    fn stop(&mut self) {}

    /// Checks and prepares for offsets that a user wants to write while the connector is stopped.
    /// `Ok(true)`: the connector has handled what it keeps itself; `Ok(false)`: it neither checked nor did anything.
    ///
    /// # Errors
    /// Refuses the offsets.
    fn alter_offsets(&self, config: &Config, offsets: &ConnectorOffsets) -> Result<bool, ConnectError> {
        let _ = (config, offsets);
        Ok(false)
    }

    /// Sources: whether exactly-once holds under a config. `None` is "it does not say" (Java's null).
    fn exactly_once_support(&self, config: &Config) -> Option<ExactlyOnceSupport> {
        let _ = config;
        None
    }

    /// Sources: whether tasks can define transactions themselves.
    fn can_define_transaction_boundaries(&self, config: &Config) -> TransactionBoundaries {
        let _ = config;
        TransactionBoundaries::Unsupported
    }

    /// Sinks: whether the store refuses writes made under an older epoch than the newest it saw, so that a task can be
    /// taken over before its old owner is known to be gone.
    fn fences_by_epoch(&self, config: &Config) -> bool {
        let _ = config;
        false
    }
}
