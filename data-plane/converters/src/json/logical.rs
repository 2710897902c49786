//! Connect's logical types in JSON: Decimal, Date, Time and Timestamp.

use data_plane_connector_api::ConnectError;
use data_plane_record::jackson::{self, BorrowedJson, JsonTree};
use data_plane_record::logical::Logical;
use data_plane_record::{Decimal, Schema, Value, java_text};

use super::Options;
use super::read::node_type;

const MILLIS_PER_DAY: i64 = 86_400_000;

fn scale_of(schema: &Schema) -> Result<i32, ConnectError> {
    let text = schema
        .parameter("scale")
        .ok_or_else(|| ConnectError::data("Invalid Decimal schema: scale parameter not found."))?;
    text.parse().map_err(|_| ConnectError::data("Invalid scale parameter found in Decimal schema: "))
}

/// Appends the JSON of a value.
pub(super) fn write(
    logical: Logical,
    schema: &Schema,
    value: &Value,
    options: Options,
    out: &mut Vec<u8>,
) -> Result<(), ConnectError> {
    let number = match (logical, value) {
        (Logical::Decimal, Value::Decimal(decimal)) if options.numeric_decimals => {
            java_text::write_decimal(decimal, out);
            return Ok(());
        }
        (Logical::Decimal, Value::Decimal(decimal)) => {
            let scale = scale_of(schema)?;
            if scale != decimal.scale {
                return Err(ConnectError::data(format!(
                    "Decimal value has mismatching scale for given Decimal schema. Schema has scale {scale}, value \
                     has scale {}.",
                    decimal.scale
                )));
            }
            jackson::write_base64(&decimal.unscaled, out);
            return Ok(());
        }
        (Logical::Date, Value::DateTime(millis)) if millis % MILLIS_PER_DAY != 0 => {
            return Err(ConnectError::data(
                "Kafka Connect Date type should not have any time fields set to non-zero values.",
            ));
        }
        (Logical::Date, Value::DateTime(millis)) => {
            let (days, wrapped) = (millis / MILLIS_PER_DAY, (millis / MILLIS_PER_DAY) as i32);
            let is_kept = || days == i64::from(wrapped);
            options.losses.check(is_kept, || format!("day {days}"), || wrapped.to_string())?;
            i64::from(wrapped)
        }
        (Logical::Time, Value::DateTime(millis)) if !(0..=MILLIS_PER_DAY).contains(millis) => {
            return Err(ConnectError::data(
                "Kafka Connect Time type should not have any date fields set to non-zero values.",
            ));
        }
        (Logical::Time | Logical::Timestamp, Value::DateTime(millis)) => *millis,
        _ => {
            let class = value.java_class();
            let expected = if logical == Logical::Decimal { "BigDecimal" } else { "Date" };
            return Err(ConnectError::data(format!(
                "Invalid type for {logical:?}, expected {expected} but was class {class}"
            )));
        }
    };
    jackson::write_integer(number, out);
    Ok(())
}

/// The value of JSON that is not null.
pub(super) fn read(logical: Logical, schema: &Schema, json: &BorrowedJson<'_>) -> Result<Value, ConnectError> {
    match (logical, json) {
        (Logical::Decimal, JsonTree::Integer(text) | JsonTree::Float(text)) => Decimal::parse(text)
            .map(|decimal| Value::Decimal(Box::new(decimal)))
            .ok_or_else(|| ConnectError::data(format!("Invalid number for Decimal field: {text}"))),
        (Logical::Decimal, JsonTree::String(text)) => {
            let invalid = || ConnectError::data("Invalid bytes for Decimal field");
            let unscaled = jackson::read_base64(text).filter(|bytes| !bytes.is_empty()).ok_or_else(invalid)?;
            let scale = scale_of(schema).map_err(|_| invalid())?;
            Ok(Value::Decimal(Box::new(Decimal { unscaled: unscaled.into(), scale })))
        }
        (Logical::Decimal, _) => Err(ConnectError::data(format!(
            "Invalid type for Decimal, underlying representation should be numeric or bytes but was {}",
            node_type(json)
        ))),
        (Logical::Timestamp, JsonTree::Integer(_)) => Ok(Value::DateTime(json.long_value())),
        (Logical::Timestamp, _) => Err(ConnectError::data(format!(
            "Invalid type for Timestamp, underlying representation should be integral but was {}",
            node_type(json)
        ))),
        (Logical::Date | Logical::Time, JsonTree::Integer(text)) if text.parse::<i32>().is_ok() => {
            let number = json.long_value();
            if logical == Logical::Date {
                return Ok(Value::DateTime(number * MILLIS_PER_DAY));
            }
            if !(0..=MILLIS_PER_DAY).contains(&number) {
                return Err(ConnectError::data(
                    "Time values must use number of milliseconds greater than 0 and less than 86400000",
                ));
            }
            Ok(Value::DateTime(number))
        }
        (Logical::Date | Logical::Time, _) => Err(ConnectError::data(format!(
            "Invalid type for {logical:?}, underlying representation should be integer but was {}",
            node_type(json)
        ))),
    }
}
