//! Schemas in JSON, both ways (`asJsonSchema`, `asConnectSchema`).

use std::sync::Arc;

use data_plane_connector_api::ConnectError;
use data_plane_record::jackson::{self, BorrowedJson, JsonTree};
use data_plane_record::{Arena, Schema, SchemaBuilder, SchemaType};

use super::{Options, losses, read, write};

/// Types by their names in JSON; only the floats differ from Connect's own.
fn type_name(kind: SchemaType) -> &'static str {
    match kind {
        SchemaType::Float32 => "float",
        SchemaType::Float64 => "double",
        other => other.name(),
    }
}

fn type_named(name: &str) -> Option<SchemaType> {
    use SchemaType::{Array, Boolean, Bytes, Float32, Float64, Int8, Int16, Int32, Int64, Map, String, Struct};
    [Boolean, Int8, Int16, Int32, Int64, Float32, Float64, Bytes, String, Array, Map, Struct]
        .into_iter()
        .find(|&kind| type_name(kind) == name)
}

/// Appends the JSON of a schema; of a field's schema, with the field's name as its last entry.
pub(super) fn write(
    schema: &Schema,
    field: Option<&str>,
    options: Options,
    arena: &Arena,
    out: &mut Vec<u8>,
) -> Result<(), ConnectError> {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(type_name(schema.kind).as_bytes());
    out.push(b'"');
    let text = |name: &str, text: &str, out: &mut Vec<u8>| {
        out.push(b',');
        jackson::write_string(name, out);
        out.push(b':');
        jackson::write_string(text, out);
    };
    if let (SchemaType::Map, Some(keys)) = (schema.kind, &schema.keys) {
        out.extend_from_slice(b",\"keys\":");
        write(keys, None, options, arena, out)?;
    }
    if let Some(values) = &schema.values {
        out.extend_from_slice(if schema.kind == SchemaType::Map { b",\"values\":" } else { b",\"items\":" });
        write(values, None, options, arena, out)?;
    }
    if schema.kind == SchemaType::Struct {
        out.extend_from_slice(b",\"fields\":[");
        for (index, field) in schema.fields().iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write(&field.schema, Some(&field.name), options, arena, out)?;
        }
        out.push(b']');
    }
    out.extend_from_slice(if schema.optional { b",\"optional\":true" } else { b",\"optional\":false" });
    if let Some(name) = &schema.name {
        text("name", name, out);
    }
    if let Some(version) = schema.version {
        out.extend_from_slice(format!(",\"version\":{version}").as_bytes());
    }
    if let Some(doc) = &schema.doc {
        text("doc", doc, out);
    }
    if !schema.parameters.is_empty() {
        out.extend_from_slice(b",\"parameters\":{");
        for (index, (name, value)) in schema.parameters.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            jackson::write_string(name, out);
            out.push(b':');
            jackson::write_string(value, out);
        }
        out.push(b'}');
    }
    if let Some(default) = &schema.default {
        out.extend_from_slice(b",\"default\":");
        write::value(Some(schema), default, options, arena, out)?;
    }
    if let Some(field) = field {
        text("field", field, out);
    }
    out.push(b'}');
    Ok(())
}

fn part(json: &BorrowedJson<'_>, name: &str, problem: &str, options: Options) -> Result<Arc<Schema>, ConnectError> {
    match json.get(name) {
        None | Some(JsonTree::Null) => Err(ConnectError::data(problem)),
        Some(part) => read(part, options),
    }
}

/// The schema of JSON.
pub(super) fn read(json: &BorrowedJson<'_>, options: Options) -> Result<Arc<Schema>, ConnectError> {
    let Some(JsonTree::String(type_text)) = json.get("type") else {
        return Err(ConnectError::data("Schema must contain 'type' field"));
    };
    let kind = type_named(type_text).ok_or_else(|| ConnectError::data(format!("Unknown schema type: {type_text}")))?;
    if options.losses.are_refused() {
        losses::check_schema(json)?;
    }
    let mut builder = match kind {
        SchemaType::Array => {
            SchemaBuilder::array(part(json, "items", "Array schema did not specify the element type", options)?)
        }
        SchemaType::Map => SchemaBuilder::map(
            part(json, "keys", "Map schema did not specify the key type", options)?,
            part(json, "values", "Map schema did not specify the value type", options)?,
        ),
        SchemaType::Struct => struct_fields(json, options)?,
        _ => Schema::builder(kind),
    };
    if json.get("optional") == Some(&JsonTree::Boolean(true)) {
        builder = builder.optional();
    }
    if let Some(JsonTree::String(name)) = json.get("name") {
        builder = builder.name(&**name);
    }
    if let Some(version @ JsonTree::Integer(_)) = json.get("version") {
        builder = builder.version(version.long_value() as i32);
    }
    if let Some(JsonTree::String(doc)) = json.get("doc") {
        builder = builder.doc(&**doc);
    }
    if let Some(JsonTree::Object(parameters)) = json.get("parameters") {
        for (name, value) in parameters {
            let JsonTree::String(value) = value else {
                return Err(ConnectError::data("Schema parameters must have string values."));
            };
            builder = builder.parameter(&**name, &**value);
        }
    }
    if let Some(default) = json.get("default") {
        let so_far = builder.clone().build();
        let default = read::value(Some(&so_far), default, options, &Arena::default())?;
        // Connect compares a default struct's schema with the unfinished builder, so that no struct passes.
        let checked = match default.as_struct() {
            Some(_) => Err(ConnectError::data("Struct schemas do not match.")),
            None => read::require("", &so_far, &default),
        };
        checked.map_err(|error| {
            ConnectError::schema_builder("Invalid default value").caused_by(error.class, error.message)
        })?;
        if !default.is_null() {
            builder = builder.default_value(default);
        }
    }
    Ok(builder.build())
}

fn struct_fields(json: &BorrowedJson<'_>, options: Options) -> Result<SchemaBuilder, ConnectError> {
    let Some(JsonTree::Array(fields)) = json.get("fields") else {
        return Err(ConnectError::data("Struct schema's \"fields\" argument is not an array."));
    };
    let mut builder = Schema::builder(SchemaType::Struct);
    let mut names = std::collections::HashSet::new();
    for field in fields {
        let Some(JsonTree::String(name)) = field.get("field") else {
            return Err(ConnectError::data("Struct schema's field name not specified properly"));
        };
        let schema = read(field, options)?;
        if name.is_empty() {
            return Err(ConnectError::schema_builder("fieldName cannot be null."));
        }
        if !names.insert(&**name) {
            return Err(ConnectError::schema_builder(format!(
                "Cannot create field because of field name duplication {name}"
            )));
        }
        builder = builder.field(&**name, schema);
    }
    Ok(builder)
}
