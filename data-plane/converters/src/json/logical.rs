//! Connect's logical types in JSON: Decimal, Date, Time and Timestamp.

use data_plane_connector_api::ConnectError;
use data_plane_record::jackson::{self, BorrowedJson, JsonTree};
use data_plane_record::{Decimal, Schema, Value, java_text};

use super::Options;
use super::read::node_type;

const MILLIS_PER_DAY: i64 = 86_400_000;

/// A logical type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logical {
    Decimal,
    Date,
    Time,
    Timestamp,
}

/// The logical type that a schema's name says.
pub(super) fn of(schema: &Schema) -> Option<Logical> {
    Some(match schema.name.as_deref()?.strip_prefix("org.apache.kafka.connect.data.")? {
        "Decimal" => Logical::Decimal,
        "Date" => Logical::Date,
        "Time" => Logical::Time,
        "Timestamp" => Logical::Timestamp,
        _ => return None,
    })
}

fn scale_of(schema: &Schema) -> Result<i32, ConnectError> {
    let text = schema
        .parameter("scale")
        .ok_or_else(|| ConnectError::data("Invalid Decimal schema: scale parameter not found."))?;
    text.parse().map_err(|_| ConnectError::data("Invalid scale parameter found in Decimal schema: "))
}

impl Logical {
    fn name(self) -> &'static str {
        match self {
            Self::Decimal => "Decimal",
            Self::Date => "Date",
            Self::Time => "Time",
            Self::Timestamp => "Timestamp",
        }
    }

    /// Appends the JSON of a value.
    pub(super) fn write(
        self,
        schema: &Schema,
        value: &Value,
        options: Options,
        out: &mut Vec<u8>,
    ) -> Result<(), ConnectError> {
        let number = match (self, value) {
            (Self::Decimal, Value::Decimal(decimal)) if options.numeric_decimals => {
                java_text::write_decimal(decimal, out);
                return Ok(());
            }
            (Self::Decimal, Value::Decimal(decimal)) => {
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
            (Self::Date, Value::DateTime(millis)) if millis % MILLIS_PER_DAY != 0 => {
                return Err(ConnectError::data(
                    "Kafka Connect Date type should not have any time fields set to non-zero values.",
                ));
            }
            (Self::Date, Value::DateTime(millis)) => {
                let (days, wrapped) = (millis / MILLIS_PER_DAY, (millis / MILLIS_PER_DAY) as i32);
                let is_kept = || days == i64::from(wrapped);
                options.losses.check(is_kept, || format!("day {days}"), || wrapped.to_string())?;
                i64::from(wrapped)
            }
            (Self::Time, Value::DateTime(millis)) if !(0..=MILLIS_PER_DAY).contains(millis) => {
                return Err(ConnectError::data(
                    "Kafka Connect Time type should not have any date fields set to non-zero values.",
                ));
            }
            (Self::Time | Self::Timestamp, Value::DateTime(millis)) => *millis,
            _ => {
                let (name, class) = (self.name(), value.java_class());
                let expected = if self == Self::Decimal { "BigDecimal" } else { "Date" };
                return Err(ConnectError::data(format!(
                    "Invalid type for {name}, expected {expected} but was class {class}"
                )));
            }
        };
        jackson::write_integer(number, out);
        Ok(())
    }

    /// The value of JSON that is not null.
    pub(super) fn read(self, schema: &Schema, json: &BorrowedJson<'_>) -> Result<Value, ConnectError> {
        match (self, json) {
            (Self::Decimal, JsonTree::Integer(text) | JsonTree::Float(text)) => Decimal::parse(text)
                .map(|decimal| Value::Decimal(Box::new(decimal)))
                .ok_or_else(|| ConnectError::data(format!("Invalid number for Decimal field: {text}"))),
            (Self::Decimal, JsonTree::String(text)) => {
                let invalid = || ConnectError::data("Invalid bytes for Decimal field");
                let unscaled = jackson::read_base64(text).filter(|bytes| !bytes.is_empty()).ok_or_else(invalid)?;
                let scale = scale_of(schema).map_err(|_| invalid())?;
                Ok(Value::Decimal(Box::new(Decimal { unscaled: unscaled.into(), scale })))
            }
            (Self::Decimal, _) => Err(ConnectError::data(format!(
                "Invalid type for Decimal, underlying representation should be numeric or bytes but was {}",
                node_type(json)
            ))),
            (Self::Timestamp, JsonTree::Integer(_)) => Ok(Value::DateTime(json.long_value())),
            (Self::Timestamp, _) => Err(ConnectError::data(format!(
                "Invalid type for Timestamp, underlying representation should be integral but was {}",
                node_type(json)
            ))),
            (Self::Date | Self::Time, JsonTree::Integer(text)) if text.parse::<i32>().is_ok() => {
                let number = json.long_value();
                if self == Self::Date {
                    return Ok(Value::DateTime(number * MILLIS_PER_DAY));
                }
                if !(0..=MILLIS_PER_DAY).contains(&number) {
                    return Err(ConnectError::data(
                        "Time values must use number of milliseconds greater than 0 and less than 86400000",
                    ));
                }
                Ok(Value::DateTime(number))
            }
            (Self::Date | Self::Time, _) => Err(ConnectError::data(format!(
                "Invalid type for {}, underlying representation should be integer but was {}",
                self.name(),
                node_type(json)
            ))),
        }
    }
}
