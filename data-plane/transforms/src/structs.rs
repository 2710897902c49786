//! Structs and their schemas as Java's `Struct` and `SchemaBuilder` guard them: what does not fit is refused with Connect's texts.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use data_plane_connector_api::ConnectError;
use data_plane_record::{Field, Schema, SchemaBuilder, SchemaType, Struct, Value};

pub(crate) const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
pub(crate) const DATE: &str = "org.apache.kafka.connect.data.Date";
pub(crate) const TIME: &str = "org.apache.kafka.connect.data.Time";
pub(crate) const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";

/// Java's spelling of a type, such as `INT8`.
pub(crate) fn type_text(kind: SchemaType) -> String {
    kind.name().to_uppercase()
}

/// `Struct.get` or `getWithoutDefault`: the value in effect of a field.
pub(crate) fn effective<'a>(field: &'a Field, value: &'a Value, with_default: bool) -> &'a Value {
    match &field.schema.default {
        Some(default) if with_default && value.is_null() => default,
        _ => value,
    }
}

/// Makes the value of a field the one in effect.
pub(crate) fn fill_default(field: &Field, value: &mut Value, with_default: bool) {
    if with_default
        && value.is_null()
        && let Some(default) = &field.schema.default
    {
        *value = default.clone();
    }
}

/// `Struct.put`: whether a field takes a value.
///
/// # Errors
/// A `DataException` in Connect's words.
pub(crate) fn check_field(field: &Field, value: &Value) -> Result<(), ConnectError> {
    check(&field.schema, value, &Place::Field(&field.name))
}

/// Where a value is.
enum Place<'a> {
    Value,
    Field(&'a str),
    Item(&'a Place<'a>),
    MapKey(&'a Place<'a>),
    MapValue(&'a Place<'a>),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value => formatter.write_str("value"),
            Self::Field(name) => write!(formatter, "field: \"{name}\""),
            Self::Item(whole) => write!(formatter, "element of array {whole}"),
            Self::MapKey(whole) => write!(formatter, "key of map {whole}"),
            Self::MapValue(whole) => write!(formatter, "value of map {whole}"),
        }
    }
}

/// `ConnectSchema.validateValue`.
fn check(schema: &Schema, value: &Value, place: &Place<'_>) -> Result<(), ConnectError> {
    if value.is_null() {
        return if schema.optional { Ok(()) } else { Err(null_refused(schema, place)) };
    }
    if !is_of_class(schema, value) {
        return Err(class_refused(schema, value, place));
    }
    match (schema.kind, value) {
        (SchemaType::Array, Value::Array(items)) => {
            let place = Place::Item(place);
            let schema = part(schema.values.as_ref(), &place)?;
            items.iter().try_for_each(|item| check(schema, item, &place))
        }
        (SchemaType::Map, Value::Map(map)) => {
            let (key_place, value_place) = (Place::MapKey(place), Place::MapValue(place));
            let keys = part(schema.keys.as_ref(), &key_place)?;
            let values = part(schema.values.as_ref(), &value_place)?;
            map.iter().try_for_each(|(key, value)| {
                check(keys, key, &key_place)?;
                check(values, value, &value_place)
            })
        }
        (SchemaType::Struct, Value::Struct(record)) => {
            if !std::ptr::eq(&*record.schema, schema) && *record.schema != *schema {
                return Err(ConnectError::data("Struct schemas do not match."));
            }
            record.schema.fields().iter().zip(&record.values).try_for_each(|(field, value)| {
                let has_default = value.is_null() && field.schema.default.is_some();
                if has_default { Ok(()) } else { check_field(field, value) }
            })
        }
        _ => Ok(()),
    }
}

fn part<'a>(schema: Option<&'a Arc<Schema>>, place: &Place<'_>) -> Result<&'a Schema, ConnectError> {
    schema.map(|schema| &**schema).ok_or_else(|| ConnectError::data(format!("No schema defined for {place}")))
}

/// Whether a value has the Java class that a schema asks for.
fn is_of_class(schema: &Schema, value: &Value) -> bool {
    match schema.name.as_deref() {
        Some(DECIMAL) => return matches!(value, Value::Decimal(_)),
        Some(DATE | TIME | TIMESTAMP) => return matches!(value, Value::DateTime(_)),
        _ => {}
    }
    matches!(
        (schema.kind, value),
        (SchemaType::Int8, Value::Int8(_))
            | (SchemaType::Int16, Value::Int16(_))
            | (SchemaType::Int32, Value::Int32(_))
            | (SchemaType::Int64, Value::Int64(_))
            | (SchemaType::Float32, Value::Float32(_))
            | (SchemaType::Float64, Value::Float64(_))
            | (SchemaType::Boolean, Value::Boolean(_))
            | (SchemaType::String, Value::String(_) | Value::StringSpan(_))
            | (SchemaType::Bytes, Value::Bytes(_) | Value::BytesSpan(_))
            | (SchemaType::Array, Value::Array(_))
            | (SchemaType::Map, Value::Map(_))
            | (SchemaType::Struct, Value::Struct(_))
    )
}

fn null_refused(schema: &Schema, place: &Place<'_>) -> ConnectError {
    let kind = type_text(schema.kind);
    ConnectError::data(format!("Invalid value: null used for required {place}, schema type: {kind}"))
}

fn class_refused(schema: &Schema, value: &Value, place: &Place<'_>) -> ConnectError {
    let name = schema.name.iter().map(|name| format!(" \"{name}\"")).collect::<String>();
    ConnectError::data(format!(
        "Invalid Java object for schema{name} with type {}: class {} for {place}",
        type_text(schema.kind),
        value.java_class()
    ))
}

/// How a struct becomes one of another schema: for each field of the new one, the index of its value in the old one. No value is
/// taken twice.
#[derive(Debug)]
pub(crate) struct Moves {
    pub(crate) to: Arc<Schema>,
    pub(crate) sources: Vec<usize>,
}

impl Moves {
    /// Each value to the field of the same name.
    ///
    /// # Errors
    /// A `DataException` if the old schema lacks a field.
    pub(crate) fn by_name(from: &Schema, to: Arc<Schema>) -> Result<Self, ConnectError> {
        let source = |field: &Field| from.field_index(&field.name).ok_or_else(|| not_a_field(&field.name));
        let sources = to.fields().iter().map(source).collect::<Result<_, _>>()?;
        Ok(Self { to, sources })
    }

    /// Whether the new schema takes the values.
    ///
    /// # Errors
    /// A `DataException` as of [`check_field`].
    pub(crate) fn check(&self, held: &Struct, with_defaults: bool) -> Result<(), ConnectError> {
        let values =
            self.sources.iter().map(|&at| effective(&held.schema.fields()[at], &held.values[at], with_defaults));
        self.to.fields().iter().zip(values).try_for_each(|(field, value)| check_field(field, value))
    }

    /// Moves the values, which have been checked.
    pub(crate) fn apply(&self, held: &mut Struct, with_defaults: bool) {
        let old_schema = std::mem::replace(&mut held.schema, Arc::clone(&self.to));
        let mut old = std::mem::take(&mut held.values);
        let taken = |&at: &usize| {
            let mut value = std::mem::take(&mut old[at]);
            fill_default(&old_schema.fields()[at], &mut value, with_defaults);
            value
        };
        held.values = self.sources.iter().map(taken).collect();
    }
}

/// The error for a field that a struct's schema does not have.
pub(crate) fn not_a_field(name: &str) -> ConnectError {
    ConnectError::data(format!("{name} is not a valid field name"))
}

/// The fields of a schema.
///
/// # Errors
/// A `DataException` if it is not one of a struct.
pub(crate) fn fields(schema: &Schema) -> Result<&[Field], ConnectError> {
    match schema.kind {
        SchemaType::Struct => Ok(schema.fields()),
        _ => Err(ConnectError::data("Cannot list fields on non-struct type")),
    }
}

/// `SchemaUtil.copySchemaBasics`: gives a new schema the name, version, documentation and parameters of another.
pub(crate) fn copy_basics(of: &Schema, mut to: SchemaBuilder) -> SchemaBuilder {
    if let Some(name) = &of.name {
        to = to.name(Arc::clone(name));
    }
    if let Some(version) = of.version {
        to = to.version(version);
    }
    if let Some(doc) = &of.doc {
        to = to.doc(Arc::clone(doc));
    }
    of.parameters.iter().fold(to, |to, (name, value)| to.parameter(Arc::clone(name), Arc::clone(value)))
}

/// `SchemaBuilder.defaultValue`.
///
/// # Errors
/// A `SchemaBuilderException` if the schema does not take the value.
pub(crate) fn with_default(builder: SchemaBuilder, default: Value) -> Result<SchemaBuilder, ConnectError> {
    check(&builder.clone().build(), &default, &Place::Value)
        .map_err(|error| ConnectError::schema_builder("Invalid default value").caused_by(error.class, error.message))?;
    Ok(builder.default_value(default))
}

/// Builds the schema of a struct; each name is taken once.
pub(crate) struct StructBuilder {
    builder: SchemaBuilder,
    names: HashSet<Arc<str>>,
}

impl StructBuilder {
    /// Without fields, and without name, version, documentation and parameters.
    pub(crate) fn new() -> Self {
        Self { builder: Schema::builder(SchemaType::Struct), names: HashSet::new() }
    }

    /// Without fields, with the basics of another schema.
    pub(crate) fn like(schema: &Schema) -> Self {
        Self { builder: copy_basics(schema, Schema::builder(SchemaType::Struct)), names: HashSet::new() }
    }

    /// Adds a field.
    ///
    /// # Errors
    /// A `SchemaBuilderException` if its name is empty or taken.
    pub(crate) fn field(mut self, name: impl Into<Arc<str>>, schema: &Arc<Schema>) -> Result<Self, ConnectError> {
        let name = name.into();
        if name.is_empty() {
            return Err(ConnectError::schema_builder("fieldName cannot be null."));
        }
        if !self.names.insert(Arc::clone(&name)) {
            return Err(ConnectError::schema_builder(format!(
                "Cannot create field because of field name duplication {name}"
            )));
        }
        self.builder = self.builder.field(name, Arc::clone(schema));
        Ok(self)
    }

    /// What was built so far, for settings other than fields.
    pub(crate) fn finish(self) -> SchemaBuilder {
        self.builder
    }
}
