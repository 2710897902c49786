//! The error that plugins raise: Java's identity (class, message, causes, trace) so that users and dead letter headers read as in Connect.

use std::fmt;

/// One link of a cause chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Java class name, such as `java.io.IOException`.
    pub class: String,
    /// Its message.
    pub message: String,
}

/// An error with a Java class name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectError {
    /// Java class name, such as `org.apache.kafka.connect.errors.DataException`.
    pub class: String,
    /// True for `RetriableException` and its kin: the same call may be made again.
    pub retriable: bool,
    /// What happened, for the user.
    pub message: String,
    /// Causes, outermost first.
    pub causes: Vec<Cause>,
    /// A stack trace, where the plugin has one (Java plugins); else empty.
    pub trace: String,
}

impl ConnectError {
    /// An error of any Java class, not retriable.
    #[must_use]
    pub fn new(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            class: class.into(),
            retriable: false,
            message: message.into(),
            causes: Vec::new(),
            trace: String::new(),
        }
    }

    /// `ConnectException`: fails the task.
    #[must_use]
    pub fn connect(message: impl Into<String>) -> Self {
        Self::new("org.apache.kafka.connect.errors.ConnectException", message)
    }

    /// `RetriableException`: the same call is made again later.
    #[must_use]
    pub fn retriable(message: impl Into<String>) -> Self {
        Self { retriable: true, ..Self::new("org.apache.kafka.connect.errors.RetriableException", message) }
    }

    /// `DataException`: a record is not as it should be.
    #[must_use]
    pub fn data(message: impl Into<String>) -> Self {
        Self::new("org.apache.kafka.connect.errors.DataException", message)
    }

    /// `SchemaBuilderException`.
    #[must_use]
    pub fn schema_builder(message: impl Into<String>) -> Self {
        Self::new("org.apache.kafka.connect.errors.SchemaBuilderException", message)
    }

    /// `NotFoundException`.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new("org.apache.kafka.connect.errors.NotFoundException", message)
    }

    /// `ConfigException` with a free text.
    #[must_use]
    pub fn config(message: impl Into<String>) -> Self {
        Self::new("org.apache.kafka.common.config.ConfigException", message)
    }

    /// `ConfigException` in Kafka's wording for a bad value: `Invalid value x for configuration name: why`.
    #[must_use]
    pub fn config_value(name: &str, value: &str, why: &str) -> Self {
        Self::config(format!("Invalid value {value} for configuration {name}: {why}"))
    }

    /// `SerializationException`.
    #[must_use]
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::new("org.apache.kafka.common.errors.SerializationException", message)
    }

    /// This error with a cause added below the ones it has.
    #[must_use]
    pub fn caused_by(mut self, class: impl Into<String>, message: impl Into<String>) -> Self {
        self.causes.push(Cause { class: class.into(), message: message.into() });
        self
    }

    /// A `ConnectException` about an I/O error, with `java.io.IOException` as its cause.
    #[must_use]
    pub fn io(attempted: &str, error: &std::io::Error) -> Self {
        Self::connect(format!("{attempted}: {error}")).caused_by("java.io.IOException", error.to_string())
    }

    /// The text that Connect shows as a task's trace: the stack trace, or class and message of the error and its causes.
    #[must_use]
    pub fn trace_text(&self) -> String {
        if !self.trace.is_empty() {
            return self.trace.clone();
        }
        let causes = self.causes.iter().map(|cause| format!("\nCaused by: {}: {}", cause.class, cause.message));
        format!("{}: {}{}", self.class, self.message, causes.collect::<String>())
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for ConnectError {}
