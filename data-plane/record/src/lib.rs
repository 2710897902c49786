//! Ferry's data model: schemas, values, records in batches. Connector authors meet this crate first.
//!
//! - A [`Schema`] is built once and shared as `Arc`; stages recognise it by its pointer. [`logical`] has the schemas of dates,
//!   times, timestamps and decimals.
//! - A [`Value`] is plain data beside its schema. It may disagree with it: [`validate`] tells. A [`Struct`] checks what is
//!   [`put`](Struct::put) into it.
//! - A [`RecordBatch`] owns one [`Arena`]; all text and bytes that a connector or a consumer hands over are [`Span`]s of it.
//!   Rows carry no reference counts: what rows share (topic, schemas, source partition) is kept once per [`Run`].
//!
//! ```
//! use std::sync::Arc;
//!
//! use data_plane_record::{
//!     OffsetMap, Position, RecordBatch, Row, RunHead, Schema, SchemaType, SourcePartition, Struct, Value, logical,
//! };
//!
//! // A schema, once a task.
//! let schema = Schema::builder(SchemaType::Struct)
//!     .name("org.example.Order")
//!     .try_field("id", Arc::clone(Schema::plain(SchemaType::Int64, false)))?
//!     .try_field("customer", Arc::clone(Schema::plain(SchemaType::String, true)))?
//!     .try_field("placed", Arc::clone(logical::timestamp_schema(false)))?
//!     .build();
//!
//! // What the rows of a source partition share.
//! let head = RunHead {
//!     topic: "orders".into(),
//!     value_schema: Some(Arc::clone(&schema)),
//!     source_partition: Some(Arc::new(SourcePartition(OffsetMap::new().with("table", "orders")))),
//!     offset_field: Some("id".into()),
//!     ..RunHead::default()
//! };
//!
//! // A batch with one record. Text goes into the batch's arena.
//! let mut batch = RecordBatch::new();
//! let customer = batch.arena.push("Ada".as_bytes());
//! let mut order = Struct::new(schema);
//! order.put("id", Value::Int64(7))?;
//! order.put("customer", Value::StringSpan(customer))?;
//! order.put("placed", Value::DateTime(1_709_210_096_789))?;
//! order.validate()?;
//! batch.push(&head, Row::new(Value::Null, Value::Struct(Box::new(order)), Position::SourceField(7)));
//!
//! // Read it back.
//! for (head, rows) in batch.runs() {
//!     assert_eq!(&*head.topic, "orders");
//!     let order = rows[0].value.as_struct().expect("an order");
//!     assert_eq!(order.get("customer").and_then(|name| name.as_str(&batch.arena)), Some("Ada"));
//!     let offset = batch.source_offset(head, rows[0].position).expect("an offset");
//!     assert_eq!(offset.get("id"), Some(&7.into()));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate knows nothing of Kafka clients, converters or connectors. What it has of Java is what shows in data: texts of
//! numbers ([`java_text`]), dates in patterns ([`java_date_format`]), JSON as Jackson reads and writes it ([`jackson`]), Connect's
//! [`values`].

mod arena;
mod batch;
pub mod exact;
pub mod jackson;
pub mod java_date_format;
pub mod java_text;
pub mod logical;
mod offset_map;
mod schema;
pub mod schema_projector;
pub mod validate;
mod value;
pub mod values;

pub use arena::{Arena, Span};
pub use batch::{
    BatchParts, Header, Headers, NO_TIMESTAMP, OpenRecord, Origin, Position, RecordBatch, Row, Run, RunHead, Side,
    TimestampType,
};
pub use java_date_format::{IllegalDatePattern, JavaDateFormat};
pub use offset_map::{OffsetMap, OffsetValue, SourceOffset, SourcePartition};
pub use schema::{Field, Schema, SchemaBuilder, SchemaBuilderError, SchemaType};
pub use validate::InvalidValue;
pub use value::{Decimal, Struct, Value, ValueMap};
