//! Ferry's data model: schemas, values, records in batches.
//!
//! A [`RecordBatch`] owns one [`Arena`]; all text and bytes that a connector or a consumer hands over are [`Span`]s of it.
//! Rows carry no reference counts: what rows share (topic, schemas, source partition) is kept once per [`Run`].
//! This crate knows nothing of Kafka clients, converters or connectors.

mod arena;
mod batch;
pub mod jackson;
pub mod java_date_format;
pub mod java_text;
pub mod logical;
mod offset_map;
mod schema;
mod value;
pub mod values;

pub use arena::{Arena, Span};
pub use batch::{
    BatchParts, Header, Headers, NO_TIMESTAMP, OpenRecord, Origin, Position, RecordBatch, Row, Run, RunHead, Side,
    TimestampType,
};
pub use java_date_format::{IllegalDatePattern, JavaDateFormat};
pub use offset_map::{OffsetMap, OffsetValue, SourceOffset, SourcePartition};
pub use schema::{Field, Schema, SchemaBuilder, SchemaType};
pub use value::{Decimal, Struct, Value, ValueMap};
