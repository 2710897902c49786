//! Converters: between values and the bytes of Kafka records. They work within the batch's arena.

use std::sync::Arc;

use data_plane_record::{Arena, Schema, Span, Value};

use crate::config_def::{Config, ConfigDef};
use crate::error::ConnectError;

/// What a converter is used for; `converter.type` in its config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ConverterRole {
    Key,
    Value,
    Header,
}

impl ConverterRole {
    /// The text in `converter.type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value => "value",
            Self::Header => "header",
        }
    }
}

/// Converts keys and values. One instance serves one task and one role.
///
/// Conversions run on threads for plugins, where they may block: a converter may fetch what it needs itself, such as a schema from a
/// registry. It should keep what it fetched, within a limit, since it is called for each record; bound each fetch by a timeout of a
/// few seconds, since the task can be stopped between records only; and answer [`ConnectError::retriable`] while the registry is
/// away. The runtime then calls again for the same record as `errors.retry.timeout` says, with the records after it held back, so
/// that none is lost or overtaken; with its default of 0, or once that time is over, the record has failed as `errors.tolerance` says.
/// What a failed attempt appended to the arena is taken back: keep no spans from one call to the next.
#[expect(clippy::wrong_self_convention, reason = "named as in Connect: fromConnectData, fromConnectHeader")]
pub trait Converter: Send {
    /// Sets it up; called once, first.
    ///
    /// # Errors
    /// A `ConfigException` that names the key.
    fn configure(&mut self, config: &Config, role: ConverterRole) -> Result<(), ConnectError>;

    /// Its config keys.
    fn config_def(&self) -> ConfigDef;

    /// The wire form of a value, as a span of `arena`; `None` is Kafka's null. A value whose bytes are in the arena already
    /// may come back as the same span.
    ///
    /// # Errors
    /// A `DataException` if the value cannot be written.
    fn from_connect(
        &mut self,
        topic: &str,
        schema: Option<&Arc<Schema>>,
        value: &Value,
        arena: &mut Arena,
    ) -> Result<Option<Span>, ConnectError>;

    /// The value of wire bytes that lie in `arena`. The schema is the same pointer for records of the same schema, so that runs hold.
    ///
    /// # Errors
    /// A `DataException` if the bytes cannot be read.
    fn to_connect(
        &mut self,
        topic: &str,
        data: Option<Span>,
        arena: &mut Arena,
    ) -> Result<(Option<&Arc<Schema>>, Value), ConnectError>;
}

/// Converts headers; see [`Converter`] for the contract.
#[expect(clippy::wrong_self_convention, reason = "named as in Connect: fromConnectData, fromConnectHeader")]
pub trait HeaderConverter: Send {
    /// Sets it up; called once, first.
    ///
    /// # Errors
    /// A `ConfigException` that names the key.
    fn configure(&mut self, config: &Config, role: ConverterRole) -> Result<(), ConnectError>;

    /// Its config keys.
    fn config_def(&self) -> ConfigDef;

    /// The wire form of a header's value.
    ///
    /// # Errors
    /// A `DataException` if the value cannot be written.
    fn from_connect_header(
        &mut self,
        topic: &str,
        header: &str,
        schema: Option<&Arc<Schema>>,
        value: &Value,
        arena: &mut Arena,
    ) -> Result<Option<Span>, ConnectError>;

    /// The value of a header's wire bytes.
    ///
    /// # Errors
    /// A `DataException` if the bytes cannot be read.
    fn to_connect_header(
        &mut self,
        topic: &str,
        header: &str,
        data: Option<Span>,
        arena: &mut Arena,
    ) -> Result<(Option<&Arc<Schema>>, Value), ConnectError>;
}
