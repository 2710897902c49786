//! `InsertHeader`: adds a header with a fixed value.

use std::sync::Arc;

use data_plane_connector_api::config_def::{ConfigType, Importance, Validator};
use data_plane_connector_api::{Config, ConfigDef, ConfigKey, ConnectError, Losses, RecordTransform, Verdict};
use data_plane_record::values::{parse_string, parse_string_exactly};
use data_plane_record::{OpenRecord, Schema, Value};

/// Adds a header.
#[derive(Debug, Default)]
pub(crate) struct InsertHeader {
    key: String,
    schema: Option<Arc<Schema>>,
    value: Value,
}

impl RecordTransform for InsertHeader {
    fn class(&self) -> &'static str {
        "org.apache.kafka.connect.transforms.InsertHeader"
    }

    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        let parsed = self.config_def().parse(config)?;
        self.key = parsed.text("header").unwrap_or_default().to_owned();
        let text = parsed.text("value.literal").unwrap_or_default();
        let literal = match Losses::parse(config)? {
            Losses::Allow => parse_string(text)?,
            Losses::Fail => parse_string_exactly(text)?,
        };
        (self.schema, self.value) =
            literal.map_or((None, Value::Null), |literal| (Some(literal.schema), literal.value));
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        let key = |name, documentation| {
            ConfigKey::required(name, ConfigType::String, Importance::High, documentation).validator(Validator::NonNull)
        };
        ConfigDef::new([
            key("header", "Key of the header."),
            key(
                "value.literal",
                "The value for all records, with the type that it looks like: 1 is a number, true a boolean.",
            ),
        ])
    }

    fn apply(&mut self, record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError> {
        let value = match &self.value {
            Value::String(text) => Value::StringSpan(record.arena.push(text.as_bytes())),
            other => other.clone(),
        };
        record.add_header(&self.key, self.schema.clone(), value);
        Ok(Verdict::Keep)
    }
}
