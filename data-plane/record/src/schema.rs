//! Connect's schemas. Immutable and shared as `Arc<Schema>`; stages cache by the pointer.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use crate::validate::{InvalidValue, validate_value};
use crate::value::Value;

/// Connect's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum SchemaType {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    String,
    Bytes,
    Array,
    Map,
    Struct,
}

impl SchemaType {
    /// All types, in the order of their declaration.
    const ALL: [Self; 12] = [
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Float32,
        Self::Float64,
        Self::Boolean,
        Self::String,
        Self::Bytes,
        Self::Array,
        Self::Map,
        Self::Struct,
    ];

    /// Connect's name for it, as `Schema.Type.getName()`: `int8` ... `struct`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Array => "array",
            Self::Map => "map",
            Self::Struct => "struct",
        }
    }
}

/// A field of a struct schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name, unique within the struct.
    pub name: Arc<str>,
    /// Its schema.
    pub schema: Arc<Schema>,
}

/// A Connect schema. Defaults hold owned values only (`Value::String`, never spans).
#[derive(Clone, Debug)]
pub struct Schema {
    /// The type.
    pub kind: SchemaType,
    /// Whether null is allowed.
    pub optional: bool,
    /// The value that stands for a missing one.
    pub default: Option<Value>,
    /// Logical or user given name.
    pub name: Option<Arc<str>>,
    /// Version.
    pub version: Option<i32>,
    /// Documentation.
    pub doc: Option<Arc<str>>,
    /// Parameters, in the order given.
    pub parameters: Vec<(Arc<str>, Arc<str>)>,
    /// Key schema of a map.
    pub keys: Option<Arc<Schema>>,
    /// Value schema of a map, item schema of an array.
    pub values: Option<Arc<Schema>>,
    fields: Vec<Field>,
    field_index: HashMap<Arc<str>, usize>,
}

/// Up to so many fields are looked through one by one, which is quicker than a hash.
const FEW_FIELDS: usize = 8;

impl Schema {
    /// Starts a schema of a type.
    #[must_use]
    pub fn builder(kind: SchemaType) -> SchemaBuilder {
        SchemaBuilder {
            schema: Self {
                kind,
                optional: false,
                default: None,
                name: None,
                version: None,
                doc: None,
                parameters: Vec::new(),
                keys: None,
                values: None,
                fields: Vec::new(),
                field_index: HashMap::new(),
            },
        }
    }

    /// A struct's fields in order; empty for other types.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The index of a field by name.
    #[must_use]
    pub fn field_index(&self, name: &str) -> Option<usize> {
        match self.fields.len() {
            ..=FEW_FIELDS => self.fields.iter().position(|field| &*field.name == name),
            _ => self.field_index.get(name).copied(),
        }
    }

    /// A parameter by name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| &**known == name).map(|(_, value)| &**value)
    }

    /// Connect's constants such as `Schema.INT8_SCHEMA` and `Schema.OPTIONAL_INT8_SCHEMA`: always the same pointer.
    ///
    /// An array, a map or a struct comes without items, keys, values and fields.
    #[must_use]
    pub fn plain(kind: SchemaType, optional: bool) -> &'static Arc<Self> {
        static SCHEMAS: LazyLock<[[Arc<Schema>; 2]; 12]> = LazyLock::new(|| {
            SchemaType::ALL.map(|kind| match kind {
                SchemaType::String => [Schema::string().clone(), Schema::optional_string().clone()],
                SchemaType::Bytes => [Schema::bytes().clone(), Schema::optional_bytes().clone()],
                _ => [Schema::builder(kind).build(), Schema::builder(kind).optional().build()],
            })
        });
        &SCHEMAS[kind as usize][usize::from(optional)]
    }

    /// Connect's `Schema.STRING_SCHEMA`: always the same pointer.
    #[must_use]
    pub fn string() -> &'static Arc<Self> {
        static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Schema::builder(SchemaType::String).build());
        &SCHEMA
    }

    /// Connect's `Schema.OPTIONAL_STRING_SCHEMA`: always the same pointer.
    #[must_use]
    pub fn optional_string() -> &'static Arc<Self> {
        static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Schema::builder(SchemaType::String).optional().build());
        &SCHEMA
    }

    /// Connect's `Schema.BYTES_SCHEMA`: always the same pointer.
    #[must_use]
    pub fn bytes() -> &'static Arc<Self> {
        static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Schema::builder(SchemaType::Bytes).build());
        &SCHEMA
    }

    /// Connect's `Schema.OPTIONAL_BYTES_SCHEMA`: always the same pointer.
    #[must_use]
    pub fn optional_bytes() -> &'static Arc<Self> {
        static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Schema::builder(SchemaType::Bytes).optional().build());
        &SCHEMA
    }
}

impl PartialEq for Schema {
    /// As `ConnectSchema.equals`: everything, fields in order, parameters as a map.
    fn eq(&self, other: &Self) -> bool {
        if std::ptr::eq(self, other) {
            return true;
        }
        self.kind == other.kind
            && self.optional == other.optional
            && self.version == other.version
            && self.name == other.name
            && self.doc == other.doc
            && match (&self.default, &other.default) {
                (Some(ours), Some(theirs)) => ours.java_equals(theirs),
                (ours, theirs) => ours.is_none() && theirs.is_none(),
            }
            && self.fields == other.fields
            && self.keys == other.keys
            && self.values == other.values
            && self.parameters.len() == other.parameters.len()
            && self.parameters.iter().all(|(name, value)| other.parameter(name) == Some(value))
    }
}

/// What a [`SchemaBuilder`] refuses; Connect's `SchemaBuilderException`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaBuilderError {
    /// A field for something else than a struct.
    NoStruct {
        /// Its type.
        kind: SchemaType,
    },
    /// A field without a name.
    NoFieldName,
    /// A name that a field has already.
    DuplicateField {
        /// The name.
        field: Arc<str>,
    },
    /// A second default.
    DefaultIsSet,
    /// A default that is not a value of the schema.
    InvalidDefault(InvalidValue),
}

impl SchemaBuilderError {
    /// The class of the exception that Connect throws.
    pub const CLASS: &str = "org.apache.kafka.connect.errors.SchemaBuilderException";
}

impl fmt::Display for SchemaBuilderError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStruct { kind } => {
                write!(formatter, "Cannot create fields on type {}", kind.name().to_uppercase())
            }
            Self::NoFieldName => formatter.write_str("fieldName cannot be null."),
            Self::DuplicateField { field } => {
                write!(formatter, "Cannot create field because of field name duplication {field}")
            }
            Self::DefaultIsSet => formatter.write_str("Invalid SchemaBuilder call: default has already been set."),
            Self::InvalidDefault(_) => formatter.write_str("Invalid default value"),
        }
    }
}

impl std::error::Error for SchemaBuilderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::InvalidDefault(cause) = self { Some(cause) } else { None }
    }
}

/// Builds a [`Schema`].
#[derive(Clone, Debug)]
pub struct SchemaBuilder {
    schema: Schema,
}

impl SchemaBuilder {
    /// An array of items of a schema.
    #[must_use]
    pub fn array(items: Arc<Schema>) -> Self {
        let mut builder = Schema::builder(SchemaType::Array);
        builder.schema.values = Some(items);
        builder
    }

    /// A map.
    #[must_use]
    pub fn map(keys: Arc<Schema>, values: Arc<Schema>) -> Self {
        let mut builder = Schema::builder(SchemaType::Map);
        builder.schema.keys = Some(keys);
        builder.schema.values = Some(values);
        builder
    }

    /// A map whose values are all null.
    #[must_use]
    pub fn map_with_null_values(keys: Arc<Schema>) -> Self {
        let mut builder = Schema::builder(SchemaType::Map);
        builder.schema.keys = Some(keys);
        builder
    }

    /// Allows null.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.schema.optional = true;
        self
    }

    /// Sets the default. It must not hold spans.
    #[must_use]
    pub fn default_value(mut self, value: Value) -> Self {
        self.schema.default = Some(value);
        self
    }

    /// Sets the name.
    #[must_use]
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.schema.name = Some(name.into());
        self
    }

    /// Sets the version.
    #[must_use]
    pub fn version(mut self, version: i32) -> Self {
        self.schema.version = Some(version);
        self
    }

    /// Sets the documentation.
    #[must_use]
    pub fn doc(mut self, doc: impl Into<Arc<str>>) -> Self {
        self.schema.doc = Some(doc.into());
        self
    }

    /// Adds a parameter.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        self.schema.parameters.push((name.into(), value.into()));
        self
    }

    /// Adds a field at the end. A field of the same name keeps its index: the first one is the one looked up.
    #[must_use]
    pub fn field(mut self, name: impl Into<Arc<str>>, schema: Arc<Schema>) -> Self {
        let name: Arc<str> = name.into();
        self.schema.field_index.entry(name.clone()).or_insert(self.schema.fields.len());
        self.schema.fields.push(Field { name, schema });
        self
    }

    /// As [`SchemaBuilder::field`], with the checks of Java's `SchemaBuilder`.
    ///
    /// # Errors
    /// If this is no struct, the name is empty, or a field has it already.
    pub fn try_field(self, name: impl Into<Arc<str>>, schema: Arc<Schema>) -> Result<Self, SchemaBuilderError> {
        let name = name.into();
        if self.schema.kind != SchemaType::Struct {
            return Err(SchemaBuilderError::NoStruct { kind: self.schema.kind });
        }
        if name.is_empty() {
            return Err(SchemaBuilderError::NoFieldName);
        }
        if self.schema.field_index(&name).is_some() {
            return Err(SchemaBuilderError::DuplicateField { field: name });
        }
        Ok(self.field(name, schema))
    }

    /// As [`SchemaBuilder::default_value`], with the checks of Java's `SchemaBuilder`: the schema as built so far must take the
    /// value, so say before whether it is optional, and all fields.
    ///
    /// # Errors
    /// If there is a default already, or the value is not one of the schema.
    pub fn try_default_value(self, value: Value) -> Result<Self, SchemaBuilderError> {
        if self.schema.default.is_some() {
            return Err(SchemaBuilderError::DefaultIsSet);
        }
        // A struct's value has the schema without the default.
        validate_value(&self.schema, &value).map_err(SchemaBuilderError::InvalidDefault)?;
        Ok(self.default_value(value))
    }

    /// The finished schema.
    #[must_use]
    pub fn build(self) -> Arc<Schema> {
        Arc::new(self.schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checked_builders_refuse_as_java_does() {
        let int8 = Schema::plain(SchemaType::Int8, false);
        let text = |built: Result<SchemaBuilder, SchemaBuilderError>| built.expect_err("refused").to_string();
        let builder = Schema::builder(SchemaType::Int8);
        assert_eq!(text(builder.clone().try_field("a", int8.clone())), "Cannot create fields on type INT8");
        let error = builder.clone().try_default_value(Value::Int32(1)).expect_err("refused");
        assert_eq!(error.to_string(), "Invalid default value");
        assert!(std::error::Error::source(&error).is_some());
        assert!(builder.clone().try_default_value(Value::Null).is_err());
        let builder = builder.try_default_value(Value::Int8(1)).expect("fits");
        assert_eq!(
            text(builder.try_default_value(Value::Int8(2))),
            "Invalid SchemaBuilder call: default has already been set."
        );
        let builder = Schema::builder(SchemaType::Struct).try_field("a", int8.clone()).expect("a field");
        assert_eq!(text(builder.clone().try_field("", int8.clone())), "fieldName cannot be null.");
        assert_eq!(
            text(builder.try_field("a", int8.clone())),
            "Cannot create field because of field name duplication a"
        );
    }

    #[test]
    fn defaults_are_equal_as_in_java() {
        let of = |default: Value| Schema::builder(SchemaType::Float64).default_value(default).build();
        let same = |one: f64, other: f64| of(Value::Float64(one)) == of(Value::Float64(other));
        assert!(same(f64::NAN, -f64::NAN) && same(1.5, 1.5));
        assert!(!same(0.0, -0.0) && !same(f64::NAN, 0.0));
        let map = |keys: [&str; 2]| {
            let entries = keys.map(|key| (Value::String(key.into()), Value::Float32(f32::NAN)));
            let (key, value) = (Schema::string().clone(), Schema::plain(SchemaType::Float32, false).clone());
            SchemaBuilder::map(key, value).default_value(Value::Map(Box::new(entries.into_iter().collect()))).build()
        };
        assert_eq!(map(["a", "b"]), map(["b", "a"]));
        assert_ne!(map(["a", "b"]), map(["a", "c"]));
        assert_ne!(of(Value::Float64(f64::NAN)), Schema::builder(SchemaType::Float64).build());
    }
}
