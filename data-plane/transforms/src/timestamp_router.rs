//! `TimestampRouter`: topics with the record's timestamp in their names.

use std::sync::Arc;

use data_plane_connector_api::config_def::{ConfigType, Importance};
use data_plane_connector_api::{Config, ConfigDef, ConfigKey, ConnectError, RecordTransform, Verdict};
use data_plane_record::{IllegalDatePattern, JavaDateFormat, OpenRecord};

/// Renames topics by time.
#[derive(Debug)]
pub(crate) struct TimestampRouter {
    topic_format: String,
    /// A bad pattern is found at the first record, as in Connect.
    timestamp_format: Result<JavaDateFormat, IllegalDatePattern>,
    last: Option<Last>,
}

/// The last topic made and of what.
#[derive(Debug)]
struct Last {
    topic: Arc<str>,
    timestamp: String,
    routed: Arc<str>,
}

impl Default for TimestampRouter {
    fn default() -> Self {
        Self { topic_format: String::new(), timestamp_format: JavaDateFormat::new("", 0), last: None }
    }
}

impl RecordTransform for TimestampRouter {
    fn class(&self) -> &'static str {
        "org.apache.kafka.connect.transforms.TimestampRouter"
    }

    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        let parsed = self.config_def().parse(config)?;
        self.topic_format = parsed.text("topic.format").unwrap_or_default().to_owned();
        // Nothing is read by this pattern, so that it does not matter when now is.
        self.timestamp_format = JavaDateFormat::new(parsed.text("timestamp.format").unwrap_or_default(), 0);
        self.last = None;
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        let key = |name, default, documentation| {
            ConfigKey::optional(name, ConfigType::String, Some(default), Importance::High, documentation)
        };
        ConfigDef::new([
            key(
                "topic.format",
                "${topic}-${timestamp}",
                "The new name; ${topic} stands for the old one, ${timestamp} for the record's timestamp.",
            ),
            key("timestamp.format", "yyyyMMdd", "How the timestamp is written: a pattern of Java's SimpleDateFormat."),
        ])
    }

    fn apply(&mut self, record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError> {
        let Some(millis) = record.timestamp() else {
            let topic = record.topic();
            return Err(ConnectError::data(format!("Timestamp missing on record: of topic '{topic}'")));
        };
        let format = self.timestamp_format.as_ref();
        let format = format.map_err(|error| ConnectError::new(IllegalDatePattern::CLASS, error.to_string()))?;
        let timestamp = format.format(millis);
        let topic = record.topic();
        let routed = match &self.last {
            Some(last) if Arc::ptr_eq(&last.topic, topic) && last.timestamp == timestamp => Arc::clone(&last.routed),
            _ => {
                let routed: Arc<str> =
                    self.topic_format.replace("${topic}", topic).replace("${timestamp}", &timestamp).into();
                self.last = Some(Last { topic: Arc::clone(topic), timestamp, routed: Arc::clone(&routed) });
                routed
            }
        };
        record.set_topic(routed);
        Ok(Verdict::Keep)
    }
}
