//! `Cast`: converts fields, or the key or value as a whole, to other types.

use std::collections::BTreeMap;
use std::sync::Arc;

use data_plane_connector_api::config_def::{CastSpec, ConfigType, Importance, Validator, cast_spec};
use data_plane_connector_api::{Config, ConfigDef, ConfigKey, ConnectError, Losses, RecordTransform, Verdict};
use data_plane_record::{Arena, Field, OpenRecord, Schema, SchemaType, Side, Struct, Value};

use crate::replace_null::{REPLACE_NULL, replace_null_key};
use crate::requirements::{into_map, into_struct, require_map, require_struct, take};
use crate::schema_cache::SchemaCache;
use crate::sided;
use crate::structs::{StructBuilder, check_field, copy_basics, effective, fields, fill_default, with_default};

mod convert;
mod number;

use convert::convert;

const PURPOSE: &str = "cast types";

type Casts = BTreeMap<String, SchemaType>;

/// Casts the key or value.
#[derive(Debug)]
pub(crate) struct Cast {
    side: Side,
    spec: CastSpec,
    losses: Losses,
    with_defaults: bool,
    schemas: SchemaCache<Arc<Schema>>,
}

impl Cast {
    pub(crate) fn new(side: Side) -> Self {
        Self {
            side,
            spec: CastSpec::Fields(Casts::new()),
            losses: Losses::Allow,
            with_defaults: true,
            schemas: SchemaCache::default(),
        }
    }
}

fn cast_map(record: &mut OpenRecord<'_>, side: Side, casts: &Casts, losses: Losses) -> Result<(), ConnectError> {
    let map = require_map(record.value(side), PURPOSE)?;
    let mut values = Vec::with_capacity(casts.len());
    for (field, kind) in casts {
        let value = map.get_str(record.arena, field).unwrap_or(&Value::Null);
        values.push((field, convert(None, value, *kind, losses, record.arena)?));
    }
    let mut map = into_map(take(record, side));
    for (field, value) in values {
        match map.get_str_mut(record.arena, field) {
            Some(entry) => *entry = value,
            None => map.push(Value::StringSpan(record.arena.push(field.as_bytes())), value),
        }
    }
    *record.value_mut(side) = Value::Map(map);
    Ok(())
}

/// The values of a struct that are cast, with their indexes; all values have been checked.
fn cast_values(
    held: &Struct,
    to: &Schema,
    casts: &Casts,
    with_defaults: bool,
    losses: Losses,
    arena: &Arena,
) -> Result<Vec<(usize, Value)>, ConnectError> {
    let mut values = Vec::with_capacity(casts.len());
    for (index, (field, value)) in held.schema.fields().iter().zip(&held.values).enumerate() {
        let value = effective(field, value, with_defaults);
        let target = || target(to, index, field).map(|at| &to.fields()[at]);
        match casts.get(&*field.name) {
            None => check_field(target()?, value)?,
            Some(&kind) => {
                let value = convert(Some(&field.schema), value, kind, losses, arena)?;
                check_field(target()?, &value)?;
                values.push((index, value));
            }
        }
    }
    Ok(values)
}

/// The index of a struct's field in the new schema: mostly that in the old one.
fn target(to: &Schema, index: usize, field: &Field) -> Result<usize, ConnectError> {
    match to.fields().get(index) {
        Some(same) if same.name == field.name => Ok(index),
        _ => to.field_index(&field.name).ok_or_else(|| ConnectError::data("field cannot be null.")),
    }
}

/// Puts a struct's values, which have been checked, under the new schema.
fn put_under(held: &mut Struct, to: Arc<Schema>, cast: Vec<(usize, Value)>, with_defaults: bool) {
    for (field, value) in held.schema.fields().iter().zip(&mut held.values) {
        fill_default(field, value, with_defaults);
    }
    for (index, value) in cast {
        held.values[index] = value;
    }
    let old = std::mem::replace(&mut held.schema, to);
    let in_order =
        old.fields().iter().map(|field| &field.name).eq(held.schema.fields().iter().map(|field| &field.name));
    if !in_order {
        // Only where a record's struct does not have the record's schema.
        let mut values: Box<[Value]> = held.schema.fields().iter().map(|_| Value::Null).collect();
        for (field, value) in old.fields().iter().zip(&mut held.values) {
            if let Some(at) = held.schema.field_index(&field.name) {
                values[at] = std::mem::take(value);
            }
        }
        held.values = values;
    }
}

/// The schema of a value that is cast as a whole: a logical name stays, which Connect's casts of fields drop.
fn whole_schema(schema: &Schema, kind: SchemaType, losses: Losses, arena: &Arena) -> Result<Arc<Schema>, ConnectError> {
    let mut builder = copy_basics(schema, Schema::builder(kind));
    if schema.optional {
        builder = builder.optional();
    }
    if let Some(default) = &schema.default {
        let default = convert(Some(schema), default, kind, losses, arena)?.to_owned_value(arena);
        builder = with_default(builder, default)?;
    }
    Ok(builder.build())
}

/// The schema of a struct with some of its fields cast.
fn fields_schema(schema: &Schema, casts: &Casts, losses: Losses, arena: &Arena) -> Result<Arc<Schema>, ConnectError> {
    let mut builder = StructBuilder::like(schema);
    for field in fields(schema)? {
        let Some(&kind) = casts.get(&*field.name) else {
            builder = builder.field(Arc::clone(&field.name), &field.schema)?;
            continue;
        };
        let mut cast = Schema::builder(kind);
        if field.schema.optional {
            cast = cast.optional();
        }
        if let Some(default) = &field.schema.default {
            let default = convert(Some(&field.schema), default, kind, losses, arena)?.to_owned_value(arena);
            cast = with_default(cast, default)?;
        }
        builder = builder.field(Arc::clone(&field.name), &cast.build())?;
    }
    let mut builder = builder.finish();
    if schema.optional {
        builder = builder.optional();
    }
    if let Some(default) = &schema.default {
        // Connect casts the default as a whole, which no struct can be.
        builder = with_default(builder, convert(Some(schema), default, SchemaType::Struct, losses, arena)?)?;
    }
    Ok(builder.build())
}

impl RecordTransform for Cast {
    fn class(&self) -> &'static str {
        sided!(self.side, "Cast")
    }

    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        let parsed = self.config_def().parse(config)?;
        self.spec = cast_spec(parsed.list("spec"))?;
        self.losses = Losses::parse(config)?;
        self.with_defaults = parsed.flag(REPLACE_NULL);
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new([
            ConfigKey::required(
                "spec",
                ConfigType::List,
                Importance::High,
                "Fields and their new types, as field:type, or one type for the key or value as a whole. Types are int8, int16, int32, \
                 int64, float32, float64, boolean and string. Bytes can be cast to string only, which gives base64.",
            )
            .validator(Validator::CastSpec),
            replace_null_key(),
        ])
    }

    fn apply(&mut self, record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError> {
        let Self { side, spec, losses, with_defaults, schemas } = self;
        let (side, losses, with_defaults) = (*side, *losses, *with_defaults);
        let value = record.value(side);
        if value.is_null() {
            return Ok(Verdict::Keep);
        }
        match (spec, record.schema(side)) {
            (CastSpec::Whole(kind), None) => {
                let value = convert(None, value, *kind, losses, record.arena)?;
                *record.value_mut(side) = value;
            }
            (CastSpec::Whole(kind), Some(schema)) => {
                let to = schemas.get(schema, |schema| whole_schema(schema, *kind, losses, record.arena))?;
                let value = convert(Some(schema), value, *kind, losses, record.arena)?;
                record.set(side, Some(Arc::clone(to)), value);
            }
            (CastSpec::Fields(casts), None) => cast_map(record, side, casts, losses)?,
            (CastSpec::Fields(casts), Some(schema)) => {
                let to = schemas.get(schema, |schema| fields_schema(schema, casts, losses, record.arena))?;
                let held = require_struct(value, PURPOSE)?;
                let cast = cast_values(held, to, casts, with_defaults, losses, record.arena)?;
                let mut held = into_struct(take(record, side));
                put_under(&mut held, Arc::clone(to), cast, with_defaults);
                record.set(side, Some(Arc::clone(to)), Value::Struct(held));
            }
        }
        Ok(Verdict::Keep)
    }
}
