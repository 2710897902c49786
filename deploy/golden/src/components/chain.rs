//! Transform chains with predicates and tolerance.

use data_plane_connector_api::{Config, ConnectError, Outcome};
use data_plane_core::client_overrides::OverridePolicy;
use data_plane_worker::pipeline::{Chain, ChainProgress, ErrorCounts, ErrorPolicy, Flow, Retrier};
use data_plane_worker::validate::as_connect;
use serde_json::Value as Json;

use super::{PLUGINS, config_of, records};
use crate::check::{self, Failed};

/// A sink's config, as it is validated before its transforms are made.
fn validated(mut config: Config) -> Result<(), ConnectError> {
    let missing = [("name", "c"), ("connector.class", "FileStreamSink"), ("topics", "t")];
    for (key, value) in missing {
        config.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }
    let (validated, _) = as_connect(&PLUGINS, &OverridePolicy::All, &config)?;
    let error = validated.values.into_iter().flat_map(|value| value.errors).next();
    error.map_or(Ok(()), |error| Err(ConnectError::config(error)))
}

/// Runs a case.
pub(super) fn run(case: &Json) -> Result<(), String> {
    let config = config_of(case);
    let mut batch = records::batch(&case["input"]);
    let mut outcomes = [Outcome::Ok];
    let set_up = validated(config_of(case)).and_then(|()| ErrorPolicy::parse(&config));
    let set_up = set_up.and_then(|policy| Ok((policy, Chain::new(&PLUGINS, &config)?)));
    let done = set_up.map_err(Failed::configure).and_then(|(policy, mut chain)| {
        let (mut progress, mut retrier) = (ChainProgress::default(), Retrier::new(policy.retry));
        let counts = &mut ErrorCounts::default();
        let mut now = 0;
        while let Flow::Wait(pause) =
            chain.run(&mut batch, &mut outcomes, &mut progress, &policy, &mut retrier, (now, counts))
        {
            now += pause.as_millis() as i64;
        }
        let outcome = std::mem::take(&mut outcomes[0]);
        match &outcome {
            Outcome::Failed(failure) => policy.judge(failure).map_err(Failed::apply).map(|()| outcome),
            _ => Ok(outcome),
        }
    });
    check::outcome(case, done, |outcome, expected| {
        match (outcome, expected.get("dropped"), expected.get("tolerated")) {
            (Outcome::Dropped, Some(_), None) => Ok(()),
            (Outcome::Failed(failure), None, Some(tolerated)) => super::errors::failure(&failure, tolerated),
            (Outcome::Ok, None, None) => records::check(&batch, expected),
            (outcome, _, _) => Err(format!("ends with {outcome:?}, Connect {expected}")),
        }
    })
}
