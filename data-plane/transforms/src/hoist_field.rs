//! `HoistField`: wraps the key or value in a struct or a map with one field.

use std::sync::Arc;

use data_plane_connector_api::config_def::{ConfigType, Importance};
use data_plane_connector_api::{Config, ConfigDef, ConfigKey, ConnectError, RecordTransform, Verdict};
use data_plane_record::{OpenRecord, Schema, Side, Struct, Value, ValueMap};

use crate::requirements::take;
use crate::schema_cache::SchemaCache;
use crate::sided;
use crate::structs::{StructBuilder, check_field};

/// Wraps the key or value as one field.
#[derive(Debug)]
pub(crate) struct HoistField {
    side: Side,
    field: Arc<str>,
    schemas: SchemaCache<Arc<Schema>>,
}

impl HoistField {
    pub(crate) fn new(side: Side) -> Self {
        Self { side, field: "".into(), schemas: SchemaCache::default() }
    }
}

impl RecordTransform for HoistField {
    fn class(&self) -> &'static str {
        sided!(self.side, "HoistField")
    }

    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        let parsed = self.config_def().parse(config)?;
        self.field = parsed.text("field").unwrap_or_default().into();
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new([ConfigKey::required(
            "field",
            ConfigType::String,
            Importance::Medium,
            "Name of the one field of the new struct or map.",
        )])
    }

    fn apply(&mut self, record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError> {
        let Some(schema) = record.schema(self.side) else {
            let key = Value::StringSpan(record.arena.push(self.field.as_bytes()));
            let mut map = ValueMap::new();
            map.push(key, take(record, self.side));
            *record.value_mut(self.side) = Value::Map(Box::new(map));
            return Ok(Verdict::Keep);
        };
        let hoisted = self
            .schemas
            .get(schema, |schema| Ok(StructBuilder::new().field(Arc::clone(&self.field), schema)?.finish().build()))?;
        hoisted.fields().iter().try_for_each(|field| check_field(field, record.value(self.side)))?;
        let values = Box::new([take(record, self.side)]);
        let hoisted = Arc::clone(hoisted);
        let value = Value::Struct(Box::new(Struct { schema: Arc::clone(&hoisted), values }));
        record.set(self.side, Some(hoisted), value);
        Ok(Verdict::Keep)
    }
}
