//! `InsertField`: adds fields with a record's topic, partition, offset or timestamp, or with a fixed text.

use std::sync::Arc;

use data_plane_connector_api::config_def::{ConfigType, Importance};
use data_plane_connector_api::{Config, ConfigDef, ConfigKey, ConnectError, RecordTransform, Verdict};
use data_plane_record::logical::timestamp_schema;
use data_plane_record::{Arena, OpenRecord, Schema, SchemaType, Side, Value, ValueMap};

use crate::replace_null::{REPLACE_NULL, replace_null_key};
use crate::requirements::{into_map, into_struct, require_map, require_struct, take};
use crate::schema_cache::SchemaCache;
use crate::sided;
use crate::structs::{StructBuilder, check_field, effective, fill_default};

const PURPOSE: &str = "field insertion";

/// Adds fields to the key or value.
#[derive(Debug)]
pub(crate) struct InsertField {
    side: Side,
    insertions: Insertions,
    with_defaults: bool,
    schemas: SchemaCache<Arc<Schema>>,
}

/// The fields to insert, in their order.
#[derive(Debug, Default)]
struct Insertions {
    topic: Option<Insertion>,
    partition: Option<Insertion>,
    offset: Option<Insertion>,
    timestamp: Option<Insertion>,
    fixed: Option<(Insertion, String)>,
}

/// A field to insert.
#[derive(Debug)]
struct Insertion {
    name: Arc<str>,
    optional: bool,
}

impl Insertion {
    /// A name with an optional suffix: `!` is required, `?` optional, as is a name alone.
    fn parse(text: &str) -> Self {
        match (text.strip_suffix('?'), text.strip_suffix('!')) {
            (None, Some(name)) => Self { name: name.into(), optional: false },
            (name, _) => Self { name: name.unwrap_or(text).into(), optional: true },
        }
    }

    fn add_to(&self, builder: StructBuilder, kind: SchemaType) -> Result<StructBuilder, ConnectError> {
        builder.field(Arc::clone(&self.name), Schema::plain(kind, self.optional))
    }
}

impl InsertField {
    pub(crate) fn new(side: Side) -> Self {
        Self { side, insertions: Insertions::default(), with_defaults: true, schemas: SchemaCache::default() }
    }

    fn insert_in_map(&self, record: &mut OpenRecord<'_>) -> Result<(), ConnectError> {
        require_map(record.value(self.side), PURPOSE)?;
        let offset = self.insertions.offset_of(record)?;
        let Insertions { topic, partition, timestamp, fixed, .. } = &self.insertions;
        let mut map = into_map(take(record, self.side));
        if let Some(field) = topic {
            let topic = record.topic_value();
            insert(&mut map, record.arena, &field.name, topic);
        }
        if let (Some(field), Some(partition)) = (partition, record.kafka_partition()) {
            insert(&mut map, record.arena, &field.name, Value::Int32(partition));
        }
        if let (Some(field), Some(offset)) = (&self.insertions.offset, offset) {
            insert(&mut map, record.arena, &field.name, Value::Int64(offset));
        }
        if let (Some(field), Some(timestamp)) = (timestamp, record.timestamp()) {
            insert(&mut map, record.arena, &field.name, Value::Int64(timestamp));
        }
        if let Some((field, text)) = fixed {
            let text = Value::StringSpan(record.arena.push(text.as_bytes()));
            insert(&mut map, record.arena, &field.name, text);
        }
        *record.value_mut(self.side) = Value::Map(map);
        Ok(())
    }

    fn insert_in_struct(&mut self, record: &mut OpenRecord<'_>) -> Result<(), ConnectError> {
        let held = require_struct(record.value(self.side), PURPOSE)?;
        let insertions = &self.insertions;
        let schema = self.schemas.get(&held.schema, |schema| insertions.schema_with_fields(schema))?;
        for (field, value) in held.schema.fields().iter().zip(&held.values) {
            check_field(field, effective(field, value, self.with_defaults))?;
        }
        let offset = insertions.offset_of(record)?;
        let mut held = into_struct(take(record, self.side));
        let mut values = std::mem::take(&mut held.values).into_vec();
        for (field, value) in held.schema.fields().iter().zip(&mut values) {
            fill_default(field, value, self.with_defaults);
        }
        values.reserve_exact(schema.fields().len().saturating_sub(values.len()));
        if insertions.topic.is_some() {
            values.push(record.topic_value());
        }
        if insertions.partition.is_some() {
            values.push(record.kafka_partition().map_or(Value::Null, Value::Int32));
        }
        if let Some(offset) = offset {
            values.push(Value::Int64(offset));
        }
        if insertions.timestamp.is_some() {
            values.push(record.timestamp().map_or(Value::Null, Value::DateTime));
        }
        if let Some((_, text)) = &insertions.fixed {
            values.push(Value::StringSpan(record.arena.push(text.as_bytes())));
        }
        held.values = values.into();
        held.schema = Arc::clone(schema);
        record.set(self.side, Some(Arc::clone(schema)), Value::Struct(held));
        Ok(())
    }
}

impl Insertions {
    /// The offset, if it is to be inserted.
    fn offset_of(&self, record: &OpenRecord<'_>) -> Result<Option<i64>, ConnectError> {
        if self.offset.is_none() {
            return Ok(None);
        }
        match record.kafka_offset() {
            Some(offset) => Ok(Some(offset)),
            None => Err(ConnectError::data(format!(
                "Only SinkRecord supported for [{PURPOSE}], found: org.apache.kafka.connect.source.SourceRecord"
            ))),
        }
    }

    /// A struct's schema with the fields added.
    fn schema_with_fields(&self, schema: &Schema) -> Result<Arc<Schema>, ConnectError> {
        let mut builder = StructBuilder::like(schema);
        for field in schema.fields() {
            builder = builder.field(Arc::clone(&field.name), &field.schema)?;
        }
        if let Some(field) = &self.topic {
            builder = field.add_to(builder, SchemaType::String)?;
        }
        if let Some(field) = &self.partition {
            builder = field.add_to(builder, SchemaType::Int32)?;
        }
        if let Some(field) = &self.offset {
            builder = field.add_to(builder, SchemaType::Int64)?;
        }
        if let Some(field) = &self.timestamp {
            builder = builder.field(Arc::clone(&field.name), timestamp_schema(field.optional))?;
        }
        if let Some((field, _)) = &self.fixed {
            builder = field.add_to(builder, SchemaType::String)?;
        }
        Ok(builder.finish().build())
    }
}

/// Replaces an entry, or appends one.
fn insert(map: &mut ValueMap, arena: &mut Arena, key: &str, value: Value) {
    match map.get_str_mut(arena, key) {
        Some(held) => *held = value,
        None => map.push(Value::StringSpan(arena.push(key.as_bytes())), value),
    }
}

impl RecordTransform for InsertField {
    fn class(&self) -> &'static str {
        sided!(self.side, "InsertField")
    }

    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        let parsed = self.config_def().parse(config)?;
        let insertion = |name| parsed.text(name).map(Insertion::parse);
        let (topic, partition) = (insertion("topic.field"), insertion("partition.field"));
        let (offset, timestamp) = (insertion("offset.field"), insertion("timestamp.field"));
        let fixed = insertion("static.field");
        self.with_defaults = parsed.flag(REPLACE_NULL);
        if [&topic, &partition, &offset, &timestamp, &fixed].into_iter().all(Option::is_none) {
            return Err(ConnectError::config("No field insertion configured"));
        }
        let fixed = match (fixed, parsed.text("static.value")) {
            (Some(field), Some(text)) => Some((field, text.to_owned())),
            (Some(field), None) => {
                let why = format!("No value specified for static field: {}", field.name);
                return Err(ConnectError::config_value("static.value", "null", &why));
            }
            (None, _) => None,
        };
        self.insertions = Insertions { topic, partition, offset, timestamp, fixed };
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        let key = |name, documentation| {
            ConfigKey::optional(name, ConfigType::String, None, Importance::Medium, documentation)
        };
        ConfigDef::new([
            key(
                "topic.field",
                "Name of a field for the topic. At the end of any name here, ! makes the field required, ? optional.",
            ),
            key("partition.field", "Name of a field for the Kafka partition."),
            key("offset.field", "Name of a field for the Kafka offset; for sink connectors only."),
            key("timestamp.field", "Name of a field for the record's timestamp."),
            key("static.field", "Name of a field for static.value."),
            key("static.value", "The text for static.field."),
            replace_null_key(),
        ])
    }

    fn apply(&mut self, record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError> {
        match (record.value(self.side), record.schema(self.side)) {
            (Value::Null, _) => {}
            (_, None) => self.insert_in_map(record)?,
            (_, Some(_)) => self.insert_in_struct(record)?,
        }
        Ok(Verdict::Keep)
    }
}
