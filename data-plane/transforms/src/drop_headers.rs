//! `DropHeaders`: removes headers by key.

use std::collections::BTreeSet;

use data_plane_connector_api::config_def::{ConfigType, Importance, Validator};
use data_plane_connector_api::{Config, ConfigDef, ConfigKey, ConnectError, RecordTransform, Verdict};
use data_plane_record::OpenRecord;

/// Removes all headers with certain keys.
#[derive(Debug, Default)]
pub(crate) struct DropHeaders {
    keys: BTreeSet<String>,
}

impl RecordTransform for DropHeaders {
    fn class(&self) -> &'static str {
        "org.apache.kafka.connect.transforms.DropHeaders"
    }

    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        let parsed = self.config_def().parse(config)?;
        self.keys = parsed.list("headers").iter().cloned().collect();
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new([ConfigKey::required(
            "headers",
            ConfigType::List,
            Importance::High,
            "Keys of the headers to remove.",
        )
        .validator(Validator::SomeUniqueNonEmptyValues)])
    }

    fn apply(&mut self, record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError> {
        let is_dropped = |header| self.keys.contains(record.header_key(header));
        if record.headers().iter().any(is_dropped) {
            let kept: Vec<_> = record.headers().iter().filter(|header| !is_dropped(header)).cloned().collect();
            record.set_headers(kept);
        }
        Ok(Verdict::Keep)
    }
}
