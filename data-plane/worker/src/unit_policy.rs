//! Ferry's own keys of all connectors: how a worker treats a connector's units.

use data_plane_connector_api::{
    ConnectError,
    config_def::{Config, ConfigDef, ConfigKey, ConfigType, Importance, Validator},
};
use data_plane_core::backoff::BackoffPolicy;
use std::time::Duration;

/// What the tasks do when no control plane is heard and the worker's lease has ended.
pub const ON_CONTROL_PLANE_LOSS: &str = "ferry.on.control.plane.loss";

/// Whether a failed unit is started again by itself.
pub const RESTART_POLICY: &str = "ferry.restart.policy";
/// The wait after the first failure.
pub const RESTART_BACKOFF_MS: &str = "ferry.restart.backoff.ms";
/// The longest wait.
pub const RESTART_BACKOFF_MAX_MS: &str = "ferry.restart.backoff.max.ms";
/// Running this long forgets failures.
pub const RESTART_HEALTHY_AFTER_MS: &str = "ferry.restart.healthy.after.ms";
/// Without progress for so long, a unit is shown as stalled.
pub const STALL_AFTER_MS: &str = "ferry.stall.after.ms";

/// Keys that worker properties may set for all connectors; a connector's own win.
pub const CLUSTER_WIDE: [&str; 5] =
    [RESTART_POLICY, RESTART_BACKOFF_MS, RESTART_BACKOFF_MAX_MS, RESTART_HEALTHY_AFTER_MS, STALL_AFTER_MS];

const BACKOFF: &str = "backoff";
const NONE: &str = "none";
const DEFAULT: &str = "default";
const STOP: &str = "stop";
const CONTINUE: &str = "continue";

/// What tasks do without a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnControlPlaneLoss {
    /// Those go on whose target refuses the older of two owners; the others stop.
    #[default]
    AsFenced,
    /// They stop.
    Stop,
    /// They go on. If only this worker is cut off, they run beside their successors: what they copy may be copied twice.
    Continue,
}

/// What a connector's config says of its units, and the worker's properties where it says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitPolicy {
    /// Without a lease.
    pub on_control_plane_loss: OnControlPlaneLoss,
    /// Whether a failed unit is started again by itself; else it stays failed until a user restarts it, as in Kafka Connect.
    pub restarts: bool,
    /// The waits before that, and after which spell failures are forgotten.
    pub backoff: BackoffPolicy,
    /// Without progress for so long, a unit is shown as stalled; `None`: never.
    pub stall_after: Option<Duration>,
}

impl Default for UnitPolicy {
    fn default() -> UnitPolicy {
        UnitPolicy {
            on_control_plane_loss: OnControlPlaneLoss::AsFenced,
            restarts: true,
            backoff: BackoffPolicy {
                first: Duration::from_secs(1),
                cap: Duration::from_secs(60),
                healthy_after: Duration::from_secs(60),
            },
            stall_after: Some(Duration::from_secs(60)),
        }
    }
}

impl UnitPolicy {
    /// The keys' definitions.
    pub fn config_def() -> ConfigDef {
        let loss = ConfigKey::optional(
            ON_CONTROL_PLANE_LOSS,
            ConfigType::String,
            Some(DEFAULT),
            Importance::Low,
            "What the tasks do when no control plane is heard and the worker's lease has ended: stop; continue, where they \
             may run beside their successors and copy twice; or, by default, go on only where the target refuses the \
             older of two owners.",
        );
        let restart = ConfigKey::optional(
            RESTART_POLICY,
            ConfigType::String,
            Some(BACKOFF),
            Importance::Low,
            "What becomes of the connector or a task that failed: backoff, it is started again, after waits that double with \
             each failure; none, it stays failed until it is restarted by hand, as in Kafka Connect.",
        );
        let words = |words: &[&str]| Validator::OneOf(words.iter().map(|word| (*word).to_owned()).collect());
        let millis = |key, default, least, documentation| {
            let range = Validator::Range { min: Some(least), max: None, nullable: false };
            ConfigKey::optional(key, ConfigType::Long, Some(default), Importance::Low, documentation).validator(range)
        };
        ConfigDef::new([
            loss.validator(words(&[DEFAULT, STOP, CONTINUE])),
            restart.validator(words(&[BACKOFF, NONE])),
            millis(RESTART_BACKOFF_MS, "1000", 1, "How long a failed unit waits for its first restart."),
            millis(RESTART_BACKOFF_MAX_MS, "60000", 1, "The longest wait between two restarts of a failing unit."),
            millis(
                RESTART_HEALTHY_AFTER_MS,
                "60000",
                1,
                "Once a unit has run this long without a failure, its restarts count from zero again.",
            ),
            millis(
                STALL_AFTER_MS,
                "60000",
                0,
                "A unit that has something to do and makes no progress for this long is shown as stalled; 0: never.",
            ),
        ])
    }

    /// What a connector's config says.
    ///
    /// # Errors
    /// A `ConfigException` that names the key.
    pub fn parse(config: &Config) -> Result<UnitPolicy, ConnectError> {
        let parsed = Self::config_def().parse(config)?;
        let otherwise = UnitPolicy::default();
        let millis = |key: &str, otherwise: Duration| match parsed.integer(key) {
            Some(millis) => Duration::from_millis(millis.max(0) as u64),
            None => otherwise,
        };
        Ok(UnitPolicy {
            on_control_plane_loss: match parsed.text(ON_CONTROL_PLANE_LOSS) {
                Some(STOP) => OnControlPlaneLoss::Stop,
                Some(CONTINUE) => OnControlPlaneLoss::Continue,
                _ => OnControlPlaneLoss::AsFenced,
            },
            restarts: parsed.text(RESTART_POLICY) != Some(NONE),
            backoff: BackoffPolicy {
                first: millis(RESTART_BACKOFF_MS, otherwise.backoff.first),
                cap: millis(RESTART_BACKOFF_MAX_MS, otherwise.backoff.cap),
                healthy_after: millis(RESTART_HEALTHY_AFTER_MS, otherwise.backoff.healthy_after),
            },
            stall_after: Some(millis(STALL_AFTER_MS, Duration::ZERO)).filter(|after| !after.is_zero()),
        })
    }

    /// What a connector's config says, and the worker's properties where it says nothing.
    ///
    /// # Errors
    /// A `ConfigException` that names the key.
    pub fn under(worker: &Config, config: &Config) -> Result<UnitPolicy, ConnectError> {
        let mut whole: Config = cluster_wide(worker);
        whole.extend(config.iter().map(|(key, value)| (key.clone(), value.clone())));
        Self::parse(&whole)
    }

    /// The first of the worker's properties that cannot be used, and why.
    pub fn problem(worker: &Config) -> Option<(String, String)> {
        let values = Self::config_def().validate(&cluster_wide(worker));
        values.into_iter().find_map(|value| Some((value.name, value.errors.into_iter().next()?)))
    }

    /// Whether tasks of a class that is fenced by epoch, or not, run on without a lease.
    pub fn outlives_lease(&self, is_fenced_by_epoch: bool) -> bool {
        match self.on_control_plane_loss {
            OnControlPlaneLoss::AsFenced => is_fenced_by_epoch,
            OnControlPlaneLoss::Stop => false,
            OnControlPlaneLoss::Continue => true,
        }
    }
}

fn cluster_wide(worker: &Config) -> Config {
    let set = CLUSTER_WIDE.iter().filter_map(|key| Some(((*key).to_owned(), worker.get(*key)?.clone())));
    set.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(lines: &[(&str, &str)]) -> Config {
        lines.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_connectors_keys_win_over_the_workers_and_these_over_the_defaults() {
        assert_eq!(UnitPolicy::under(&config(&[]), &config(&[])), Ok(UnitPolicy::default()));
        let worker = config(&[
            (RESTART_POLICY, "none"),
            (RESTART_BACKOFF_MS, "20"),
            (STALL_AFTER_MS, "0"),
            // Not for a whole cluster.
            (ON_CONTROL_PLANE_LOSS, "stop"),
        ]);
        let own =
            config(&[(RESTART_BACKOFF_MS, "30"), (RESTART_BACKOFF_MAX_MS, "40"), (RESTART_HEALTHY_AFTER_MS, "50")]);
        let policy = UnitPolicy::under(&worker, &own).expect("valid");
        let [first, cap, healthy_after] = [30, 40, 50].map(Duration::from_millis);
        let backoff = BackoffPolicy { first, cap, healthy_after };
        assert_eq!(policy, UnitPolicy { restarts: false, backoff, stall_after: None, ..UnitPolicy::default() });
    }

    #[test]
    fn wrong_values_are_told_in_kafkas_words() {
        let wrong = |key: &str, value: &str| UnitPolicy::parse(&config(&[(key, value)])).expect_err(key).message;
        let expected = "Invalid value 0 for configuration ferry.restart.backoff.ms: Value must be at least 1";
        assert_eq!(wrong(RESTART_BACKOFF_MS, "0"), expected);
        assert!(
            wrong(RESTART_POLICY, "never").starts_with("Invalid value never for configuration ferry.restart.policy: ")
        );
        let expected = "Invalid value soon for configuration ferry.stall.after.ms: Not a number of type LONG";
        assert_eq!(wrong(STALL_AFTER_MS, "soon"), expected);
        assert_eq!(UnitPolicy::problem(&config(&[(RESTART_POLICY, "none"), (ON_CONTROL_PLANE_LOSS, "?")])), None);
        let problem = UnitPolicy::problem(&config(&[(STALL_AFTER_MS, "soon")]));
        assert_eq!(problem, Some((STALL_AFTER_MS.to_owned(), expected.to_owned())));
    }

    #[test]
    fn tasks_outlive_their_lease_where_they_are_fenced_or_where_it_is_wished() {
        let policy = |value: Option<&str>| {
            let config = value.map(|value| (ON_CONTROL_PLANE_LOSS.to_owned(), value.to_owned()));
            UnitPolicy::parse(&config.into_iter().collect())
        };
        for (value, unfenced, fenced) in [
            (None, false, true),
            (Some("default"), false, true),
            (Some("stop"), false, false),
            (Some("continue"), true, true),
        ] {
            let policy = policy(value).expect("valid");
            assert_eq!((policy.outlives_lease(false), policy.outlives_lease(true)), (unfenced, fenced), "{value:?}");
        }
        let error = policy(Some("go on")).expect_err("no such word");
        assert!(error.message.contains(ON_CONTROL_PLANE_LOSS) && error.message.contains("continue"), "{error}");
    }
}
