//! Properties of all transforms, and of some in pairs.

use std::sync::Arc;

use data_plane_connector_api::{Config, Factory, Outcome, PluginKind, Plugins, Selected, Transformation};
use data_plane_record::{Arena, RecordBatch, Schema, SchemaType, Value};
use data_plane_transforms::Transforms;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};

use crate::any::{self, Data};

/// Transforms with configs that name fields of arbitrary records.
const CONFIGS: [(&str, &[(&str, &str)]); 34] = [
    ("Cast$Value", &[("spec", "a:int8,b:string,c:boolean")]),
    ("Cast$Value", &[("spec", "a:float32,b:int64,d:float64,e:int16"), ("replace.null.with.default", "false")]),
    ("Cast$Value", &[("spec", "int32")]),
    ("Cast$Key", &[("spec", "string")]),
    ("Cast$Key", &[("spec", "float64")]),
    ("DropHeaders", &[("headers", "h")]),
    ("ExtractField$Value", &[("field", "a")]),
    ("ExtractField$Value", &[("field", "a.b"), ("field.syntax.version", "V2")]),
    ("ExtractField$Key", &[("field", "b.é"), ("field.syntax.version", "V2"), ("replace.null.with.default", "false")]),
    ("ExtractField$Key", &[("field", ""), ("field.syntax.version", "V2")]),
    ("Filter", &[]),
    ("Flatten$Value", &[]),
    ("Flatten$Key", &[("delimiter", "")]),
    ("HeaderFrom$Value", &[("fields", "a,b"), ("headers", "h,i"), ("operation", "move")]),
    ("HeaderFrom$Value", &[("fields", "b,b"), ("headers", "h,i"), ("operation", "copy")]),
    (
        "HeaderFrom$Key",
        &[("fields", "a,a"), ("headers", "h,i"), ("operation", "move"), ("replace.null.with.default", "false")],
    ),
    ("HoistField$Value", &[("field", "f")]),
    ("HoistField$Key", &[("field", "")]),
    ("InsertField$Value", &[("topic.field", "t"), ("partition.field", "p!"), ("timestamp.field", "at?")]),
    ("InsertField$Value", &[("static.field", "a"), ("static.value", "x"), ("topic.field", "t")]),
    ("InsertField$Key", &[("offset.field", "o"), ("topic.field", "a"), ("replace.null.with.default", "false")]),
    ("InsertHeader", &[("header", "h"), ("value.literal", "[1,2]")]),
    ("MaskField$Value", &[("fields", "a,b,c")]),
    ("MaskField$Value", &[("fields", "a,d"), ("replacement", "7"), ("replace.null.with.default", "false")]),
    ("MaskField$Key", &[("fields", "a,e"), ("replacement", "x")]),
    ("ReplaceField$Value", &[("exclude", "a"), ("renames", "b:a,c:é")]),
    ("ReplaceField$Value", &[("include", "a,b"), ("renames", "a:b,b:a")]),
    ("ReplaceField$Key", &[("renames", "a:x,b:x"), ("replace.null.with.default", "false")]),
    ("SetSchemaMetadata$Value", &[("schema.name", "n"), ("schema.version", "2")]),
    ("SetSchemaMetadata$Key", &[("schema.version", "3"), ("replace.null.with.default", "false")]),
    ("ValueToKey", &[("fields", "a")]),
    ("ValueToKey", &[("fields", "b,a"), ("replace.null.with.default", "false")]),
    ("InsertHeader", &[("header", "h"), ("value.literal", "null")]),
    ("Cast$Value", &[("spec", "boolean"), ("replace.null.with.default", "false")]),
];

pub(crate) fn transform(name: &str, config: &[(&str, &str)]) -> Box<dyn Transformation> {
    let plugins = Plugins::new(&[&Transforms]);
    let plugin = plugins
        .find(PluginKind::Transformation, name)
        .or_else(|_| plugins.find(PluginKind::Transformation, &format!("org.apache.kafka.connect.transforms.{name}")));
    let Ok(Factory::Transformation(make)) = plugin.map(|plugin| &plugin.factory) else { panic!("no transform {name}") };
    let mut transform = make();
    let config: Config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    transform.configure(&config).expect("a valid config");
    transform
}

pub(crate) fn apply(transform: &mut dyn Transformation, batch: &mut RecordBatch) -> Vec<Outcome> {
    let mut outcomes = vec![Outcome::Ok; batch.len()];
    transform.apply(batch, Selected::All, &mut outcomes);
    outcomes
}

/// A record as text: `NaN` is itself there, and spans are what they hold.
fn shown(batch: &RecordBatch, row: usize) -> String {
    let head = batch.head_of(row).expect("a head");
    let held = &batch.rows()[row];
    let data = |schema: &Option<Arc<Schema>>, value: &Value| {
        format!("{} {}", part_text(schema), value_text(&value.to_owned_value(&batch.arena)))
    };
    let headers: Vec<_> = batch
        .headers(held.headers)
        .iter()
        .map(|header| (batch.arena.get(header.key), data(&header.schema, &header.value)))
        .collect();
    let (key, value) = (data(&head.key_schema, &held.key), data(&head.value_schema, &held.value));
    format!("{} {} {key} {value} {headers:?}", head.topic, held.timestamp)
}

/// A value without the index of its schemas' fields, whose order is not fixed.
fn value_text(value: &Value) -> String {
    match value {
        Value::Struct(held) => {
            let values: Vec<_> = held.values.iter().map(value_text).collect();
            format!("{} ({})", schema_text(&held.schema), values.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(value_text).collect::<Vec<_>>().join(", ")),
        Value::Map(map) => {
            let entries: Vec<_> = map.iter().map(|(key, value)| value_text(key) + "=" + &value_text(value)).collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => format!("{other:?}"),
    }
}

fn schema_text(schema: &Schema) -> String {
    let fields: Vec<_> =
        schema.fields().iter().map(|field| format!("{}:{}", field.name, schema_text(&field.schema))).collect();
    let Schema { kind, optional, default, name, version, keys, values, .. } = schema;
    let default = default.as_ref().map(value_text);
    let parts = [part_text(keys), part_text(values)].concat();
    format!("{kind:?} {optional} {default:?} {name:?} {version:?} {fields:?} {parts}")
}

fn part_text(schema: &Option<Arc<Schema>>) -> String {
    schema.as_ref().map(|schema| schema_text(schema)).unwrap_or_default()
}

/// Runs a property on the same cases each time.
fn check<S: Strategy>(cases: u32, strategy: &S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Cases { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Cases::default() };
    let rng = proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    if let Err(error) = TestRunner::new_with_rng(config, rng).run(strategy, property) {
        panic!("{error}");
    }
}

fn records() -> impl Strategy<Value = Vec<(Data, Data)>> {
    vec((any::data(), any::data()), 1..4)
}

#[test]
fn transforms_never_panic_and_leave_failing_records_alone() {
    check(1_500, &(0..CONFIGS.len(), records(), proptest::bool::ANY), |(which, records, is_sink)| {
        let (name, config) = CONFIGS[which];
        let mut ends = Vec::new();
        for in_arena in [false, true] {
            let mut transform = transform(name, config);
            let mut batch = any::batch(&records, in_arena, is_sink);
            let before: Vec<_> = (0..batch.len()).map(|row| shown(&batch, row)).collect();
            let outcomes = apply(&mut *transform, &mut batch);
            prop_assert_eq!(batch.len(), before.len());
            prop_assert_eq!(batch.runs().map(|(_, rows)| rows.len()).sum::<usize>(), before.len());
            for (row, before) in before.iter().enumerate() {
                prop_assert_eq!(batch.rows()[row].timestamp, row as i64);
                if matches!(outcomes[row], Outcome::Failed(_)) {
                    prop_assert_eq!(&shown(&batch, row), before, "{} changed a record that failed", name);
                }
            }
            let causes: Vec<_> = outcomes.iter().map(|outcome| format!("{outcome:?}")).collect();
            ends.push((causes, (0..batch.len()).map(|row| shown(&batch, row)).collect::<Vec<_>>()));
        }
        prop_assert_eq!(&ends[0], &ends[1], "{} treats text in the arena differently", name);
        Ok(())
    });
}

/// Applies two transforms; records that fail in one are not looked at, all others must be as before.
fn undone(
    first: (&str, &[(&str, &str)]),
    second: (&str, &[(&str, &str)]),
    records: &[(Data, Data)],
) -> Result<(), TestCaseError> {
    let mut batch = any::batch(records, true, true);
    let before: Vec<_> = (0..batch.len()).map(|row| shown(&batch, row)).collect();
    let outcomes = apply(&mut *transform(first.0, first.1), &mut batch);
    let mut second_outcomes = outcomes.clone();
    transform(second.0, second.1).apply(&mut batch, Selected::All, &mut second_outcomes);
    for (row, before) in before.iter().enumerate() {
        if outcomes[row].is_ok() {
            prop_assert_eq!(&second_outcomes[row], &Outcome::Ok);
            prop_assert_eq!(&shown(&batch, row), before);
        }
    }
    Ok(())
}

#[test]
fn what_is_hoisted_can_be_extracted() {
    check(400, &records(), |records| {
        for side in ["Key", "Value"] {
            let config: &[_] = &[("field", "f")];
            let exact: &[_] = &[("field", "f"), ("replace.null.with.default", "false")];
            undone((&format!("HoistField${side}"), config), (&format!("ExtractField${side}"), exact), &records)?;
        }
        Ok(())
    });
}

/// Data of a struct that is required and has no default, as transforms of fields make them.
fn required(data: Data) -> Data {
    let (Some(schema), Value::Struct(mut held)) = data else { return (None, data.1) };
    let mut builder = Schema::builder(SchemaType::Struct);
    for field in schema.fields() {
        builder = builder.field(Arc::clone(&field.name), Arc::clone(&field.schema));
    }
    held.schema = builder.build();
    (Some(Arc::clone(&held.schema)), Value::Struct(held))
}

/// Data that agrees with the schema of a struct.
fn struct_data() -> impl Strategy<Value = Data> {
    any::struct_schema(2)
        .prop_flat_map(|schema| any::value_of(&schema).prop_map(move |value| required((Some(schema.clone()), value))))
}

#[test]
fn renames_there_and_back_change_nothing() {
    let data = || prop_oneof![struct_data(), any::value().prop_map(|value| (None, value))];
    check(400, &vec((data(), data()), 1..4), |records| {
        for side in ["Key", "Value"] {
            let there: &[_] = &[("renames", "a:x,b:a,é:y"), ("replace.null.with.default", "false")];
            let back: &[_] = &[("renames", "x:a,a:b,y:é"), ("replace.null.with.default", "false")];
            let name = format!("ReplaceField${side}");
            undone((&name, there), (&name, back), &records)?;
        }
        Ok(())
    });
}

#[test]
fn a_cast_to_the_same_type_changes_nothing() {
    use SchemaType::{Boolean, Float32, Float64, Int8, Int16, Int32, Int64, String};
    for kind in [Int8, Int16, Int32, Int64, Float32, Float64, Boolean, String] {
        let schema = Arc::clone(Schema::plain(kind, true));
        let own = any::value_of(&schema);
        check(100, &(own, (any::leaf(), proptest::bool::ANY)), |(value, (other, is_schemaless))| {
            let is_own = |value: &Value| value.is_null() || same_kind(kind, value);
            if !is_own(&value) {
                return Ok(());
            }
            let whole_spec = [("spec", kind.name())];
            let schema = (!is_schemaless).then(|| Arc::clone(&schema));
            let records = [((None, other), (schema.clone(), value.clone()))];
            undone(("Cast$Value", &whole_spec), ("Cast$Value", &whole_spec), &records)?;
            let field = format!("a:{}", kind.name());
            let field_spec = [("spec", field.as_str())];
            let mut batch = any::batch(&records, true, true);
            apply(&mut *transform("HoistField$Value", &[("field", "a")]), &mut batch);
            let before = shown(&batch, 0);
            prop_assert_eq!(apply(&mut *transform("Cast$Value", &field_spec), &mut batch), [Outcome::Ok]);
            prop_assert_eq!(shown(&batch, 0), before);
            Ok(())
        });
    }
}

fn same_kind(kind: SchemaType, value: &Value) -> bool {
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
    )
}

#[test]
fn transforms_are_found_by_simple_name_and_side() {
    let plugins = Plugins::new(&[&Transforms]);
    let class = |name| plugins.find(PluginKind::Transformation, name).map(|plugin| plugin.class.clone());
    assert_eq!(class("HoistField$Key").as_deref(), Ok("org.apache.kafka.connect.transforms.HoistField$Key"));
    assert_eq!(class("ValueToKey").as_deref(), Ok("org.apache.kafka.connect.transforms.ValueToKey"));
    assert!(class("Key").is_err() && class("Cast").is_err());
}

#[test]
fn text_of_values_outlives_the_arena_of_a_cast() {
    // Defaults that are cast must not point into a batch.
    let field = Schema::builder(SchemaType::Int32).default_value(Value::Int32(7)).build();
    let schema = Schema::builder(SchemaType::Struct).field("a", field).build();
    let held = data_plane_record::Struct::new(Arc::clone(&schema));
    let mut batch = any::batch(&[((None, Value::Null), (Some(schema), Value::Struct(Box::new(held))))], true, false);
    assert_eq!(apply(&mut *transform("Cast$Value", &[("spec", "a:string")]), &mut batch), [Outcome::Ok]);
    let cast = batch.rows()[0].value.as_struct().expect("a struct");
    assert_eq!(cast.schema.fields()[0].schema.default, Some(Value::String("7".into())));
    assert_eq!(cast.values[0].as_str(&Arena::default()), Some("7"));
}
