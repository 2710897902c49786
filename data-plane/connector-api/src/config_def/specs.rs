//! Small languages within lists of a config: which fields to cast to what, which fields to rename. Errors have Kafka's wording.

use std::collections::BTreeMap;

use data_plane_record::SchemaType;

use crate::error::ConnectError;

/// What Connect's `Cast` casts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CastSpec {
    /// The key or value as a whole.
    Whole(SchemaType),
    /// Fields by name.
    Fields(BTreeMap<String, SchemaType>),
}

/// The types that `Cast` casts to, as Kafka lists them.
const TARGETS: [SchemaType; 8] = [
    SchemaType::Int8,
    SchemaType::Int16,
    SchemaType::Int32,
    SchemaType::Int64,
    SchemaType::Float32,
    SchemaType::Float64,
    SchemaType::Boolean,
    SchemaType::String,
];

/// Reads `field:type` entries, or one `type` alone.
///
/// # Errors
/// A `ConfigException` if there is no entry, a type does not exist or cannot be cast to, or a whole cast is not alone.
pub fn cast_spec(entries: &[String]) -> Result<CastSpec, ConnectError> {
    if entries.is_empty() {
        return Err(ConnectError::config("Must specify at least one field to cast."));
    }
    let mut fields = BTreeMap::new();
    let mut whole = None;
    for entry in entries {
        match *parts(entry).as_slice() {
            [kind] => whole = Some(target(kind)?),
            [field, kind] => {
                let kind = target(kind)?;
                fields.insert(trim(field).to_owned(), kind);
            }
            [] => {
                return Err(ConnectError::new(
                    "java.lang.ArrayIndexOutOfBoundsException",
                    format!("a cast needs a field and a type, such as id:int32, but is {entry}"),
                ));
            }
            _ => return Err(ConnectError::config_value("renames", &in_brackets(entries), &bad_mapping(entry))),
        }
    }
    match whole {
        None => Ok(CastSpec::Fields(fields)),
        Some(kind) if entries.len() == 1 => Ok(CastSpec::Whole(kind)),
        Some(_) => Err(ConnectError::config(
            "Cast transformations that specify a type to cast the entire value to may only specify a single cast in their spec",
        )),
    }
}

/// Reads `old:new` entries, in their order.
///
/// # Errors
/// A `ConfigException` if an entry is not such a pair.
pub fn renames(entries: &[String]) -> Result<Vec<(String, String)>, ConnectError> {
    let pair = |entry: &String| match *parts(entry).as_slice() {
        [old, new] => Ok((old.to_owned(), new.to_owned())),
        _ => Err(ConnectError::config_value("renames", &in_brackets(entries), &bad_mapping(entry))),
    };
    entries.iter().map(pair).collect()
}

/// As Java's `split(":")`: without the empty parts at the end, but the empty text is one part.
fn parts(entry: &str) -> Vec<&str> {
    let mut parts: Vec<_> = entry.split(':').collect();
    if parts.len() > 1 {
        parts.truncate(parts.iter().rposition(|part| !part.is_empty()).map_or(0, |last| last + 1));
    }
    parts
}

/// As Java's `String.trim`.
fn trim(text: &str) -> &str {
    text.trim_matches(|character| character <= ' ')
}

fn target(name: &str) -> Result<SchemaType, ConnectError> {
    let name = trim(name);
    let upper = name.to_uppercase();
    if let Some(kind) = TARGETS.into_iter().find(|kind| kind.name().to_uppercase() == upper) {
        return Ok(kind);
    }
    if matches!(&*upper, "BYTES" | "ARRAY" | "MAP" | "STRUCT") {
        let known = TARGETS.map(|kind| kind.name().to_uppercase()).join(", ");
        return Err(ConnectError::config(format!(
            "Cast transformation does not support casting to {upper}; supported types are [{known}]"
        )));
    }
    // Kafka hands the words over in the wrong order, and users search for what it says.
    Err(ConnectError::config(format!(
        "Invalid value java.lang.IllegalArgumentException: No enum constant org.apache.kafka.connect.data.Schema.Type.{upper} \
         for configuration Invalid type found in casting spec: {name}"
    )))
}

fn bad_mapping(entry: &str) -> String {
    format!("Invalid rename mapping: {entry}")
}

fn in_brackets(entries: &[String]) -> String {
    format!("[{}]", entries.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    fn refused(text: &str) -> String {
        cast_spec(&list(text)).expect_err("refused").message
    }

    #[test]
    fn casts_are_of_fields_or_of_the_whole() {
        let fields = BTreeMap::from([("a".to_owned(), SchemaType::Int8), (String::new(), SchemaType::String)]);
        assert_eq!(cast_spec(&list("a : Int8 :,:string")), Ok(CastSpec::Fields(fields)));
        assert_eq!(cast_spec(&list("BOOLEAN")), Ok(CastSpec::Whole(SchemaType::Boolean)));
        assert!(refused("int8,int8").contains("may only specify a single cast"));
        assert!(refused("a:bytes").contains("does not support casting to BYTES; supported types are [INT8, INT16,"));
        assert!(refused("a:x").ends_with("Type.X for configuration Invalid type found in casting spec: x"));
        assert_eq!(
            refused("a:b:c,d"),
            "Invalid value [a:b:c, d] for configuration renames: Invalid rename mapping: a:b:c"
        );
        assert_eq!(cast_spec(&list("::")).expect_err("refused").class, "java.lang.ArrayIndexOutOfBoundsException");
        assert_eq!(cast_spec(&[]).expect_err("refused").message, "Must specify at least one field to cast.");
    }

    #[test]
    fn renames_are_pairs() {
        let pairs = [("a", "b"), ("", "c ")].map(|(old, new)| (old.to_owned(), new.to_owned()));
        assert_eq!(renames(&list("a:b,:c ")).as_deref(), Ok(&pairs[..]));
        for bad in ["a", "a:", "a:b:c", ""] {
            let error = renames(&list(bad)).expect_err("refused");
            assert_eq!(
                error.message,
                format!("Invalid value [{bad}] for configuration renames: Invalid rename mapping: {bad}")
            );
        }
    }
}
