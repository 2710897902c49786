//! `SetSchemaMetadata`: gives the schema of a struct another name or version.

use std::sync::Arc;

use data_plane_connector_api::config_def::{ConfigType, Importance};
use data_plane_connector_api::{Config, ConfigDef, ConfigKey, ConnectError, RecordTransform, Verdict};
use data_plane_record::{Field, OpenRecord, Schema, SchemaType, Side, Struct, Value};

use crate::replace_null::{REPLACE_NULL, replace_null_key};
use crate::requirements::take;
use crate::schema_cache::SchemaCache;
use crate::sided;
use crate::structs::{check_field, effective, fields, fill_default, not_a_field};

/// Sets a schema's name and version. As in Connect, schemas of other types than struct are refused.
#[derive(Debug)]
pub(crate) struct SetSchemaMetadata {
    side: Side,
    name: Option<Arc<str>>,
    version: Option<i32>,
    with_defaults: bool,
    schemas: SchemaCache<Arc<Schema>>,
}

impl SetSchemaMetadata {
    pub(crate) fn new(side: Side) -> Self {
        Self { side, name: None, version: None, with_defaults: true, schemas: SchemaCache::default() }
    }
}

/// A copy of a struct's schema with another name or version.
fn renamed(schema: &Schema, name: Option<&Arc<str>>, version: Option<i32>) -> Result<Arc<Schema>, ConnectError> {
    let fields = fields(schema)?.iter();
    let mut builder = fields.fold(Schema::builder(SchemaType::Struct), |builder, field| {
        builder.field(Arc::clone(&field.name), Arc::clone(&field.schema))
    });
    if schema.optional {
        builder = builder.optional();
    }
    if let Some(default) = &schema.default {
        builder = builder.default_value(default.clone());
    }
    if let Some(name) = name.or(schema.name.as_ref()) {
        builder = builder.name(Arc::clone(name));
    }
    if let Some(version) = version.or(schema.version) {
        builder = builder.version(version);
    }
    if let Some(doc) = &schema.doc {
        builder = builder.doc(Arc::clone(doc));
    }
    for (name, value) in &schema.parameters {
        builder = builder.parameter(Arc::clone(name), Arc::clone(value));
    }
    Ok(builder.build())
}

/// The indexes of a struct's values that go under the fields of a schema, and whether they can. Connect looks for them by index with
/// defaults and by name without, which differs for a struct of another schema than its record's only.
fn sources(held: &Struct, schema: &Schema, with_defaults: bool) -> Result<Vec<usize>, ConnectError> {
    let source = |(index, field): (usize, &Field)| {
        let at = if with_defaults {
            let class = "java.lang.ArrayIndexOutOfBoundsException";
            let why = || ConnectError::new(class, format!("the struct has no value for the field {}", field.name));
            Some(index).filter(|&at| at < held.values.len()).ok_or_else(why)?
        } else {
            held.schema.field_index(&field.name).ok_or_else(|| not_a_field(&field.name))?
        };
        check_field(field, effective(field, &held.values[at], with_defaults))?;
        Ok(at)
    };
    schema.fields().iter().enumerate().map(source).collect()
}

impl RecordTransform for SetSchemaMetadata {
    fn class(&self) -> &'static str {
        sided!(self.side, "SetSchemaMetadata")
    }

    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        let parsed = self.config_def().parse(config)?;
        self.name = parsed.text("schema.name").map(Arc::from);
        self.version = parsed.integer("schema.version").and_then(|version| i32::try_from(version).ok());
        self.with_defaults = parsed.flag(REPLACE_NULL);
        if self.name.is_none() && self.version.is_none() {
            return Err(ConnectError::config("Neither schema name nor version configured"));
        }
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new([
            ConfigKey::optional("schema.name", ConfigType::String, None, Importance::High, "The name to set."),
            ConfigKey::optional("schema.version", ConfigType::Int, None, Importance::High, "The version to set."),
            replace_null_key(),
        ])
    }

    fn apply(&mut self, record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError> {
        let value = record.value(self.side);
        let Some(schema) = record.schema(self.side) else {
            if value.is_null() {
                return Ok(Verdict::Keep);
            }
            return Err(ConnectError::data("Schema required for [updating schema metadata]"));
        };
        let (name, version) = (self.name.as_ref(), self.version);
        let schema = Arc::clone(self.schemas.get(schema, |schema| renamed(schema, name, version))?);
        let sources = match value.as_struct() {
            Some(held) => sources(held, &schema, self.with_defaults)?,
            None => Vec::new(),
        };
        let mut value = take(record, self.side);
        if let Value::Struct(held) = &mut value {
            let taken = |(field, at): (&Field, usize)| {
                let mut value = std::mem::take(&mut held.values[at]);
                fill_default(field, &mut value, self.with_defaults);
                value
            };
            held.values = schema.fields().iter().zip(sources).map(taken).collect();
            held.schema = Arc::clone(&schema);
        }
        record.set(self.side, Some(schema), value);
        Ok(Verdict::Keep)
    }
}
