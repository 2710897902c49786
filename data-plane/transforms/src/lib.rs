//! Kafka Connect's 16 transforms and 3 predicates.
//!
//! Each takes its class names, config keys and error texts from Connect 4.3.

mod cast;
mod drop_headers;
mod extract_field;
mod field_path;
mod filter;
mod flatten;
mod header_from;
mod hoist_field;
mod insert_field;
mod insert_header;
mod java_hash_map;
mod mask_field;
mod predicates;
mod regex_router;
mod replace_field;
mod replace_null;
mod requirements;
mod schema_cache;
mod set_schema_metadata;
mod structs;
mod timestamp_converter;
mod timestamp_router;
mod value_to_key;

use data_plane_connector_api::{Factory, Plugin, PluginSource, RecordTransform};
use data_plane_record::Side;

use cast::Cast;
use drop_headers::DropHeaders;
use extract_field::ExtractField;
use filter::Filter;
use flatten::Flatten;
use header_from::HeaderFrom;
use hoist_field::HoistField;
use insert_field::InsertField;
use insert_header::InsertHeader;
use mask_field::MaskField;
use regex_router::RegexRouter;
use replace_field::ReplaceField;
use set_schema_metadata::SetSchemaMetadata;
use timestamp_converter::TimestampConverter;
use timestamp_router::TimestampRouter;
use value_to_key::ValueToKey;

/// The version that built-in plugins report: the Kafka Connect release that they follow.
pub const VERSION: &str = "4.3.0";

/// The Java class of a transform of keys or of values.
macro_rules! sided {
    ($side:expr, $name:literal) => {
        match $side {
            data_plane_record::Side::Key => concat!("org.apache.kafka.connect.transforms.", $name, "$Key"),
            data_plane_record::Side::Value => concat!("org.apache.kafka.connect.transforms.", $name, "$Value"),
        }
    };
}
use sided;

/// The plugin of a transform.
fn transform<T: RecordTransform + 'static>(make: fn() -> T) -> Plugin {
    let made = make();
    Plugin {
        class: made.class().to_owned(),
        version: VERSION.to_owned(),
        config_def: made.config_def(),
        factory: Factory::transformation(make),
    }
}

/// The transforms and predicates of this crate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Transforms;

impl PluginSource for Transforms {
    fn plugins(&self) -> Vec<Plugin> {
        [
            transform(|| Cast::new(Side::Key)),
            transform(|| Cast::new(Side::Value)),
            transform(DropHeaders::default),
            transform(|| ExtractField::new(Side::Key)),
            transform(|| ExtractField::new(Side::Value)),
            transform(|| Filter),
            transform(|| Flatten::new(Side::Key)),
            transform(|| Flatten::new(Side::Value)),
            transform(|| HeaderFrom::new(Side::Key)),
            transform(|| HeaderFrom::new(Side::Value)),
            transform(|| HoistField::new(Side::Key)),
            transform(|| HoistField::new(Side::Value)),
            transform(|| InsertField::new(Side::Key)),
            transform(|| InsertField::new(Side::Value)),
            transform(InsertHeader::default),
            transform(|| MaskField::new(Side::Key)),
            transform(|| MaskField::new(Side::Value)),
            transform(RegexRouter::default),
            transform(|| ReplaceField::new(Side::Key)),
            transform(|| ReplaceField::new(Side::Value)),
            transform(|| SetSchemaMetadata::new(Side::Key)),
            transform(|| SetSchemaMetadata::new(Side::Value)),
            transform(|| TimestampConverter::new(Side::Key)),
            transform(|| TimestampConverter::new(Side::Value)),
            transform(TimestampRouter::default),
            transform(ValueToKey::default),
        ]
        .into_iter()
        .chain(predicates::plugins())
        .collect()
    }
}
