//! `org.apache.kafka.connect.data.Values`: text to values, values to text, values to other types; as Kafka Connect 4.3 does it with
//! UTC as the zone. Of two oddities this module keeps both: dates are read leniently, and a timestamp of the epoch's first day is
//! written as a time.

mod convert;
mod digits;
mod infer;
mod parse;
mod temporal;
mod text;
mod tokens;

use std::fmt;
use std::sync::Arc;

use crate::schema::Schema;
use crate::value::Value;

pub use convert::{
    to_boolean, to_byte, to_date, to_decimal, to_double, to_float, to_integer, to_list, to_long, to_map, to_short,
    to_struct, to_time, to_timestamp,
};
pub use digits::with_ascii_digits;
pub use infer::infer_schema;
pub use parse::{DEEPEST, parse_string, parse_string_exactly};
pub use text::{to_string, write_string};

/// `SchemaAndValue`.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaAndValue {
    /// The schema.
    pub schema: Arc<Schema>,
    /// The value; it holds no spans.
    pub value: Value,
}

/// Why a value has no such form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConversionError {
    /// Connect's `DataException`.
    Data(String),
    /// Connect's `SchemaBuilderException`.
    SchemaBuilder(String),
    /// What is an accident in Connect (`NullPointerException`, `NumberFormatException`): its Java class and a text.
    Java {
        /// Java class name.
        class: &'static str,
        /// What happened.
        message: String,
    },
    /// What [`parse_string_exactly`] refuses: text that would not be kept.
    Lossy {
        /// The text.
        text: String,
        /// What Connect makes of it.
        becomes: String,
    },
    /// Text that is nested deeper than [`DEEPEST`]; a stack overflow in Connect.
    TooDeep,
}

impl ConversionError {
    /// The class of the exception that Connect throws.
    #[must_use]
    pub fn java_class(&self) -> &'static str {
        match self {
            Self::Data(_) | Self::Lossy { .. } => "org.apache.kafka.connect.errors.DataException",
            Self::SchemaBuilder(_) => "org.apache.kafka.connect.errors.SchemaBuilderException",
            Self::Java { class, .. } => class,
            Self::TooDeep => "java.lang.StackOverflowError",
        }
    }
}

impl fmt::Display for ConversionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(message) | Self::SchemaBuilder(message) | Self::Java { message, .. } => {
                formatter.write_str(message)
            }
            Self::Lossy { text, becomes } => write!(formatter, "{text} would become {becomes}"),
            Self::TooDeep => write!(formatter, "text is nested deeper than {DEEPEST} levels"),
        }
    }
}

impl std::error::Error for ConversionError {}

const MILLIS_PER_DAY: i64 = 86_400_000;
