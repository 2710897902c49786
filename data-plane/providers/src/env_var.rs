//! `EnvVarConfigProvider`: the keys are environment variables of the worker; there is no path.

use std::collections::BTreeMap;

use data_plane_connector_api::config_def::{ConfigKey, ConfigType, Importance};
use data_plane_connector_api::{Config, ConfigData, ConfigDef, ConfigProvider, ConnectError};
use regex::Regex;

const KEY: &str = "allowlist.pattern";

pub(crate) fn config_def() -> ConfigDef {
    ConfigDef::new([ConfigKey::optional(
        KEY,
        ConfigType::String,
        Some(".*"),
        Importance::Low,
        "A pattern / regular expression that needs to match for environment variables to be used by this config provider.",
    )])
}

/// `org.apache.kafka.common.config.provider.EnvVarConfigProvider` (KIP-887). Variables that are not UTF-8 are not there.
#[derive(Clone)]
pub struct EnvVarConfigProvider {
    variables: BTreeMap<String, String>,
}

impl std::fmt::Debug for EnvVarConfigProvider {
    /// Names only.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.variables.keys()).finish()
    }
}

impl Default for EnvVarConfigProvider {
    /// With the variables of this process.
    fn default() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::new(std::env::vars_os().filter_map(text).collect())
    }
}

impl EnvVarConfigProvider {
    /// With these variables.
    #[must_use]
    pub fn new(variables: BTreeMap<String, String>) -> Self {
        Self { variables }
    }
}

impl ConfigProvider for EnvVarConfigProvider {
    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        let Some(pattern) = config.get(KEY) else { return Ok(()) };
        // Checked by itself first, so that a bracket too many cannot end the group around it.
        let matcher = Regex::new(pattern)
            .and_then(|_| Regex::new(&format!(r"\A(?:{pattern})\z")))
            .map_err(|error| ConnectError::config_value(KEY, pattern, &error.to_string()))?;
        self.variables.retain(|name, _| matcher.is_match(name));
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        config_def()
    }

    fn get(&mut self, path: &str, keys: Option<&[String]>) -> Result<ConfigData, ConnectError> {
        if !path.is_empty() {
            return Err(ConnectError::config(format!(
                "Path is not supported for EnvVarConfigProvider, invalid value '{path}'"
            )));
        }
        let is_wanted = |name: &String| keys.is_none_or(|keys| keys.contains(name));
        let wanted = self.variables.iter().filter(|(name, _)| is_wanted(name));
        Ok(ConfigData { data: wanted.map(|(name, value)| (name.clone(), value.clone())).collect(), ttl: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: Option<&str>, keys: Option<&[String]>) -> Result<String, ConnectError> {
        let variables = ["HOME", "HOST", "XHOME"].map(|name| (name.to_owned(), "s3cret".to_owned()));
        let mut provider = EnvVarConfigProvider::new(variables.into());
        assert!(!format!("{provider:?}").contains("s3cret"));
        let config = pattern.map(|pattern| (KEY.to_owned(), pattern.to_owned()));
        provider.configure(&config.into_iter().collect())?;
        Ok(provider.get("", keys)?.data.into_keys().collect::<Vec<_>>().join("+"))
    }

    #[test]
    fn variables_whose_whole_name_matches_are_there() {
        for (pattern, expected) in [
            (None, "HOME+HOST+XHOME"),
            (Some("HO"), ""),
            (Some("HO.*"), "HOME+HOST"),
            (Some("HOME|HOST"), "HOME+HOST"),
            (Some(""), ""),
        ] {
            assert_eq!(names(pattern, None), Ok(expected.to_owned()), "{pattern:?}");
        }
        assert_eq!(names(None, Some(&["HOME".to_owned(), "NO".to_owned()])), Ok("HOME".to_owned()));
        for pattern in ["[", "a)(b"] {
            let error = names(Some(pattern), None).unwrap_err();
            assert!(error.message.contains("for configuration allowlist.pattern"), "{error}");
        }
    }

    #[test]
    fn there_is_no_path() {
        let error = EnvVarConfigProvider::new(BTreeMap::new()).get("x", None).unwrap_err();
        assert_eq!(error.message, "Path is not supported for EnvVarConfigProvider, invalid value 'x'");
    }
}
