//! Transforms and predicates.

use data_plane_connector_api::{Factory, Outcome, PluginKind, Selected};
use serde_json::Value as Json;

use super::{PLUGINS, config_of, records};
use crate::check::{self, Failed};

/// Applies a transform to a record.
pub(super) fn apply(class: &str, case: &Json) -> Result<(), String> {
    let plugin = PLUGINS.find(PluginKind::Transformation, class).map_err(|_| "no such transform".to_owned())?;
    let Factory::Transformation(make) = &plugin.factory else { return Err("not a transform".to_owned()) };
    let mut transform = make();
    let mut batch = records::batch(&case["input"]);
    let mut outcomes = [Outcome::Ok];
    let done = transform.configure(&config_of(case)).map_err(Failed::configure).and_then(|()| {
        transform.apply(&mut batch, Selected::All, &mut outcomes);
        match std::mem::take(&mut outcomes[0]) {
            Outcome::Failed(failure) => Err(Failed::apply(failure.cause)),
            outcome => Ok(outcome),
        }
    });
    check::outcome(case, done, |outcome, expected| match (outcome, expected.get("dropped")) {
        (Outcome::Dropped, Some(_)) => Ok(()),
        (Outcome::Dropped, None) => Err(format!("drops the record, Connect gives {expected}")),
        (_, Some(_)) => Err("keeps the record, Connect drops it".to_owned()),
        (_, None) => records::check(&batch, expected),
    })
}

/// Tests a predicate on a record.
pub(super) fn test(class: &str, case: &Json) -> Result<(), String> {
    let plugin = PLUGINS.find(PluginKind::Predicate, class).map_err(|_| "no such predicate".to_owned())?;
    let Factory::Predicate(make) = &plugin.factory else { return Err("not a predicate".to_owned()) };
    let mut predicate = make();
    let batch = records::batch(&case["input"]);
    let (mut matches, mut outcomes) = ([false], [Outcome::Ok]);
    let done = predicate.configure(&config_of(case)).map_err(Failed::configure).and_then(|()| {
        predicate.test(&batch, &mut matches, &mut outcomes);
        match std::mem::take(&mut outcomes[0]) {
            Outcome::Failed(failure) => Err(Failed::apply(failure.cause)),
            _ => Ok(matches[0]),
        }
    });
    check::outcome(case, done, |matches, expected| match expected["v"] == matches {
        true => Ok(()),
        false => Err(format!("says {matches}, Connect {expected}")),
    })
}
