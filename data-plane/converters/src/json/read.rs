//! JSON to values under a schema, as `JsonConverter.convertToConnect` does: lenient with numbers, strict with shapes.

use std::collections::HashMap;
use std::sync::Arc;

use data_plane_connector_api::ConnectError;
use data_plane_record::jackson::{self, BorrowedJson, JsonTree, text_value};
use data_plane_record::logical::Logical;
use data_plane_record::{Arena, Schema, SchemaType, Struct, Value, ValueMap};

use super::{Options, logical, losses};

/// Jackson's `JsonNodeType` of a value.
pub(super) fn node_type(json: &BorrowedJson<'_>) -> &'static str {
    match json {
        JsonTree::Null => "NULL",
        JsonTree::Boolean(_) => "BOOLEAN",
        JsonTree::Integer(_) | JsonTree::Float(_) => "NUMBER",
        JsonTree::String(_) => "STRING",
        JsonTree::Array(_) => "ARRAY",
        JsonTree::Object(_) => "OBJECT",
    }
}

/// The value of JSON under a schema, or without one. Text that lies in the arena becomes spans of it.
pub(super) fn value(
    schema: Option<&Arc<Schema>>,
    json: &BorrowedJson<'_>,
    options: Options,
    arena: &Arena,
) -> Result<Value, ConnectError> {
    let Some(schema) = schema else {
        if options.losses.are_refused() {
            losses::check(None, json, &Value::Null, arena)?;
        }
        return Ok(json.to_value_in(arena));
    };
    if *json == JsonTree::Null {
        return match &schema.default {
            Some(default) if options.replace_null_with_default => Ok(default.clone()),
            _ if schema.optional => Ok(Value::Null),
            _ => {
                let kind = schema.kind.name().to_uppercase();
                Err(ConnectError::data(format!("Invalid null value for required {kind} field")))
            }
        };
    }
    if let Some(logical) = Logical::of(schema) {
        let value = logical::read(logical, schema, json)?;
        if options.losses.are_refused() {
            losses::check(Some(schema), json, &value, arena)?;
        }
        return Ok(value);
    }
    let value = match schema.kind {
        SchemaType::Boolean => Value::Boolean(*json == JsonTree::Boolean(true)),
        SchemaType::Int8 => Value::Int8(json.long_value() as i8),
        SchemaType::Int16 => Value::Int16(json.long_value() as i16),
        SchemaType::Int32 => Value::Int32(json.long_value() as i32),
        SchemaType::Int64 => Value::Int64(json.long_value()),
        SchemaType::Float32 => Value::Float32(json.float_value()),
        SchemaType::Float64 => Value::Float64(json.double_value()),
        SchemaType::String => match json {
            JsonTree::String(text) => text_value(text, arena),
            _ => Value::Null,
        },
        SchemaType::Bytes => match json {
            JsonTree::String(text) => {
                let bytes = jackson::read_base64(text).ok_or_else(|| ConnectError::data("Invalid bytes field"))?;
                Value::Bytes(bytes.into())
            }
            _ => Value::Null,
        },
        SchemaType::Array => {
            let item_schema = schema.values.as_ref();
            let mut items = Vec::new();
            for item in elements(json) {
                items.push(value(item_schema, item, options, arena)?);
            }
            Value::Array(Box::new(items))
        }
        SchemaType::Map => Value::Map(Box::new(map(schema, json, options, arena)?)),
        SchemaType::Struct => structure(schema, json, options, arena)?,
    };
    if options.losses.are_refused() {
        losses::check(Some(schema), json, &value, arena)?;
    }
    Ok(value)
}

/// What Jackson iterates over: items of an array, values of an object, nothing otherwise.
fn elements<'a, 'b>(json: &'a BorrowedJson<'b>) -> Vec<&'a BorrowedJson<'b>> {
    match json {
        JsonTree::Array(items) => items.iter().collect(),
        JsonTree::Object(entries) => entries.iter().map(|(_, value)| value).collect(),
        _ => Vec::new(),
    }
}

fn map(schema: &Schema, json: &BorrowedJson<'_>, options: Options, arena: &Arena) -> Result<ValueMap, ConnectError> {
    let (keys, values) = (schema.keys.as_ref(), schema.values.as_ref());
    if keys.is_none_or(|keys| keys.kind == SchemaType::String) {
        let JsonTree::Object(entries) = json else {
            let found = node_type(json);
            return Err(ConnectError::data(format!(
                "Maps with string fields should be encoded as JSON objects, but found {found}"
            )));
        };
        let entries =
            entries.iter().map(|(name, json)| Ok((text_value(name, arena), value(values, json, options, arena)?)));
        return entries.collect();
    }
    let JsonTree::Array(entries) = json else {
        let found = node_type(json);
        return Err(ConnectError::data(format!(
            "Maps with non-string fields should be encoded as JSON array of tuples, but found {found}"
        )));
    };
    let mut places: HashMap<&BorrowedJson<'_>, usize> = HashMap::new();
    let mut pairs: Vec<(Value, Value)> = Vec::new();
    for entry in entries {
        let JsonTree::Array(pair) = entry else {
            let found = node_type(entry);
            return Err(ConnectError::data(format!("Found invalid map entry instead of array tuple: {found}")));
        };
        let [key_json, value_json] = pair.as_slice() else {
            return Err(ConnectError::data(format!(
                "Found invalid map entry, expected length 2 but found :{}",
                pair.len()
            )));
        };
        let (key, value) = (value(keys, key_json, options, arena)?, value(values, value_json, options, arena)?);
        match places.get(key_json) {
            Some(&place) => pairs[place].1 = value,
            None => {
                places.insert(key_json, pairs.len());
                pairs.push((key, value));
            }
        }
    }
    Ok(pairs.into_iter().collect())
}

/// Fields of an object with at most so many are looked for one by one.
const FEW: usize = 16;

fn structure(
    schema: &Arc<Schema>,
    json: &BorrowedJson<'_>,
    options: Options,
    arena: &Arena,
) -> Result<Value, ConnectError> {
    let JsonTree::Object(entries) = json else {
        let found = node_type(json);
        return Err(ConnectError::data(format!("Structs should be encoded as JSON objects, but found {found}")));
    };
    let mut by_name: HashMap<&str, &BorrowedJson<'_>> = HashMap::new();
    if entries.len() > FEW {
        by_name.extend(entries.iter().map(|(name, value)| (&**name, value)));
    }
    let find = |at: usize, name: &str| match entries.get(at) {
        // Most writers keep the schema's order.
        Some((known, value)) if known == name => Some(value),
        _ if entries.len() > FEW => by_name.get(name).copied(),
        _ => json.get(name),
    };
    let mut values = Vec::with_capacity(schema.fields().len());
    for (at, field) in schema.fields().iter().enumerate() {
        let found = find(at, &field.name).unwrap_or(&JsonTree::Null);
        let field_value = value(Some(&field.schema), found, options, arena)?;
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
