//! `Values.inferSchema`.

use std::sync::Arc;

use super::ConversionError;
use crate::schema::{Schema, SchemaBuilder, SchemaType};
use crate::value::Value;

/// The schema of a value, `None` if it has none: null, an empty array or map, one of mixed types, a decimal, a date.
/// Items know their type only: an inner array's schema has no items, a struct's no fields.
///
/// # Errors
/// [`ConversionError::SchemaBuilder`] for an array or a map that holds nulls only.
pub fn infer_schema(value: &Value) -> Result<Option<Arc<Schema>>, ConversionError> {
    let kind = match value {
        Value::Null | Value::Decimal(_) | Value::DateTime(_) => return Ok(None),
        Value::Boolean(_) => SchemaType::Boolean,
        Value::Int8(_) => SchemaType::Int8,
        Value::Int16(_) => SchemaType::Int16,
        Value::Int32(_) => SchemaType::Int32,
        Value::Int64(_) => SchemaType::Int64,
        Value::Float32(_) => SchemaType::Float32,
        Value::Float64(_) => SchemaType::Float64,
        Value::String(_) | Value::StringSpan(_) => SchemaType::String,
        Value::Bytes(_) | Value::BytesSpan(_) => SchemaType::Bytes,
        Value::Struct(record) => return Ok(Some(record.schema.clone())),
        Value::Array(items) => {
            if items.is_empty() {
                return Ok(None);
            }
            let mut detector = Detector::default();
            for item in items.iter() {
                if !detector.admits(item)? {
                    return Ok(None);
                }
            }
            return Ok(Some(SchemaBuilder::array(detector.schema()?).build()));
        }
        Value::Map(map) => {
            if map.is_empty() {
                return Ok(None);
            }
            let (mut keys, mut values) = (Detector::default(), Detector::default());
            for (key, value) in map.iter() {
                if !keys.admits(key)? || !values.admits(value)? {
                    return Ok(None);
                }
            }
            return Ok(Some(SchemaBuilder::map(keys.schema()?, values.schema()?).build()));
        }
    };
    Ok(Some(Schema::plain(kind, false).clone()))
}

/// Finds the one type of many values.
#[derive(Default)]
struct Detector {
    kind: Option<SchemaType>,
    optional: bool,
}

impl Detector {
    /// False if the value has no schema or is of another type than those before.
    fn admits(&mut self, value: &Value) -> Result<bool, ConversionError> {
        if value.is_null() {
            self.optional = true;
            return Ok(true);
        }
        let Some(schema) = infer_schema(value)? else { return Ok(false) };
        Ok(*self.kind.get_or_insert(schema.kind) == schema.kind)
    }

    fn schema(&self) -> Result<Arc<Schema>, ConversionError> {
        let kind = self.kind.ok_or_else(|| ConversionError::SchemaBuilder("type cannot be null".to_owned()))?;
        Ok(Schema::plain(kind, self.optional).clone())
    }
}
