//! `TimestampConverter`: timestamps from one form to another: text, a number since the epoch (KIP-808), Date, Time, Timestamp.

mod forms;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use data_plane_connector_api::config_def::{ConfigType, Importance, Validator};
use data_plane_connector_api::{Config, ConfigDef, ConfigKey, ConnectError, Losses, RecordTransform, Verdict};
use data_plane_record::{Arena, Field, JavaDateFormat, OpenRecord, Schema, Side, Struct, Value};

use crate::replace_null::{REPLACE_NULL, replace_null_key};
use crate::requirements::{into_map, into_struct, require_map, require_struct, take};
use crate::schema_cache::SchemaCache;
use crate::sided;
use crate::structs::{StructBuilder, check_field, effective, fields, fill_default, not_a_field, with_default};
use forms::{Form, Forms, Precision};

const PURPOSE: &str = "converting timestamp formats";

/// Converts the key or value, or a field of it.
#[derive(Debug)]
pub(crate) struct TimestampConverter {
    side: Side,
    /// Empty is the whole key or value.
    field: String,
    forms: Forms,
    with_defaults: bool,
    schemas: SchemaCache<Arc<Schema>>,
}

impl TimestampConverter {
    pub(crate) fn new(side: Side) -> Self {
        Self {
            side,
            field: String::new(),
            forms: Forms::default(),
            with_defaults: true,
            schemas: SchemaCache::default(),
        }
    }

    fn convert_schemaless(&mut self, record: &mut OpenRecord<'_>) -> Result<(), ConnectError> {
        let value = record.value(self.side);
        if value.is_null() || self.field.is_empty() {
            let value = value.clone();
            let converted = self.forms.convert(&value, None, record.arena)?;
            *record.value_mut(self.side) = converted;
            return Ok(());
        }
        let held = require_map(value, PURPOSE)?.get_str(record.arena, &self.field).cloned().unwrap_or_default();
        let converted = self.forms.convert(&held, None, record.arena)?;
        let mut map = into_map(take(record, self.side));
        match map.get_str_mut(record.arena, &self.field) {
            Some(held) => *held = converted,
            None => map.push(Value::StringSpan(record.arena.push(self.field.as_bytes())), converted),
        }
        *record.value_mut(self.side) = Value::Map(map);
        Ok(())
    }

    fn convert_field(&mut self, record: &mut OpenRecord<'_>, schema: &Arc<Schema>) -> Result<(), ConnectError> {
        let value = record.value(self.side);
        let held = if value.is_null() { None } else { Some(Arc::clone(&require_struct(value, PURPOSE)?.schema)) };
        let mut schemas = std::mem::take(&mut self.schemas);
        let converted = schemas.get(schema, |schema| self.converted_schema(schema)).map(Arc::clone);
        self.schemas = schemas;
        let converted = converted?;
        let value = match held {
            Some(held) => self.convert_struct(record, &held, &converted)?,
            None => Value::Null,
        };
        record.set(self.side, Some(converted), value);
        Ok(())
    }

    /// The record's struct, with fields of `held`, with the field converted, under a schema of [`Self::converted_schema`].
    fn convert_struct(
        &self,
        record: &mut OpenRecord<'_>,
        held: &Schema,
        schema: &Arc<Schema>,
    ) -> Result<Value, ConnectError> {
        // All is checked before anything is moved, so that a failing record stays as it was.
        let mut replaced = None;
        for (index, field) in held.fields().iter().enumerate() {
            let value = &require_struct(record.value(self.side), PURPOSE)?.values[index];
            let value = effective(field, value, self.with_defaults);
            let target = target_field(schema, field)?;
            if *field.name == *self.field {
                let value = value.clone();
                let value = self.forms.convert(&value, Some(Form::of(&field.schema)?), record.arena)?;
                check_field(target, &value)?;
                replaced = Some((index, value));
            } else {
                check_field(target, value)?;
            }
        }
        let mut moved = into_struct(take(record, self.side));
        for (field, value) in held.fields().iter().zip(&mut moved.values) {
            fill_default(field, value, self.with_defaults);
        }
        if let Some((index, value)) = replaced {
            moved.values[index] = value;
        }
        Ok(Value::Struct(Box::new(rearranged(held, std::mem::take(&mut moved.values), schema))))
    }

    /// The schema of structs with the field converted.
    fn converted_schema(&self, schema: &Arc<Schema>) -> Result<Arc<Schema>, ConnectError> {
        let mut builder = StructBuilder::like(schema);
        for field in fields(schema)? {
            let converted = if *field.name == *self.field {
                self.forms.target.schema(field.schema.optional)
            } else {
                &field.schema
            };
            builder = builder.field(Arc::clone(&field.name), converted)?;
        }
        let mut builder = builder.finish();
        if schema.optional {
            builder = builder.optional();
        }
        if let Some(default) = &schema.default {
            let held = require_struct(default, PURPOSE)?;
            let converted = self.convert_default(held, &builder.clone().build())?;
            builder = with_default(builder, converted)?;
        }
        Ok(builder.build())
    }

    /// The default of a struct's schema with the field converted.
    fn convert_default(&self, held: &Struct, schema: &Arc<Schema>) -> Result<Value, ConnectError> {
        let mut arena = Arena::default();
        let mut values = Vec::with_capacity(held.values.len());
        for (field, value) in held.schema.fields().iter().zip(&held.values) {
            let mut value = effective(field, value, self.with_defaults).clone();
            if *field.name == *self.field {
                value = self.forms.convert(&value, Some(Form::of(&field.schema)?), &mut arena)?.to_owned_value(&arena);
            }
            check_field(target_field(schema, field)?, &value)?;
            values.push(value);
        }
        Ok(Value::Struct(Box::new(rearranged(&held.schema, values.into(), schema))))
    }
}

/// The field of the same name.
fn target_field<'a>(schema: &'a Schema, field: &Field) -> Result<&'a Field, ConnectError> {
    let at = schema.field_index(&field.name).ok_or_else(|| not_a_field(&field.name))?;
    Ok(&schema.fields()[at])
}

/// A struct of another schema from the values of one, by names of fields; both schemas have them.
fn rearranged(from: &Schema, values: Box<[Value]>, to: &Arc<Schema>) -> Struct {
    let in_place = from.fields().len() == to.fields().len()
        && from.fields().iter().zip(to.fields()).all(|(from, to)| from.name == to.name);
    if in_place {
        return Struct { schema: Arc::clone(to), values };
    }
    let mut arranged = Struct::new(Arc::clone(to));
    for (field, value) in from.fields().iter().zip(values) {
        if let Some(at) = to.field_index(&field.name) {
            arranged.values[at] = value;
        }
    }
    arranged
}

impl RecordTransform for TimestampConverter {
    fn class(&self) -> &'static str {
        sided!(self.side, "TimestampConverter")
    }

    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        let parsed = self.config_def().parse(config)?;
        let text = |name| parsed.text(name).unwrap_or_default();
        let target = Form::named(text("target.type"));
        let pattern = text("format");
        let is_blank = pattern.trim().is_empty();
        if target == Form::Text && is_blank {
            return Err(ConnectError::config(
                "TimestampConverter requires format option to be specified when using string timestamps",
            ));
        }
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let format = match JavaDateFormat::new(pattern, now_ms) {
            _ if is_blank => None,
            Ok(format) => Some(format),
            Err(error) => {
                return Err(ConnectError::config(format!(
                    "Invalid value java.lang.IllegalArgumentException: {error} for configuration TimestampConverter \
                     requires a SimpleDateFormat-compatible pattern for string timestamps: {pattern}"
                )));
            }
        };
        let precision = Precision::named(text("unix.precision"));
        self.forms = Forms { target, format, precision, losses: Losses::parse(config)? };
        self.field = text("field").to_owned();
        self.with_defaults = parsed.flag(REPLACE_NULL);
        self.schemas = SchemaCache::default();
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        let optional = |name, default, importance, documentation| {
            ConfigKey::optional(name, ConfigType::String, Some(default), importance, documentation)
        };
        ConfigDef::new([
            optional(
                "field",
                "",
                Importance::High,
                "The field with the timestamp; empty if the whole key or value is one.",
            ),
            ConfigKey::required(
                "target.type",
                ConfigType::String,
                Importance::High,
                "The form wanted: string, unix, Date, Time or Timestamp.",
            )
            .validator(Validator::OneOf(Form::NAMES.map(str::to_owned).to_vec())),
            optional(
                "format",
                "",
                Importance::Medium,
                "How timestamps are written in text, or read from it: a pattern of Java's SimpleDateFormat.",
            ),
            optional(
                "unix.precision",
                "milliseconds",
                Importance::Low,
                "The unit of numbers since the epoch: seconds, milliseconds, microseconds or nanoseconds. What is finer \
                 than a millisecond is lost.",
            )
            .validator(Validator::OneOf(Precision::NAMES.map(str::to_owned).to_vec())),
            replace_null_key(),
        ])
    }

    fn apply(&mut self, record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError> {
        let Some(schema) = record.schema(self.side).map(Arc::clone) else {
            self.convert_schemaless(record)?;
            return Ok(Verdict::Keep);
        };
        if self.field.is_empty() {
            let value = record.value(self.side).clone();
            let converted = self.forms.convert(&value, Some(Form::of(&schema)?), record.arena)?;
            record.set(self.side, Some(Arc::clone(self.forms.target.schema(schema.optional))), converted);
        } else {
            self.convert_field(record, &schema)?;
        }
        Ok(Verdict::Keep)
    }
}
