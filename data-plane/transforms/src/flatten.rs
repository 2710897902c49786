//! `Flatten`: puts the fields of nested structs or maps into the outermost one, with names joined by a delimiter.

use std::sync::Arc;

use data_plane_connector_api::config_def::{ConfigType, Importance};
use data_plane_connector_api::{Config, ConfigDef, ConfigKey, ConnectError, RecordTransform, Verdict};
use data_plane_record::{Arena, Field, OpenRecord, Schema, SchemaBuilder, SchemaType, Side, Struct, Value, ValueMap};

use crate::requirements::{into_map, into_struct, key_is_no_text, require_map, require_struct, take};
use crate::schema_cache::SchemaCache;
use crate::sided;
use crate::structs::{
    StructBuilder, check_field, copy_basics, effective, fields, fill_default, not_a_field, type_text, with_default,
};

const PURPOSE: &str = "flattening";

/// Flattens the key or value.
#[derive(Debug)]
pub(crate) struct Flatten {
    side: Side,
    delimiter: String,
    schemas: SchemaCache<Arc<Schema>>,
}

impl Flatten {
    pub(crate) fn new(side: Side) -> Self {
        Self { side, delimiter: String::new(), schemas: SchemaCache::default() }
    }

    fn flatten_map(&self, record: &mut OpenRecord<'_>) -> Result<(), ConnectError> {
        let map = require_map(record.value(self.side), PURPOSE)?;
        check_map(map, "", &self.delimiter, record.arena)?;
        let map = into_map(take(record, self.side));
        let mut flat = ValueMap::new();
        flatten_into(&mut flat, *map, None, &self.delimiter, record.arena);
        *record.value_mut(self.side) = Value::Map(Box::new(flat));
        Ok(())
    }

    fn flatten_struct(&mut self, record: &mut OpenRecord<'_>, schema: &Arc<Schema>) -> Result<(), ConnectError> {
        let held = require_struct(record.value(self.side), PURPOSE)?;
        let flat = Arc::clone(self.schemas.get(schema, |schema| flat_schema(schema, &self.delimiter))?);
        // A struct of another schema than its record's is flattened by names.
        let targets = match Arc::ptr_eq(schema, &held.schema) || **schema == *held.schema {
            true => None,
            false => Some(targets(&held.schema, &flat, &self.delimiter)),
        };
        check_struct(held, &flat, &Slots { targets: targets.as_deref() }, &mut 0)?;
        let held = into_struct(take(record, self.side));
        let mut values: Box<[Value]> = flat.fields().iter().map(|_| Value::Null).collect();
        move_struct(*held, &mut values, &Slots { targets: targets.as_deref() }, &mut 0);
        let made = Struct { schema: Arc::clone(&flat), values };
        record.set(self.side, Some(flat), Value::Struct(Box::new(made)));
        Ok(())
    }
}

fn joined(prefix: &str, delimiter: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { [prefix, delimiter, name].concat() }
}

/// Whether a map and those in it can be flattened.
fn check_map(map: &ValueMap, prefix: &str, delimiter: &str, arena: &Arena) -> Result<(), ConnectError> {
    for (key, value) in map.iter() {
        let name = match key {
            Value::Null if prefix.is_empty() && value.as_map().is_some_and(|inner| !inner.is_empty()) => {
                let why = "a map has no name, so that there are none for what it holds";
                return Err(ConnectError::new("java.lang.NullPointerException", why));
            }
            Value::Null => "null",
            _ => key.as_str(arena).ok_or_else(|| key_is_no_text(key))?,
        };
        match value {
            Value::Map(inner) => check_map(inner, &joined(prefix, delimiter, name), delimiter, arena)?,
            Value::Decimal(_) | Value::DateTime(_) => {
                return Err(ConnectError::data(format!(
                    "Flatten transformation was passed a value of type class {} which is not supported by Connect's data API",
                    value.java_class()
                )));
            }
            Value::Struct(_) => {
                return Err(ConnectError::data(format!(
                    "Flatten transformation does not support class {} for record without schemas (for field {}).",
                    value.java_class(),
                    joined(prefix, delimiter, name)
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Moves the entries of a map that has been checked. `prefix` is the joined name of the map, none for the outermost.
fn flatten_into(flat: &mut ValueMap, map: ValueMap, prefix: Option<&str>, delimiter: &str, arena: &mut Arena) {
    let prefix = prefix.filter(|prefix| !prefix.is_empty());
    for (key, value) in map {
        if let Value::Map(inner) = value {
            let name = joined(prefix.unwrap_or_default(), delimiter, key.as_str(arena).unwrap_or("null"));
            flatten_into(flat, *inner, Some(&name), delimiter, arena);
            continue;
        }
        let key = match prefix {
            None => key,
            Some(prefix) => {
                let name = joined(prefix, delimiter, key.as_str(arena).unwrap_or("null"));
                Value::StringSpan(arena.push(name.as_bytes()))
            }
        };
        let same = key.as_str(arena).and_then(|name| flat.get_str_mut(arena, name));
        match same {
            Some(entry) => *entry = value,
            None => flat.push(key, value),
        }
    }
}

/// The flat schema of a struct's schema.
fn flat_schema(schema: &Schema, delimiter: &str) -> Result<Arc<Schema>, ConnectError> {
    let default = schema.default.as_ref().and_then(Value::as_struct);
    let builder = StructBuilder::like(schema);
    let builder = add_fields(builder, schema, "", delimiter, schema.optional, default)?;
    Ok(builder.finish().build())
}

/// Adds the fields of a struct at any depth. They are optional below an optional struct, and take defaults from its default.
fn add_fields(
    mut builder: StructBuilder,
    schema: &Schema,
    prefix: &str,
    delimiter: &str,
    is_optional: bool,
    parent: Option<&Struct>,
) -> Result<StructBuilder, ConnectError> {
    for (index, field) in fields(schema)?.iter().enumerate() {
        let name = joined(prefix, delimiter, &field.name);
        let is_optional = is_optional || field.schema.optional;
        let from_parent = || {
            let parent = parent?;
            parent.values.get(index).filter(|value| !value.is_null())
        };
        let default = field.schema.default.as_ref().or_else(from_parent);
        builder = match field.schema.kind {
            SchemaType::Struct => {
                let default = default.and_then(Value::as_struct);
                add_fields(builder, &field.schema, &name, delimiter, is_optional, default)?
            }
            SchemaType::Map => return Err(unsupported(field, &name)),
            _ => builder.field(name, &leaf_schema(&field.schema, is_optional, default)?)?,
        };
    }
    Ok(builder)
}

fn unsupported(field: &Field, name: &str) -> ConnectError {
    ConnectError::data(format!(
        "Flatten transformation does not support {} for record with schemas (for field {name}).",
        type_text(field.schema.kind)
    ))
}

/// A schema like another, but optional or not and with another default.
fn leaf_schema(schema: &Schema, is_optional: bool, default: Option<&Value>) -> Result<Arc<Schema>, ConnectError> {
    let builder = match (schema.kind, &schema.values) {
        (SchemaType::Array, Some(items)) => SchemaBuilder::array(Arc::clone(items)),
        (SchemaType::Array, None) => return Err(ConnectError::schema_builder("valueSchema cannot be null.")),
        (kind, _) => Schema::builder(kind),
    };
    let mut builder = copy_basics(schema, builder);
    if is_optional {
        builder = builder.optional();
    }
    match default {
        Some(default) => Ok(with_default(builder, default.clone())?.build()),
        None => Ok(builder.build()),
    }
}

/// Where the values of a struct go, counted through at any depth: in order, or where `targets` says.
struct Slots<'a> {
    targets: Option<&'a [Target]>,
}

/// The place of a value in a flat struct of another schema; it matters only if there is a value.
struct Target {
    name: String,
    at: Option<usize>,
}

impl Slots<'_> {
    /// The index for a value of a field.
    fn at(&self, field: &Field, leaf: usize) -> Result<usize, ConnectError> {
        let Some(target) = self.targets.and_then(|targets| targets.get(leaf)) else { return Ok(leaf) };
        match field.schema.kind {
            SchemaType::Map => Err(unsupported(field, &target.name)),
            _ => target.at.ok_or_else(|| not_a_field(&target.name)),
        }
    }
}

/// The places in a flat schema of the fields of a struct's schema at any depth.
fn targets(schema: &Schema, flat: &Schema, delimiter: &str) -> Vec<Target> {
    let mut names = Vec::new();
    leaf_names(schema, "", delimiter, &mut names);
    names.into_iter().map(|name| Target { at: flat.field_index(&name), name }).collect()
}

fn leaf_names(schema: &Schema, prefix: &str, delimiter: &str, names: &mut Vec<String>) {
    for field in schema.fields() {
        let name = joined(prefix, delimiter, &field.name);
        match field.schema.kind {
            SchemaType::Struct => leaf_names(&field.schema, &name, delimiter, names),
            _ => names.push(name),
        }
    }
}

/// How many fields a schema has when flat.
fn leaves(schema: &Schema) -> usize {
    let count = |field: &Field| if field.schema.kind == SchemaType::Struct { leaves(&field.schema) } else { 1 };
    schema.fields().iter().map(count).sum()
}

/// Whether a flat schema takes the values of a struct.
fn check_struct(held: &Struct, flat: &Schema, slots: &Slots<'_>, leaf: &mut usize) -> Result<(), ConnectError> {
    for (field, value) in held.schema.fields().iter().zip(&held.values) {
        if field.schema.kind != SchemaType::Struct {
            check_field(&flat.fields()[slots.at(field, *leaf)?], effective(field, value, true))?;
            *leaf += 1;
            continue;
        }
        match value {
            Value::Null => *leaf += leaves(&field.schema),
            Value::Struct(inner) if Arc::ptr_eq(&inner.schema, &field.schema) || *inner.schema == *field.schema => {
                check_struct(inner, flat, slots, leaf)?;
            }
            // Connect's structs refuse such values when they are put.
            other => check_field(field, other)?,
        }
    }
    Ok(())
}

/// Moves the values of a struct that has been checked.
fn move_struct(mut held: Struct, values: &mut [Value], slots: &Slots<'_>, leaf: &mut usize) {
    for (field, value) in held.schema.fields().iter().zip(&mut held.values) {
        match std::mem::take(value) {
            Value::Struct(inner) if field.schema.kind == SchemaType::Struct => move_struct(*inner, values, slots, leaf),
            _ if field.schema.kind == SchemaType::Struct => *leaf += leaves(&field.schema),
            mut value => {
                fill_default(field, &mut value, true);
                if let Ok(at) = slots.at(field, *leaf) {
                    values[at] = value;
                }
                *leaf += 1;
            }
        }
    }
}

impl RecordTransform for Flatten {
    fn class(&self) -> &'static str {
        sided!(self.side, "Flatten")
    }

    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        let parsed = self.config_def().parse(config)?;
        self.delimiter = parsed.text("delimiter").unwrap_or_default().to_owned();
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new([ConfigKey::optional(
            "delimiter",
            ConfigType::String,
            Some("."),
            Importance::Medium,
            "Stands between the names of a struct or map and of a field in it.",
        )])
    }

    fn apply(&mut self, record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError> {
        match (record.value(self.side), record.schema(self.side).cloned()) {
            (Value::Null, _) => {}
            (_, None) => self.flatten_map(record)?,
            (_, Some(schema)) => self.flatten_struct(record, &schema)?,
        }
        Ok(Verdict::Keep)
    }
}
