//! What reading JSON would lose, for those who have it refused; see `data_plane_connector_api::lossy`.

use data_plane_connector_api::ConnectError;
use data_plane_connector_api::lossy::lossy;
use data_plane_record::exact::{is_out_of_range, keeps_number, shown};
use data_plane_record::jackson::{BorrowedJson, JsonTree};
use data_plane_record::logical::Logical;
use data_plane_record::{Arena, Schema, SchemaType, Value};

use super::read::node_type;

/// Checks what a value that is not null was read to; not what is in it, but without a schema, all of it.
pub(super) fn check(
    schema: Option<&Schema>,
    json: &BorrowedJson<'_>,
    value: &Value,
    arena: &Arena,
) -> Result<(), ConnectError> {
    let Some(schema) = schema else { return check_plain(json) };
    let is_kept = match (Logical::of(schema), schema.kind, json) {
        (Some(Logical::Timestamp), _, JsonTree::Integer(text)) => text.parse::<i64>().is_ok(),
        // The others are strict.
        (Some(_), ..) => true,
        (_, SchemaType::Boolean, _) => matches!(json, JsonTree::Boolean(_)),
        (_, SchemaType::Float32 | SchemaType::Float64, JsonTree::Integer(text) | JsonTree::Float(text)) => {
            value.as_float().is_some_and(|number| !is_out_of_range(text, number))
        }
        (
            _,
            SchemaType::Int8 | SchemaType::Int16 | SchemaType::Int32 | SchemaType::Int64,
            JsonTree::Integer(text) | JsonTree::Float(text),
        ) => text.parse().ok() == value.as_int() || keeps_number(&Value::String(text.as_ref().into()), value, arena),
        (_, kind, _) if is_number(kind) => false,
        (_, SchemaType::String | SchemaType::Bytes, _) => matches!(json, JsonTree::String(_)),
        (_, SchemaType::Array, _) => matches!(json, JsonTree::Array(_)),
        (_, SchemaType::Struct, JsonTree::Object(entries)) => {
            match entries.iter().find(|(name, _)| schema.field_index(name).is_none()) {
                Some((name, _)) => return Err(lossy(&format!("field {name}"), "nothing, as the schema lacks it")),
                None => true,
            }
        }
        _ => true,
    };
    if is_kept {
        Ok(())
    } else {
        Err(lossy(&text_of(json), &format!("{} {}", schema.kind.name(), shown(value, arena))))
    }
}

fn is_number(kind: SchemaType) -> bool {
    use SchemaType::{Float32, Float64, Int8, Int16, Int32, Int64};
    matches!(kind, Int8 | Int16 | Int32 | Int64 | Float32 | Float64)
}

/// Without a schema, integers have 64 bits and all others are doubles.
fn check_plain(json: &BorrowedJson<'_>) -> Result<(), ConnectError> {
    match json {
        JsonTree::Integer(text) if text.parse::<i64>().is_err() => {
            Err(lossy(text, &format!("int64 {}", json.long_value())))
        }
        JsonTree::Float(text) if is_out_of_range(text, json.double_value()) => {
            Err(lossy(text, &format!("float64 {}", json.double_value())))
        }
        JsonTree::Array(items) => items.iter().try_for_each(check_plain),
        JsonTree::Object(entries) => entries.iter().try_for_each(|(_, json)| check_plain(json)),
        _ => Ok(()),
    }
}

/// Checks a schema's attributes, of which Connect ignores those of another type.
pub(super) fn check_schema(json: &BorrowedJson<'_>) -> Result<(), ConnectError> {
    for name in ["optional", "name", "version", "doc", "parameters"] {
        let Some(attribute) = json.get(name).filter(|attribute| **attribute != JsonTree::Null) else { continue };
        let becomes = match (name, attribute) {
            ("optional", JsonTree::Boolean(_))
            | ("name" | "doc", JsonTree::String(_))
            | ("parameters", JsonTree::Object(_)) => continue,
            ("version", JsonTree::Integer(text)) if text.parse::<i32>().is_ok() => continue,
            ("version", JsonTree::Integer(_)) => (attribute.long_value() as i32).to_string(),
            ("optional", _) => "false".to_owned(),
            _ => "nothing".to_owned(),
        };
        return Err(lossy(&format!("{name} {} of a schema", text_of(attribute)), &becomes));
    }
    Ok(())
}

/// JSON in an error.
fn text_of(json: &BorrowedJson<'_>) -> String {
    match json {
        JsonTree::Integer(text) | JsonTree::Float(text) => text.to_string(),
        JsonTree::String(text) => format!("\"{text}\""),
        JsonTree::Boolean(flag) => flag.to_string(),
        _ => node_type(json).to_owned(),
    }
}
