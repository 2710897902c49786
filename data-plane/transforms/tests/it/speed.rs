//! How long a usual chain takes: `cargo test --release -p data-plane-transforms -- --ignored --nocapture speed`.

use std::sync::Arc;
use std::time::Instant;

use data_plane_connector_api::{Outcome, Selected};
use data_plane_record::{Position, RecordBatch, Row, RunHead, Schema, Value};

use crate::properties::transform;

const ROWS: usize = 1_000;
const ROUNDS: u32 = 500;

fn measure(schema: Option<&Arc<Schema>>) -> u128 {
    let mut hoist = transform("HoistField$Value", &[("field", "line")]);
    let mut insert = transform(
        "InsertField$Value",
        &[("static.field", "source"), ("static.value", "file"), ("topic.field", "topic"), ("timestamp.field", "at")],
    );
    let head = RunHead { topic: "lines".into(), value_schema: schema.cloned(), ..RunHead::default() };
    // The fastest round: other work on the machine only adds.
    let mut nanos = u128::MAX;
    for _ in 0..ROUNDS {
        let mut batch = RecordBatch::new();
        batch.begin_run(&head);
        for row in 0..ROWS {
            let text = batch.arena.push(b"a line of text as a file would have it");
            let mut row = Row::new(Value::Null, Value::StringSpan(text), Position::Kafka(row as i64));
            row.timestamp = 1_700_000_000_000;
            batch.push_row(row);
        }
        let mut outcomes = vec![Outcome::Ok; ROWS];
        let start = Instant::now();
        hoist.apply(&mut batch, Selected::All, &mut outcomes);
        insert.apply(&mut batch, Selected::All, &mut outcomes);
        nanos = nanos.min(start.elapsed().as_nanos());
        assert!(outcomes.iter().all(Outcome::is_ok));
        assert_eq!(batch.runs().count(), 1);
    }
    nanos / ROWS as u128
}

#[test]
#[ignore = "a measurement, of use in release builds only"]
#[expect(clippy::print_stdout, reason = "its output is what it is for")]
fn speed_of_hoist_and_insert() {
    let with_schema = measure(Some(Schema::string()));
    let schemaless = measure(None);
    println!(
        "HoistField and InsertField of three fields: {with_schema} ns a record with schema, {schemaless} ns without"
    );
    assert!(with_schema < 250 && schemaless < 250, "the chain is to add less than 250 ns");
}
