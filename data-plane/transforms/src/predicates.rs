//! Connect's predicates: `HasHeaderKey`, `RecordIsTombstone`, `TopicNameMatches`.

use data_plane_connector_api::config_def::{ConfigType, Importance, Validator};
use data_plane_connector_api::{
    Config, ConfigDef, ConfigKey, ConnectError, Factory, JavaRegex, Outcome, Plugin, Predicate, Stage,
};
use data_plane_record::RecordBatch;

use crate::VERSION;

const TOPIC_NAME_MATCHES: &str = "org.apache.kafka.connect.transforms.predicates.TopicNameMatches";

/// The predicates as plugins.
pub(crate) fn plugins() -> [Plugin; 3] {
    let plugin = |class: &str, config_def, factory| Plugin {
        class: class.to_owned(),
        version: VERSION.to_owned(),
        config_def,
        factory,
    };
    [
        plugin(
            "org.apache.kafka.connect.transforms.predicates.HasHeaderKey",
            HasHeaderKey::default().config_def(),
            Factory::predicate(HasHeaderKey::default),
        ),
        plugin(
            "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
            RecordIsTombstone.config_def(),
            Factory::predicate(|| RecordIsTombstone),
        ),
        plugin(
            TOPIC_NAME_MATCHES,
            TopicNameMatches::default().config_def(),
            Factory::predicate(TopicNameMatches::default),
        ),
    ]
}

/// Records with a header of a key.
#[derive(Debug, Default)]
struct HasHeaderKey {
    name: String,
}

impl Predicate for HasHeaderKey {
    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        self.name = self.config_def().parse(config)?.text("name").unwrap_or_default().to_owned();
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new([ConfigKey::required(
            "name",
            ConfigType::String,
            Importance::Medium,
            "Key that a record's headers must have.",
        )
        .validator(Validator::NonEmptyString)])
    }

    fn test(&mut self, batch: &RecordBatch, matches: &mut [bool], _outcomes: &mut [Outcome]) {
        let is_named = |key: &[u8]| key == self.name.as_bytes();
        for (row, matches) in batch.rows().iter().zip(matches) {
            *matches = batch.headers(row.headers).iter().any(|header| is_named(batch.arena.get(header.key)));
        }
    }
}

/// Records whose value is null.
#[derive(Debug)]
struct RecordIsTombstone;

impl Predicate for RecordIsTombstone {
    fn configure(&mut self, _config: &Config) -> Result<(), ConnectError> {
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::default()
    }

    fn test(&mut self, batch: &RecordBatch, matches: &mut [bool], _outcomes: &mut [Outcome]) {
        for (row, matches) in batch.rows().iter().zip(matches) {
            *matches = row.value.is_null();
        }
    }
}

/// Records whose topic matches a pattern as a whole.
#[derive(Debug, Default)]
struct TopicNameMatches {
    pattern: Option<JavaRegex>,
}

impl Predicate for TopicNameMatches {
    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        let parsed = self.config_def().parse(config)?;
        self.pattern = Some(JavaRegex::new(parsed.text("pattern").unwrap_or_default())?);
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new([ConfigKey::required(
            "pattern",
            ConfigType::String,
            Importance::Medium,
            "A regular expression of Java that the record's topic must match as a whole.",
        )
        .validator(Validator::All(vec![Validator::NonEmptyString, Validator::Regex]))])
    }

    fn test(&mut self, batch: &RecordBatch, matches: &mut [bool], outcomes: &mut [Outcome]) {
        let Some(pattern) = &self.pattern else { return };
        let mut first = 0;
        for (head, rows) in batch.runs() {
            let run = first..first + rows.len();
            first = run.end;
            // A record without a topic has an empty one.
            let found = if head.topic.is_empty() { Ok(false) } else { pattern.is_match(&head.topic) };
            for row in run {
                match &found {
                    Ok(found) => matches[row] = *found,
                    Err(_) if !outcomes[row].is_ok() => {}
                    Err(cause) => {
                        outcomes[row] = Outcome::failed(Stage::Transformation, TOPIC_NAME_MATCHES, cause.clone());
                    }
                }
            }
        }
    }
}
