//! Whether a value is one of its schema: `ConnectSchema.validateValue` and `Struct.validate`, with Java's texts.

use std::fmt;
use std::sync::Arc;

use crate::logical::Logical;
use crate::schema::{Schema, SchemaType};
use crate::value::{Struct, Value};

/// Where in a value something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The value itself.
    Value,
    /// A struct's field.
    Field(Arc<str>),
    /// An item of an array.
    Item(Box<Place>),
    /// A key of a map.
    MapKey(Box<Place>),
    /// A value of a map.
    MapValue(Box<Place>),
}

impl fmt::Display for Place {
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

/// Why a value is not one of its schema; Connect's `DataException`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidValue {
    /// Null where the schema requires a value.
    Null {
        /// Where.
        place: Place,
        /// The type required.
        kind: SchemaType,
    },
    /// A value of another Java class than the schema asks for.
    WrongClass {
        /// Where.
        place: Place,
        /// The type required.
        kind: SchemaType,
        /// The schema's name.
        schema_name: Option<Arc<str>>,
        /// The class found.
        class: &'static str,
    },
    /// A struct of another schema.
    OtherStruct,
    /// An array or map without the schema of its parts.
    NoSchema {
        /// Of which parts.
        place: Place,
    },
    /// A name that no field has.
    NoSuchField {
        /// The name.
        field: Box<str>,
    },
}

impl InvalidValue {
    /// The class of the exception that Connect throws.
    pub const CLASS: &str = "org.apache.kafka.connect.errors.DataException";
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let java = |kind: &SchemaType| kind.name().to_uppercase();
        match self {
            Self::Null { place, kind } => {
                write!(formatter, "Invalid value: null used for required {place}, schema type: {}", java(kind))
            }
            Self::WrongClass { place, kind, schema_name, class } => {
                formatter.write_str("Invalid Java object for schema")?;
                if let Some(name) = schema_name {
                    write!(formatter, " \"{name}\"")?;
                }
                write!(formatter, " with type {}: class {class} for {place}", java(kind))
            }
            Self::OtherStruct => formatter.write_str("Struct schemas do not match."),
            Self::NoSchema { place } => write!(formatter, "No schema defined for {place}"),
            Self::NoSuchField { field } => write!(formatter, "{field} is not a valid field name"),
        }
    }
}

impl std::error::Error for InvalidValue {}

/// `ConnectSchema.validateValue(schema, value)`.
///
/// # Errors
/// What does not fit, and where.
pub fn validate_value(schema: &Schema, value: &Value) -> Result<(), InvalidValue> {
    check(schema, value, &|| Place::Value)
}

/// `ConnectSchema.validateValue(field, schema, value)`.
///
/// # Errors
/// What does not fit, and where.
pub fn validate_field(field: &Arc<str>, schema: &Schema, value: &Value) -> Result<(), InvalidValue> {
    check(schema, value, &|| Place::Field(Arc::clone(field)))
}

/// Checks a struct's fields; null stands for a field's default.
pub(crate) fn check_struct(record: &Struct) -> Result<(), InvalidValue> {
    record.schema.fields().iter().zip(&record.values).try_for_each(|(field, value)| {
        let has_default = value.is_null() && field.schema.default.is_some();
        if has_default { Ok(()) } else { validate_field(&field.name, &field.schema, value) }
    })
}

/// Places are only made for errors.
fn check(schema: &Schema, value: &Value, place: &dyn Fn() -> Place) -> Result<(), InvalidValue> {
    if value.is_null() {
        return if schema.optional { Ok(()) } else { Err(InvalidValue::Null { place: place(), kind: schema.kind }) };
    }
    if !is_of_class(schema, value) {
        return Err(InvalidValue::WrongClass {
            place: place(),
            kind: schema.kind,
            schema_name: schema.name.clone(),
            class: value.java_class(),
        });
    }
    match (schema.kind, value) {
        (SchemaType::Array, Value::Array(items)) => {
            let place = || Place::Item(Box::new(place()));
            let schema = part(schema.values.as_ref(), &place)?;
            items.iter().try_for_each(|item| check(schema, item, &place))
        }
        (SchemaType::Map, Value::Map(map)) => {
            let key_place = || Place::MapKey(Box::new(place()));
            let value_place = || Place::MapValue(Box::new(place()));
            let keys = part(schema.keys.as_ref(), &key_place)?;
            let values = part(schema.values.as_ref(), &value_place)?;
            map.iter().try_for_each(|(key, value)| {
                check(keys, key, &key_place)?;
                check(values, value, &value_place)
            })
        }
        (SchemaType::Struct, Value::Struct(record)) => {
            if !std::ptr::eq(&*record.schema, schema) && *record.schema != *schema {
                return Err(InvalidValue::OtherStruct);
            }
            check_struct(record)
        }
        _ => Ok(()),
    }
}

fn part<'a>(schema: Option<&'a Arc<Schema>>, place: &dyn Fn() -> Place) -> Result<&'a Schema, InvalidValue> {
    schema.map(|schema| &**schema).ok_or_else(|| InvalidValue::NoSchema { place: place() })
}

/// Whether a value has the Java class that a schema asks for: that of its logical type, else that of its type.
fn is_of_class(schema: &Schema, value: &Value) -> bool {
    match Logical::of(schema) {
        Some(Logical::Decimal) => return matches!(value, Value::Decimal(_)),
        Some(Logical::Date | Logical::Time | Logical::Timestamp) => return matches!(value, Value::DateTime(_)),
        None => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical;
    use crate::schema::SchemaBuilder;
    use crate::value::ValueMap;

    #[track_caller]
    fn refused(schema: &Schema, value: Value, message: &str) {
        assert_eq!(validate_value(schema, &value).expect_err("refused").to_string(), message);
    }

    #[test]
    fn texts_are_java_s() {
        let int8 = Schema::plain(SchemaType::Int8, false);
        refused(int8, Value::Null, "Invalid value: null used for required value, schema type: INT8");
        refused(
            int8,
            Value::Int32(1),
            "Invalid Java object for schema with type INT8: class java.lang.Integer for value",
        );
        let map = SchemaBuilder::map(Schema::string().clone(), SchemaBuilder::array(int8.clone()).build()).build();
        let strings = Value::Array(Box::new(vec![Value::String("x".into())]));
        let entries: ValueMap = [(Value::String("a".into()), strings)].into_iter().collect();
        refused(
            &map,
            Value::Map(Box::new(entries)),
            "Invalid Java object for schema with type INT8: class java.lang.String for element of array value of map value",
        );
        let date = logical::date_schema(false);
        let error = validate_field(&"f".into(), date, &Value::Int32(1)).expect_err("refused").to_string();
        assert_eq!(
            error,
            "Invalid Java object for schema \"org.apache.kafka.connect.data.Date\" with type INT32: class \
             java.lang.Integer for field: \"f\""
        );
        refused(
            &SchemaBuilder::array(int8.clone()).build(),
            Value::Map(Box::default()),
            "Invalid Java object for schema with type ARRAY: class java.util.LinkedHashMap for value",
        );
    }

    #[test]
    fn structs_are_checked_field_by_field() {
        let with_default = Schema::builder(SchemaType::Int8).default_value(Value::Int8(7)).build();
        let schema = Schema::builder(SchemaType::Struct)
            .field("a", Schema::plain(SchemaType::Int8, false).clone())
            .field("b", with_default)
            .build();
        let mut record = Struct::new(schema.clone());
        assert_eq!(record.get_with_default("b"), Some(&Value::Int8(7)));
        assert_eq!(record.get("b"), Some(&Value::Null));
        let missing = "Invalid value: null used for required field: \"a\", schema type: INT8";
        assert_eq!(record.validate().expect_err("a is missing").to_string(), missing);
        assert_eq!(record.put("zz", Value::Null).expect_err("no field").to_string(), "zz is not a valid field name");
        assert!(record.put("a", Value::Int32(1)).is_err());
        record.put("a", Value::Int8(1)).expect("fits");
        record.validate().expect("complete");
        validate_value(&schema, &Value::Struct(Box::new(record.clone()))).expect("of the schema");
        let other = Schema::builder(SchemaType::Struct).build();
        assert_eq!(validate_value(&other, &Value::Struct(Box::new(record))), Err(InvalidValue::OtherStruct));
    }
}
