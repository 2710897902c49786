//! Ferry's own keys of all connectors: how a worker treats a connector's units.

use data_plane_connector_api::{
    ConnectError,
    config_def::{Config, ConfigDef, ConfigKey, ConfigType, Importance, Validator},
};

/// What the tasks do when no control plane is heard and the worker's lease has ended.
pub const ON_CONTROL_PLANE_LOSS: &str = "ferry.on.control.plane.loss";

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

/// What a connector's config says of its units.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitPolicy {
    /// Without a lease.
    pub on_control_plane_loss: OnControlPlaneLoss,
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
        let words = [DEFAULT, STOP, CONTINUE].map(str::to_owned).to_vec();
        ConfigDef::new([loss.validator(Validator::OneOf(words))])
    }

    /// What a config says.
    ///
    /// # Errors
    /// A `ConfigException` that names the key.
    pub fn parse(config: &Config) -> Result<UnitPolicy, ConnectError> {
        let parsed = Self::config_def().parse(config)?;
        let on_control_plane_loss = match parsed.text(ON_CONTROL_PLANE_LOSS) {
            Some(STOP) => OnControlPlaneLoss::Stop,
            Some(CONTINUE) => OnControlPlaneLoss::Continue,
            _ => OnControlPlaneLoss::AsFenced,
        };
        Ok(UnitPolicy { on_control_plane_loss })
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

#[cfg(test)]
mod tests {
    use super::*;

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
