//! `ExtractField`: puts a field in the place of the key or value.

use std::sync::Arc;

use data_plane_connector_api::config_def::{ConfigType, Importance};
use data_plane_connector_api::{Config, ConfigDef, ConfigKey, ConnectError, RecordTransform, Verdict};
use data_plane_record::{Arena, OpenRecord, Schema, Side, Value};

use crate::field_path::{self, FIELD_SYNTAX_VERSION, syntax_version_key};
use crate::replace_null::{REPLACE_NULL, replace_null_key};
use crate::requirements::{require_map, require_struct, take};
use crate::sided;
use crate::structs::{effective, fill_default, look_up};

/// Puts a field in the place of the key or value.
#[derive(Debug)]
pub(crate) struct ExtractField {
    side: Side,
    path: String,
    steps: Vec<String>,
    with_defaults: bool,
}

impl ExtractField {
    pub(crate) fn new(side: Side) -> Self {
        Self { side, path: String::new(), steps: Vec::new(), with_defaults: true }
    }

    /// The last step and those before it.
    fn split_steps(&self) -> Result<(&str, &[String]), ConnectError> {
        match self.steps.split_last() {
            Some((last, before)) => Ok((last, before)),
            None => Err(ConnectError::new("java.lang.IllegalArgumentException", "the path of the field has no steps")),
        }
    }

    /// The schema of the field.
    fn schema_of_field(&self, schema: &Schema) -> Result<Arc<Schema>, ConnectError> {
        let (last, before) = self.split_steps()?;
        let find = |schema: &Schema, step: &str| {
            let field = look_up(schema, step)?.map(|at| Arc::clone(&schema.fields()[at].schema));
            field.ok_or_else(|| {
                ConnectError::new("java.lang.IllegalArgumentException", format!("Unknown field: {}", self.path))
            })
        };
        let Some((first, between)) = before.split_first() else { return find(schema, last) };
        let mut schema = find(schema, first)?;
        for step in between {
            schema = find(&schema, step)?;
        }
        find(&schema, last)
    }

    /// Whether the field of a struct can be reached; structs on the way count as their defaults.
    fn check_struct(&self, value: &Value) -> Result<(), ConnectError> {
        if value.is_null() {
            return Ok(());
        }
        let mut record = require_struct(value, "field extraction")?;
        for step in self.split_steps()?.1 {
            let Some(at) = record.schema.field_index(step) else { return Ok(()) };
            let inner = effective(&record.schema.fields()[at], &record.values[at], true);
            if inner.is_null() {
                return Ok(());
            }
            record = require_struct(inner, "nested field access")?;
        }
        Ok(())
    }

    /// The field of a struct that has been checked; null if it is not there.
    fn take_from_struct(&self, value: Value) -> Value {
        let mut value = value;
        for (index, step) in self.steps.iter().enumerate() {
            let Value::Struct(mut record) = value else { return Value::Null };
            let Some(at) = record.schema.field_index(step) else { return Value::Null };
            let is_last = index + 1 == self.steps.len();
            value = std::mem::take(&mut record.values[at]);
            fill_default(&record.schema.fields()[at], &mut value, !is_last || self.with_defaults);
        }
        value
    }

    /// Whether the field of a map can be reached.
    fn check_map(&self, value: &Value, arena: &Arena) -> Result<(), ConnectError> {
        if value.is_null() {
            return Ok(());
        }
        let mut map = require_map(value, "field extraction")?;
        for step in self.split_steps()?.1 {
            match map.get_str(arena, step) {
                None | Some(Value::Null) => return Ok(()),
                Some(inner) => map = require_map(inner, "nested field access")?,
            }
        }
        Ok(())
    }

    /// The field of a map that has been checked; null if it is not there.
    fn take_from_map(&self, mut value: Value, arena: &Arena) -> Value {
        for step in &self.steps {
            let Value::Map(mut map) = value else { return Value::Null };
            value = map.get_str_mut(arena, step).map(std::mem::take).unwrap_or_default();
        }
        value
    }
}

impl RecordTransform for ExtractField {
    fn class(&self) -> &'static str {
        sided!(self.side, "ExtractField")
    }

    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        let parsed = self.config_def().parse(config)?;
        self.path = parsed.text("field").unwrap_or_default().to_owned();
        self.steps = field_path::steps(&self.path, parsed.text(FIELD_SYNTAX_VERSION).unwrap_or_default())?;
        self.with_defaults = parsed.flag(REPLACE_NULL);
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new([
            ConfigKey::required("field", ConfigType::String, Importance::Medium, "Name of, or path to, the field."),
            replace_null_key(),
            syntax_version_key(),
        ])
    }

    fn apply(&mut self, record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError> {
        let Some(schema) = record.schema(self.side) else {
            self.check_map(record.value(self.side), record.arena)?;
            let value = self.take_from_map(take(record, self.side), record.arena);
            *record.value_mut(self.side) = value;
            return Ok(Verdict::Keep);
        };
        if !record.value(self.side).is_null() {
            require_struct(record.value(self.side), "field extraction")?;
        }
        let schema = self.schema_of_field(schema)?;
        self.check_struct(record.value(self.side))?;
        let value = self.take_from_struct(take(record, self.side));
        record.set(self.side, Some(schema), value);
        Ok(Verdict::Keep)
    }
}
