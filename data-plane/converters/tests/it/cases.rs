//! Runs a file of recorded cases through a converter and compares what it did.

use data_plane_connector_api::{Config, ConnectError, Converter, ConverterRole, HeaderConverter};
use data_plane_record::{Arena, Schema, Span, Value};
use serde_json::Value as Json;
use std::sync::Arc;

use crate::typed;

enum Done {
    Wire(Option<Vec<u8>>),
    Data(Option<Arc<Schema>>, Value),
}

/// Runs all cases of a file; panics with a list of those that differ. Returns how many there were.
pub(crate) fn run<C: Converter + HeaderConverter>(file: &str, make: fn() -> C) -> usize {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(file);
    let text = std::fs::read_to_string(path).expect("the recorded cases");
    let mut failures = Vec::new();
    for line in text.lines() {
        let case: Json = serde_json::from_str(line).expect("a case");
        if let Err(difference) = check(&case, make()) {
            failures.push(format!("{}: {difference}\n    {}", case["id"], case["input"]));
        }
    }
    assert!(failures.is_empty(), "{} cases differ:\n{}", failures.len(), failures.join("\n"));
    text.lines().count()
}

fn check<C: Converter + HeaderConverter>(case: &Json, mut converter: C) -> Result<(), String> {
    let config: Config = case["config"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    let role = match config.get("converter.type").map(String::as_str) {
        Some("key") => ConverterRole::Key,
        Some("header") => ConverterRole::Header,
        _ => ConverterRole::Value,
    };
    let mut arena = Arena::default();
    let (stage, outcome) = match Converter::configure(&mut converter, &config, role) {
        Err(error) => ("configure", Err(error)),
        Ok(()) => ("apply", apply(case, &mut converter, &mut arena)),
    };
    let expect = &case["expect"];
    match (outcome, expect.get("error")) {
        (Err(error), Some(expected)) => check_error(stage, &error, expected),
        (Err(error), None) => Err(format!("fails with {}: {}", error.class, error.message)),
        (Ok(_), Some(expected)) => Err(format!("succeeds, but Connect fails: {expected}")),
        (Ok(Done::Wire(wire)), None) => {
            let expected = &expect["output"];
            let expected = (expected["type"] != "null").then(|| typed::bytes(expected));
            if wire == expected {
                return Ok(());
            }
            let show = |bytes: Option<Vec<u8>>| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            Err(format!("writes {:?}, Connect {:?}", show(wire), show(expected)))
        }
        (Ok(Done::Data(schema, value)), None) => {
            let expected_schema = typed::schema(&expect["output"]["schema"]);
            let expected_value = typed::value(&expect["output"]["value"], expected_schema.as_ref());
            if schema != expected_schema {
                return Err(format!("reads schema {schema:?}, Connect {expected_schema:?}"));
            }
            if !typed::same(&value, &expected_value, &arena) {
                return Err(format!("reads {:?}, Connect {expected_value:?}", value.to_owned_value(&arena)));
            }
            Ok(())
        }
    }
}

fn check_error(stage: &str, error: &ConnectError, expected: &Json) -> Result<(), String> {
    let class = expected["class"].as_str().expect("a class");
    let own = class.starts_with("org.apache.kafka.");
    if expected["stage"] != stage || own && class != error.class {
        return Err(format!("fails in {stage} with {}: {}, Connect {expected}", error.class, error.message));
    }
    Ok(())
}

fn apply<C: Converter + HeaderConverter>(
    case: &Json,
    converter: &mut C,
    arena: &mut Arena,
) -> Result<Done, ConnectError> {
    let input = &case["input"];
    let topic = input["topic"].as_str().unwrap_or_default();
    let header = input["header"].as_str().unwrap_or_default();
    let schema = typed::schema(&input["schema"]);
    let value = || typed::value(&input["value"], schema.as_ref());
    let mut wire =
        || -> Option<Span> { (input["bytes"]["type"] != "null").then(|| arena.push(&typed::bytes(&input["bytes"]))) };
    match case["op"].as_str().expect("an op") {
        "fromConnectData" => {
            let span = converter.from_connect(topic, schema.as_ref(), &value(), arena)?;
            Ok(Done::Wire(span.map(|span| arena.get(span).to_vec())))
        }
        "fromConnectHeader" => {
            let span = converter.from_connect_header(topic, header, schema.as_ref(), &value(), arena)?;
            Ok(Done::Wire(span.map(|span| arena.get(span).to_vec())))
        }
        "toConnectData" => {
            let data = wire();
            converter.to_connect(topic, data, arena).map(|(schema, value)| Done::Data(schema.cloned(), value))
        }
        "toConnectHeader" => {
            let data = wire();
            let read = converter.to_connect_header(topic, header, data, arena);
            read.map(|(schema, value)| Done::Data(schema.cloned(), value))
        }
        other => panic!("op {other}"),
    }
}
