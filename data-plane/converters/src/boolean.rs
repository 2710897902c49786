//! `BooleanConverter`: one byte, 1 for true and 0 for false.

use std::sync::Arc;

use data_plane_connector_api::{Config, ConfigDef, ConnectError, Converter, ConverterRole};
use data_plane_record::{Arena, Schema, SchemaType, Span, Value};

pub(crate) fn config_def() -> ConfigDef {
    ConfigDef::new([crate::converter_type_key()])
}

/// `org.apache.kafka.connect.converters.BooleanConverter`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BooleanConverter {}

impl Converter for BooleanConverter {
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
        if let Some(schema) = schema.filter(|schema| schema.kind != SchemaType::Boolean) {
            let kind = schema.kind.name().to_uppercase();
            return Err(ConnectError::data(format!("Invalid schema type for BooleanConverter: {kind}")));
        }
        match value {
            Value::Null => Ok(None),
            Value::Boolean(value) => Ok(Some(arena.push(&[u8::from(*value)]))),
            other => Err(ConnectError::data(format!(
                "BooleanConverter is not compatible with objects of type class {}",
                other.java_class()
            ))),
        }
    }

    fn to_connect(
        &mut self,
        _topic: &str,
        data: Option<Span>,
        arena: &mut Arena,
    ) -> Result<(Option<&Arc<Schema>>, Value), ConnectError> {
        let problem = match data.map(|span| arena.get(span)) {
            None => return Ok((Some(Schema::plain(SchemaType::Boolean, true)), Value::Null)),
            Some([flag @ 0..=1]) => {
                return Ok((Some(Schema::plain(SchemaType::Boolean, true)), Value::Boolean(*flag == 1)));
            }
            Some([other]) => format!("Unexpected byte received by BooleanDeserializer: {}", *other as i8),
            Some(_) => "Size of data received by BooleanDeserializer is not 1".to_owned(),
        };
        Err(ConnectError::data("Failed to deserialize boolean: ")
            .caused_by("org.apache.kafka.common.errors.SerializationException", problem))
    }
}

crate::headers_as_values!(BooleanConverter);
