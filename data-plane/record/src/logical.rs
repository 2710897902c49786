//! Connect's logical types: schemas of plain types whose names give their values a meaning.
//!
//! | type | schema | value |
//! | --- | --- | --- |
//! | Decimal | bytes, with the parameter `scale` | [`Value::Decimal`](crate::Value::Decimal) |
//! | Date | int32 | [`Value::DateTime`](crate::Value::DateTime) at midnight UTC |
//! | Time | int32 | `Value::DateTime` on 1 January 1970 |
//! | Timestamp | int64 | `Value::DateTime` |

use std::sync::{Arc, LazyLock};

use crate::schema::{Schema, SchemaBuilder, SchemaType};

/// Name of `org.apache.kafka.connect.data.Decimal`.
pub const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
/// Name of `org.apache.kafka.connect.data.Date`.
pub const DATE: &str = "org.apache.kafka.connect.data.Date";
/// Name of `org.apache.kafka.connect.data.Time`.
pub const TIME: &str = "org.apache.kafka.connect.data.Time";
/// Name of `org.apache.kafka.connect.data.Timestamp`.
pub const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";

/// A logical type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "Connect's own names")]
pub enum Logical {
    Decimal,
    Date,
    Time,
    Timestamp,
}

impl Logical {
    /// The logical type that a schema's name says, whatever its plain type.
    #[must_use]
    pub fn of(schema: &Schema) -> Option<Self> {
        match schema.name.as_deref()? {
            DECIMAL => Some(Self::Decimal),
            DATE => Some(Self::Date),
            TIME => Some(Self::Time),
            TIMESTAMP => Some(Self::Timestamp),
            _ => None,
        }
    }
}

/// `Decimal.builder(scale)`: decimals of so many digits after the point.
#[must_use]
pub fn decimal(scale: i32) -> SchemaBuilder {
    Schema::builder(SchemaType::Bytes).name(DECIMAL).version(1).parameter("scale", scale.to_string())
}

/// `Date.builder()`.
#[must_use]
pub fn date() -> SchemaBuilder {
    Schema::builder(SchemaType::Int32).name(DATE).version(1)
}

/// `Time.builder()`.
#[must_use]
pub fn time() -> SchemaBuilder {
    Schema::builder(SchemaType::Int32).name(TIME).version(1)
}

/// `Timestamp.builder()`.
#[must_use]
pub fn timestamp() -> SchemaBuilder {
    Schema::builder(SchemaType::Int64).name(TIMESTAMP).version(1)
}

/// Connect's `Date.SCHEMA`, `Time.SCHEMA` and `Timestamp.SCHEMA`, required and optional.
static SCHEMAS: LazyLock<[[Arc<Schema>; 2]; 3]> = LazyLock::new(|| {
    [date(), time(), timestamp()].map(|builder| [builder.clone().build(), builder.optional().build()])
});

/// `Date.SCHEMA`, or the same made optional: always the same pointers.
#[must_use]
pub fn date_schema(optional: bool) -> &'static Arc<Schema> {
    &SCHEMAS[0][usize::from(optional)]
}

/// `Time.SCHEMA`, or the same made optional: always the same pointers.
#[must_use]
pub fn time_schema(optional: bool) -> &'static Arc<Schema> {
    &SCHEMAS[1][usize::from(optional)]
}

/// `Timestamp.SCHEMA`, or the same made optional: always the same pointers.
#[must_use]
pub fn timestamp_schema(optional: bool) -> &'static Arc<Schema> {
    &SCHEMAS[2][usize::from(optional)]
}
