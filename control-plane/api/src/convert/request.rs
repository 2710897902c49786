//! The conventions that requests share: pages, etags, request ids, field masks, target states, resume tokens.

use super::names::invalid;
use crate::service::{ConfigChange, PageRequest, Position64, ServiceError};
use control_plane_core::{
    connector::{Config, TargetState},
    ids::ConnectorName,
};
use prost_types::FieldMask;
use proto::v1;
use std::{collections::BTreeMap, time::Duration};

/// Between two answers about one connector's progress, unless the caller says otherwise.
const DEFAULT_WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// The longest that a caller may ask for.
const MAX_WATCH_INTERVAL: Duration = Duration::from_secs(3600);

/// Size and token of a list request.
pub(crate) fn page(size: i32, token: String) -> Result<PageRequest, ServiceError> {
    let size =
        u32::try_from(size).map_err(|_| invalid("page_size", format!("{size} is negative; leave it 0 for 100")))?;
    Ok(PageRequest { size, token })
}

/// An empty etag means whatever is stored.
pub(crate) fn etag(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// A UUID (AIP-155), or none.
pub(crate) fn request_id(text: String) -> Result<Option<String>, ServiceError> {
    if text.is_empty() {
        return Ok(None);
    }
    // The store's ids are UUIDs too, so their parser serves.
    match text.parse::<control_plane_core::ids::ReplicaId>() {
        Ok(id) => Ok(Some(id.to_string())),
        Err(_) => Err(invalid("request_id", format!("{text:?} is not a UUID; give a new one for each new request"))),
    }
}

/// The first target state of a connector; not set means running.
pub(crate) fn first_target(number: i32) -> Result<TargetState, ServiceError> {
    match v1::TargetState::try_from(number) {
        Ok(v1::TargetState::Unspecified | v1::TargetState::Running) => Ok(TargetState::Running),
        Ok(v1::TargetState::Paused) => Ok(TargetState::Paused),
        Ok(v1::TargetState::Stopped) => Ok(TargetState::Stopped),
        Err(_) => Err(invalid(
            "connector.target_state",
            format!("{number} is unknown; give TARGET_STATE_RUNNING, TARGET_STATE_PAUSED or TARGET_STATE_STOPPED"),
        )),
    }
}

/// The config of a connector, whose `name`, if it is there, must be the connector's.
pub(crate) fn config(config: Config, name: &ConnectorName) -> Result<Config, ServiceError> {
    match config.get("name") {
        Some(other) if other != name.as_str() => Err(invalid(
            "connector.config.name",
            format!("{other:?} is not the connector's name {:?}; leave it out or give the same", name.as_str()),
        )),
        _ => Ok(config),
    }
}

/// What an update changes: all of the config, or the keys that the mask names.
pub(crate) fn config_change(mask: Option<FieldMask>, mut values: Config) -> Result<ConfigChange, ServiceError> {
    let paths = mask.map(|mask| mask.paths).unwrap_or_default();
    if paths.is_empty() || paths == ["config"] {
        return Ok(ConfigChange::Replace(values));
    }
    let mut merged = BTreeMap::new();
    for path in paths {
        match path.strip_prefix("config.") {
            Some(key) if !key.is_empty() => {
                merged.insert(key.to_owned(), values.remove(key));
            }
            _ => return Err(invalid("update_mask", mask_mistake(&path))),
        }
    }
    if let Some(key) = values.keys().find(|key| !merged.contains_key(*key)) {
        return Err(invalid(
            "update_mask",
            format!(
                "connector.config has the key {key:?}, which the mask does not name; add \"config.{key}\" or leave the key out"
            ),
        ));
    }
    Ok(ConfigChange::Merge(merged))
}

fn mask_mistake(path: &str) -> String {
    match path {
        "config" => "\"config\" (replace all) and \"config.KEY\" (change one key) exclude each other".to_owned(),
        "target_state" => {
            "target_state is changed by PauseConnector, ResumeConnector and StopConnector, not by an update".to_owned()
        }
        _ => format!("{path:?} cannot be updated; give \"config\" or \"config.KEY\""),
    }
}

/// A resume token is the text of a position; none starts with the present.
pub(crate) fn resume_token(token: &str) -> Result<Option<Position64>, ServiceError> {
    if token.is_empty() {
        return Ok(None);
    }
    match token.parse::<Position64>() {
        Ok(position) if position >= 0 => Ok(Some(position)),
        _ => Err(invalid("resume_token", format!("{token:?} is not a token that a watch answered; leave it empty"))),
    }
}

/// Pace of a watch.
pub(crate) fn watch_interval(interval: Option<prost_types::Duration>) -> Result<Duration, ServiceError> {
    let Some(interval) = interval else {
        return Ok(DEFAULT_WATCH_INTERVAL);
    };
    let wrong = || invalid("min_interval", "it is negative or out of range; give 0 s to 1 h");
    let interval = Duration::try_from(interval).map_err(|_| wrong())?;
    match interval {
        Duration::ZERO => Ok(DEFAULT_WATCH_INTERVAL),
        interval if interval > MAX_WATCH_INTERVAL => Err(wrong()),
        interval => Ok(interval),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(paths: &[&str]) -> Option<FieldMask> {
        Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
    }

    fn values(pairs: &[(&str, &str)]) -> Config {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn masks_replace_or_merge() {
        assert!(matches!(config_change(None, values(&[("a", "1")])), Ok(ConfigChange::Replace(_))));
        assert!(matches!(config_change(mask(&["config"]), values(&[])), Ok(ConfigChange::Replace(_))));
        let Ok(ConfigChange::Merge(keys)) =
            config_change(mask(&["config.tasks.max", "config.file"]), values(&[("tasks.max", "2")]))
        else {
            panic!("not merged");
        };
        assert_eq!(keys["tasks.max"].as_deref(), Some("2"));
        assert_eq!(keys["file"], None);
    }

    #[test]
    fn masks_that_make_no_sense_are_refused() {
        for paths in [&["config", "config.a"][..], &["target_state"], &["uid"], &["config."]] {
            let error = config_change(mask(paths), values(&[])).unwrap_err().to_string();
            assert!(error.starts_with("update_mask: "), "{error}");
        }
        let error = config_change(mask(&["config.a"]), values(&[("b", "1")])).unwrap_err().to_string();
        assert!(error.contains("\"config.b\""), "{error}");
    }

    #[test]
    fn numbers_and_tokens_out_of_range_are_refused() {
        assert_eq!(page(-1, String::new()).unwrap_err().to_string(), "page_size: -1 is negative; leave it 0 for 100");
        assert!(request_id("x".into()).is_err());
        assert_eq!(request_id(String::new()).unwrap(), None);
        assert_eq!(first_target(0).unwrap(), TargetState::Running);
        assert!(first_target(9).unwrap_err().to_string().starts_with("connector.target_state: 9 is unknown"));
        assert_eq!(resume_token("17").unwrap(), Some(17));
        assert!(resume_token("-1").is_err() && resume_token("x").is_err());
        let duration = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        assert_eq!(watch_interval(duration(0)).unwrap(), DEFAULT_WATCH_INTERVAL);
        assert_eq!(watch_interval(duration(5)).unwrap(), Duration::from_secs(5));
        assert!(watch_interval(duration(-1)).is_err() && watch_interval(duration(7200)).is_err());
    }

    #[test]
    fn the_configs_own_name_must_agree() {
        let name = ConnectorName::parse("a").unwrap();
        assert!(config(values(&[("name", "a")]), &name).is_ok());
        assert!(config(values(&[("name", "b")]), &name).unwrap_err().to_string().starts_with("connector.config.name"));
    }
}
