//! `ShortConverter`, `IntegerConverter`, `LongConverter`, `FloatConverter`, `DoubleConverter`: big-endian numbers of one width.
//! The schema given with a value is not looked at, as in Connect.

use std::sync::Arc;

use data_plane_connector_api::{Config, ConfigDef, ConnectError, Converter, ConverterRole};
use data_plane_record::{Arena, Schema, SchemaType, Span, Value};

pub(crate) fn config_def() -> ConfigDef {
    ConfigDef::new([crate::converter_type_key()])
}

/// The error for a value of another class.
fn not_of_class(type_name: &str, class: &str, value: &Value) -> ConnectError {
    let actual = value.java_class();
    ConnectError::data(format!("Failed to serialize to {type_name} (was class {actual}): "))
        .caused_by("java.lang.ClassCastException", format!("class {actual} cannot be cast to class {class}"))
}

/// The error for bytes of another length.
fn not_of_size(type_name: &str, deserializer: &str, size: usize) -> ConnectError {
    ConnectError::data(format!("Failed to deserialize {type_name}: ")).caused_by(
        "org.apache.kafka.common.errors.SerializationException",
        format!("Size of data received by {deserializer} is not {size}"),
    )
}

macro_rules! number_converter {
    ($converter:ident, $number:ty, $kind:ident, $name:literal, $class:literal, $deserializer:literal) => {
        #[doc = concat!("`org.apache.kafka.connect.converters.", stringify!($converter), "`.")]
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $converter {}

        impl Converter for $converter {
            fn configure(&mut self, config: &Config, role: ConverterRole) -> Result<(), ConnectError> {
                crate::parse(&config_def(), config, role).map(|_| ())
            }

            fn config_def(&self) -> ConfigDef {
                config_def()
            }

            fn from_connect(
                &mut self,
                _topic: &str,
                _schema: Option<&Arc<Schema>>,
                value: &Value,
                arena: &mut Arena,
            ) -> Result<Option<Span>, ConnectError> {
                match value {
                    Value::Null => Ok(None),
                    Value::$kind(number) => Ok(Some(arena.push(&number.to_be_bytes()))),
                    other => Err(not_of_class($name, $class, other)),
                }
            }

            fn to_connect(
                &mut self,
                _topic: &str,
                data: Option<Span>,
                arena: &mut Arena,
            ) -> Result<(Option<&Arc<Schema>>, Value), ConnectError> {
                let value = match data.map(|span| arena.get(span)) {
                    None => Value::Null,
                    Some(bytes) => {
                        let wrong_size = |_| not_of_size($name, $deserializer, size_of::<$number>());
                        Value::$kind(<$number>::from_be_bytes(bytes.try_into().map_err(wrong_size)?))
                    }
                };
                Ok((Some(Schema::plain(SchemaType::$kind, true)), value))
            }
        }

        crate::headers_as_values!($converter);
    };
}

number_converter!(ShortConverter, i16, Int16, "short", "java.lang.Short", "ShortDeserializer");
number_converter!(IntegerConverter, i32, Int32, "integer", "java.lang.Integer", "IntegerDeserializer");
number_converter!(LongConverter, i64, Int64, "long", "java.lang.Long", "LongDeserializer");
number_converter!(FloatConverter, f32, Float32, "float", "java.lang.Float", "Deserializer");
number_converter!(DoubleConverter, f64, Float64, "double", "java.lang.Double", "Deserializer");
