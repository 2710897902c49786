//! Transformations and predicates: on batches, with an outcome a record.

use std::fmt;

use data_plane_record::{OpenRecord, RecordBatch};

use crate::config_def::{Config, ConfigDef};
use crate::error::ConnectError;

/// Where in a task a record failed; Connect's `Stage` names, as dead letter headers carry them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "Connect's own names")]
pub enum Stage {
    TaskPut,
    TaskPoll,
    Transformation,
    KeyConverter,
    ValueConverter,
    HeaderConverter,
    KafkaProduce,
    KafkaConsume,
}

impl Stage {
    /// Connect's spelling, such as `VALUE_CONVERTER`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TaskPut => "TASK_PUT",
            Self::TaskPoll => "TASK_POLL",
            Self::Transformation => "TRANSFORMATION",
            Self::KeyConverter => "KEY_CONVERTER",
            Self::ValueConverter => "VALUE_CONVERTER",
            Self::HeaderConverter => "HEADER_CONVERTER",
            Self::KafkaProduce => "KAFKA_PRODUCE",
            Self::KafkaConsume => "KAFKA_CONSUME",
        }
    }
}

/// A record's failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In which stage.
    pub stage: Stage,
    /// Java class name of the plugin that was at work.
    pub class: String,
    /// Alias of the transform that was at work.
    pub transform: Option<Box<str>>,
    /// The error.
    pub cause: ConnectError,
}

impl fmt::Display for Failure {
    /// Stage, class and transform, in a few words.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "stage {}, class {}", self.stage.name(), self.class)?;
        self.transform.iter().try_for_each(|alias| write!(formatter, ", transform {alias}"))
    }
}

/// What became of a record in a stage.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Outcome {
    /// It goes on.
    #[default]
    Ok,
    /// It was filtered.
    Dropped,
    /// It failed; later stages leave it alone.
    Failed(Box<Failure>),
}

impl Outcome {
    /// A failure in a stage, of the plugin of this Java class.
    #[must_use]
    pub fn failed(stage: Stage, class: impl Into<String>, cause: ConnectError) -> Self {
        Self::Failed(Box::new(Failure { stage, class: class.into(), transform: None, cause }))
    }

    /// Whether the record goes on.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok)
    }
}

/// The rows that a predicate let through to a transformation.
#[derive(Clone, Copy, Debug)]
pub enum Selected<'a> {
    /// All rows.
    All,
    /// One entry a row.
    Rows(&'a [bool]),
}

impl Selected<'_> {
    /// Whether a row is selected.
    #[must_use]
    pub fn contains(self, row: usize) -> bool {
        match self {
            Self::All => true,
            Self::Rows(rows) => rows.get(row).copied().unwrap_or(false),
        }
    }
}

/// A single message transform, on a batch at a time. One that treats each record by itself is written as a [`RecordTransform`].
pub trait Transformation: Send {
    /// Sets it up; called once, first.
    ///
    /// # Errors
    /// A `ConfigException` that names the key.
    fn configure(&mut self, config: &Config) -> Result<(), ConnectError>;

    /// Its config keys.
    fn config_def(&self) -> ConfigDef;

    /// Transforms the selected rows whose outcome is [`Outcome::Ok`], in order, and sets the outcome of those that it drops or
    /// that fail. The number and order of rows stay; `outcomes` has one entry a row. A row that fails stays as it was: the
    /// runtime may call again for it, if its error is retriable.
    fn apply(&mut self, batch: &mut RecordBatch, selected: Selected<'_>, outcomes: &mut [Outcome]);
}

/// What a [`RecordTransform`] decides about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Verdict {
    Keep,
    Drop,
}

/// A transform that treats each record by itself. [`PerRecord`] makes a [`Transformation`] of it.
pub trait RecordTransform: Send {
    /// Full Java class name, for failures.
    fn class(&self) -> &'static str;

    /// As [`Transformation::configure`].
    ///
    /// # Errors
    /// A `ConfigException` that names the key.
    fn configure(&mut self, config: &Config) -> Result<(), ConnectError>;

    /// Its config keys.
    fn config_def(&self) -> ConfigDef;

    /// Changes a record in place, or says that it is dropped.
    ///
    /// # Errors
    /// What is wrong with the record, which must then be left as it was.
    fn apply(&mut self, record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError>;
}

/// A [`RecordTransform`] as a [`Transformation`].
#[derive(Debug)]
pub struct PerRecord<T>(pub T);

impl<T: RecordTransform> Transformation for PerRecord<T> {
    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        self.0.configure(config)
    }

    fn config_def(&self) -> ConfigDef {
        self.0.config_def()
    }

    fn apply(&mut self, batch: &mut RecordBatch, selected: Selected<'_>, outcomes: &mut [Outcome]) {
        batch.rewrite(|row, record| {
            let Some(outcome) = outcomes.get_mut(row).filter(|outcome| outcome.is_ok() && selected.contains(row))
            else {
                return;
            };
            match self.0.apply(record) {
                Ok(Verdict::Keep) => {}
                Ok(Verdict::Drop) => *outcome = Outcome::Dropped,
                Err(cause) => *outcome = Outcome::failed(Stage::Transformation, self.0.class(), cause),
            }
        });
    }
}

/// A condition on records.
pub trait Predicate: Send {
    /// Sets it up; called once, first.
    ///
    /// # Errors
    /// A `ConfigException` that names the key.
    fn configure(&mut self, config: &Config) -> Result<(), ConnectError>;

    /// Its config keys.
    fn config_def(&self) -> ConfigDef;

    /// Sets `matches` (one entry a row) for the rows whose outcome is [`Outcome::Ok`]; a failing row gets its outcome set.
    fn test(&mut self, batch: &RecordBatch, matches: &mut [bool], outcomes: &mut [Outcome]);
}
