//! The forms of a timestamp, and from one to another.

use std::sync::Arc;

use data_plane_connector_api::{ConnectError, Losses};
use data_plane_record::exact::{GREGORIAN_START_MS, shown};
use data_plane_record::logical::{self, Logical};
use data_plane_record::{Arena, JavaDateFormat, Schema, SchemaType, Value};

const DAY_MS: i64 = 86_400_000;

/// A form of timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Form {
    Text,
    Unix,
    Date,
    Time,
    #[default]
    Timestamp,
}

impl Form {
    /// Names in configs.
    pub(super) const NAMES: [&str; 5] = ["string", "unix", "Date", "Time", "Timestamp"];

    /// The form of a name in configs.
    pub(super) fn named(name: &str) -> Self {
        match name {
            "string" => Self::Text,
            "unix" => Self::Unix,
            "Date" => Self::Date,
            "Time" => Self::Time,
            _ => Self::Timestamp,
        }
    }

    /// The form of values under a schema.
    pub(super) fn of(schema: &Schema) -> Result<Self, ConnectError> {
        match (Logical::of(schema), schema.kind) {
            (Some(Logical::Timestamp), _) => Ok(Self::Timestamp),
            (Some(Logical::Date), _) => Ok(Self::Date),
            (Some(Logical::Time), _) => Ok(Self::Time),
            (_, SchemaType::String) => Ok(Self::Text),
            (_, SchemaType::Int64) => Ok(Self::Unix),
            _ => {
                let name = schema.name.iter().map(|name| format!("{name}:")).collect::<String>();
                let kind = schema.kind.name().to_uppercase();
                Err(ConnectError::connect(format!(
                    "Schema Schema{{{name}{kind}}} does not correspond to a known timestamp type format"
                )))
            }
        }
    }

    /// The form of a value without a schema.
    fn of_value(value: &Value) -> Result<Self, ConnectError> {
        match value {
            Value::DateTime(_) => Ok(Self::Timestamp),
            Value::Int64(_) => Ok(Self::Unix),
            Value::String(_) | Value::StringSpan(_) => Ok(Self::Text),
            _ => Err(ConnectError::data(format!(
                "TimestampConverter does not support class {} objects as timestamps",
                value.java_class()
            ))),
        }
    }

    /// The schema of values of this form.
    pub(super) fn schema(self, optional: bool) -> &'static Arc<Schema> {
        match self {
            Self::Text => Schema::plain(SchemaType::String, optional),
            Self::Unix => Schema::plain(SchemaType::Int64, optional),
            Self::Date => logical::date_schema(optional),
            Self::Time => logical::time_schema(optional),
            Self::Timestamp => logical::timestamp_schema(optional),
        }
    }
}

/// The unit of numbers since the epoch (KIP-808).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Precision {
    Seconds,
    #[default]
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl Precision {
    /// Names in configs.
    pub(super) const NAMES: [&str; 4] = ["nanoseconds", "microseconds", "milliseconds", "seconds"];

    /// The unit of a name in configs.
    pub(super) fn named(name: &str) -> Self {
        match name {
            "seconds" => Self::Seconds,
            "microseconds" => Self::Microseconds,
            "nanoseconds" => Self::Nanoseconds,
            _ => Self::Milliseconds,
        }
    }

    /// As Java's `TimeUnit`: what is too large stops at the limits, fractions are cut off.
    fn to_millis(self, number: i64) -> i64 {
        match self {
            Self::Seconds => number.saturating_mul(1_000),
            Self::Milliseconds => number,
            Self::Microseconds => number / 1_000,
            Self::Nanoseconds => number / 1_000_000,
        }
    }

    fn of_millis(self, millis: i64) -> i64 {
        match self {
            Self::Seconds => millis / 1_000,
            Self::Milliseconds => millis,
            Self::Microseconds => millis.saturating_mul(1_000),
            Self::Nanoseconds => millis.saturating_mul(1_000_000),
        }
    }
}

/// What is converted to what.
#[derive(Debug, Default)]
pub(super) struct Forms {
    pub(super) target: Form,
    /// There if the target is text.
    pub(super) format: Option<JavaDateFormat>,
    pub(super) precision: Precision,
    pub(super) losses: Losses,
}

impl Forms {
    /// The timestamp in the form wanted; null stays null. Without a form, the value says it.
    pub(super) fn convert(&self, value: &Value, form: Option<Form>, arena: &mut Arena) -> Result<Value, ConnectError> {
        if value.is_null() {
            return Ok(Value::Null);
        }
        let form = form.map_or_else(|| Form::of_value(value), Ok)?;
        let millis = self.to_millis(value, form, arena)?;
        let converted = match (self.target, &self.format) {
            (Form::Text, Some(format)) => Value::StringSpan(arena.push(format.format(millis).as_bytes())),
            (Form::Text, None) => return Err(no_format("format(java.util.Date)")),
            (Form::Unix, _) => Value::Int64(self.precision.of_millis(millis)),
            (Form::Date, _) => Value::DateTime(millis.div_euclid(DAY_MS).wrapping_mul(DAY_MS)),
            (Form::Time, _) => Value::DateTime(millis.rem_euclid(DAY_MS)),
            (Form::Timestamp, _) => Value::DateTime(millis),
        };
        let is_kept = || match converted {
            Value::Int64(number) => self.precision.to_millis(number) == millis,
            Value::DateTime(kept) => kept == millis,
            _ => millis >= GREGORIAN_START_MS,
        };
        self.losses.check(is_kept, || shown(&Value::DateTime(millis), arena), || shown(&converted, arena))?;
        Ok(converted)
    }

    fn to_millis(&self, value: &Value, form: Form, arena: &Arena) -> Result<i64, ConnectError> {
        let expected = match (form, value) {
            (Form::Text, _) => match (value.as_str(arena), &self.format) {
                (Some(_), None) => return Err(no_format("parse(String)")),
                (Some(text), Some(format)) => {
                    let millis = format.parse(text).ok_or_else(|| unparseable(value, format, arena))?;
                    let becomes = || shown(&Value::DateTime(millis), arena);
                    self.losses.check(|| format.parses_exactly(text), || text.to_owned(), becomes)?;
                    return Ok(millis);
                }
                (None, _) => "string timestamp to be a String",
            },
            (Form::Unix, Value::Int64(number)) => {
                let millis = self.precision.to_millis(*number);
                let is_kept = || self.precision.of_millis(millis) == *number;
                self.losses.check(is_kept, || number.to_string(), || shown(&Value::DateTime(millis), arena))?;
                return Ok(millis);
            }
            (Form::Unix, _) => "Unix timestamp to be a Long",
            (_, Value::DateTime(millis)) => return Ok(*millis),
            (Form::Date, _) => "Date to be a java.util.Date",
            (Form::Time, _) => "Time to be a java.util.Date",
            (Form::Timestamp, _) => "Timestamp to be a java.util.Date",
        };
        Err(ConnectError::data(format!("Expected {expected}, but found class {}", value.java_class())))
    }
}

/// In Java an accident: text where the config has no format for it.
fn no_format(call: &str) -> ConnectError {
    ConnectError::new(
        "java.lang.NullPointerException",
        format!("Cannot invoke \"java.text.SimpleDateFormat.{call}\": set format, by which text is read and written"),
    )
}

fn unparseable(value: &Value, format: &JavaDateFormat, arena: &Arena) -> ConnectError {
    let text = shown(value, arena);
    ConnectError::data(format!(
        "Could not parse timestamp: value ({text}) does not match pattern ({})",
        format.pattern()
    ))
    .caused_by("java.text.ParseException", format!("Unparseable date: \"{text}\""))
}
