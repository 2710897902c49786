//! `HeaderFrom`: copies or moves fields to headers.

use std::collections::BTreeSet;
use std::sync::Arc;

use data_plane_connector_api::config_def::{ConfigType, Importance, Validator};
use data_plane_connector_api::{Config, ConfigDef, ConfigKey, ConnectError, RecordTransform, Verdict};
use data_plane_record::java_text;
use data_plane_record::logical::Logical;
use data_plane_record::{Arena, OpenRecord, Schema, SchemaType, Side, Struct, Value};

use crate::replace_null::{REPLACE_NULL, replace_null_key};
use crate::requirements::{into_map, require_map, require_struct, take};
use crate::schema_cache::SchemaCache;
use crate::sided;
use crate::structs::{Moves, StructBuilder, effective, fields, look_up, type_text};

/// Copies or moves fields of the key or value to headers.
#[derive(Debug)]
pub(crate) struct HeaderFrom {
    side: Side,
    /// Fields with their headers, in order.
    pairs: Vec<(String, String)>,
    /// The fields to take out.
    moved: BTreeSet<String>,
    purpose: String,
    with_defaults: bool,
    schemas: SchemaCache<Arc<Schema>>,
}

impl HeaderFrom {
    pub(crate) fn new(side: Side) -> Self {
        Self {
            side,
            pairs: Vec::new(),
            moved: BTreeSet::new(),
            purpose: String::new(),
            with_defaults: true,
            schemas: SchemaCache::default(),
        }
    }

    fn headers_from_map(&self, record: &mut OpenRecord<'_>) -> Result<(), ConnectError> {
        let map = require_map(record.value(self.side), &self.purpose)?;
        let find = |field: &str| map.get_str(record.arena, field).cloned().unwrap_or_default();
        let values: Vec<_> = self.pairs.iter().map(|(field, _)| find(field)).collect();
        if !self.moved.is_empty() {
            let mut map = into_map(take(record, self.side));
            for field in &self.moved {
                map.remove_str(record.arena, field);
            }
            *record.value_mut(self.side) = Value::Map(map);
        }
        for ((_, header), value) in self.pairs.iter().zip(values) {
            // A header without schema has that of its struct.
            let schema = value.as_struct().map(|held| Arc::clone(&held.schema));
            record.add_header(header, schema, value);
        }
        Ok(())
    }

    fn headers_from_struct(&mut self, record: &mut OpenRecord<'_>, schema: &Arc<Schema>) -> Result<(), ConnectError> {
        let held = require_struct(record.value(self.side), &self.purpose)?;
        let moves = match self.moved.is_empty() {
            true => None,
            false => {
                let rest = self.schemas.get(schema, |schema| without(schema, &self.moved))?;
                Some(Moves::by_name(&held.schema, Arc::clone(rest))?)
            }
        };
        if let Some(moves) = &moves {
            moves.check(held, self.with_defaults)?;
        }
        let mut headers = Vec::with_capacity(self.pairs.len());
        for (field, _) in &self.pairs {
            headers.push(header_of(held, schema, field, self.with_defaults, record.arena)?);
        }
        if let Some(moves) = moves {
            let mut value = take(record, self.side);
            if let Value::Struct(held) = &mut value {
                moves.apply(held, self.with_defaults);
            }
            record.set(self.side, Some(moves.to), value);
        }
        for ((_, header), (schema, value)) in self.pairs.iter().zip(headers) {
            record.add_header(header, Some(schema), value);
        }
        Ok(())
    }
}

/// A struct's schema without some of its fields.
fn without(schema: &Schema, names: &BTreeSet<String>) -> Result<Arc<Schema>, ConnectError> {
    let mut builder = StructBuilder::like(schema);
    for field in fields(schema)?.iter().filter(|field| !names.contains(&*field.name)) {
        builder = builder.field(Arc::clone(&field.name), &field.schema)?;
    }
    Ok(builder.finish().build())
}

/// The schema and value of a header: of a field of the record's schema, whose value comes from the struct.
fn header_of(
    held: &Struct,
    schema: &Schema,
    name: &str,
    with_defaults: bool,
    arena: &Arena,
) -> Result<(Arc<Schema>, Value), ConnectError> {
    let index = held.schema.field_index(name);
    let value = index.map_or(&Value::Null, |at| effective(&held.schema.fields()[at], &held.values[at], with_defaults));
    let field = look_up(schema, name)?.map(|at| &schema.fields()[at]).ok_or_else(|| {
        let why = format!("there is no field {name} in the schema, of which a header should be made");
        ConnectError::new("java.lang.NullPointerException", why)
    })?;
    check_header(&field.schema, value, arena)?;
    Ok((Arc::clone(&field.schema), value.clone()))
}

/// `ConnectHeaders.checkSchemaMatches`.
fn check_header(schema: &Schema, value: &Value, arena: &Arena) -> Result<(), ConnectError> {
    let kind = type_text(schema.kind);
    let schema_text = || match &schema.name {
        Some(name) => format!("Schema{{{name}:{kind}}}"),
        None => format!("Schema{{{kind}}}"),
    };
    if value.is_null() {
        return match schema.optional {
            true => Ok(()),
            false => {
                let why = format!("A null value requires an optional schema but was {}", schema_text());
                Err(ConnectError::data(why))
            }
        };
    }
    let logical = Logical::of(schema);
    let fits = match (schema.kind, value) {
        (SchemaType::Bytes, Value::Bytes(_) | Value::BytesSpan(_))
        | (SchemaType::String, Value::String(_) | Value::StringSpan(_))
        | (SchemaType::Boolean, Value::Boolean(_))
        | (SchemaType::Int8, Value::Int8(_))
        | (SchemaType::Int16, Value::Int16(_))
        | (SchemaType::Int32, Value::Int32(_))
        | (SchemaType::Int64, Value::Int64(_))
        | (SchemaType::Float32, Value::Float32(_))
        | (SchemaType::Float64, Value::Float64(_))
        | (SchemaType::Array, Value::Array(_))
        | (SchemaType::Map, Value::Map(_))
        | (SchemaType::Struct, Value::Struct(_)) => true,
        (SchemaType::Bytes, Value::Decimal(_)) => logical == Some(Logical::Decimal),
        (SchemaType::Int32, Value::DateTime(_)) => matches!(logical, Some(Logical::Date | Logical::Time)),
        (SchemaType::Int64, Value::DateTime(_)) => logical == Some(Logical::Timestamp),
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let mut text = Vec::new();
    java_text::write_value(value, arena, &mut text);
    let text = String::from_utf8_lossy(&text);
    Err(ConnectError::data(format!("The value {text} is not compatible with the schema {}", schema_text())))
}

impl RecordTransform for HeaderFrom {
    fn class(&self) -> &'static str {
        sided!(self.side, "HeaderFrom")
    }

    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        let parsed = self.config_def().parse(config)?;
        let (fields, headers) = (parsed.list("fields"), parsed.list("headers"));
        if fields.len() != headers.len() {
            return Err(ConnectError::config(
                "'fields' config must have the same number of elements as 'headers' config.",
            ));
        }
        let operation = parsed.text("operation").unwrap_or_default();
        self.pairs = fields.iter().cloned().zip(headers.iter().cloned()).collect();
        self.moved = fields.iter().filter(|_| operation == "move").cloned().collect();
        self.purpose = format!("header {operation}");
        self.with_defaults = parsed.flag(REPLACE_NULL);
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        let key = |name, kind, documentation| ConfigKey::required(name, kind, Importance::High, documentation);
        ConfigDef::new([
            key("fields", ConfigType::List, "The fields.").validator(Validator::NonEmptyList),
            key("headers", ConfigType::List, "The keys of their headers, one a field, in the same order.")
                .validator(Validator::NonEmptyList),
            key("operation", ConfigType::String, "copy leaves the fields where they are, move takes them out.")
                .validator(Validator::OneOf(vec!["move".to_owned(), "copy".to_owned()])),
            replace_null_key(),
        ])
    }

    fn apply(&mut self, record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError> {
        match record.schema(self.side).cloned() {
            None => self.headers_from_map(record)?,
            Some(schema) => self.headers_from_struct(record, &schema)?,
        }
        Ok(Verdict::Keep)
    }
}
