//! Source offsets: keys, values and partitions of the offsets topic.

use data_plane_core::offsets::{
    OffsetKey, key_bytes, murmur2, offset_map_of_value, parse_key, parse_value, partition_for, value_bytes,
};
use data_plane_record::{Arena, Value};
use serde_json::Value as Json;

use crate::typed;

/// Runs a case.
pub(super) fn run(case: &Json) -> Result<(), String> {
    match case["op"].as_str() {
        Some("write") => write(case),
        Some("processPartitionKey") => process_key(case),
        Some("murmur2") => partitions(&typed::bytes(&case["input"]["bytes"]), &case["expect"]["output"]),
        other => Err(format!("op {other:?}")),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what} is {found:?}, Connect {expected:?}")) }
}

fn optional_bytes(json: &Json) -> Option<Vec<u8>> {
    (json["type"] != "null").then(|| typed::bytes(json))
}

fn partitions(key: &[u8], expected: &Json) -> Result<(), String> {
    same("murmur2", Some(i64::from(murmur2(key))), expected["murmur2"].as_i64())?;
    for (count, partition) in expected["partition_of"].as_object().into_iter().flatten() {
        let count = count.parse().map_err(|_| "a count".to_owned())?;
        same("partition", Some(i64::from(partition_for(key, count))), partition.as_i64())?;
    }
    Ok(())
}

fn write(case: &Json) -> Result<(), String> {
    let arena = Arena::default();
    let (input, expect) = (&case["input"], &case["expect"]);
    let map = |name: &str| offset_map_of_value(&typed::value(&input[name], None), &arena);
    let maps = map("partition").and_then(|partition| Ok((partition, map("offset")?)));
    let (partition, offset) = match maps {
        Ok(maps) => maps,
        Err(error) => return same("the error", Some(&*error.to_string()), expect["error"]["message"].as_str()),
    };
    let Some(expected) = expect.get("output") else { return Err(format!("accepted, but Connect: {expect}")) };
    let connector = input["connector"].as_str().unwrap_or_default();
    let key = key_bytes(connector, partition.as_ref());
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    same("the key", Some(shown(&key)), optional_bytes(&expected["key"]).as_deref().map(shown))?;
    let value = offset.as_ref().map(value_bytes);
    same("the value", value.as_deref().map(shown), optional_bytes(&expected["value"]).as_deref().map(shown))?;
    partitions(&key, expected)?;
    // What was written reads back: written again it is the same.
    let unreadable = |error: &dyn std::fmt::Display| format!("what was written cannot be read: {error}");
    let read = parse_key(&key).map_err(|error| unreadable(&error))?;
    same("the connector read back", &*read.connector, connector)?;
    let read_partition = read.source_partition().map_err(|error| unreadable(&error))?;
    same("the key read back", key_bytes(connector, read_partition.as_deref()), key)?;
    if let Some(value) = value {
        let read = parse_value(&value).map_err(|error| unreadable(&error))?;
        same("the value read back", read.as_ref().map(|read| value_bytes(read)), Some(value))?;
    }
    Ok(())
}

fn process_key(case: &Json) -> Result<(), String> {
    let key = optional_bytes(&case["input"]["key"]).unwrap_or_default();
    let is_tombstone = case["input"]["value"]["type"] == "null";
    let found = match parse_key(&key) {
        Ok(OffsetKey { connector, partition: Some(partition) }) => vec![(connector, partition.to_value())],
        _ => Vec::new(),
    };
    let expected: Vec<_> = case["expect"]["output"].as_array().into_iter().flatten().collect();
    same("the number of connectors", found.len(), expected.len())?;
    for ((connector, partition), expected) in found.into_iter().zip(expected) {
        same("the connector", Some(&*connector), expected["connector"].as_str())?;
        let recorded = expected["partitions"].as_array().into_iter().flatten();
        let recorded: Vec<Value> = recorded.map(|partition| typed::value(partition, None)).collect();
        same("the partitions", if is_tombstone { Vec::new() } else { vec![partition] }, recorded)?;
    }
    Ok(())
}
