//! The sink task on real files.

use std::collections::BTreeMap;

use data_plane_connector_api::{ErrantRecordReporter, PluginMetrics, TopicPartition};
use data_plane_record::{Position, Row, RunHead, ValueMap};

use super::*;

struct NoContext;

impl SinkTaskContext for NoContext {
    fn config(&self) -> Config {
        Config::new()
    }
    fn set_offsets(&self, _offsets: &BTreeMap<TopicPartition, i64>) {}
    fn set_retry_timeout(&self, _timeout: std::time::Duration) {}
    fn assignment(&self) -> Vec<TopicPartition> {
        Vec::new()
    }
    fn pause(&self, _partitions: &[TopicPartition]) {}
    fn resume(&self, _partitions: &[TopicPartition]) {}
    fn request_commit(&self) {}
    fn errant_record_reporter(&self) -> Option<Arc<dyn ErrantRecordReporter>> {
        None
    }
    fn epoch(&self) -> (u64, u64) {
        (1, 1)
    }
    fn metrics(&self) -> Arc<dyn PluginMetrics> {
        Arc::new(NoContext)
    }
}

impl PluginMetrics for NoContext {
    fn set_gauge(&self, _name: &str, _value: f64) {}
    fn add_counter(&self, _name: &str, _increment: u64) {}
}

fn config(file: &std::path::Path) -> Config {
    Config::from([("file".to_owned(), file.to_str().expect("a path").to_owned())])
}

#[test]
fn values_are_appended_as_lines_and_are_there_after_put() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.txt");
    std::fs::write(&path, "before\n").expect("writes");
    let mut task = FileStreamSinkTask::default();
    task.start(Arc::new(NoContext), &config(&path)).expect("starts");
    let mut batch = RecordBatch::new();
    let text = batch.arena.push("zü".as_bytes());
    let raw = batch.arena.push(b"\xff\x00");
    let map = [(Value::String("a".into()), Value::Float64(1.0))].into_iter().collect::<ValueMap>();
    let values =
        [Value::StringSpan(text), Value::BytesSpan(raw), Value::Null, Value::Int64(7), Value::Map(Box::new(map))];
    for value in values {
        batch.push(&RunHead::default(), Row::new(Value::Null, value, Position::Kafka(0)));
    }
    task.put(&batch).expect("puts");
    assert_eq!(std::fs::read(&path).expect("reads"), b"before\nz\xc3\xbc\n\xff\x00\nnull\n7\n{a=1.0}\n");
}

#[test]
fn a_path_that_cannot_be_written_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let values = FileStreamSinkConnector::default().validate(&config(folder.path()));
    assert!(values[0].errors[0].contains("for configuration file: Path is a directory"));
    let absent = folder.path().join("absent").join("out.txt");
    let error = FileStreamSinkTask::default().start(Arc::new(NoContext), &config(&absent)).expect_err("fails");
    assert!(error.message.starts_with("Couldn't find or create file '"), "{}", error.message);
}

/// Run with `--release -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn speed_of_puts() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut task = FileStreamSinkTask::default();
    task.start(Arc::new(NoContext), &config(&folder.path().join("out.txt"))).expect("starts");
    let mut batch = RecordBatch::new();
    for _ in 0..10_000 {
        let text = batch.arena.push("x".repeat(99).as_bytes());
        batch.push(&RunHead::default(), Row::new(Value::Null, Value::StringSpan(text), Position::Kafka(0)));
    }
    let begin = std::time::Instant::now();
    for _ in 0..300 {
        task.put(&batch).expect("puts");
    }
    eprintln!("{:.1}M lines/s", 3.0 / begin.elapsed().as_secs_f64());
}
