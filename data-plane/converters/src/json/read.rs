//! JSON to values under a schema, as `JsonConverter.convertToConnect` does: lenient with numbers, strict with shapes.

use std::collections::HashMap;
use std::sync::Arc;

use data_plane_connector_api::ConnectError;
use data_plane_record::jackson::{self, Json};
use data_plane_record::{Schema, SchemaType, Struct, Value, ValueMap};

use super::{Options, logical};

/// Jackson's `JsonNodeType` of a value.
pub(super) fn node_type(json: &Json) -> &'static str {
    match json {
        Json::Null => "NULL",
        Json::Boolean(_) => "BOOLEAN",
        Json::Integer(_) | Json::Float(_) => "NUMBER",
        Json::String(_) => "STRING",
        Json::Array(_) => "ARRAY",
        Json::Object(_) => "OBJECT",
    }
}

/// The value of JSON under a schema, or without one.
pub(super) fn value(schema: Option<&Arc<Schema>>, json: &Json, options: Options) -> Result<Value, ConnectError> {
    let Some(schema) = schema else { return Ok(json.to_value()) };
    if *json == Json::Null {
        return match &schema.default {
            Some(default) if options.replace_null_with_default => Ok(default.clone()),
            _ if schema.optional => Ok(Value::Null),
            _ => {
                let kind = schema.kind.name().to_uppercase();
                Err(ConnectError::data(format!("Invalid null value for required {kind} field")))
            }
        };
    }
    if let Some(logical) = logical::of(schema) {
        return logical.read(schema, json);
    }
    Ok(match schema.kind {
        SchemaType::Boolean => Value::Boolean(*json == Json::Boolean(true)),
        SchemaType::Int8 => Value::Int8(json.long_value() as i8),
        SchemaType::Int16 => Value::Int16(json.long_value() as i16),
        SchemaType::Int32 => Value::Int32(json.long_value() as i32),
        SchemaType::Int64 => Value::Int64(json.long_value()),
        SchemaType::Float32 => Value::Float32(json.float_value()),
        SchemaType::Float64 => Value::Float64(json.double_value()),
        SchemaType::String => match json {
            Json::String(text) => Value::String(text.clone()),
            _ => Value::Null,
        },
        SchemaType::Bytes => match json {
            Json::String(text) => {
                let bytes = jackson::read_base64(text).ok_or_else(|| ConnectError::data("Invalid bytes field"))?;
                Value::Bytes(bytes.into())
            }
            _ => Value::Null,
        },
        SchemaType::Array => {
            let item_schema = schema.values.as_ref();
            let mut items = Vec::new();
            for item in elements(json) {
                items.push(value(item_schema, item, options)?);
            }
            Value::Array(Box::new(items))
        }
        SchemaType::Map => Value::Map(Box::new(map(schema, json, options)?)),
        SchemaType::Struct => return structure(schema, json, options),
    })
}

/// What Jackson iterates over: items of an array, values of an object, nothing otherwise.
fn elements(json: &Json) -> Vec<&Json> {
    match json {
        Json::Array(items) => items.iter().collect(),
        Json::Object(entries) => entries.iter().map(|(_, value)| value).collect(),
        _ => Vec::new(),
    }
}

fn map(schema: &Schema, json: &Json, options: Options) -> Result<ValueMap, ConnectError> {
    let (keys, values) = (schema.keys.as_ref(), schema.values.as_ref());
    if keys.is_none_or(|keys| keys.kind == SchemaType::String) {
        let Json::Object(entries) = json else {
            let found = node_type(json);
            return Err(ConnectError::data(format!(
                "Maps with string fields should be encoded as JSON objects, but found {found}"
            )));
        };
        let entry = |(name, json): &(Box<str>, Json)| Ok((Value::String(name.clone()), value(values, json, options)?));
        return entries.iter().map(entry).collect();
    }
    let Json::Array(entries) = json else {
        let found = node_type(json);
        return Err(ConnectError::data(format!(
            "Maps with non-string fields should be encoded as JSON array of tuples, but found {found}"
        )));
    };
    let mut places: HashMap<Json, usize> = HashMap::new();
    let mut pairs: Vec<(Value, Value)> = Vec::new();
    for entry in entries {
        let Json::Array(pair) = entry else {
            let found = node_type(entry);
            return Err(ConnectError::data(format!("Found invalid map entry instead of array tuple: {found}")));
        };
        let [key_json, value_json] = pair.as_slice() else {
            return Err(ConnectError::data(format!(
                "Found invalid map entry, expected length 2 but found :{}",
                pair.len()
            )));
        };
        let (key, value) = (value(keys, key_json, options)?, value(values, value_json, options)?);
        match places.get(key_json) {
            Some(&place) => pairs[place].1 = value,
            None => {
                places.insert(key_json.clone(), pairs.len());
                pairs.push((key, value));
            }
        }
    }
    Ok(pairs.into_iter().collect())
}

fn structure(schema: &Arc<Schema>, json: &Json, options: Options) -> Result<Value, ConnectError> {
    let Json::Object(entries) = json else {
        let found = node_type(json);
        return Err(ConnectError::data(format!("Structs should be encoded as JSON objects, but found {found}")));
    };
    let by_name: HashMap<&str, &Json> = entries.iter().map(|(name, value)| (&**name, value)).collect();
    let mut values = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let found = by_name.get(&*field.name).copied().unwrap_or(&Json::Null);
        let field_value = value(Some(&field.schema), found, options)?;
        require(&field.name, &field.schema, &field_value)?;
        values.push(field_value);
    }
    Ok(Value::Struct(Box::new(Struct { schema: schema.clone(), values: values.into() })))
}

/// What `Struct.put` and default values check beyond what reading has made sure of: no null where one is required.
pub(super) fn require(name: &str, schema: &Schema, value: &Value) -> Result<(), ConnectError> {
    match value {
        Value::Null if !schema.optional => {
            let kind = schema.kind.name().to_uppercase();
            Err(ConnectError::data(format!(
                "Invalid value: null used for required field: \"{name}\", schema type: {kind}"
            )))
        }
        Value::Array(items) => {
            let Some(item_schema) = &schema.values else { return Ok(()) };
            items.iter().try_for_each(|item| require(name, item_schema, item))
        }
        Value::Map(entries) => {
            let (Some(keys), Some(values)) = (&schema.keys, &schema.values) else { return Ok(()) };
            entries.iter().try_for_each(|(key, value)| {
                require(name, keys, key)?;
                require(name, values, value)
            })
        }
        _ => Ok(()),
    }
}
