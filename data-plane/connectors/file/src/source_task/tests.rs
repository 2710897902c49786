//! The source task and connector on real files.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;

use data_plane_connector_api::{
    Connector, ConnectorOffsets, ExactlyOnceSupport, Factory, OffsetReader, PluginKind, PluginMetrics, Plugins,
    TransactionContext, common_config,
};
use data_plane_record::{SourceOffset, SourcePartition};

use super::*;
use crate::{FileConnectors, FileStreamSourceConnector};

struct Fixture {
    limits: BatchLimits,
    stored: Mutex<Option<SourceOffset>>,
}

impl OffsetReader for Fixture {
    fn offsets(&self, partitions: &[SourcePartition]) -> Result<Vec<Option<SourceOffset>>, ConnectError> {
        Ok(vec![self.stored.lock().expect("not poisoned").clone(); partitions.len()])
    }
}

impl PluginMetrics for Fixture {
    fn set_gauge(&self, _name: &str, _value: f64) {}
    fn add_counter(&self, _name: &str, _increment: u64) {}
}

struct Shared(Arc<Fixture>);

impl SourceTaskContext for Shared {
    fn config(&self) -> Config {
        Config::new()
    }
    fn offset_reader(&self) -> Arc<dyn OffsetReader> {
        self.0.clone()
    }
    fn transaction_context(&self) -> Option<Arc<dyn TransactionContext>> {
        None
    }
    fn limits(&self) -> BatchLimits {
        self.0.limits
    }
    fn wake(&self) {}
    fn metrics(&self) -> Arc<dyn PluginMetrics> {
        self.0.clone()
    }
}

fn config(file: &std::path::Path) -> Config {
    BTreeMap::from([("file", file.to_str().expect("a path")), ("topic", "t")].map(|(k, v)| (k.into(), v.into())))
}

fn started(file: &std::path::Path, stored: Option<i64>, limits: BatchLimits) -> FileStreamSourceTask {
    let stored = stored.map(|position| SourceOffset(OffsetMap::new().with(POSITION, position)));
    let fixture = Arc::new(Fixture { limits, stored: Mutex::new(stored) });
    let mut task = FileStreamSourceTask::default();
    task.start(Arc::new(Shared(fixture)), &config(file)).expect("starts");
    task
}

const LIMITS: BatchLimits = BatchLimits { records: 10_000, bytes: 1 << 20 };

fn poll_lines(task: &mut FileStreamSourceTask) -> Vec<String> {
    let mut batch = RecordBatch::new();
    task.poll(&mut batch).expect("polls");
    batch.rows().iter().map(|row| row.value.as_str(&batch.arena).expect("text").to_owned()).collect()
}

#[test]
fn lines_appended_while_it_runs_arrive_and_half_lines_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("in.txt");
    let mut task = started(&path, None, LIMITS);
    assert!(matches!(task.poll(&mut RecordBatch::new()), Ok(Poll::Idle { .. })), "a missing file is waited for");
    let mut file = File::create(&path).expect("a file");
    file.write_all("ä\nhalf".as_bytes()).expect("writes");
    assert_eq!(poll_lines(&mut task), ["ä"]);
    assert!(poll_lines(&mut task).is_empty());
    file.write_all(b" line\nlast\n").expect("writes");
    let mut batch = RecordBatch::new();
    assert_eq!(task.poll(&mut batch), Ok(Poll::Records));
    let (head, rows) = batch.runs().next().expect("a run");
    assert_eq!((&*head.topic, rows.len()), ("t", 2));
    let offset = batch.source_offset(head, rows[1].position).expect("an offset");
    assert_eq!(offset.get(POSITION), Some(&18.into()), "positions count bytes");
    let partition = head.source_partition.as_ref().expect("a partition");
    assert_eq!(partition.get(FILENAME), Some(&path.to_str().expect("a path").into()));
    file.set_len(0).expect("truncates");
    assert!(poll_lines(&mut task).is_empty(), "a truncated file is waited for");
}

#[test]
fn it_resumes_at_the_stored_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("in.txt");
    std::fs::write(&path, "ünö\r\nzwei\ndrei\n").expect("writes");
    assert_eq!(poll_lines(&mut started(&path, Some(7), LIMITS)), ["zwei", "drei"]);
    assert!(poll_lines(&mut started(&path, Some(700), LIMITS)).is_empty());
}

#[test]
fn a_small_batch_size_does_not_stall() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("in.txt");
    std::fs::write(&path, "x\n".repeat(50_000)).expect("writes");
    let mut task = started(&path, None, BatchLimits { records: 1, bytes: 1 });
    let (mut found, mut polls) = (0, 0);
    while found < 50_000 {
        found += poll_lines(&mut task).len();
        polls += 1;
        assert!(polls < 50_000, "stalled after {found} lines");
    }
}

#[test]
fn pipes_are_read_without_waiting() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
    assert!(made.success());
    let mut task = started(&path, None, LIMITS);
    assert!(poll_lines(&mut task).is_empty());
    let mut pipe = std::fs::OpenOptions::new().write(true).open(&path).expect("opens");
    pipe.write_all(b"through a pipe\n").expect("writes");
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        let lines = poll_lines(&mut task);
        if lines == ["through a pipe"] {
            break;
        }
        assert!(lines.is_empty() && std::time::Instant::now() < deadline, "found {lines:?}");
        std::thread::yield_now();
    }
}

#[test]
fn configs_are_validated() {
    let folder = tempfile::tempdir().expect("a folder");
    let connector = FileStreamSourceConnector::default();
    let errors = |config: &Config| -> Vec<String> {
        connector.validate(config).into_iter().flat_map(|value| value.errors).collect()
    };
    assert_eq!(errors(&config(&folder.path().join("absent"))), Vec::<String>::new());
    assert_eq!(errors(&Config::new()), ["Missing required configuration \"topic\" which has no default value."]);
    let name = folder.path().display();
    assert_eq!(
        errors(&config(folder.path())),
        [format!("Invalid value {name} for configuration file: Path is a directory; give the path of a file")]
    );
    let mut bad = config(&folder.path().join("absent"));
    bad.insert(BATCH_SIZE.into(), "x".into());
    assert_eq!(errors(&bad), ["Invalid value x for configuration batch.size: Not a number of type INT"]);
    assert_eq!(connector.exactly_once_support(&Config::new()), Some(ExactlyOnceSupport::Unsupported));
    assert_eq!(connector.exactly_once_support(&bad), Some(ExactlyOnceSupport::Supported));
}

#[test]
fn offsets_to_write_are_checked() {
    let connector = FileStreamSourceConnector::default();
    let config = config(std::path::Path::new("in.txt"));
    let alter = |partition: OffsetMap, offset: Option<OffsetMap>| {
        let offsets = ConnectorOffsets::Source(vec![(partition.into(), offset.map(SourceOffset))]);
        connector.alter_offsets(&config, &offsets).map_err(|error| error.message)
    };
    let file = || OffsetMap::new().with(FILENAME, "in.txt");
    let position = |value: i64| Some(OffsetMap::new().with(POSITION, value));
    assert_eq!(alter(file(), position(7)), Ok(true));
    assert_eq!(alter(OffsetMap::new().with("junk", 1), None), Ok(true));
    assert!(alter(file(), position(-1)).is_err_and(|text| text.contains("non-negative")));
    assert!(alter(file(), Some(OffsetMap::new())).is_err_and(|text| text.contains("contain the key 'position'")));
    assert!(alter(OffsetMap::new(), position(1)).is_err_and(|text| text.contains("'filename'")));
    let text = Some(OffsetMap::new().with(POSITION, "7"));
    assert!(alter(file(), text).is_err_and(|text| text.contains("Long")));
    assert!(connector.alter_offsets(&Config::new(), &ConnectorOffsets::Source(Vec::new())).is_err());
}

#[test]
fn it_is_found_by_all_of_its_names() {
    let plugins = Plugins::new(&[&FileConnectors]);
    for (name, kind) in [
        ("FileStreamSource", PluginKind::Source),
        ("FileStreamSourceConnector", PluginKind::Source),
        ("org.apache.kafka.connect.file.FileStreamSourceConnector", PluginKind::Source),
        ("FileStreamSink", PluginKind::Sink),
    ] {
        assert_eq!(plugins.find_connector(name).map(|plugin| plugin.kind()), Ok(kind));
    }
    let error = plugins.find_connector("FileStream").expect_err("unknown").to_string();
    assert!(error.starts_with(
        "Failed to find any class that implements Connector and which name matches FileStream, available connectors are: \
         PluginDesc{klass=class org.apache.kafka.connect.file.FileStreamSourceConnector, \
         name='org.apache.kafka.connect.file.FileStreamSourceConnector', version='4.3.0', encodedVersion=4.3.0, type=source,"
    ));
}

/// The recorded cases for these connectors that only use common keys and their own.
#[test]
fn validation_is_that_of_connect() {
    let text = include_str!("../../testdata/config_validate.jsonl");
    let plugins = Plugins::new(&[&FileConnectors]);
    let mut failures = Vec::new();
    for line in text.lines() {
        let case: serde_json::Value = serde_json::from_str(line).expect("a case");
        let config: Config = case["config"]
            .as_object()
            .expect("a config")
            .iter()
            .map(|(key, value)| (key.clone(), value.as_str().expect("text").to_owned()))
            .collect();
        let plugin = plugins.find_connector(config["connector.class"].trim()).expect("a plugin");
        let (mut values, connector) = match &plugin.factory {
            Factory::Source { connector, .. } => (common_config::validate_source(&config), connector()),
            Factory::Sink { connector, .. } => (common_config::validate_sink(&config), connector()),
            other => panic!("{other:?}"),
        };
        values.extend(connector.validate(&config));
        for expected in case["expect"]["output"]["values"].as_array().expect("values") {
            let found = values.iter().find(|value| expected["name"] == *value.name);
            let found = found.map(|found| serde_json::json!([found.errors, found.value]));
            let wanted = serde_json::json!([expected["errors"], expected["value"]]);
            if found.as_ref() != Some(&wanted) {
                failures.push(format!("{} {}: {found:?}, Connect {wanted}", case["id"], expected["name"]));
            }
        }
        let names: Vec<_> = values.iter().map(|value| &*value.name).collect();
        assert_eq!(serde_json::json!(names), case["expect"]["output"]["names"], "{}", case["id"]);
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

/// Run with `--release -- --ignored --nocapture` for the speed of the copy path's first stage.
#[test]
#[ignore = "a measurement"]
fn speed_of_polls() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("in.txt");
    std::fs::write(&path, format!("{}\n", "x".repeat(99)).repeat(5_000_000)).expect("writes");
    for _ in 0..3 {
        let mut task = started(&path, None, LIMITS);
        let mut batch = RecordBatch::new();
        let (mut lines, begin) = (0, std::time::Instant::now());
        while lines < 5_000_000 {
            batch.clear();
            task.poll(&mut batch).expect("polls");
            lines += batch.len();
        }
        eprintln!("{:.1}M lines/s", 5.0 / begin.elapsed().as_secs_f64());
    }
}
