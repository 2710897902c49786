//! The source task: polls a file (or stdin, or a pipe) for lines.
//!
//! As in Connect, a file that was opened stays open: one that is renamed or replaced is read on to its end, one that is truncated is
//! waited for until it has grown past the position reached.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_plane_connector_api::{
    BatchLimits, Config, ConnectError, Poll, SourceTask, SourceTaskContext, SourceTaskControl,
};
use data_plane_record::{OffsetMap, Position, RecordBatch, Row, RunHead, Schema, SourcePartition, Value};

use crate::VERSION;
use crate::lines::LineReader;
use crate::pump::{Pump, with_stdin};
use crate::source::{BATCH_SIZE, FILENAME, POSITION, TOPIC, config_def, file_name};

/// Pauses of an idle task: doubling from the shortest to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// `org.apache.kafka.connect.file.FileStreamSourceTask`.
#[derive(Debug)]
pub struct FileStreamSourceTask {
    file_name: Option<String>,
    head: RunHead,
    batch_size: usize,
    origin: Option<Origin>,
    lines: LineReader,
    pause: Duration,
    context: Option<Context>,
    control: Arc<Control>,
}

struct Context(Arc<dyn SourceTaskContext>);

impl std::fmt::Debug for Context {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Context")
    }
}

/// Where bytes come from, once open.
#[derive(Debug)]
enum Origin {
    File(File),
    Pipe(Pump),
    Stdin,
}

#[derive(Debug, Default)]
struct Control {
    stopped: AtomicBool,
}

impl SourceTaskControl for Control {
    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }
}

impl Default for FileStreamSourceTask {
    fn default() -> Self {
        Self {
            file_name: None,
            head: RunHead::default(),
            batch_size: 0,
            origin: None,
            lines: LineReader::new(0, &[]),
            pause: SHORTEST_PAUSE,
            context: None,
            control: Arc::default(),
        }
    }
}

/// A service's standard input is the null device: nothing will ever come from there.
fn stdin_is_empty_for_good() -> bool {
    std::fs::read_link("/proc/self/fd/0").is_ok_and(|target| target == std::path::Path::new("/dev/null"))
}

impl FileStreamSourceTask {
    /// Opens the file, if it exists by now.
    fn open(&mut self) -> Result<bool, ConnectError> {
        let Some(context) = &self.context else {
            return Err(ConnectError::connect("poll comes after start"));
        };
        let context = context.0.clone();
        let Some(name) = &self.file_name else {
            let unused = with_stdin(|stdin| -> Result<_, ConnectError> {
                if stdin.pump.is_none() {
                    if stdin_is_empty_for_good() {
                        return Err(ConnectError::config(
                            "file is not set, and this process has no standard input to read instead: set file to a path",
                        ));
                    }
                    let wake = move || context.wake();
                    stdin.pump = Some(Pump::start(|| Ok(io::stdin()), false, wake).map_err(|e| cannot("stdin", &e))?);
                }
                Ok(std::mem::take(&mut stdin.unused))
            })?;
            self.lines = LineReader::new(0, &unused);
            self.origin = Some(Origin::Stdin);
            return Ok(true);
        };
        let is_file = match std::fs::metadata(name) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(ConnectError::connect(format!("Cannot read {name}: it is a directory")));
            }
            Ok(metadata) => metadata.is_file(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(cannot(name, &error)),
        };
        let position = self.stored_position(context.as_ref())?;
        self.lines = LineReader::new(position, &[]);
        self.origin = Some(if is_file {
            let mut file = match File::open(name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                opened => opened.map_err(|error| cannot(name, &error))?,
            };
            file.seek(SeekFrom::Start(position)).map_err(|error| cannot(name, &error))?;
            Origin::File(file)
        } else {
            let path = name.clone();
            let wake = move || context.wake();
            Origin::Pipe(Pump::start(move || File::open(path), true, wake).map_err(|error| cannot(name, &error))?)
        });
        Ok(true)
    }

    /// The position after the last line whose record was delivered.
    fn stored_position(&self, context: &dyn SourceTaskContext) -> Result<u64, ConnectError> {
        let Some(partition) = &self.head.source_partition else { return Ok(0) };
        let offset = context.offset_reader().offset(partition)?;
        match offset.as_ref().and_then(|offset| offset.get(POSITION)) {
            None | Some(data_plane_record::OffsetValue::Null) => Ok(0),
            Some(value) => value
                .as_int()
                .and_then(|position| u64::try_from(position).ok())
                .ok_or_else(|| ConnectError::connect("Offset position is the incorrect type")),
        }
    }

    fn idle(&mut self) -> Poll {
        let retry_after = self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Poll::Idle { retry_after }
    }
}

fn cannot(name: &str, error: &io::Error) -> ConnectError {
    ConnectError::io(&format!("Error while trying to read file {name}"), error)
}

impl SourceTask for FileStreamSourceTask {
    fn version(&self) -> &str {
        VERSION
    }

    fn start(&mut self, context: Arc<dyn SourceTaskContext>, config: &Config) -> Result<(), ConnectError> {
        let parsed = config_def().parse(config)?;
        self.file_name = file_name(config).map(str::to_owned);
        self.batch_size = parsed.integer(BATCH_SIZE).and_then(|size| usize::try_from(size).ok()).unwrap_or(1).max(1);
        self.head = RunHead {
            topic: parsed.text(TOPIC).unwrap_or_default().into(),
            value_schema: Some(Schema::string().clone()),
            source_partition: self
                .file_name
                .as_deref()
                .map(|name| Arc::new(SourcePartition(OffsetMap::new().with(FILENAME, name)))),
            offset_field: self.file_name.is_some().then(|| POSITION.into()),
            ..RunHead::default()
        };
        self.context = Some(Context(context));
        Ok(())
    }

    fn poll(&mut self, batch: &mut RecordBatch) -> Result<Poll, ConnectError> {
        if self.control.stopped.load(Ordering::Acquire) || self.origin.is_none() && !self.open()? {
            return Ok(self.idle());
        }
        let Some(context) = &self.context else { return Ok(Poll::Finished) };
        let limits = context.0.limits();
        let limits = BatchLimits { records: limits.records.max(self.batch_size), ..limits };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let template = Row { timestamp: now.as_millis() as i64, ..Row::new(Value::Null, Value::Null, Position::None) };
        let rows_before = batch.len();
        batch.begin_run(&self.head);
        let (more, ended) = match &mut self.origin {
            Some(Origin::File(file)) => (self.lines.fill(file, batch, limits, &template, true), false),
            Some(Origin::Pipe(pump)) => {
                (self.lines.fill(&mut &mut *pump, batch, limits, &template, true), pump.ended())
            }
            Some(Origin::Stdin) | None => with_stdin(|stdin| match &mut stdin.pump {
                Some(pump) => {
                    let more = self.lines.fill(&mut &mut *pump, batch, limits, &template, false);
                    (more, pump.ended())
                }
                None => (Ok(false), true),
            }),
        };
        let more = more.map_err(|error| cannot(self.file_name.as_deref().unwrap_or("stdin"), &error))?;
        if batch.len() > rows_before {
            self.pause = SHORTEST_PAUSE;
            return Ok(Poll::Records);
        }
        match (more, ended) {
            (true, _) => Ok(Poll::Idle { retry_after: Duration::ZERO }),
            (false, true) => Ok(Poll::Finished),
            (false, false) => Ok(self.idle()),
        }
    }

    fn control(&self) -> Arc<dyn SourceTaskControl> {
        self.control.clone()
    }

    fn stop(&mut self) {
        if let Some(Origin::Stdin) = self.origin.take() {
            with_stdin(|stdin| stdin.unused = self.lines.tail().to_vec());
        }
    }
}

#[cfg(test)]
mod tests;
