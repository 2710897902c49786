//! FileStreamSource and FileStreamSink: a file's lines to a topic, a topic's values to a file's lines.
//!
//! They behave as Kafka Connect 4.3's, with these differences on purpose:
//! - a source position counts **bytes**, so that resuming is right for any text (Connect counts decoded characters and skips bytes);
//! - a poll takes up to the larger of `batch.size` and the runtime's limits: users see records, not batches, and a `batch.size`
//!   below the lines at hand never stalls;
//! - a path that is a directory or cannot be read is an error of the configuration, not of the running task;
//! - the sink writes bytes as they are (in Java they print as an identity hash) and reports write errors;
//! - lines from stdin carry no source offset (Connect stores `{"position":null}` under `{"filename":null}`).

mod lines;
mod pump;
mod sink;
mod source;
mod source_task;

use data_plane_connector_api::config_def::ConfigDef;
use data_plane_connector_api::{Connector, Factory, Plugin, PluginSource};

pub use sink::{FileStreamSinkConnector, FileStreamSinkTask};
pub use source::FileStreamSourceConnector;
pub use source_task::FileStreamSourceTask;

/// The version that the connectors report: the Kafka Connect release that they follow.
pub const VERSION: &str = "4.3.0";

/// Config key: the file's path; unset or empty is stdin (source) or stdout (sink).
const FILE: &str = "file";

/// The connectors of this crate.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileConnectors;

impl PluginSource for FileConnectors {
    fn plugins(&self) -> Vec<Plugin> {
        let plugin = |class: &str, config_def: ConfigDef, factory: Factory| Plugin {
            class: class.to_owned(),
            version: VERSION.to_owned(),
            config_def,
            factory,
        };
        vec![
            plugin(
                "org.apache.kafka.connect.file.FileStreamSourceConnector",
                FileStreamSourceConnector::default().config_def(),
                Factory::source(FileStreamSourceConnector::default, FileStreamSourceTask::default),
            ),
            plugin(
                "org.apache.kafka.connect.file.FileStreamSinkConnector",
                FileStreamSinkConnector::default().config_def(),
                Factory::sink(FileStreamSinkConnector::default, FileStreamSinkTask::default),
            ),
        ]
    }
}

/// What is wrong with an existing path for reading or writing lines, if anything.
fn path_problem(path: &str, open: impl FnOnce(&str) -> std::io::Result<()>) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    if metadata.is_dir() {
        return Some("Path is a directory; give the path of a file".to_owned());
    }
    if !metadata.is_file() {
        return None;
    }
    open(path).err().map(|error| format!("File cannot be opened: {error}"))
}
