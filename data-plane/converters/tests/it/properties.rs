//! Properties of the converters: what is written is read back, and any bytes are read or refused.
//!
//! Not read back, as in Connect: NaN and the infinities (written as text), -0.0 (read as 0.0), null keys of maps (the text
//! `null`), and without schemas the widths of numbers and bytes (text).

use std::sync::Arc;

use data_plane_connector_api::{Config, Converter, ConverterRole, Factory, PluginSource};
use data_plane_converters::{Converters, JsonConverter};
use data_plane_record::{Arena, Decimal, Schema, SchemaBuilder, SchemaType, Struct, Value, ValueMap, logical};
use proptest::prelude::*;

const DAY_MS: i64 = 86_400_000;

fn any_schema() -> impl Strategy<Value = Arc<Schema>> {
    let plain = proptest::sample::select(vec![
        SchemaType::Boolean,
        SchemaType::Int8,
        SchemaType::Int16,
        SchemaType::Int32,
        SchemaType::Int64,
        SchemaType::Float32,
        SchemaType::Float64,
        SchemaType::String,
        SchemaType::Bytes,
    ]);
    let leaf = prop_oneof![
        4 => plain.prop_map(Schema::builder),
        1 => (-5_i32..10).prop_map(logical::decimal),
        1 => proptest::sample::select(vec![logical::date(), logical::time(), logical::timestamp()]),
    ];
    let leaf = (leaf, any::<bool>()).prop_map(|(builder, optional)| finish(builder, optional));
    leaf.prop_recursive(3, 24, 4, |inner| {
        let fields = prop::collection::btree_map("[a-zé\"]{1,4}", inner.clone(), 0..4);
        let keys = inner.clone().prop_filter("a key is required", |schema| !schema.optional);
        let builder = prop_oneof![
            inner.clone().prop_map(SchemaBuilder::array),
            (keys, inner).prop_map(|(keys, values)| SchemaBuilder::map(keys, values)),
            fields.prop_map(|fields| {
                let builder = Schema::builder(SchemaType::Struct).name("org.example.S").version(2).doc("d");
                fields.into_iter().fold(builder, |builder, (name, schema)| builder.field(name, schema))
            }),
        ];
        (builder, any::<bool>()).prop_map(|(builder, optional)| finish(builder, optional))
    })
}

fn finish(builder: SchemaBuilder, optional: bool) -> Arc<Schema> {
    if optional { builder.optional().build() } else { builder.build() }
}

fn value_of(schema: &Arc<Schema>) -> BoxedStrategy<Value> {
    let present = match (schema.name.as_deref(), schema.kind) {
        (Some(logical::DECIMAL), _) => {
            let scale = schema.parameter("scale").and_then(|scale| scale.parse().ok()).expect("a scale");
            any::<i64>().prop_map(move |unscaled| decimal(unscaled, scale)).boxed()
        }
        (Some(logical::DATE), _) => any::<i32>().prop_map(|day| Value::DateTime(i64::from(day) * DAY_MS)).boxed(),
        (Some(logical::TIME), _) => (0..DAY_MS).prop_map(Value::DateTime).boxed(),
        (Some(logical::TIMESTAMP), _) => any::<i64>().prop_map(Value::DateTime).boxed(),
        (_, SchemaType::Boolean) => any::<bool>().prop_map(Value::Boolean).boxed(),
        (_, SchemaType::Int8) => any::<i8>().prop_map(Value::Int8).boxed(),
        (_, SchemaType::Int16) => any::<i16>().prop_map(Value::Int16).boxed(),
        (_, SchemaType::Int32) => any::<i32>().prop_map(Value::Int32).boxed(),
        (_, SchemaType::Int64) => any::<i64>().prop_map(Value::Int64).boxed(),
        (_, SchemaType::Float32) => any::<f32>().prop_map(|number| Value::Float32(number + 0.0)).boxed(),
        (_, SchemaType::Float64) => any::<f64>().prop_map(|number| Value::Float64(number + 0.0)).boxed(),
        (_, SchemaType::String) => any::<String>().prop_map(|text| Value::String(text.into())).boxed(),
        (_, SchemaType::Bytes) => any::<Vec<u8>>().prop_map(|bytes| Value::Bytes(bytes.into())).boxed(),
        (_, SchemaType::Array) => prop::collection::vec(value_of(schema.values.as_ref().expect("items")), 0..4)
            .prop_map(|items| Value::Array(Box::new(items)))
            .boxed(),
        (_, SchemaType::Map) => {
            let (keys, values) = (schema.keys.as_ref().expect("keys"), schema.values.as_ref().expect("values"));
            prop::collection::vec((value_of(keys), value_of(values)), 0..4).prop_map(without_repeats).boxed()
        }
        (_, SchemaType::Struct) => {
            let schema = Arc::clone(schema);
            let values: Vec<_> = schema.fields().iter().map(|field| value_of(&field.schema)).collect();
            values
                .prop_map(move |values| {
                    Value::Struct(Box::new(Struct { schema: Arc::clone(&schema), values: values.into() }))
                })
                .boxed()
        }
    };
    if schema.optional { prop_oneof![1 => Just(Value::Null), 4 => present].boxed() } else { present }
}

fn decimal(unscaled: i64, scale: i32) -> Value {
    Value::Decimal(Box::new(Decimal { scale, ..Decimal::parse(&unscaled.to_string()).expect("a number") }))
}

fn without_repeats(entries: Vec<(Value, Value)>) -> Value {
    let mut map = ValueMap::new();
    let mut known: Vec<Value> = Vec::new();
    for (key, value) in entries {
        if !known.contains(&key) {
            known.push(key.clone());
            map.push(key, value);
        }
    }
    Value::Map(Box::new(map))
}

/// Values that JSON says without a schema.
fn schemaless() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Int64),
        any::<f64>().prop_map(|number| Value::Float64(number + 0.0)),
        any::<String>().prop_map(|text| Value::String(text.into())),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let text = any::<String>().prop_map(|text| Value::String(text.into()));
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| Value::Array(Box::new(items))),
            prop::collection::vec((text, inner), 0..4).prop_map(without_repeats),
        ]
    })
}

fn converter(config: &[(&str, &str)]) -> JsonConverter {
    let mut converter = JsonConverter::default();
    let config: Config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Converter::configure(&mut converter, &config, ConverterRole::Value).expect("a config");
    converter
}

/// Writes and reads back.
fn round_trip(
    mut converter: JsonConverter,
    schema: Option<&Arc<Schema>>,
    value: &Value,
) -> (Option<Arc<Schema>>, Value) {
    let mut arena = Arena::default();
    let bytes = Converter::from_connect(&mut converter, "t", schema, value, &mut arena).expect("written");
    let (schema, value) = Converter::to_connect(&mut converter, "t", bytes, &mut arena).expect("read");
    let schema = schema.cloned();
    (schema, value.to_owned_value(&arena))
}

proptest! {
    #[test]
    fn json_with_schemas_is_read_back(
        (schema, value) in any_schema().prop_flat_map(|schema| (Just(schema.clone()), value_of(&schema))),
        format in proptest::sample::select(vec!["BASE64", "NUMERIC"]),
    ) {
        let (read_schema, read) = round_trip(converter(&[("decimal.format", format)]), Some(&schema), &value);
        prop_assert_eq!(read_schema, Some(schema));
        prop_assert_eq!(read, value);
    }

    #[test]
    fn json_without_schemas_is_read_back(value in schemaless()) {
        let (schema, read) = round_trip(converter(&[("schemas.enable", "false")]), None, &value);
        prop_assert_eq!(schema, None);
        prop_assert_eq!(read, value.clone());
        let (schema, read) = round_trip(converter(&[]), None, &value);
        prop_assert_eq!(schema, None);
        prop_assert_eq!(read, value);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>(), (schema, value) in any_schema().prop_flat_map(|schema| (Just(schema.clone()), value_of(&schema))), at in any::<prop::sample::Index>(), new in any::<u8>()) {
        let mut arena = Arena::default();
        // Bytes of nothing in particular, and an envelope with one byte changed.
        let mut inputs = vec![bytes];
        if let Ok(Some(span)) = Converter::from_connect(&mut converter(&[]), "t", Some(&schema), &value, &mut arena) {
            let mut changed = arena.get(span).to_vec();
            let at = at.index(changed.len());
            changed[at] = new;
            inputs.push(changed);
        }
        for plugin in Converters.plugins() {
            for input in &inputs {
                let span = Some(arena.push(input));
                match &plugin.factory {
                    Factory::Converter(make) => drop(make().to_connect("t", span, &mut arena)),
                    Factory::HeaderConverter(make) => drop(make().to_connect_header("t", "h", span, &mut arena)),
                    _ => {}
                }
            }
        }
    }
}
