//! `SchemaProjector`.

use data_plane_record::{Arena, schema_projector};
use serde_json::Value as Json;

use crate::check::{self, Failed};
use crate::typed;

/// Runs a case.
pub(super) fn run(case: &Json) -> Result<(), String> {
    let input = &case["input"];
    let (Some(source), Some(target)) = (typed::schema(&input["source"]), typed::schema(&input["target"])) else {
        return Err("a case without schemas".to_owned());
    };
    let value = typed::value(&input["value"], Some(&source));
    let done = schema_projector::project(&source, &value, &target).map_err(|error| Failed {
        stage: "apply",
        class: error.java_class().to_owned(),
        message: error.to_string(),
    });
    check::outcome(case, done, |projected, output| {
        let expected = (None, typed::value(output, Some(&target)));
        check::data(None, &projected, &expected, &Arena::default())
    })
}
