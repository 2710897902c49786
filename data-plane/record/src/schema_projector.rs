//! `SchemaProjector`: a value of one schema as a value of another, newer or older one.
//!
//! Types must be the same, or both numbers of which the target is the wider (int8, int16, int32, int64, float32, float64 in this
//! order); names and parameters must be the same. Fields that the target does not have are left out; fields that only the
//! target has get their default, or null.

use std::fmt;
use std::sync::Arc;

use crate::jackson::Json;
use crate::java_text;
use crate::schema::{Field, Schema, SchemaType};
use crate::validate::InvalidValue;
use crate::value::{Struct, Value, ValueMap};

/// Why a value cannot be projected; Connect's `SchemaProjectorException` but for [`ProjectionError::Invalid`] and
/// [`ProjectionError::WrongClass`].
#[derive(Clone, Debug, PartialEq)]
pub enum ProjectionError {
    /// The types do not go together.
    Types {
        /// Of the source.
        source: SchemaType,
        /// Of the target.
        target: SchemaType,
    },
    /// The names differ.
    Names {
        /// Of the source.
        source: Option<Arc<str>>,
        /// Of the target.
        target: Option<Arc<str>>,
    },
    /// The parameters differ.
    Parameters {
        /// Of the source.
        source: Vec<(Arc<str>, Arc<str>)>,
        /// Of the target.
        target: Vec<(Arc<str>, Arc<str>)>,
    },
    /// The source may be null, the target not, and it has no default.
    NoDefault,
    /// The source has no such field, the target requires it.
    MissingField {
        /// The field.
        field: Arc<str>,
        /// Name of the source's schema.
        schema_name: Option<Arc<str>>,
    },
    /// A field cannot be projected.
    Field {
        /// The field.
        field: Arc<str>,
        /// Why.
        cause: Box<ProjectionError>,
    },
    /// A projected value is not one of its field.
    Invalid(InvalidValue),
    /// A value that disagrees with its schema; in Connect a `ClassCastException`.
    WrongClass {
        /// Its class.
        class: &'static str,
        /// The type of the schema.
        kind: SchemaType,
    },
}

impl ProjectionError {
    /// The class of the exception that Connect throws.
    #[must_use]
    pub fn java_class(&self) -> &'static str {
        match self {
            Self::Invalid(_) => InvalidValue::CLASS,
            Self::WrongClass { .. } => "java.lang.ClassCastException",
            _ => "org.apache.kafka.connect.errors.SchemaProjectorException",
        }
    }
}

impl fmt::Display for ProjectionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let java = |kind: &SchemaType| kind.name().to_uppercase();
        let name = |name: &Option<Arc<str>>| name.as_deref().unwrap_or("null").to_owned();
        let parameters = |parameters: &[(Arc<str>, Arc<str>)]| {
            let entries: Vec<_> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
            if entries.is_empty() { "null".to_owned() } else { format!("{{{}}}", entries.join(", ")) }
        };
        match self {
            Self::Types { source, target } => write!(
                formatter,
                "Schema type mismatch. source type: {} and target type: {}",
                java(source),
                java(target)
            ),
            Self::Names { source, target } => write!(
                formatter,
                "Schema name mismatch. source name: {} and target name: {}",
                name(source),
                name(target)
            ),
            Self::Parameters { source, target } => write!(
                formatter,
                "Schema parameters not equal. source parameters: {} and target parameters: {}",
                parameters(source),
                parameters(target)
            ),
            Self::NoDefault => formatter
                .write_str("Writer schema is optional, however, target schema does not provide a default value."),
            Self::MissingField { field, schema_name } => {
                let schema = schema_name.iter().map(|name| format!("{name}:")).collect::<String>();
                write!(formatter, "Required field `{field}` is missing from source schema: Schema{{{schema}STRUCT}}")
            }
            Self::Field { field, .. } => write!(formatter, "Error projecting {field}"),
            Self::Invalid(error) => error.fmt(formatter),
            Self::WrongClass { class, kind } => {
                write!(formatter, "class {class} cannot be cast to the class of type {}", java(kind))
            }
        }
    }
}

impl std::error::Error for ProjectionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Field { cause, .. } => Some(&**cause),
            Self::Invalid(error) => Some(error),
            _ => None,
        }
    }
}

/// `SchemaProjector.project(source, value, target)`. Spans stay spans of the value's arena.
///
/// # Errors
/// If the schemas do not go together for this value.
pub fn project(source: &Schema, value: &Value, target: &Arc<Schema>) -> Result<Value, ProjectionError> {
    check_compatible(source, target)?;
    if source.optional && !target.optional {
        return match &target.default {
            None => Err(ProjectionError::NoDefault),
            Some(default) if value.is_null() => Ok(default.clone()),
            Some(_) => project_required(source, value, target),
        };
    }
    if value.is_null() { Ok(Value::Null) } else { project_required(source, value, target) }
}

fn check_compatible(source: &Schema, target: &Schema) -> Result<(), ProjectionError> {
    if source.kind != target.kind && !is_promotable(source.kind, target.kind) {
        return Err(ProjectionError::Types { source: source.kind, target: target.kind });
    }
    if source.name != target.name {
        return Err(ProjectionError::Names { source: source.name.clone(), target: target.name.clone() });
    }
    let has_same = |(name, value): &(Arc<str>, Arc<str>)| target.parameter(name) == Some(value);
    if source.parameters.len() != target.parameters.len() || !source.parameters.iter().all(has_same) {
        return Err(ProjectionError::Parameters {
            source: source.parameters.clone(),
            target: target.parameters.clone(),
        });
    }
    Ok(())
}

/// How wide a number's type is; `None` for other types.
fn width(kind: SchemaType) -> Option<u8> {
    match kind {
        SchemaType::Int8 => Some(1),
        SchemaType::Int16 => Some(2),
        SchemaType::Int32 => Some(3),
        SchemaType::Int64 => Some(4),
        SchemaType::Float32 => Some(5),
        SchemaType::Float64 => Some(6),
        _ => None,
    }
}

fn is_promotable(source: SchemaType, target: SchemaType) -> bool {
    matches!((width(source), width(target)), (Some(source), Some(target)) if source <= target)
}

fn project_required(source: &Schema, value: &Value, target: &Arc<Schema>) -> Result<Value, ProjectionError> {
    let wrong_class = || ProjectionError::WrongClass { class: value.java_class(), kind: target.kind };
    match target.kind {
        SchemaType::Struct => project_struct(source, value.as_struct().ok_or_else(wrong_class)?, target),
        SchemaType::Array => {
            let items = value.as_array().ok_or_else(wrong_class)?;
            let (Some(from), Some(to)) = (&source.values, &target.values) else { return Err(wrong_class()) };
            let items = items.iter().map(|item| project(from, item, to)).collect::<Result<Vec<_>, _>>()?;
            Ok(Value::Array(Box::new(items)))
        }
        SchemaType::Map => {
            let entries = value.as_map().ok_or_else(wrong_class)?;
            let ((Some(keys), Some(new_keys)), (Some(values), Some(new_values))) =
                ((&source.keys, &target.keys), (&source.values, &target.values))
            else {
                return Err(wrong_class());
            };
            let mut map = ValueMap::new();
            for (key, value) in entries.iter() {
                map.push(project(keys, key, new_keys)?, project(values, value, new_values)?);
            }
            Ok(Value::Map(Box::new(map)))
        }
        _ => Ok(promote(source.kind, value, target.kind)),
    }
}

fn project_struct(source: &Schema, value: &Struct, target: &Arc<Schema>) -> Result<Value, ProjectionError> {
    let mut projected = Struct::new(Arc::clone(target));
    for Field { name, schema } in target.fields() {
        let new_value = match source.field_index(name).map(|at| &source.fields()[at]) {
            Some(field) => {
                let held = value
                    .get_with_default(&field.name)
                    .ok_or_else(|| ProjectionError::Invalid(InvalidValue::NoSuchField { field: (**name).into() }))?;
                project(&field.schema, held, schema).map_err(|error| in_field(name, error))?
            }
            None if schema.optional => continue,
            None => match &schema.default {
                Some(default) => default.clone(),
                None => {
                    return Err(ProjectionError::MissingField {
                        field: Arc::clone(name),
                        schema_name: source.name.clone(),
                    });
                }
            },
        };
        projected.put(name, new_value).map_err(ProjectionError::Invalid)?;
    }
    Ok(Value::Struct(Box::new(projected)))
}

/// An error with the field that it is in; only projections' own errors get it.
fn in_field(field: &Arc<str>, error: ProjectionError) -> ProjectionError {
    match error {
        ProjectionError::Invalid(_) | ProjectionError::WrongClass { .. } => error,
        cause => ProjectionError::Field { field: Arc::clone(field), cause: Box::new(cause) },
    }
}

/// A number as one of the target's type, as `java.lang.Number` converts; any other value as it is.
fn promote(source: SchemaType, value: &Value, target: SchemaType) -> Value {
    if !is_promotable(source, target) {
        return value.clone();
    }
    let decimal = || {
        let Value::Decimal(decimal) = value else { return None };
        let mut text = Vec::new();
        java_text::write_decimal(decimal, &mut text);
        Some(Json::Float(String::from_utf8_lossy(&text).into()))
    };
    let long = || match value {
        Value::Float32(number) => Some(*number as i64),
        Value::Float64(number) => Some(*number as i64),
        _ => value.as_int().or_else(|| decimal().map(|number| number.long_value())),
    };
    // Narrower integers come from a float by way of 32 bits.
    let int = || match value {
        Value::Float32(number) => Some(*number as i32),
        Value::Float64(number) => Some(*number as i32),
        _ => long().map(|number| number as i32),
    };
    let double = || match value {
        Value::Decimal(_) => decimal().map(|number| number.double_value()),
        _ => value.as_float().or_else(|| value.as_int().map(|number| number as f64)),
    };
    let promoted = match target {
        SchemaType::Int8 => int().map(|number| Value::Int8(number as i8)),
        SchemaType::Int16 => int().map(|number| Value::Int16(number as i16)),
        SchemaType::Int32 => int().map(Value::Int32),
        SchemaType::Int64 => long().map(Value::Int64),
        SchemaType::Float32 => match value.as_int() {
            Some(number) => Some(Value::Float32(number as f32)),
            None => double().map(|number| Value::Float32(number as f32)),
        },
        _ => double().map(Value::Float64),
    };
    promoted.unwrap_or_else(|| value.clone())
}
