//! The records measured: lines of a log, the same with a timestamp as two fields, and orders with fields of all kinds.

use std::sync::Arc;

use data_plane_record::{
    Arena, Header, Position, RecordBatch, Row, RunHead, Schema, SchemaType, Struct, Value, ValueMap,
};

/// Records of a batch.
pub const ROWS: usize = 1000;

/// Whether values come with a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Schemaless,
    WithSchema,
}

/// A schema and the values under it; their text is in the arena.
pub struct Column {
    pub schema: Option<Arc<Schema>>,
    pub values: Vec<Value>,
}

impl Column {
    /// Values of a plain type.
    pub fn plain(kind: SchemaType, arena: &mut Arena, value: impl Fn(usize, &mut Arena) -> Value) -> Self {
        let values = (0..ROWS).map(|row| value(row, arena)).collect();
        Self { schema: Some(Arc::clone(Schema::plain(kind, true))), values }
    }
}

/// A timestamp in milliseconds since the epoch.
pub fn millis(row: usize) -> i64 {
    1_700_000_000_000 + row as i64 * 7
}

/// A line of about 70 bytes, without characters that JSON escapes.
pub fn line(row: usize) -> String {
    let hash = (row as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{row:07} GET /shop/orders/{hash:016x}/items?page={} 200 {}us", row % 10, hash % 9000 + 1000)
}

fn text(text: &str, arena: &mut Arena) -> Value {
    Value::StringSpan(arena.push(text.as_bytes()))
}

/// Lines as text.
pub fn lines(shape: Shape, arena: &mut Arena) -> Column {
    let mut column = Column::plain(SchemaType::String, arena, |row, arena| text(&line(row), arena));
    column.schema = column.schema.filter(|_| shape == Shape::WithSchema);
    column
}

/// Named values as a map, or as a struct of the schema.
fn record(schema: Option<&Arc<Schema>>, fields: Vec<(&str, Value)>, arena: &mut Arena) -> Value {
    match schema {
        Some(schema) => {
            let values = fields.into_iter().map(|(_, value)| value).collect();
            Value::Struct(Box::new(Struct { schema: Arc::clone(schema), values }))
        }
        None => {
            let entries = fields.into_iter().map(|(name, value)| (text(name, arena), value));
            Value::Map(Box::new(entries.collect::<ValueMap>()))
        }
    }
}

/// Structs or maps with the fields `line` and `ts`: about 100 bytes as JSON.
pub fn stamped_lines(shape: Shape, arena: &mut Arena) -> Column {
    let schema = (shape == Shape::WithSchema).then(|| {
        let schema = Schema::builder(SchemaType::Struct).field("line", Arc::clone(Schema::string()));
        schema.field("ts", Arc::clone(Schema::plain(SchemaType::Int64, false))).build()
    });
    let value = |row| {
        let fields = vec![("line", text(&line(row), arena)), ("ts", Value::Int64(millis(row)))];
        record(schema.as_ref(), fields, arena)
    };
    let values = (0..ROWS).map(value).collect();
    Column { schema, values }
}

/// Structs or maps with the fields `id`, `customer`, `amount`, `paid`, `placed`, `note` (null) and `address` (of `city`, `zip`).
pub fn orders(shape: Shape, arena: &mut Arena) -> Column {
    let plain = |kind| Arc::clone(Schema::plain(kind, true));
    let address = Schema::builder(SchemaType::Struct)
        .field("city", plain(SchemaType::String))
        .field("zip", plain(SchemaType::Int32))
        .build();
    let schema = Schema::builder(SchemaType::Struct)
        .name("org.example.Order")
        .field("id", plain(SchemaType::Int64))
        .field("customer", plain(SchemaType::String))
        .field("amount", plain(SchemaType::Float64))
        .field("paid", plain(SchemaType::Boolean))
        .field("placed", plain(SchemaType::Int64))
        .field("note", plain(SchemaType::String))
        .field("address", Arc::clone(&address))
        .build();
    let (schema, address) = if shape == Shape::WithSchema { (Some(schema), Some(address)) } else { (None, None) };
    let value = |row| {
        let city = text(["Amsterdam", "Berlin", "Zürich"][row % 3], arena);
        let address = record(address.as_ref(), vec![("city", city), ("zip", Value::Int32(10_000 + row as i32))], arena);
        let fields = vec![
            ("id", Value::Int64(row as i64)),
            ("customer", text(&format!("customer-{row:06}"), arena)),
            ("amount", Value::Float64(row as f64 * 1.25 + 0.99)),
            ("paid", Value::Boolean(row % 2 == 0)),
            ("placed", Value::Int64(millis(row))),
            ("note", Value::Null),
            ("address", address),
        ];
        record(schema.as_ref(), fields, arena)
    };
    let values = (0..ROWS).map(value).collect();
    Column { schema, values }
}

/// A batch of sink records with these values, and with one header each if `header` names it.
pub fn batch(make: impl FnOnce(&mut Arena) -> Column, header: Option<&str>) -> RecordBatch {
    let mut batch = RecordBatch::new();
    let column = make(&mut batch.arena);
    let head = RunHead { topic: "orders".into(), value_schema: column.schema, ..RunHead::default() };
    for (row, value) in column.values.into_iter().enumerate() {
        let mut record = Row::new(Value::Null, value, Position::Kafka(row as i64));
        record.timestamp = millis(row);
        record.kafka_partition = 3;
        if let Some(name) = header {
            let key = batch.arena.push(name.as_bytes());
            record.headers = batch.push_headers([Header { key, schema: None, value: Value::Int64(row as i64) }]);
        }
        batch.push(&head, record);
    }
    batch
}
