//! The sink: one line a record, appended to a file or stdout.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;

use data_plane_connector_api::config_def::{ConfigKey, ConfigType, Importance};
use data_plane_connector_api::{
    Config, ConfigDef, ConfigValue, ConnectError, Connector, ConnectorContext, ConnectorOffsets, SinkTask,
    SinkTaskContext,
};
use data_plane_record::{Arena, RecordBatch, Value, java_text};

use crate::source::file_name;
use crate::{FILE, VERSION, path_problem};

/// Lines are handed to the system in pieces of about this size.
const PIECE_BYTES: usize = 1 << 20;

/// `org.apache.kafka.connect.file.FileStreamSinkConnector`.
#[derive(Clone, Debug, Default)]
pub struct FileStreamSinkConnector {
    config: Config,
}

fn config_def() -> ConfigDef {
    ConfigDef::new([ConfigKey::optional(
        FILE,
        ConfigType::String,
        None,
        Importance::High,
        "File to append lines to. Unset is stdout.",
    )])
}

fn open(path: &str) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Connector for FileStreamSinkConnector {
    fn version(&self) -> &str {
        VERSION
    }

    fn config_def(&self) -> ConfigDef {
        config_def()
    }

    fn validate(&self, config: &Config) -> Vec<ConfigValue> {
        let mut values = config_def().validate(config);
        let problem = file_name(config).and_then(|name| {
            let problem = path_problem(name, |path| OpenOptions::new().append(true).open(path).map(|_| ()))?;
            Some(ConnectError::config_value(FILE, name, &problem).message)
        });
        values.iter_mut().for_each(|value| value.errors.extend(problem.clone()));
        values
    }

    fn start(&mut self, _context: Arc<dyn ConnectorContext>, config: &Config) -> Result<(), ConnectError> {
        config_def().parse(config)?;
        self.config = config.clone();
        Ok(())
    }

    fn task_configs(&mut self, max_tasks: usize) -> Result<Vec<Config>, ConnectError> {
        Ok(vec![self.config.clone(); max_tasks])
    }

    fn alter_offsets(&self, _config: &Config, _offsets: &ConnectorOffsets) -> Result<bool, ConnectError> {
        // Nothing is kept outside of the consumer group.
        Ok(true)
    }
}

/// `org.apache.kafka.connect.file.FileStreamSinkTask`. Lines are with the system when `put` returns; they are not synced to disk.
#[derive(Debug, Default)]
pub struct FileStreamSinkTask {
    /// `None` is stdout.
    file: Option<File>,
    name: String,
    buffer: Vec<u8>,
}

impl FileStreamSinkTask {
    /// Hands the buffer over. One write a piece, so that tasks that append to the same file do not mix within lines.
    fn write_out(&mut self) -> Result<(), ConnectError> {
        let written = match &mut self.file {
            Some(file) => file.write_all(&self.buffer),
            None => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&self.buffer).and_then(|()| stdout.flush())
            }
        };
        self.buffer.clear();
        written.map_err(|error| ConnectError::io(&format!("Couldn't write to {}", self.name), &error))
    }
}

fn append_line(value: &Value, arena: &Arena, out: &mut Vec<u8>) {
    match value.as_bytes(arena) {
        Some(bytes) => out.extend_from_slice(bytes),
        None => java_text::write_value(value, arena, out),
    }
    out.push(b'\n');
}

impl SinkTask for FileStreamSinkTask {
    fn version(&self) -> &str {
        VERSION
    }

    fn start(&mut self, _context: Arc<dyn SinkTaskContext>, config: &Config) -> Result<(), ConnectError> {
        config_def().parse(config)?;
        self.name = file_name(config).unwrap_or("stdout").to_owned();
        self.file = match file_name(config) {
            None => None,
            Some(name) => Some(open(name).map_err(|error| {
                ConnectError::io(&format!("Couldn't find or create file '{name}' for FileStreamSinkTask"), &error)
            })?),
        };
        Ok(())
    }

    fn put(&mut self, batch: &RecordBatch) -> Result<(), ConnectError> {
        for row in batch.rows() {
            append_line(&row.value, &batch.arena, &mut self.buffer);
            if self.buffer.len() >= PIECE_BYTES {
                self.write_out()?;
            }
        }
        if self.buffer.is_empty() { Ok(()) } else { self.write_out() }
    }
}

#[cfg(test)]
mod tests;
