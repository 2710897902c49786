//! `Values`: parsing, converting and inferring.

use data_plane_record::values::{self, ConversionError};
use data_plane_record::{Arena, Schema, Value};
use serde_json::Value as Json;
use std::sync::Arc;

use crate::check::{self, Failed};
use crate::typed;

/// Runs a case.
pub(super) fn run(case: &Json) -> Result<(), String> {
    let done = apply(case).map_err(|error| Failed {
        stage: "apply",
        class: error.java_class().to_owned(),
        message: error.to_string(),
    });
    check::outcome(case, done, |(schema, value), output| {
        let expected = match case["op"].as_str() {
            Some("inferSchema") => (typed::schema(output), Value::Null),
            Some("parseString") => check::recorded_data(output),
            _ => (None, typed::value(output, typed::schema(&case["input"]["schema"]).as_ref())),
        };
        check::data(schema.as_ref(), &value, &expected, &Arena::default())
    })
}

/// Schema and value of a case of `Values`, whichever its operation gives.
fn apply(case: &Json) -> Result<(Option<Arc<Schema>>, Value), ConversionError> {
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
