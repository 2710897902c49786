//! What a case expects, against what was done.

use data_plane_record::{Arena, Schema, Value};
use serde_json::Value as Json;
use std::sync::Arc;

use crate::typed;

/// A failure: `configure` or `apply`, Java class, text.
pub(crate) struct Failed {
    pub(crate) stage: &'static str,
    pub(crate) class: String,
    pub(crate) message: String,
}

impl Failed {
    /// While it was set up.
    pub(crate) fn configure(error: data_plane_connector_api::ConnectError) -> Self {
        Self { stage: "configure", class: error.class, message: error.message }
    }

    /// While it was at work.
    pub(crate) fn apply(error: data_plane_connector_api::ConnectError) -> Self {
        Self { stage: "apply", class: error.class, message: error.message }
    }
}

/// Compares an outcome with `expect`; `same` compares a success with `expect.output`.
pub(crate) fn outcome<T>(
    case: &Json,
    done: Result<T, Failed>,
    same: impl FnOnce(T, &Json) -> Result<(), String>,
) -> Result<(), String> {
    let expect = &case["expect"];
    match (done, expect.get("error")) {
        (Err(failed), Some(expected)) => error(&failed, expected),
        (Err(failed), None) => {
            Err(format!("fails in {} with {}: {}, Connect gives {expect}", failed.stage, failed.class, failed.message))
        }
        (Ok(_), Some(expected)) => Err(format!("succeeds, but Connect fails: {expected}")),
        (Ok(done), None) => same(done, expect.get("output").unwrap_or(expect)),
    }
}

/// Compares a failure with a recorded one: the stage always, the class where it is one of Connect's or Kafka's.
pub(crate) fn error(failed: &Failed, expected: &Json) -> Result<(), String> {
    let class = expected["class"].as_str().unwrap_or_default();
    if expected["stage"] != failed.stage || !is_same_class(&failed.class, class) {
        let Failed { stage, class, message } = failed;
        return Err(format!("fails in {stage} with {class}: {message}, Connect {expected}"));
    }
    Ok(())
}

/// Whether a class is the recorded one, or the recorded one is an accident of Java.
pub(crate) fn is_same_class(class: &str, recorded: &str) -> bool {
    class == recorded || !recorded.starts_with("org.apache.kafka.")
}

/// A recorded `{schema, value}`; null where there is none.
pub(crate) fn recorded_data(output: &Json) -> (Option<Arc<Schema>>, Value) {
    if output.is_null() {
        return (None, Value::Null);
    }
    let schema = typed::schema(&output["schema"]);
    let value = typed::value(&output["value"], schema.as_ref());
    (schema, value)
}

/// Compares schema and value with recorded ones.
pub(crate) fn data(
    schema: Option<&Arc<Schema>>,
    value: &Value,
    expected: &(Option<Arc<Schema>>, Value),
    arena: &Arena,
) -> Result<(), String> {
    if schema != expected.0.as_ref() {
        return Err(format!("gives schema {schema:?}, Connect {:?}", expected.0));
    }
    if !typed::same(value, &expected.1, arena) {
        return Err(format!("gives {:?}, Connect {:?}", value.to_owned_value(arena), expected.1));
    }
    Ok(())
}
