//! `Filter`: drops records, those that its predicate selects.

use data_plane_connector_api::{Config, ConfigDef, ConnectError, RecordTransform, Verdict};
use data_plane_record::OpenRecord;

/// Drops every record that it gets.
#[derive(Debug)]
pub(crate) struct Filter;

impl RecordTransform for Filter {
    fn class(&self) -> &'static str {
        "org.apache.kafka.connect.transforms.Filter"
    }

    fn configure(&mut self, _config: &Config) -> Result<(), ConnectError> {
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::default()
    }

    fn apply(&mut self, _record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError> {
        Ok(Verdict::Drop)
    }
}
