//! What transforms require of a record's key or value, with the texts of Connect's `Requirements`.

use data_plane_connector_api::ConnectError;
use data_plane_record::{OpenRecord, Side, Struct, Value, ValueMap};

/// The map that a schemaless value must be.
pub(crate) fn require_map<'a>(value: &'a Value, purpose: &str) -> Result<&'a ValueMap, ConnectError> {
    value.as_map().ok_or_else(|| {
        ConnectError::data(format!(
            "Only Map objects supported in absence of schema for [{purpose}], found: {}",
            value.java_class()
        ))
    })
}

/// The struct that a value with a schema must be.
pub(crate) fn require_struct<'a>(value: &'a Value, purpose: &str) -> Result<&'a Struct, ConnectError> {
    value.as_struct().ok_or_else(|| {
        ConnectError::data(format!("Only Struct objects supported for [{purpose}], found: {}", value.java_class()))
    })
}

/// What Java throws where a map's key is no text.
pub(crate) fn key_is_no_text(key: &Value) -> ConnectError {
    let class = key.java_class();
    ConnectError::new(
        "java.lang.ClassCastException",
        format!("class {class} cannot be cast to class java.lang.String: names of fields must be text"),
    )
}

/// Takes the key or value out of a record, to be changed and set again.
pub(crate) fn take(record: &mut OpenRecord<'_>, side: Side) -> Value {
    std::mem::take(record.value_mut(side))
}

/// The struct that a value was found to be.
pub(crate) fn into_struct(value: Value) -> Box<Struct> {
    let Value::Struct(record) = value else { unreachable!("required to be a struct before") };
    record
}

/// The map that a value was found to be.
pub(crate) fn into_map(value: Value) -> Box<ValueMap> {
    let Value::Map(map) = value else { unreachable!("required to be a map before") };
    map
}
