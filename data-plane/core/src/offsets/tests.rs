//! All cases recorded from Kafka Connect 4.3 (`testdata/offsets.jsonl`, or the folder in `FERRY_GOLDEN_DIR`).

use data_plane_record::ValueMap;
use serde_json::Value as Case;

use super::*;

fn bytes(json: &Case) -> Option<Vec<u8>> {
    if json["type"] == "null" {
        return None;
    }
    if let Some(text) = json["utf8"].as_str() {
        return Some(text.as_bytes().to_vec());
    }
    let digits = json["v"].as_str().expect("base64").bytes().filter(|&digit| digit != b'=');
    let (mut bytes, mut group, mut bits) = (Vec::new(), 0_u32, 0);
    for digit in digits {
        let six = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        group = group << 6 | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits) as u8);
        }
    }
    Some(bytes)
}

fn value(json: &Case) -> Value {
    let inner = &json["v"];
    let text = || inner.as_str().map_or_else(|| inner.to_string(), str::to_owned);
    let integer = || text().parse::<i64>().expect("an integer");
    match json["type"].as_str().expect("a type") {
        "null" => Value::Null,
        "boolean" => Value::Boolean(inner.as_bool().expect("a boolean")),
        "int8" => Value::Int8(integer() as i8),
        "int16" => Value::Int16(integer() as i16),
        "int32" => Value::Int32(integer() as i32),
        "int64" => Value::Int64(integer()),
        "float32" => Value::Float32(text().parse().expect("a float")),
        "float64" => Value::Float64(text().parse().expect("a double")),
        "string" => Value::String(text().into()),
        "bytes" => Value::Bytes(bytes(json).expect("bytes").into()),
        "array" => Value::Array(Box::new(inner.as_array().expect("items").iter().map(value).collect())),
        "map" => {
            let entries = inner.as_array().expect("entries").iter();
            Value::Map(Box::new(entries.map(|entry| (value(&entry[0]), value(&entry[1]))).collect::<ValueMap>()))
        }
        // Its digits do not matter: offsets refuse decimals.
        "decimal" => Value::Decimal(Box::new(data_plane_record::Decimal { unscaled: [0].into(), scale: 0 })),
        "datetime" => Value::DateTime(integer()),
        other => panic!("type {other}"),
    }
}

fn check_partitions(key: &[u8], expected: &Case) {
    assert_eq!(Some(i64::from(murmur2(key))), expected["murmur2"].as_i64());
    for (count, partition) in expected["partition_of"].as_object().expect("partitions") {
        let count = count.parse().expect("a count");
        assert_eq!(Some(i64::from(partition_for(key, count))), partition.as_i64());
    }
}

fn check_write(case: &Case) {
    let arena = Arena::default();
    let (input, expect) = (&case["input"], &case["expect"]);
    let maps = offset_map_of_value(&value(&input["partition"]), &arena)
        .and_then(|partition| Ok((partition, offset_map_of_value(&value(&input["offset"]), &arena)?)));
    let (partition, offset) = match maps {
        Ok(maps) => maps,
        Err(error) => return assert_eq!(Some(&*error.to_string()), expect["error"]["message"].as_str()),
    };
    let expected = expect.get("output").unwrap_or_else(|| panic!("accepted, but Connect: {expect}"));
    let connector = input["connector"].as_str().expect("a name");
    let key = key_bytes(connector, partition.as_ref());
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(Some(shown(&key)), bytes(&expected["key"]).as_deref().map(shown));
    assert_eq!(offset.as_ref().map(|o| shown(&value_bytes(o))), bytes(&expected["value"]).as_deref().map(shown));
    check_partitions(&key, expected);
    // What was written reads back: written again it is the same.
    let read = parse_key(&key).expect("a key");
    assert_eq!(read.connector, connector);
    let read_partition = read.source_partition().expect("a partition");
    assert_eq!(key_bytes(connector, read_partition.as_deref()), key);
    if let Some(offset) = offset {
        let read = parse_value(&value_bytes(&offset)).expect("an offset").expect("not null");
        assert_eq!(value_bytes(&read), value_bytes(&offset));
    }
}

fn check_key(case: &Case) {
    let key = bytes(&case["input"]["key"]).unwrap_or_default();
    let tombstone = case["input"]["value"]["type"] == "null";
    let found = match parse_key(&key) {
        Ok(OffsetKey { connector, partition: Some(partition) }) => vec![(connector, partition.to_value())],
        _ => Vec::new(),
    };
    let expected = case["expect"]["output"].as_array().expect("a list");
    assert_eq!(found.len(), expected.len());
    for ((connector, partition), expected) in found.into_iter().zip(expected) {
        assert_eq!(Some(&*connector), expected["connector"].as_str());
        let partitions: Vec<_> = expected["partitions"].as_array().expect("a list").iter().map(value).collect();
        assert_eq!(partitions, if tombstone { Vec::new() } else { vec![partition] });
    }
}

#[test]
fn all_recorded_cases() {
    let folder = std::env::var_os("FERRY_GOLDEN_DIR")
        .map_or_else(|| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata"), Into::into);
    let text = std::fs::read_to_string(folder.join("offsets.jsonl")).expect("the recorded cases");
    let mut failed = Vec::new();
    for line in text.lines() {
        let case: Case = serde_json::from_str(line).expect("a case");
        let outcome = std::panic::catch_unwind(|| match case["op"].as_str() {
            Some("write") => check_write(&case),
            Some("processPartitionKey") => check_key(&case),
            Some("murmur2") => {
                check_partitions(&bytes(&case["input"]["bytes"]).expect("bytes"), &case["expect"]["output"]);
            }
            other => panic!("op {other:?}"),
        });
        if outcome.is_err() {
            failed.push(line.to_owned());
        }
    }
    assert!(failed.is_empty(), "{} of {} cases differ:\n{}", failed.len(), text.lines().count(), failed.join("\n"));
    assert!(text.lines().count() >= 427, "cases are missing");
}
