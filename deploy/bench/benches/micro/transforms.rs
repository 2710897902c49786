//! Each transform and predicate by itself, on batches that are copied outside of the measured part.

use std::fmt;

use data_plane_connector_api::{Factory, Outcome, PluginKind, Selected};
use data_plane_record::RecordBatch;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

use crate::records::{ROWS, Shape, batch, orders};
use crate::{PLUGINS, config};

/// The header that all records have.
const HEADER: &str = "trace";

/// A transform or predicate with its config.
struct Case(&'static str, &'static [(&'static str, &'static str)]);

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.0, self.1.first().map_or("", |(key, _)| key))
    }
}

const TRANSFORMS: [Case; 17] = [
    Case("Cast$Value", &[("spec", "id:int32,amount:string")]),
    Case("DropHeaders", &[("headers", HEADER)]),
    Case("ExtractField$Value", &[("field", "customer")]),
    Case("Filter", &[]),
    Case("Flatten$Value", &[]),
    Case("HeaderFrom$Value", &[("fields", "id"), ("headers", "id"), ("operation", "copy")]),
    Case("HoistField$Value", &[("field", "order")]),
    Case("InsertField$Value", &[("static.field", "source"), ("static.value", "shop-1")]),
    Case("InsertHeader", &[("header", "source"), ("value.literal", "shop-1")]),
    Case("MaskField$Value", &[("fields", "customer,amount")]),
    Case("RegexRouter", &[("regex", "(.*)rders"), ("replacement", "$1rders-eu")]),
    Case("ReplaceField$Value", &[("exclude", "note"), ("renames", "customer:buyer")]),
    Case(
        "TimestampConverter$Value",
        &[("field", "placed"), ("target.type", "string"), ("format", "yyyy-MM-dd HH:mm:ss")],
    ),
    Case("TimestampRouter", &[]),
    Case("ValueToKey", &[("fields", "id,customer")]),
    Case("ReplaceField$Value", &[("include", "id,customer,amount")]),
    Case("InsertField$Value", &[("timestamp.field", "at"), ("topic.field", "topic"), ("offset.field", "offset")]),
];

/// Transforms that want a schema.
const SCHEMA_TRANSFORMS: [Case; 1] =
    [Case("SetSchemaMetadata$Value", &[("schema.name", "org.example.Sale"), ("schema.version", "2")])];

fn transform(bencher: Bencher<'_, '_>, case: &Case, shape: Shape) {
    let plugin = PLUGINS.find(PluginKind::Transformation, case.0).expect("a transform");
    let Factory::Transformation(make) = &plugin.factory else { unreachable!("found by its kind") };
    let mut transform = make();
    transform.configure(&config(case.1)).expect("a valid config");
    let source = batch(|arena| orders(shape, arena), Some(HEADER));
    let copied = || -> (RecordBatch, Vec<Outcome>) { (source.clone(), vec![Outcome::Ok; ROWS]) };
    let bencher = bencher.counter(ItemsCount::new(ROWS)).with_inputs(copied);
    bencher.bench_local_refs(|(batch, outcomes)| transform.apply(black_box(batch), Selected::All, outcomes));
    let (mut batch, mut outcomes) = copied();
    transform.apply(&mut batch, Selected::All, &mut outcomes);
    assert!(!outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed(_))), "{:?}", outcomes[0]);
}

#[divan::bench(args = &TRANSFORMS)]
fn schemaless(bencher: Bencher<'_, '_>, case: &Case) {
    transform(bencher, case, Shape::Schemaless);
}

#[divan::bench(args = TRANSFORMS.iter().chain(&SCHEMA_TRANSFORMS))]
fn with_schema(bencher: Bencher<'_, '_>, case: &Case) {
    transform(bencher, case, Shape::WithSchema);
}

const PREDICATES: [Case; 3] = [
    Case("HasHeaderKey", &[("name", HEADER)]),
    Case("RecordIsTombstone", &[]),
    Case("TopicNameMatches", &[("pattern", "ord.*")]),
];

#[divan::bench(args = &PREDICATES)]
fn predicate(bencher: Bencher<'_, '_>, case: &Case) {
    let plugin = PLUGINS.find(PluginKind::Predicate, case.0).expect("a predicate");
    let Factory::Predicate(make) = &plugin.factory else { unreachable!("found by its kind") };
    let mut predicate = make();
    predicate.configure(&config(case.1)).expect("a valid config");
    let batch = batch(|arena| orders(Shape::Schemaless, arena), Some(HEADER));
    let (mut matches, mut outcomes) = (vec![false; ROWS], vec![Outcome::Ok; ROWS]);
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        predicate.test(black_box(&batch), &mut matches, &mut outcomes);
        black_box(&matches);
    });
}
