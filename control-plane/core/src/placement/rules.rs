//! What a connector's config says of where its units go, read once: when a config is accepted, and when a connector
//! enters the World.

use super::{
    selector::{InvalidSelector, Selector},
    versions::Versions,
};
use crate::{
    connector::{Config, Connector},
    ids::{ConnectorName, InvalidId},
    worker::Worker,
};
use std::{collections::BTreeSet, fmt, num::ParseIntError};

/// How heavy each task of the connector is, beside others: [`Weight`].
pub const TASK_WEIGHT: &str = "ferry.task.weight";
/// Which workers may run it: [`Selector`].
pub const WORKER_SELECTOR: &str = "ferry.worker.selector";
/// Connectors of its namespace that it shares no worker with.
pub const ANTI_AFFINITY: &str = "ferry.anti.affinity";
/// How its tasks spread over workers: [`Spread`].
pub const SPREAD: &str = "ferry.spread";
/// The versions of its plugin that may run it (KIP-891): [`Versions`].
pub const PLUGIN_VERSION: &str = "connector.plugin.version";

/// Where a connector's units may go, and how much they count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementRules {
    /// Of each of its tasks; its planner's is 1.
    pub task_weight: Weight,
    /// How its tasks spread.
    pub spread: Spread,
    /// Connectors of the same namespace none of whose units runs beside one of its own. Holds in both directions.
    pub apart_from: BTreeSet<ConnectorName>,
    /// What the worker's labels must be.
    pub selector: Selector,
    /// Versions of its plugin; None: any.
    pub versions: Option<Versions>,
}

/// From 1 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u32);

/// How a connector's tasks spread over workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// As far as loads allow it.
    Prefer,
    /// No two on one worker: rather none.
    Require,
}

/// A key that says nothing of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleViolation {
    /// The key.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// What is wrong, and what would be right.
    pub mistake: RuleMistake,
}

/// What is wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleMistake {
    /// Not an integer.
    #[error("a task's weight is an integer from {} to {}, such as 10", Weight::MIN, Weight::MAX)]
    Number(#[source] ParseIntError),
    /// An integer, and too small or too large.
    #[error("a task's weight is at least {} and at most {}", Weight::MIN, Weight::MAX)]
    Range,
    /// No selector.
    #[error(transparent)]
    Selector(#[from] InvalidSelector),
    /// No name.
    #[error(transparent)]
    Name(#[from] InvalidId),
    /// The connector itself.
    #[error("a connector cannot be kept apart from itself; to keep its tasks apart, set {SPREAD}=require")]
    Itself,
    /// Neither.
    #[error("it is prefer or require")]
    Spread,
}

impl fmt::Display for RuleViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invalid value {} for configuration {}: {}", self.value, self.key, self.mistake)
    }
}

impl Weight {
    /// The least, and what counts where nothing is said.
    pub const MIN: u32 = 1;
    /// The most.
    pub const MAX: u32 = 1000;

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }

    fn parse(text: &str) -> Result<Weight, RuleMistake> {
        match text.parse::<u32>() {
            Ok(weight @ Weight::MIN..=Weight::MAX) => Ok(Weight(weight)),
            Ok(_) => Err(RuleMistake::Range),
            Err(error) => Err(RuleMistake::Number(error)),
        }
    }
}

impl PlacementRules {
    /// Those of a config that says nothing: any worker, weight 1.
    pub const NONE: PlacementRules = PlacementRules {
        task_weight: Weight(Weight::MIN),
        spread: Spread::Prefer,
        apart_from: BTreeSet::new(),
        selector: Selector::any(),
        versions: None,
    };

    /// The rules of a config, and what in it is none. A key that is none counts as absent: a stored connector keeps
    /// running, a new one is refused.
    pub fn parse(config: &Config) -> (PlacementRules, Vec<RuleViolation>) {
        let mut rules = PlacementRules::NONE;
        let mut violations = Vec::new();
        let mut read = |key: &'static str, parse: &mut dyn FnMut(&str) -> Result<(), RuleMistake>| {
            if let Some(value) = config.get(key)
                && let Err(mistake) = parse(value.trim())
            {
                violations.push(RuleViolation { key, value: value.clone(), mistake });
            }
        };
        read(TASK_WEIGHT, &mut |value| {
            rules.task_weight = Weight::parse(value)?;
            Ok(())
        });
        read(WORKER_SELECTOR, &mut |value| {
            rules.selector = Selector::parse(value)?;
            Ok(())
        });
        read(ANTI_AFFINITY, &mut |value| {
            rules.apart_from = names(value, config.get("name"))?;
            Ok(())
        });
        read(SPREAD, &mut |value| {
            rules.spread = match value {
                "prefer" => Spread::Prefer,
                "require" => Spread::Require,
                _ => return Err(RuleMistake::Spread),
            };
            Ok(())
        });
        rules.versions = config.get(PLUGIN_VERSION).and_then(|value| Versions::parse(value));
        (rules, violations)
    }

    /// Whether a worker has what the connector needs, leaving aside what else runs there.
    pub fn allow(&self, connector: &Connector, worker: &Worker) -> bool {
        worker.connectors.contains(&connector.class)
            && (worker.settings.is_empty() || worker.settings.contains(&connector.settings))
            && self.versions.as_ref().is_none_or(|versions| has_version(worker, &connector.class, versions))
            && self.selector.matches(|label| worker.label(label))
    }
}

fn names(list: &str, own: Option<&String>) -> Result<BTreeSet<ConnectorName>, RuleMistake> {
    let mut names = BTreeSet::new();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if own.is_some_and(|own| own == name) {
            return Err(RuleMistake::Itself);
        }
        names.insert(ConnectorName::parse(name)?);
    }
    Ok(names)
}

/// A worker whose entry is older than the versions in it is taken at its class alone, as it was when it registered.
fn has_version(worker: &Worker, class: &str, versions: &Versions) -> bool {
    worker
        .connector_versions
        .get(class)
        .is_none_or(|available| available.iter().any(|version| versions.contains(version)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> (PlacementRules, Vec<String>) {
        let config = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let (rules, violations) = PlacementRules::parse(&config);
        (rules, violations.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn rules_are_read_from_a_config() {
        assert_eq!(parse(&[("tasks.max", "3"), (PLUGIN_VERSION, "latest")]), (PlacementRules::NONE, Vec::new()));
        let (rules, violations) = parse(&[
            ("name", "orders"),
            (TASK_WEIGHT, " 1000 "),
            (WORKER_SELECTOR, "zone=eu"),
            (ANTI_AFFINITY, "payments, refunds,"),
            (SPREAD, "require"),
            (PLUGIN_VERSION, "[1.0,2.0)"),
        ]);
        assert_eq!(violations, Vec::<String>::new());
        assert_eq!((rules.task_weight.get(), rules.spread), (1000, Spread::Require));
        assert_eq!(rules.apart_from.iter().map(ConnectorName::as_str).collect::<Vec<_>>(), ["payments", "refunds"]);
        assert_eq!(
            (rules.selector, rules.versions),
            (Selector::parse("zone=eu").unwrap(), Versions::parse("[1.0,2.0)"))
        );
    }

    #[test]
    fn a_key_that_is_no_rule_is_named_with_the_fix_and_the_others_hold() {
        for (key, value, fix) in [
            (TASK_WEIGHT, "heavy", "an integer from 1 to 1000"),
            (TASK_WEIGHT, "0", "at least 1 and at most 1000"),
            (TASK_WEIGHT, "1001", "at least 1 and at most 1000"),
            (TASK_WEIGHT, "-1", "an integer from 1 to 1000"),
            (WORKER_SELECTOR, "zone>eu", "write it like zone=eu"),
            (ANTI_AFFINITY, "payments,orders", "set ferry.spread=require"),
            (ANTI_AFFINITY, "a\u{7}b", "no control characters"),
            (SPREAD, "always", "it is prefer or require"),
        ] {
            let (rules, violations) = parse(&[("name", "orders"), (key, value), (PLUGIN_VERSION, "7")]);
            assert_eq!(rules, PlacementRules { versions: Versions::parse("7"), ..PlacementRules::NONE });
            assert_eq!(violations.len(), 1, "{violations:?}");
            let start = format!("Invalid value {value} for configuration {key}: ");
            assert!(violations[0].starts_with(&start) && violations[0].contains(fix), "{violations:?}");
        }
    }
}
