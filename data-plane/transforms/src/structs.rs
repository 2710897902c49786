//! Structs and their schemas as Java's `Struct` and `SchemaBuilder` guard them: what does not fit is refused with Connect's texts.

use std::sync::Arc;

use data_plane_connector_api::ConnectError;
use data_plane_record::validate::validate_field;
use data_plane_record::{Field, InvalidValue, Schema, SchemaBuilder, SchemaBuilderError, SchemaType, Struct, Value};

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
    validate_field(&field.name, &field.schema, value).map_err(invalid)
}

fn invalid(error: InvalidValue) -> ConnectError {
    ConnectError::new(InvalidValue::CLASS, error.to_string())
}

fn not_built(error: SchemaBuilderError) -> ConnectError {
    let thrown = ConnectError::new(SchemaBuilderError::CLASS, error.to_string());
    match error {
        SchemaBuilderError::InvalidDefault(cause) => thrown.caused_by(InvalidValue::CLASS, cause.to_string()),
        _ => thrown,
    }
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
    invalid(InvalidValue::NoSuchField { field: name.into() })
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

/// `Schema.field`: the index of a field, if there is one of this name.
///
/// # Errors
/// A `DataException` if the schema is not one of a struct.
pub(crate) fn look_up(schema: &Schema, name: &str) -> Result<Option<usize>, ConnectError> {
    match schema.kind {
        SchemaType::Struct => Ok(schema.field_index(name)),
        _ => Err(ConnectError::data("Cannot look up fields on non-struct type")),
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
    builder.try_default_value(default).map_err(not_built)
}

/// Builds the schema of a struct; each name is taken once.
pub(crate) struct StructBuilder(SchemaBuilder);

impl StructBuilder {
    /// Without fields, and without name, version, documentation and parameters.
    pub(crate) fn new() -> Self {
        Self(Schema::builder(SchemaType::Struct))
    }

    /// Without fields, with the basics of another schema.
    pub(crate) fn like(schema: &Schema) -> Self {
        Self(copy_basics(schema, Schema::builder(SchemaType::Struct)))
    }

    /// Adds a field.
    ///
    /// # Errors
    /// A `SchemaBuilderException` if its name is empty or taken.
    pub(crate) fn field(self, name: impl Into<Arc<str>>, schema: &Arc<Schema>) -> Result<Self, ConnectError> {
        self.0.try_field(name, Arc::clone(schema)).map(Self).map_err(not_built)
    }

    /// What was built so far, for settings other than fields.
    pub(crate) fn finish(self) -> SchemaBuilder {
        self.0
    }
}
