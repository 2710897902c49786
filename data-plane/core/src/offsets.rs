//! Source offsets as Kafka Connect stores them: records of the offsets topic, byte for byte, and their partition.
//!
//! Key: the JSON array `["<connector>",{<source partition>}]`. Value: the JSON object of the source offset, or null, which removes it.
//! Keys are compared and hashed as raw bytes, so field order and number text are Java's.

use std::num::NonZeroU32;

use data_plane_record::jackson::{self, Json};
use data_plane_record::{Arena, OffsetMap, OffsetValue, SourceOffset, SourcePartition, Value};

pub mod java_map;

/// A source partition or offset that Connect does not store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOffset {
    /// Not a map.
    #[error("Offsets must be specified as a Map")]
    NotAMap,
    /// A key that is not text.
    #[error("Offsets may only use String keys")]
    KeyNotText,
    /// A value that is not primitive.
    #[error("Offsets may only contain primitive types as values, but field {field} contains {found}")]
    NotPrimitive {
        /// The field.
        field: String,
        /// Its type.
        found: String,
    },
}

/// A key of the offsets topic that does not name a connector's source partition. Such records are ignored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Not JSON.
    #[error("the key is not JSON: {0}")]
    NotJson(String),
    /// Not `[connector, partition]`.
    #[error("the key is not an array of a connector's name and a source partition")]
    NotAPair,
    /// The first element is not text.
    #[error("the key's connector is not text")]
    ConnectorNotText,
    /// The second element is neither an object nor null.
    #[error("the key's source partition is not an object")]
    PartitionNotAMap,
}

/// A parsed key of the offsets topic.
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetKey {
    /// The connector's name.
    pub connector: String,
    /// The source partition as JSON; `None` is null. Keys of other writers may hold nested values.
    pub partition: Option<Json>,
}

impl OffsetKey {
    /// The source partition; `None` is null.
    ///
    /// # Errors
    /// If it holds nested values.
    pub fn source_partition(&self) -> Result<Option<SourcePartition>, InvalidOffset> {
        self.partition.as_ref().map(|json| offset_map(json).map(SourcePartition)).transpose()
    }
}

/// The key of a source partition.
#[must_use]
pub fn key_bytes(connector: &str, partition: Option<&OffsetMap>) -> Vec<u8> {
    let mut out = vec![b'['];
    jackson::write_string(connector, &mut out);
    out.push(b',');
    match partition {
        Some(partition) => write_map(partition, &mut out),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b']');
    out
}

/// The value of a source offset. No offset is written as Kafka's null instead.
#[must_use]
pub fn value_bytes(offset: &OffsetMap) -> Vec<u8> {
    let mut out = Vec::new();
    write_map(offset, &mut out);
    out
}

fn write_map(map: &OffsetMap, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, (name, value)) in map.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        jackson::write_string(name, out);
        out.push(b':');
        match value {
            OffsetValue::Null => out.extend_from_slice(b"null"),
            OffsetValue::Boolean(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            OffsetValue::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
            OffsetValue::Float(value) => jackson::write_float(*value, out),
            OffsetValue::Double(value) => jackson::write_double(*value, out),
            OffsetValue::String(text) => jackson::write_string(text, out),
            OffsetValue::Bytes(bytes) => jackson::write_base64(bytes, out),
        }
    }
    out.push(b'}');
}

/// Parses a key.
///
/// # Errors
/// If it is not a connector's; the record is then to be ignored.
pub fn parse_key(key: &[u8]) -> Result<OffsetKey, InvalidKey> {
    let json = jackson::read(key).map_err(|error| InvalidKey::NotJson(error.to_string()))?;
    let Some(Json::Array(items)) = json else { return Err(InvalidKey::NotAPair) };
    let Ok([connector, partition]) = <[Json; 2]>::try_from(items) else { return Err(InvalidKey::NotAPair) };
    let Json::String(connector) = connector else { return Err(InvalidKey::ConnectorNotText) };
    let partition = match partition {
        Json::Null => None,
        Json::Object(_) => Some(partition),
        _ => return Err(InvalidKey::PartitionNotAMap),
    };
    Ok(OffsetKey { connector: connector.into(), partition })
}

/// A value of the offsets topic that does not hold a source offset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// Not JSON.
    #[error("the offset is not JSON: {0}")]
    NotJson(String),
    /// JSON of another shape.
    #[error(transparent)]
    NotAnOffset(#[from] InvalidOffset),
}

/// Parses a value; `None` for JSON null. (A record with Kafka's null has no value to parse: its offset was removed.)
///
/// # Errors
/// If it is not a source offset.
pub fn parse_value(value: &[u8]) -> Result<Option<SourceOffset>, InvalidValue> {
    match jackson::read(value).map_err(|error| InvalidValue::NotJson(error.to_string()))? {
        None | Some(Json::Null) => Ok(None),
        Some(json) => Ok(Some(SourceOffset(offset_map(&json)?))),
    }
}

/// The map of a JSON object; integers beyond 64 bits wrap, as in Java.
fn offset_map(json: &Json) -> Result<OffsetMap, InvalidOffset> {
    let Json::Object(entries) = json else { return Err(InvalidOffset::NotAMap) };
    let entry = |(name, value): &(Box<str>, Json)| {
        let nested = |found: &str| InvalidOffset::NotPrimitive { field: name.to_string(), found: found.to_owned() };
        let value = match value {
            Json::Null => OffsetValue::Null,
            Json::Boolean(value) => OffsetValue::Boolean(*value),
            Json::Integer(_) => OffsetValue::Int(value.long_value()),
            // Unlike Connect, keeps the sign of -0.0, so that a key read and written again is the same key.
            Json::Float(text) => OffsetValue::Double(text.parse().unwrap_or_else(|_| value.double_value())),
            Json::String(text) => OffsetValue::String((&**text).into()),
            Json::Array(_) => return Err(nested("ARRAY")),
            Json::Object(_) => return Err(nested("MAP")),
        };
        Ok((name[..].into(), value))
    };
    entries.iter().map(entry).collect()
}

/// The map of a Connect value, as plugins of other processes hand it over; `None` for null.
///
/// # Errors
/// If Connect would not store it.
pub fn offset_map_of_value(value: &Value, arena: &Arena) -> Result<Option<OffsetMap>, InvalidOffset> {
    if value.is_null() {
        return Ok(None);
    }
    let map = value.as_map().ok_or(InvalidOffset::NotAMap)?;
    let entry = |(key, value): (&Value, &Value)| {
        let name = key.as_str(arena).ok_or(InvalidOffset::KeyNotText)?;
        let refused = |found: String| Err(InvalidOffset::NotPrimitive { field: name.to_owned(), found });
        let value = match value {
            Value::Null => OffsetValue::Null,
            Value::Boolean(value) => OffsetValue::Boolean(*value),
            Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => {
                OffsetValue::Int(value.as_int().unwrap_or_default())
            }
            Value::Float32(value) => OffsetValue::Float(*value),
            Value::Float64(value) => OffsetValue::Double(*value),
            Value::StringSpan(_) | Value::String(_) => {
                OffsetValue::String(value.as_str(arena).unwrap_or_default().into())
            }
            Value::BytesSpan(_) | Value::Bytes(_) => {
                OffsetValue::Bytes(value.as_bytes(arena).unwrap_or_default().into())
            }
            Value::Array(_) => return refused("ARRAY".to_owned()),
            Value::Map(_) => return refused("MAP".to_owned()),
            Value::Struct(_) => return refused("STRUCT".to_owned()),
            Value::Decimal(_) | Value::DateTime(_) => return refused(format!("class {}", value.java_class())),
        };
        Ok((name.into(), value))
    };
    map.iter().map(entry).collect::<Result<OffsetMap, _>>().map(Some)
}

/// Kafka's murmur2 (`Utils.murmur2`), by which Java's producers choose a key's partition.
#[must_use]
pub fn murmur2(data: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mixed = u32::from_le_bytes(*word).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ (mixed ^ mixed >> 24).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0_u32, |tail, &byte| tail << 8 | u32::from(byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    (hash ^ hash >> 15) as i32
}

/// The partition of a key among `partitions`, as Java's default partitioner chooses it.
#[must_use]
pub fn partition_for(key: &[u8], partitions: NonZeroU32) -> i32 {
    ((murmur2(key) as u32 & 0x7fff_ffff) % partitions) as i32
}
