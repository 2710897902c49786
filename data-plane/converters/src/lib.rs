//! Kafka Connect's converters.
//!
//! Each takes its class name, config keys and error texts from Connect 4.3.

mod boolean;
mod byte_array;
mod charset;
mod json;
mod number;
mod simple_header;
mod string;

use data_plane_connector_api::{Factory, Plugin, PluginSource};

pub use boolean::BooleanConverter;
pub use byte_array::ByteArrayConverter;
pub use json::JsonConverter;
pub use number::{DoubleConverter, FloatConverter, IntegerConverter, LongConverter, ShortConverter};
pub use simple_header::SimpleHeaderConverter;
pub use string::StringConverter;

/// The version that built-in plugins report: the Kafka Connect release that they follow.
pub const VERSION: &str = "4.3.0";

/// Implements `HeaderConverter` by the converter's own methods, as Connect's converters do.
macro_rules! headers_as_values {
    ($converter:ty) => {
        impl data_plane_connector_api::HeaderConverter for $converter {
            fn configure(
                &mut self,
                config: &data_plane_connector_api::Config,
                role: data_plane_connector_api::ConverterRole,
            ) -> Result<(), data_plane_connector_api::ConnectError> {
                data_plane_connector_api::Converter::configure(self, config, role)
            }

            fn config_def(&self) -> data_plane_connector_api::ConfigDef {
                data_plane_connector_api::Converter::config_def(self)
            }

            fn from_connect_header(
                &mut self,
                topic: &str,
                _header: &str,
                schema: Option<&std::sync::Arc<data_plane_record::Schema>>,
                value: &data_plane_record::Value,
                arena: &mut data_plane_record::Arena,
            ) -> Result<Option<data_plane_record::Span>, data_plane_connector_api::ConnectError> {
                data_plane_connector_api::Converter::from_connect(self, topic, schema, value, arena)
            }

            fn to_connect_header(
                &mut self,
                topic: &str,
                _header: &str,
                data: Option<data_plane_record::Span>,
                arena: &mut data_plane_record::Arena,
            ) -> Result<
                (Option<&std::sync::Arc<data_plane_record::Schema>>, data_plane_record::Value),
                data_plane_connector_api::ConnectError,
            > {
                data_plane_connector_api::Converter::to_connect(self, topic, data, arena)
            }
        }
    };
}
pub(crate) use headers_as_values;

/// The converters of this crate, each for keys and values and for headers, but `SimpleHeaderConverter` for headers only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Converters;

impl PluginSource for Converters {
    fn plugins(&self) -> Vec<Plugin> {
        let both = |class: &str, config_def: data_plane_connector_api::ConfigDef, factories: [Factory; 2]| {
            factories.map(|factory| Plugin {
                class: class.to_owned(),
                version: VERSION.to_owned(),
                config_def: config_def.clone(),
                factory,
            })
        };
        [
            both(
                "org.apache.kafka.connect.storage.StringConverter",
                string::config_def(),
                [Factory::converter(StringConverter::default), Factory::header_converter(StringConverter::default)],
            ),
            both(
                "org.apache.kafka.connect.converters.ByteArrayConverter",
                byte_array::config_def(),
                [
                    Factory::converter(ByteArrayConverter::default),
                    Factory::header_converter(ByteArrayConverter::default),
                ],
            ),
            both(
                "org.apache.kafka.connect.json.JsonConverter",
                json::config_def(),
                [Factory::converter(JsonConverter::default), Factory::header_converter(JsonConverter::default)],
            ),
            both(
                "org.apache.kafka.connect.converters.BooleanConverter",
                boolean::config_def(),
                [Factory::converter(BooleanConverter::default), Factory::header_converter(BooleanConverter::default)],
            ),
            both(
                "org.apache.kafka.connect.converters.ShortConverter",
                number::config_def(),
                [Factory::converter(ShortConverter::default), Factory::header_converter(ShortConverter::default)],
            ),
            both(
                "org.apache.kafka.connect.converters.IntegerConverter",
                number::config_def(),
                [Factory::converter(IntegerConverter::default), Factory::header_converter(IntegerConverter::default)],
            ),
            both(
                "org.apache.kafka.connect.converters.LongConverter",
                number::config_def(),
                [Factory::converter(LongConverter::default), Factory::header_converter(LongConverter::default)],
            ),
            both(
                "org.apache.kafka.connect.converters.FloatConverter",
                number::config_def(),
                [Factory::converter(FloatConverter::default), Factory::header_converter(FloatConverter::default)],
            ),
            both(
                "org.apache.kafka.connect.converters.DoubleConverter",
                number::config_def(),
                [Factory::converter(DoubleConverter::default), Factory::header_converter(DoubleConverter::default)],
            ),
        ]
        .into_iter()
        .flatten()
        .chain([Plugin {
            class: "org.apache.kafka.connect.storage.SimpleHeaderConverter".to_owned(),
            version: VERSION.to_owned(),
            config_def: simple_header::config_def(),
            factory: Factory::header_converter(SimpleHeaderConverter::default),
        }])
        .collect()
    }
}

/// The key that all converters have, whose value the runtime sets.
fn converter_type_key() -> data_plane_connector_api::ConfigKey {
    use data_plane_connector_api::config_def::{ConfigKey, ConfigType, Importance, Validator};
    let documentation = "key, value or header; set by the worker.";
    ConfigKey::required("converter.type", ConfigType::String, Importance::Low, documentation)
        .validator(Validator::OneOf(["key", "value", "header"].map(str::to_owned).to_vec()))
}

/// Parses a converter's config with its role as `converter.type`.
fn parse(
    definition: &data_plane_connector_api::ConfigDef,
    config: &data_plane_connector_api::Config,
    role: data_plane_connector_api::ConverterRole,
) -> Result<data_plane_connector_api::config_def::Parsed, data_plane_connector_api::ConnectError> {
    let mut config = config.clone();
    config.insert("converter.type".to_owned(), role.name().to_owned());
    definition.parse(&config)
}
