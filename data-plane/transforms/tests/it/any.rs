//! Arbitrary schemas, values and batches.

use std::sync::Arc;

use data_plane_record::{
    Arena, Decimal, Header, Position, RecordBatch, Row, RunHead, Schema, SchemaBuilder, SchemaType, Struct, Value,
    ValueMap,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// A schema (none for schemaless) and a value, which may disagree.
pub(crate) type Data = (Option<Arc<Schema>>, Value);

/// Names that configs of the tests use, and one of two bytes.
const NAMES: [&str; 5] = ["a", "b", "c", "d", "é"];

const LOGICAL: [&str; 5] = [
    "org.apache.kafka.connect.data.Date",
    "org.apache.kafka.connect.data.Time",
    "org.apache.kafka.connect.data.Timestamp",
    "org.apache.kafka.connect.data.Decimal",
    "other",
];

pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec!["1", "-5", "1e3", "true", "", " 7", "NaN", "x.y", "٥"]).prop_map(str::to_owned),
        "[a-zé]{0,6}"
    ]
}

/// A value without parts.
pub(crate) fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i8>().prop_map(Value::Int8),
        any::<i16>().prop_map(Value::Int16),
        any::<i32>().prop_map(Value::Int32),
        any::<i64>().prop_map(Value::Int64),
        any::<f32>().prop_map(Value::Float32),
        any::<f64>().prop_map(Value::Float64),
        text().prop_map(|text| Value::String(text.into())),
        vec(any::<u8>(), 0..4).prop_map(|bytes| Value::Bytes(bytes.into())),
        (-1_000_000_i64..200_000_000).prop_map(Value::DateTime),
        (any::<i16>(), -3..6_i32).prop_map(|(unscaled, scale)| {
            Value::Decimal(Box::new(Decimal { unscaled: Box::new(unscaled.to_be_bytes()), scale }))
        }),
    ]
}

/// Any value, with structs of schemas of their own.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 24, 4, |inner| {
        let parts = vec(inner.clone(), 0..4);
        prop_oneof![
            parts.prop_map(|items| Value::Array(Box::new(items))),
            (vec(inner.clone(), NAMES.len()), any::<u8>(), option::weighted(0.1, leaf())).prop_map(
                |(values, mask, odd)| {
                    let named = NAMES.iter().zip(values).enumerate().filter(|(index, _)| mask >> index & 1 == 1);
                    let mut map: ValueMap =
                        named.map(|(_, (name, value))| (Value::String((*name).into()), value)).collect();
                    if let Some(odd) = odd.filter(|odd| odd.as_str(&Arena::default()).is_none()) {
                        map.push(odd, Value::Int8(1));
                    }
                    Value::Map(Box::new(map))
                }
            ),
            (struct_schema(1), vec(inner, NAMES.len())).prop_map(|(schema, values)| of_struct(&schema, values)),
        ]
    })
}

fn of_struct(schema: &Arc<Schema>, values: Vec<Value>) -> Value {
    let mut made = Struct::new(Arc::clone(schema));
    made.values.iter_mut().zip(values).for_each(|(slot, value)| *slot = value);
    Value::Struct(Box::new(made))
}

fn plain_kind() -> impl Strategy<Value = SchemaType> {
    use SchemaType::{Boolean, Bytes, Float32, Float64, Int8, Int16, Int32, Int64, String};
    select(vec![Int8, Int16, Int32, Int64, Float32, Float64, Boolean, String, Bytes])
}

fn leaf_schema() -> impl Strategy<Value = Arc<Schema>> {
    (plain_kind(), any::<bool>(), option::weighted(0.2, select(LOGICAL.to_vec())), option::weighted(0.3, leaf()))
        .prop_map(|(kind, optional, name, default)| {
            let mut builder = Schema::builder(kind);
            builder = if optional { builder.optional() } else { builder };
            builder = name.into_iter().fold(builder, |builder, name| builder.name(name).version(1));
            let schema = builder.clone().build();
            match default.filter(|default| fits(&schema, default)) {
                Some(default) => builder.default_value(default).build(),
                None => schema,
            }
        })
}

/// Roughly whether Connect would take a value as a default.
fn fits(schema: &Schema, value: &Value) -> bool {
    match (schema.name.as_deref(), value) {
        (Some("org.apache.kafka.connect.data.Decimal"), value) => matches!(value, Value::Decimal(_)),
        (Some(name), value) if name != "other" => matches!(value, Value::DateTime(_)),
        (_, value) => plain(schema.kind, value),
    }
}

fn plain(kind: SchemaType, value: &Value) -> bool {
    matches!(
        (kind, value),
        (SchemaType::Int8, Value::Int8(_))
            | (SchemaType::Int16, Value::Int16(_))
            | (SchemaType::Int32, Value::Int32(_))
            | (SchemaType::Int64, Value::Int64(_))
            | (SchemaType::Float32, Value::Float32(_))
            | (SchemaType::Float64, Value::Float64(_))
            | (SchemaType::Boolean, Value::Boolean(_))
            | (SchemaType::String, Value::String(_))
            | (SchemaType::Bytes, Value::Bytes(_))
    )
}

/// A schema of a struct with some of [`NAMES`] as fields.
pub(crate) fn struct_schema(depth: u32) -> BoxedStrategy<Arc<Schema>> {
    let field = if depth == 0 { leaf_schema().boxed() } else { schema(depth - 1) };
    (vec(option::weighted(0.7, field), NAMES.len()), any::<bool>())
        .prop_map(|(fields, optional)| {
            let builder = Schema::builder(SchemaType::Struct);
            let builder = if optional { builder.optional() } else { builder };
            let fields = NAMES.iter().zip(fields).filter_map(|(name, field)| Some((*name, field?)));
            fields.fold(builder, |builder, (name, field)| builder.field(name, field)).build()
        })
        .boxed()
}

pub(crate) fn schema(depth: u32) -> BoxedStrategy<Arc<Schema>> {
    if depth == 0 {
        return leaf_schema().boxed();
    }
    let inner = move || schema(depth - 1);
    prop_oneof![
        3 => leaf_schema(),
        3 => struct_schema(depth),
        1 => inner().prop_map(|items| SchemaBuilder::array(items).build()),
        1 => (inner(), inner()).prop_map(|(keys, values)| SchemaBuilder::map(keys, values).build()),
    ]
    .boxed()
}

/// A value that mostly agrees with a schema.
pub(crate) fn value_of(schema: &Arc<Schema>) -> BoxedStrategy<Value> {
    let fitting = match schema.kind {
        SchemaType::Struct => {
            let fields: Vec<_> = schema.fields().iter().map(|field| value_of(&field.schema)).collect();
            let schema = Arc::clone(schema);
            fields.prop_map(move |values| of_struct(&schema, values)).boxed()
        }
        SchemaType::Array => {
            let items = schema.values.as_ref().map_or(leaf().boxed(), value_of);
            vec(items, 0..3).prop_map(|items| Value::Array(Box::new(items))).boxed()
        }
        SchemaType::Map => Just(Value::Map(Box::default())).boxed(),
        _ => fitting_leaf(Arc::clone(schema)),
    };
    let nulls = if schema.optional || schema.default.is_some() { 20 } else { 1 };
    prop_oneof![98 => fitting, nulls => Just(Value::Null), 1 => value()].boxed()
}

/// A value that a schema without parts takes; bytes take any of their own size in vain.
fn fitting_leaf(schema: Arc<Schema>) -> BoxedStrategy<Value> {
    let (seed, text) = (any::<i64>(), text());
    (seed, text)
        .prop_map(move |(seed, text)| match (schema.name.as_deref(), schema.kind) {
            (Some("org.apache.kafka.connect.data.Decimal"), _) => {
                Value::Decimal(Box::new(Decimal { unscaled: Box::new(seed.to_be_bytes()), scale: 2 }))
            }
            (Some(name), _) if name != "other" => Value::DateTime(seed % 200_000_000),
            (_, SchemaType::Int8) => Value::Int8(seed as i8),
            (_, SchemaType::Int16) => Value::Int16(seed as i16),
            (_, SchemaType::Int32) => Value::Int32(seed as i32),
            (_, SchemaType::Int64) => Value::Int64(seed),
            (_, SchemaType::Float32) => Value::Float32(seed as f32 / 7.0),
            (_, SchemaType::Float64) => Value::Float64(seed as f64 / 7.0),
            (_, SchemaType::Boolean) => Value::Boolean(seed & 1 == 1),
            (_, SchemaType::String) => Value::String(text.into()),
            _ => Value::Bytes(text.into_bytes().into()),
        })
        .boxed()
}

/// Schemaless data, data that mostly agrees with its schema, and data that does not.
pub(crate) fn data() -> BoxedStrategy<Data> {
    let with_schema = prop_oneof![4 => struct_schema(2), 1 => schema(2)];
    prop_oneof![
        3 => value().prop_map(|value| (None, value)),
        5 => with_schema.prop_flat_map(|schema| value_of(&schema).prop_map(move |value| (Some(schema.clone()), value))),
        1 => (schema(1), value()).prop_map(|(schema, value)| (Some(schema), value)),
    ]
    .boxed()
}

/// A value with its text and bytes in the arena.
pub(crate) fn spanned(value: &Value, arena: &mut Arena) -> Value {
    match value {
        Value::String(text) => Value::StringSpan(arena.push(text.as_bytes())),
        Value::Bytes(bytes) => Value::BytesSpan(arena.push(bytes)),
        Value::Array(items) => Value::Array(Box::new(items.iter().map(|item| spanned(item, arena)).collect())),
        Value::Map(map) => {
            let entries = map.iter().map(|(key, value)| (spanned(key, arena), spanned(value, arena)));
            Value::Map(Box::new(entries.collect()))
        }
        Value::Struct(held) => of_struct(&held.schema, held.values.iter().map(|value| spanned(value, arena)).collect()),
        other => other.clone(),
    }
}

/// A batch of records with these keys and values, each with its index as timestamp.
pub(crate) fn batch(records: &[(Data, Data)], in_arena: bool, is_sink: bool) -> RecordBatch {
    let mut batch = RecordBatch::new();
    for (index, ((key_schema, key), (value_schema, value))) in records.iter().enumerate() {
        let mut put = |value: &Value| if in_arena { spanned(value, &mut batch.arena) } else { value.clone() };
        let (key, value) = (put(key), put(value));
        let position = if is_sink { Position::Kafka(index as i64) } else { Position::None };
        let mut row = Row::new(key, value, position);
        row.timestamp = index as i64;
        row.kafka_partition = 3;
        let header = batch.arena.push(b"h");
        row.headers = batch.push_headers([Header { key: header, schema: None, value: Value::Int8(1) }]);
        let head = RunHead {
            topic: if index % 3 == 2 { "u".into() } else { "t".into() },
            key_schema: key_schema.clone(),
            value_schema: value_schema.clone(),
            ..RunHead::default()
        };
        batch.push(&head, row);
    }
    batch
}
