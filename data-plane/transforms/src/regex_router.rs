//! `RegexRouter`: new names for topics that match a pattern as a whole.

use std::sync::Arc;

use data_plane_connector_api::config_def::{ConfigType, Importance, Validator};
use data_plane_connector_api::{Config, ConfigDef, ConfigKey, ConnectError, JavaRegex, RecordTransform, Verdict};
use data_plane_record::OpenRecord;

/// Renames topics.
#[derive(Debug, Default)]
pub(crate) struct RegexRouter {
    regex: Option<JavaRegex>,
    replacement: String,
    /// The last topic seen and its new name, if it gets one.
    last: Option<(Arc<str>, Option<Arc<str>>)>,
}

impl RegexRouter {
    /// The new name of a topic, if it gets one.
    fn route(&mut self, topic: &Arc<str>) -> Result<Option<Arc<str>>, ConnectError> {
        if let Some((known, routed)) = &self.last
            && Arc::ptr_eq(known, topic)
        {
            return Ok(routed.clone());
        }
        let mut routed = None;
        if let Some(regex) = &self.regex
            && regex.is_match(topic)?
        {
            routed = Some(regex.replace_first(topic, &self.replacement)?.into());
        }
        self.last = Some((Arc::clone(topic), routed.clone()));
        Ok(routed)
    }
}

impl RecordTransform for RegexRouter {
    fn class(&self) -> &'static str {
        "org.apache.kafka.connect.transforms.RegexRouter"
    }

    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        let parsed = self.config_def().parse(config)?;
        self.regex = Some(JavaRegex::new(parsed.text("regex").unwrap_or_default())?);
        self.replacement = parsed.text("replacement").unwrap_or_default().to_owned();
        self.last = None;
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new([
            ConfigKey::required(
                "regex",
                ConfigType::String,
                Importance::High,
                "A regular expression of Java; topics that it matches as a whole are renamed.",
            )
            .validator(Validator::Regex),
            ConfigKey::required(
                "replacement",
                ConfigType::String,
                Importance::High,
                "What the first match is replaced by; $1 and ${name} stand for groups.",
            ),
        ])
    }

    fn apply(&mut self, record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError> {
        let topic = Arc::clone(record.topic());
        if let Some(routed) = self.route(&topic)? {
            record.set_topic(routed);
        }
        Ok(Verdict::Keep)
    }
}
