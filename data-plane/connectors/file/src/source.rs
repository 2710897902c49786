//! The source connector: one task for one file.

use std::fs::File;
use std::sync::Arc;

use data_plane_connector_api::config_def::{ConfigKey, ConfigType, Importance, Validator};
use data_plane_connector_api::{
    Config, ConfigDef, ConfigValue, ConnectError, Connector, ConnectorContext, ConnectorOffsets, ExactlyOnceSupport,
};

use crate::{FILE, VERSION, path_problem};

pub(crate) const TOPIC: &str = "topic";
pub(crate) const BATCH_SIZE: &str = "batch.size";
/// Field of the source partition.
pub(crate) const FILENAME: &str = "filename";
/// Field of the source offset: bytes read, terminators included.
pub(crate) const POSITION: &str = "position";

/// `org.apache.kafka.connect.file.FileStreamSourceConnector`.
#[derive(Clone, Debug, Default)]
pub struct FileStreamSourceConnector {
    config: Config,
}

pub(crate) fn config_def() -> ConfigDef {
    ConfigDef::new([
        ConfigKey::optional(
            FILE,
            ConfigType::String,
            None,
            Importance::High,
            "File to read lines from. Unset is stdin.",
        ),
        ConfigKey::required(TOPIC, ConfigType::String, Importance::High, "Topic to write lines to.")
            .validator(Validator::NonEmptyString),
        ConfigKey::optional(
            BATCH_SIZE,
            ConfigType::Int,
            Some("2000"),
            Importance::Low,
            "The fewest records that one poll may be limited to; a poll takes more where the worker's limits allow.",
        ),
    ])
}

/// The file named by a config; `None` is stdin.
pub(crate) fn file_name(config: &Config) -> Option<&str> {
    config.get(FILE).map(|name| name.trim()).filter(|name| !name.is_empty())
}

impl Connector for FileStreamSourceConnector {
    fn version(&self) -> &str {
        VERSION
    }

    fn config_def(&self) -> ConfigDef {
        config_def()
    }

    fn validate(&self, config: &Config) -> Vec<ConfigValue> {
        let mut values = config_def().validate(config);
        let problem = file_name(config).and_then(|name| {
            let problem = path_problem(name, |path| File::open(path).map(|_| ()))?;
            Some(ConnectError::config_value(FILE, name, &problem).message)
        });
        if let (Some(problem), Some(value)) = (problem, values.iter_mut().find(|value| value.name == FILE)) {
            value.errors.push(problem);
        }
        values
    }

    fn start(&mut self, _context: Arc<dyn ConnectorContext>, config: &Config) -> Result<(), ConnectError> {
        config_def().parse(config)?;
        self.config = config.clone();
        Ok(())
    }

    fn task_configs(&mut self, _max_tasks: usize) -> Result<Vec<Config>, ConnectError> {
        Ok(vec![self.config.clone()])
    }

    fn alter_offsets(&self, config: &Config, offsets: &ConnectorOffsets) -> Result<bool, ConnectError> {
        if file_name(config).is_none() {
            return Err(ConnectError::connect(
                "Offsets cannot be modified if the 'file' configuration is unspecified. Stdin is used for input in this case \
                 and offsets are not tracked.",
            ));
        }
        let ConnectorOffsets::Source(offsets) = offsets else {
            return Err(ConnectError::connect("A source connector has source offsets, not consumer offsets"));
        };
        for (partition, offset) in offsets {
            // Tombstones may name anything, so that users can clean up.
            let Some(offset) = offset else { continue };
            let position = offset.get(POSITION).ok_or_else(|| {
                ConnectError::connect("Offset objects should either be null or contain the key 'position'")
            })?;
            let position = position.as_int().ok_or_else(|| {
                ConnectError::connect("The value for the 'position' key in the offset is expected to be a Long value")
            })?;
            if position < 0 {
                return Err(ConnectError::connect(
                    "The value for the 'position' key in the offset should be a non-negative value",
                ));
            }
            if partition.get(FILENAME).is_none() {
                return Err(ConnectError::connect("Partition objects should contain the key 'filename'"));
            }
        }
        Ok(true)
    }

    fn exactly_once_support(&self, config: &Config) -> Option<ExactlyOnceSupport> {
        Some(match file_name(config) {
            Some(_) => ExactlyOnceSupport::Supported,
            None => ExactlyOnceSupport::Unsupported,
        })
    }
}
