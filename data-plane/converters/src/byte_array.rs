//! `ByteArrayConverter`: bytes as they are, never looked at and never copied.

use std::sync::Arc;

use data_plane_connector_api::{Config, ConfigDef, ConnectError, Converter, ConverterRole};
use data_plane_record::{Arena, Schema, SchemaType, Span, Value};

pub(crate) fn config_def() -> ConfigDef {
    ConfigDef::new([crate::converter_type_key()])
}

/// Passes bytes through.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByteArrayConverter {}

impl Converter for ByteArrayConverter {
    fn configure(&mut self, config: &Config, role: ConverterRole) -> Result<(), ConnectError> {
        crate::parse(&config_def(), config, role).map(|_| ())
    }

    fn config_def(&self) -> ConfigDef {
        config_def()
    }

    fn from_connect(
        &mut self,
        _topic: &str,
        schema: Option<&Arc<Schema>>,
        value: &Value,
        arena: &mut Arena,
    ) -> Result<Option<Span>, ConnectError> {
        if let Some(schema) = schema.filter(|schema| schema.kind != SchemaType::Bytes) {
            let kind = schema.kind.name().to_uppercase();
            return Err(ConnectError::data(format!("Invalid schema type for ByteArrayConverter: {kind}")));
        }
        match value {
            Value::Null => Ok(None),
            Value::BytesSpan(span) => Ok(Some(*span)),
            Value::Bytes(bytes) => Ok(Some(arena.push(bytes))),
            other => Err(ConnectError::data(format!(
                "ByteArrayConverter is not compatible with objects of type class {}",
                other.java_class()
            ))),
        }
    }

    fn to_connect(
        &mut self,
        _topic: &str,
        data: Option<Span>,
        _arena: &mut Arena,
    ) -> Result<(Option<&Arc<Schema>>, Value), ConnectError> {
        Ok((Some(Schema::optional_bytes()), data.map_or(Value::Null, Value::BytesSpan)))
    }
}

crate::headers_as_values!(ByteArrayConverter);
