//! The chain of two transforms, and whole pipelines of a task: a batch is filled, transformed, converted and emptied again.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use data_plane_connector_api::{Config, Outcome};
use data_plane_record::{Arena, Position, RecordBatch, Row, RunHead, Schema, Span, TimestampType, Value};
use data_plane_worker::pipeline::{
    Chain, ChainProgress, ErrorCounts, ErrorPolicy, Flow, Inbound, Outbound, Retrier, WireRecord, WireRecords,
};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

use crate::records::{ROWS, Shape, batch, line, lines, millis, stamped_lines};
use crate::{PLUGINS, config};

const TWO_TRANSFORMS: &[(&str, &str)] = &[
    ("transforms", "hoist,insert"),
    ("transforms.hoist.type", "HoistField$Value"),
    ("transforms.hoist.field", "line"),
    ("transforms.insert.type", "InsertField$Value"),
    ("transforms.insert.static.field", "host"),
    ("transforms.insert.static.value", "web-17"),
];
const WITH_TIMESTAMP: &[(&str, &str)] = &[
    ("transforms", "hoist,insert"),
    ("transforms.hoist.type", "HoistField$Value"),
    ("transforms.hoist.field", "line"),
    ("transforms.insert.type", "InsertField$Value"),
    ("transforms.insert.timestamp.field", "ts"),
];

#[divan::bench(args = [Shape::Schemaless, Shape::WithSchema])]
fn hoist_and_insert_static(bencher: Bencher<'_, '_>, shape: Shape) {
    chain(bencher, shape, TWO_TRANSFORMS);
}

#[divan::bench(args = [Shape::Schemaless, Shape::WithSchema])]
fn hoist_and_insert_timestamp(bencher: Bencher<'_, '_>, shape: Shape) {
    chain(bencher, shape, WITH_TIMESTAMP);
}

fn chain(bencher: Bencher<'_, '_>, shape: Shape, transforms: &[(&str, &str)]) {
    let mut chain = Chain::new(&PLUGINS, &config(transforms)).expect("a valid config");
    let policy = ErrorPolicy::parse(&Config::new()).expect("defaults");
    let (mut retrier, mut counts) = (Retrier::new(policy.retry), ErrorCounts::default());
    let source = batch(|arena| lines(shape, arena), None);
    let mut outcomes = vec![Outcome::Ok; ROWS];
    bencher.counter(ItemsCount::new(ROWS)).with_inputs(|| source.clone()).bench_local_refs(|batch| {
        let mut progress = ChainProgress::default();
        let clock = (0, &mut counts);
        let flow = chain.run(black_box(batch), &mut outcomes, &mut progress, &policy, &mut retrier, clock);
        assert_eq!(flow, Flow::Done);
    });
    assert!(outcomes.iter().all(Outcome::is_ok));
}

/// Converters and transforms of a task.
struct Case {
    name: &'static str,
    converter: &'static str,
    schemas: &'static str,
    transforms: &'static [(&'static str, &'static str)],
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

impl Case {
    fn is_json(&self) -> bool {
        self.converter.ends_with("JsonConverter")
    }

    fn shape(&self) -> Shape {
        if self.schemas == "true" { Shape::WithSchema } else { Shape::Schemaless }
    }

    /// The worker's and the connector's config.
    fn configs(&self) -> [Config; 2] {
        let mut worker = config(&[
            ("key.converter", "org.apache.kafka.connect.storage.StringConverter"),
            ("value.converter", self.converter),
        ]);
        if self.is_json() {
            worker.insert("value.converter.schemas.enable".to_owned(), self.schemas.to_owned());
        }
        [worker, config(self.transforms)]
    }
}

const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

const OUTBOUND: [Case; 6] = [
    Case { name: "StringConverter", converter: STRING, schemas: "true", transforms: &[] },
    Case { name: "JsonConverter schemaless", converter: JSON, schemas: "false", transforms: &[] },
    Case { name: "JsonConverter with schemas", converter: JSON, schemas: "true", transforms: &[] },
    Case { name: "StringConverter, two transforms", converter: STRING, schemas: "true", transforms: WITH_TIMESTAMP },
    Case {
        name: "JsonConverter schemaless, two transforms",
        converter: JSON,
        schemas: "false",
        transforms: WITH_TIMESTAMP,
    },
    Case {
        name: "JsonConverter with schemas, two transforms",
        converter: JSON,
        schemas: "true",
        transforms: WITH_TIMESTAMP,
    },
];

/// Lines, as a file source reads them, become the bytes of records.
#[divan::bench(args = &OUTBOUND)]
fn outbound(bencher: Bencher<'_, '_>, case: &Case) {
    let [worker, connector] = case.configs();
    let mut pipeline = Outbound::new(&PLUGINS, &worker, &connector).expect("a valid config");
    let texts: Vec<String> = (0..ROWS).map(line).collect();
    let schema = (case.shape() == Shape::WithSchema).then(|| Arc::clone(Schema::string()));
    let head = RunHead { topic: "orders".into(), value_schema: schema, ..RunHead::default() };
    let mut batch = RecordBatch::new();
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        batch.clear();
        for (row, text) in texts.iter().enumerate() {
            let value = Value::StringSpan(batch.arena.push(black_box(text).as_bytes()));
            let mut record = Row::new(Value::Null, value, Position::None);
            record.timestamp = millis(row);
            batch.push(&head, record);
        }
        pipeline.begin(&batch);
        assert_eq!(pipeline.run(&mut batch, 0), Flow::Done);
        black_box((pipeline.rows(), &batch));
    });
    assert!(pipeline.outcomes().iter().all(Outcome::is_ok) && pipeline.rows().len() == ROWS);
}

/// Records as they were consumed, without keys and headers.
struct Consumed {
    topic: Arc<str>,
    values: Vec<Span>,
}

impl WireRecords for Consumed {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn record(&self, row: usize) -> WireRecord<'_> {
        WireRecord {
            topic: &self.topic,
            partition: 3,
            offset: row as i64,
            timestamp: (Some(millis(row)), TimestampType::CreateTime),
            key: None,
            value: Some(self.values[row]),
            headers: Range::default(),
        }
    }

    fn header(&self, _index: usize) -> (Span, Option<Span>) {
        unreachable!("there are none")
    }
}

const INBOUND: [Case; 3] = [
    Case { name: "StringConverter", converter: STRING, schemas: "true", transforms: &[] },
    Case { name: "JsonConverter schemaless", converter: JSON, schemas: "false", transforms: &[] },
    Case { name: "JsonConverter with schemas", converter: JSON, schemas: "true", transforms: &[] },
];

/// The bytes that a converter writes of values.
fn wires(case: &Case, column: impl FnOnce(&mut Arena) -> crate::records::Column) -> Vec<Vec<u8>> {
    let [worker, connector] = case.configs();
    let mut pipeline = Outbound::new(&PLUGINS, &worker, &connector).expect("a valid config");
    let mut batch = batch(column, None);
    pipeline.begin(&batch);
    assert_eq!(pipeline.run(&mut batch, 0), Flow::Done);
    let bytes = |span: Option<Span>| batch.arena.get(span.expect("a value")).to_vec();
    pipeline.rows().iter().map(|row| bytes(row.value)).collect()
}

/// The bytes of records become values for a sink: lines, or two fields in JSON.
#[divan::bench(args = &INBOUND)]
fn inbound(bencher: Bencher<'_, '_>, case: &Case) {
    let [worker, connector] = case.configs();
    let texts =
        wires(
            case,
            |arena| if case.is_json() { stamped_lines(case.shape(), arena) } else { lines(case.shape(), arena) },
        );
    let mut pipeline = Inbound::new(&PLUGINS, &worker, &connector).expect("a valid config");
    let mut consumed = Consumed { topic: "orders".into(), values: Vec::with_capacity(ROWS) };
    let mut batch = RecordBatch::new();
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        batch.clear();
        consumed.values.clear();
        consumed.values.extend(texts.iter().map(|text| batch.arena.push(black_box(text))));
        pipeline.begin();
        assert_eq!(pipeline.run(&consumed, &mut batch, 0), Flow::Done);
        black_box(&batch);
    });
    assert!(pipeline.outcomes().iter().all(Outcome::is_ok) && batch.len() == ROWS);
}
