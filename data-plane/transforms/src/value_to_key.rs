//! `ValueToKey`: makes the key of fields of the value.

use std::sync::Arc;

use data_plane_connector_api::config_def::{ConfigType, Importance, Validator};
use data_plane_connector_api::{Config, ConfigDef, ConfigKey, ConnectError, RecordTransform, Verdict};
use data_plane_record::{OpenRecord, Schema, Side, Struct, Value, ValueMap};

use crate::replace_null::{REPLACE_NULL, replace_null_key};
use crate::requirements::{require_map, require_struct};
use crate::schema_cache::SchemaCache;
use crate::structs::{StructBuilder, check_field, effective};

const PURPOSE: &str = "copying fields from value to key";

/// Replaces the key by a struct or a map of fields of the value.
#[derive(Debug, Default)]
pub(crate) struct ValueToKey {
    fields: Vec<String>,
    with_defaults: bool,
    keys: SchemaCache<Key>,
}

/// A key's schema, and the indexes of its fields in the value.
#[derive(Debug)]
struct Key {
    schema: Arc<Schema>,
    sources: Vec<usize>,
}

impl ValueToKey {
    fn key_of_map(&self, record: &mut OpenRecord<'_>) -> Result<(), ConnectError> {
        let map = require_map(record.value(Side::Value), PURPOSE)?;
        let find = |field: &String| map.get_str(record.arena, field).cloned().unwrap_or_default();
        let values: Vec<_> = self.fields.iter().map(find).collect();
        let mut key = ValueMap::new();
        for (field, value) in self.fields.iter().zip(values) {
            key.push(Value::StringSpan(record.arena.push(field.as_bytes())), value);
        }
        record.set(Side::Key, None, Value::Map(Box::new(key)));
        Ok(())
    }

    fn key_of_struct(&mut self, record: &mut OpenRecord<'_>) -> Result<(), ConnectError> {
        let held = require_struct(record.value(Side::Value), PURPOSE)?;
        let key = self.keys.get(&held.schema, |schema| key_for(schema, &self.fields))?;
        let mut values = Vec::with_capacity(key.sources.len());
        for (field, &at) in key.schema.fields().iter().zip(&key.sources) {
            let value = effective(field, &held.values[at], self.with_defaults);
            check_field(field, value)?;
            values.push(value.clone());
        }
        let is_same = record.schema(Side::Value).is_some_and(|schema| Arc::ptr_eq(schema, &held.schema));
        if !is_same {
            // As in Connect, the record's schema becomes that of its struct.
            let schema = Arc::clone(&held.schema);
            let value = std::mem::take(record.value_mut(Side::Value));
            record.set(Side::Value, Some(schema), value);
        }
        let made = Struct { schema: Arc::clone(&key.schema), values: values.into() };
        record.set(Side::Key, Some(Arc::clone(&key.schema)), Value::Struct(Box::new(made)));
        Ok(())
    }
}

fn key_for(schema: &Schema, names: &[String]) -> Result<Key, ConnectError> {
    let mut builder = StructBuilder::new();
    let mut sources = Vec::with_capacity(names.len());
    for name in names {
        let at = schema.field_index(name);
        let at = at.ok_or_else(|| ConnectError::data(format!("Field does not exist: {name}")))?;
        builder = builder.field(&**name, &schema.fields()[at].schema)?;
        sources.push(at);
    }
    Ok(Key { schema: builder.finish().build(), sources })
}

impl RecordTransform for ValueToKey {
    fn class(&self) -> &'static str {
        "org.apache.kafka.connect.transforms.ValueToKey"
    }

    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        let parsed = self.config_def().parse(config)?;
        self.fields = parsed.list("fields").to_vec();
        self.with_defaults = parsed.flag(REPLACE_NULL);
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new([
            ConfigKey::required(
                "fields",
                ConfigType::List,
                Importance::High,
                "The fields of the value that make the key.",
            )
            .validator(Validator::SomeUniqueNonEmptyValues),
            replace_null_key(),
        ])
    }

    fn apply(&mut self, record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError> {
        match record.schema(Side::Value) {
            None => self.key_of_map(record)?,
            Some(_) => self.key_of_struct(record)?,
        }
        Ok(Verdict::Keep)
    }
}
