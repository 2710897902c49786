//! Runs recorded cases through a converter or through `Values` and compares what it did.

use data_plane_connector_api::{Config, ConnectError, Converter, ConverterRole, HeaderConverter};
use data_plane_record::values::{self, ConversionError};
use data_plane_record::{Arena, Schema, Span, Value};
use serde_json::Value as Json;
use std::sync::Arc;

use crate::typed;

enum Done {
    Wire(Option<Vec<u8>>),
    Data(Option<Arc<Schema>>, Value),
}

/// A float as JDK 17 writes it; later JDKs, as we do, write the shorter 1.5E10. Cases that expect it to be written are out of scope, all
/// others in.
const OLD_FLOAT_TEXT: &str = "1.50000005E10";

/// Lines of the cases of a component: this crate's, or those in the folder that `FERRY_GOLDEN_DIR` names.
fn lines(file: &str, recorded: &str, component: &str) -> Vec<String> {
    let path = match std::env::var_os("FERRY_GOLDEN_DIR") {
        Some(folder) => std::path::Path::new(&folder).join(recorded),
        None => std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(file),
    };
    let text = std::fs::read_to_string(path).expect("the recorded cases");
    let component = format!("\"component\":\"org.apache.kafka.connect.{component}\"");
    let in_scope = |line: &&str| {
        let expected = line.rsplit("\"expect\":").next().unwrap_or_default();
        let written = line.contains("\"op\":\"from");
        line.contains(&component) && !(written && expected.contains(OLD_FLOAT_TEXT))
    };
    text.lines().filter(in_scope).map(str::to_owned).collect()
}

/// Runs all cases of a component; panics with a list of those that differ, or if this crate's are not as many as expected.
fn run_each(
    (file, recorded): (&str, &str),
    component: &str,
    expected_count: usize,
    check: impl Fn(&Json) -> Result<(), String>,
) {
    let lines = lines(file, recorded, component);
    assert!(!lines.is_empty(), "no cases of {component}");
    let mut failures = Vec::new();
    for line in &lines {
        let case: Json = serde_json::from_str(line).expect("a case");
        if let Err(difference) = check(&case) {
            failures.push(format!("{}: {difference}\n    {}", case["id"], case["input"]));
        }
    }
    assert!(failures.is_empty(), "{} of {} cases differ:\n{}", failures.len(), lines.len(), failures.join("\n"));
    if std::env::var_os("FERRY_GOLDEN_DIR").is_none() {
        assert_eq!(lines.len(), expected_count);
    }
}

/// Runs a converter's cases. `files` are the names in this crate and in a recorded set.
pub(crate) fn run<C: Converter + HeaderConverter>(
    files: (&str, &str),
    component: &str,
    expected_count: usize,
    make: fn() -> C,
) {
    run_each(files, component, expected_count, |case| {
        let (config, role) = config_of(case);
        let mut converter = make();
        let mut arena = Arena::default();
        let done = match Converter::configure(&mut converter, &config, role) {
            Err(error) => Err(("configure", error)),
            Ok(()) if case["op"].as_str().is_some_and(|op| op.ends_with("Header")) => {
                apply_header(case, &mut converter, &mut arena).map_err(|error| ("apply", error))
            }
            Ok(()) => apply(case, &mut converter, &mut arena).map_err(|error| ("apply", error)),
        };
        check(case, done, &arena)
    });
}

/// Runs the cases of a converter of headers only.
pub(crate) fn run_headers<C: HeaderConverter>(
    files: (&str, &str),
    component: &str,
    expected_count: usize,
    make: fn() -> C,
) {
    run_each(files, component, expected_count, |case| {
        let (config, _) = config_of(case);
        let mut converter = make();
        let mut arena = Arena::default();
        let done = match converter.configure(&config, ConverterRole::Header) {
            Err(error) => Err(("configure", error)),
            Ok(()) => apply_header(case, &mut converter, &mut arena).map_err(|error| ("apply", error)),
        };
        check(case, done, &arena)
    });
}

/// Runs the cases of `Values`.
pub(crate) fn run_values(expected_count: usize) {
    run_each(("values.jsonl", "values.jsonl"), "data.Values", expected_count, |case| {
        let expect = &case["expect"];
        match (apply_values(case), expect.get("error")) {
            (Err(error), Some(expected)) => {
                check_error_class("apply", error.java_class(), &error.to_string(), expected)
            }
            (Err(error), None) => Err(format!("fails with {error:?}")),
            (Ok(_), Some(expected)) => Err(format!("succeeds, but Connect fails: {expected}")),
            (Ok((schema, value)), None) => {
                let output = &expect["output"];
                let (expected_schema, expected_value) = match case["op"].as_str() {
                    Some("inferSchema") => (typed::schema(output), Value::Null),
                    Some("parseString") => recorded_data(output),
                    _ => (None, typed::value(output, typed::schema(&case["input"]["schema"]).as_ref())),
                };
                check_data(&schema, &value, &expected_schema, &expected_value, &Arena::default())
            }
        }
    });
}

/// Schema and value of a case of `Values`, whichever its operation gives.
fn apply_values(case: &Json) -> Result<(Option<Arc<Schema>>, Value), ConversionError> {
    let input = &case["input"];
    if let Some(text) = input.get("text") {
        let parsed = text.as_str().map_or(Ok(None), values::parse_string)?;
        return Ok(parsed.map_or((None, Value::Null), |parsed| (Some(parsed.schema), parsed.value)));
    }
    let schema = typed::schema(&input["schema"]);
    let value = typed::value(&input["value"], schema.as_ref());
    let (schema, arena) = (schema.as_deref(), &Arena::default());
    let converted = match case["op"].as_str().expect("an op") {
        "inferSchema" => return Ok((values::infer_schema(&value)?, Value::Null)),
        "convertToString" => {
            Ok(values::to_string(&value, arena).map_or(Value::Null, |text| Value::String(text.into())))
        }
        "convertToBoolean" => values::to_boolean(schema, &value, arena),
        "convertToByte" => values::to_byte(schema, &value, arena),
        "convertToShort" => values::to_short(schema, &value, arena),
        "convertToInteger" => values::to_integer(schema, &value, arena),
        "convertToLong" => values::to_long(schema, &value, arena),
        "convertToFloat" => values::to_float(schema, &value, arena),
        "convertToDouble" => values::to_double(schema, &value, arena),
        "convertToDecimal" => values::to_decimal(&value, input["scale"].as_i64().expect("a scale") as i32, arena),
        "convertToDate" => values::to_date(schema, &value, arena),
        "convertToTime" => values::to_time(schema, &value, arena),
        "convertToTimestamp" => values::to_timestamp(schema, &value, arena),
        "convertToList" => values::to_list(&value, arena),
        "convertToMap" => values::to_map(&value, arena),
        "convertToStruct" => values::to_struct(&value, arena),
        other => panic!("op {other}"),
    };
    Ok((None, converted?))
}

fn config_of(case: &Json) -> (Config, ConverterRole) {
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
    (config, role)
}

/// A recorded schema and value; null where the method gave none.
fn recorded_data(output: &Json) -> (Option<Arc<Schema>>, Value) {
    if output.is_null() {
        return (None, Value::Null);
    }
    let schema = typed::schema(&output["schema"]);
    let value = typed::value(&output["value"], schema.as_ref());
    (schema, value)
}

fn check_data(
    schema: &Option<Arc<Schema>>,
    value: &Value,
    expected_schema: &Option<Arc<Schema>>,
    expected_value: &Value,
    arena: &Arena,
) -> Result<(), String> {
    if schema != expected_schema {
        return Err(format!("gives schema {schema:?}, Connect {expected_schema:?}"));
    }
    if !typed::same(value, expected_value, arena) {
        return Err(format!("gives {:?}, Connect {expected_value:?}", value.to_owned_value(arena)));
    }
    Ok(())
}

fn check(case: &Json, done: Result<Done, (&str, ConnectError)>, arena: &Arena) -> Result<(), String> {
    let expect = &case["expect"];
    match (done, expect.get("error")) {
        (Err((stage, error)), Some(expected)) => check_error_class(stage, &error.class, &error.message, expected),
        (Err((_, error)), None) => Err(format!("fails with {}: {}", error.class, error.message)),
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
            let (expected_schema, expected_value) = recorded_data(&expect["output"]);
            check_data(&schema, &value, &expected_schema, &expected_value, arena)
        }
    }
}

fn check_error_class(stage: &str, class: &str, message: &str, expected: &Json) -> Result<(), String> {
    let expected_class = expected["class"].as_str().expect("a class");
    let own = expected_class.starts_with("org.apache.kafka.");
    if expected["stage"] != stage || own && expected_class != class {
        return Err(format!("fails in {stage} with {class}: {message}, Connect {expected}"));
    }
    Ok(())
}

fn wire_input(case: &Json, arena: &mut Arena) -> Option<Span> {
    let bytes = &case["input"]["bytes"];
    (bytes["type"] != "null").then(|| arena.push(&typed::bytes(bytes)))
}

fn apply<C: Converter>(case: &Json, converter: &mut C, arena: &mut Arena) -> Result<Done, ConnectError> {
    let input = &case["input"];
    let topic = input["topic"].as_str().unwrap_or_default();
    if case["op"] == "fromConnectData" {
        let schema = typed::schema(&input["schema"]);
        let value = typed::value(&input["value"], schema.as_ref());
        let span = converter.from_connect(topic, schema.as_ref(), &value, arena)?;
        return Ok(Done::Wire(span.map(|span| arena.get(span).to_vec())));
    }
    let data = wire_input(case, arena);
    converter.to_connect(topic, data, arena).map(|(schema, value)| Done::Data(schema.cloned(), value))
}

fn apply_header<C: HeaderConverter>(case: &Json, converter: &mut C, arena: &mut Arena) -> Result<Done, ConnectError> {
    let input = &case["input"];
    let topic = input["topic"].as_str().unwrap_or_default();
    let header = input["header"].as_str().unwrap_or_default();
    if case["op"] == "fromConnectHeader" {
        let schema = typed::schema(&input["schema"]);
        let value = typed::value(&input["value"], schema.as_ref());
        let span = converter.from_connect_header(topic, header, schema.as_ref(), &value, arena)?;
        return Ok(Done::Wire(span.map(|span| arena.get(span).to_vec())));
    }
    let data = wire_input(case, arena);
    let read = converter.to_connect_header(topic, header, data, arena);
    read.map(|(schema, value)| Done::Data(schema.cloned(), value))
}
