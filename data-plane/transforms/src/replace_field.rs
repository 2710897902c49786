//! `ReplaceField`: leaves fields out and renames others.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use data_plane_connector_api::config_def::{ConfigType, Importance, Validator, renames};
use data_plane_connector_api::{Config, ConfigDef, ConfigKey, ConnectError, RecordTransform, Verdict};
use data_plane_record::{OpenRecord, Schema, Side, Value, ValueMap};

use crate::java_hash_map;
use crate::replace_null::{REPLACE_NULL, replace_null_key};
use crate::requirements::{into_map, into_struct, key_is_no_text, require_map, require_struct, take};
use crate::schema_cache::SchemaCache;
use crate::sided;
use crate::structs::{Moves, StructBuilder, not_a_field};

const PURPOSE: &str = "field replacement";

/// Leaves fields out and renames others.
#[derive(Debug)]
pub(crate) struct ReplaceField {
    side: Side,
    names: Names,
    with_defaults: bool,
    moves: SchemaCache<Moves>,
}

/// Which fields stay, under which names.
#[derive(Debug, Default)]
struct Names {
    exclude: BTreeSet<String>,
    include: BTreeSet<String>,
    /// New names by old ones.
    renamed: HashMap<String, Arc<str>>,
    /// Old names by new ones; of several, the last one in the order of Java's `HashMap`.
    original: HashMap<Arc<str>, String>,
}

impl ReplaceField {
    pub(crate) fn new(side: Side) -> Self {
        Self { side, names: Names::default(), with_defaults: true, moves: SchemaCache::default() }
    }

    fn replace_in_map(&self, record: &mut OpenRecord<'_>) -> Result<(), ConnectError> {
        let held = require_map(record.value(self.side), PURPOSE)?;
        let is_no_text = |key: &Value| !key.is_null() && key.as_str(record.arena).is_none();
        if let Some((key, _)) = held.iter().find(|(key, _)| is_no_text(key)) {
            return Err(key_is_no_text(key));
        }
        let mut kept = ValueMap::new();
        for (key, value) in *into_map(take(record, self.side)) {
            let Some(name) = key.as_str(record.arena) else {
                // The null key: nothing names it, so that only a list of included fields leaves it out.
                if self.names.include.is_empty() {
                    kept.push(key, value);
                }
                continue;
            };
            if !self.names.keeps(name) {
                continue;
            }
            let renamed = self.names.renamed.get(name);
            // Only through renaming can two entries get the same key.
            let taken = if self.names.renamed.is_empty() {
                None
            } else {
                kept.get_str_mut(record.arena, renamed.map_or(name, |renamed| renamed))
            };
            match (taken, renamed) {
                (Some(entry), _) => *entry = value,
                (None, None) => kept.push(key, value),
                (None, Some(renamed)) => kept.push(Value::StringSpan(record.arena.push(renamed.as_bytes())), value),
            }
        }
        *record.value_mut(self.side) = Value::Map(Box::new(kept));
        Ok(())
    }

    fn replace_in_struct(&mut self, record: &mut OpenRecord<'_>) -> Result<(), ConnectError> {
        let held = require_struct(record.value(self.side), PURPOSE)?;
        let moves = self.moves.get(&held.schema, |schema| self.names.moves(schema))?;
        moves.check(held, self.with_defaults)?;
        let mut held = into_struct(take(record, self.side));
        moves.apply(&mut held, self.with_defaults);
        record.set(self.side, Some(Arc::clone(&moves.to)), Value::Struct(held));
        Ok(())
    }
}

impl Names {
    fn keeps(&self, name: &str) -> bool {
        !self.exclude.contains(name) && (self.include.is_empty() || self.include.contains(name))
    }

    /// From a struct's schema to the one with the fields that stay.
    fn moves(&self, schema: &Schema) -> Result<Moves, ConnectError> {
        let mut builder = StructBuilder::like(schema);
        for field in schema.fields().iter().filter(|field| self.keeps(&field.name)) {
            let name = self.renamed.get(&*field.name).unwrap_or(&field.name);
            builder = builder.field(Arc::clone(name), &field.schema)?;
        }
        let to = builder.finish().build();
        let source = |name: &Arc<str>| {
            let original = self.original.get(name).map_or(&**name, |original| original);
            schema.field_index(original).ok_or_else(|| not_a_field(original))
        };
        let sources = to.fields().iter().map(|field| source(&field.name)).collect::<Result<_, _>>()?;
        Ok(Moves { to, sources })
    }
}

impl RecordTransform for ReplaceField {
    fn class(&self) -> &'static str {
        sided!(self.side, "ReplaceField")
    }

    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        let parsed = self.config_def().parse(config)?;
        let set = |name| parsed.list(name).iter().cloned().collect();
        let mut pairs = Vec::new();
        for (old, new) in renames(parsed.list("renames"))? {
            match pairs.iter_mut().find(|(known, _)| *known == old) {
                Some((_, known)) => *known = Arc::from(new),
                None => pairs.push((old, Arc::from(new))),
            }
        }
        java_hash_map::sort(&mut pairs);
        self.names = Names {
            exclude: set("exclude"),
            include: set("include"),
            original: pairs.iter().map(|(old, new)| (Arc::clone(new), old.clone())).collect(),
            renamed: pairs.into_iter().collect(),
        };
        self.with_defaults = parsed.flag(REPLACE_NULL);
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        let list = |name, documentation, validator| {
            ConfigKey::optional(name, ConfigType::List, Some(""), Importance::Medium, documentation)
                .validator(validator)
        };
        ConfigDef::new([
            list("exclude", "Fields to leave out, even if they are included.", Validator::UniqueNonEmptyValues),
            list(
                "include",
                "Fields to keep, all others are left out; empty keeps all.",
                Validator::UniqueNonEmptyValues,
            ),
            list("renames", "Pairs old:new of names. Fields are left out by their old names.", Validator::Renames),
            replace_null_key(),
        ])
    }

    fn apply(&mut self, record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError> {
        match (record.value(self.side), record.schema(self.side)) {
            (Value::Null, _) => {}
            (_, None) => self.replace_in_map(record)?,
            (_, Some(_)) => self.replace_in_struct(record)?,
        }
        Ok(Verdict::Keep)
    }
}
