//! The traits that connector, converter and transformation authors implement.
//!
//! Everything is shaped for batches ([`data_plane_record::RecordBatch`]) and for plugins that live in another process:
//! config definitions are data, errors carry Java's identity, and control of a task is a handle apart from its poll.

pub mod common_config;
pub mod config_def;
mod connector;
mod converter;
mod error;
pub mod java_regex;
pub mod lossy;
mod plugin;
mod provider;
mod sink;
mod source;
mod transform;

pub use config_def::{Config, ConfigDef, ConfigKey, ConfigValue};
pub use connector::{
    Connector, ConnectorContext, ConnectorOffsets, ExactlyOnceSupport, OffsetReader, PluginMetrics,
    TransactionBoundaries,
};
pub use converter::{Converter, ConverterRole, HeaderConverter};
pub use error::{Cause, ConnectError};
pub use java_regex::JavaRegex;
pub use lossy::Losses;
pub use plugin::{Factory, Make, Plugin, PluginKind, PluginSource, Plugins, UnknownPlugin};
pub use provider::{ConfigData, ConfigProvider};
pub use sink::{
    Completion, ErrantRecordReporter, OffsetAndMetadata, SinkOffsets, SinkTask, SinkTaskContext, TopicPartition,
};
pub use source::{
    BatchLimits, Poll, ProducedTo, RecordAck, SourceTask, SourceTaskContext, SourceTaskControl, TransactionContext,
};
pub use transform::{
    Failure, Outcome, PerRecord, Predicate, RecordTransform, Selected, Stage, Transformation, Verdict,
};
