//! References to config providers in configs: resolved here, on the worker, and put back before anything is reported.

use std::sync::Arc;
use std::time::Duration;

use data_plane_connector_api::{Config, ConnectError, Plugins};
use data_plane_providers::{Resolver, Secrets};
use parking_lot::Mutex;

use crate::task::WorkerSettings;

/// A config as it was given, and the providers that its references name.
#[derive(Debug)]
pub struct LiveConfig {
    raw: Config,
    resolver: Mutex<Option<Resolver>>,
    latest: Mutex<Config>,
    masks: Masks,
}

/// The secrets that a unit has come to know, when it was built and since; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Masks(Arc<Mutex<Secrets>>);

impl Masks {
    /// A unit was built anew: what an earlier one knew is forgotten.
    pub fn replace(&self, secrets: Secrets) {
        *self.0.lock() = secrets;
    }

    /// Whether there is nothing to mask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// The text with references in place of resolved values.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.0.lock().mask(text).into_owned()
    }

    /// The error with references in place of resolved values.
    #[must_use]
    pub fn error(&self, error: ConnectError) -> ConnectError {
        masked(&self.0.lock(), error)
    }

    /// A task's config with references in place of resolved values.
    #[must_use]
    pub fn config(&self, config: &Config) -> Config {
        self.0.lock().put_references_back(config)
    }
}

/// What was resolved: the time after which it is stale, and the values that nobody must see.
#[derive(Debug, Clone, Default)]
pub struct Resolution {
    /// `config.action.reload` acts after this time.
    pub ttl: Option<Duration>,
    /// Masks what is reported.
    pub secrets: Secrets,
}

/// The resolver of a worker's properties; `None` where there are no providers.
///
/// # Errors
/// If a provider cannot be made; the text names the worker's property.
pub fn resolver(plugins: &Plugins, settings: &WorkerSettings) -> Result<Option<Resolver>, ConnectError> {
    match settings.get("config.providers") {
        None => Ok(None),
        Some(_) => Resolver::from_worker_properties(plugins, &settings.raw).map(Some),
    }
}

/// Resolves all configs of a unit at once, so that nothing of one shows in another's report. Blocks.
///
/// # Errors
/// A provider's, which holds no secrets.
pub fn resolve(resolver: Option<&mut Resolver>, configs: &mut [&mut Config]) -> Result<Resolution, ConnectError> {
    let mut resolution = Resolution::default();
    let Some(resolver) = resolver else { return Ok(resolution) };
    for config in configs {
        if !resolver.has_references(config) {
            continue;
        }
        let resolved = resolver.resolve(config)?;
        resolution.ttl = [resolution.ttl, resolved.ttl].into_iter().flatten().min();
        resolution.secrets.extend(resolved.secrets);
        **config = resolved.config;
    }
    Ok(resolution)
}

/// The error with references in place of resolved values.
#[must_use]
pub fn masked(secrets: &Secrets, mut error: ConnectError) -> ConnectError {
    if secrets.is_empty() {
        return error;
    }
    error.message = secrets.mask(&error.message).into_owned();
    error.trace = secrets.mask(&error.trace).into_owned();
    for cause in &mut error.causes {
        cause.message = secrets.mask(&cause.message).into_owned();
    }
    error
}

impl LiveConfig {
    /// A task's config: as given, and as resolved at the start. `masks` learn what is resolved later.
    #[must_use]
    pub fn new(raw: Config, resolver: Option<Resolver>, resolved: Config, masks: Masks) -> Self {
        Self { raw, resolver: Mutex::new(resolver), latest: Mutex::new(resolved), masks }
    }

    /// What is masked in all that leaves the unit.
    #[must_use]
    pub fn masks(&self) -> &Masks {
        &self.masks
    }

    /// The config, with its references resolved anew; the last that could be resolved if that fails now. Blocks on the providers.
    pub fn now(&self) -> Config {
        let mut latest = self.latest.lock();
        if let Some(resolver) = self.resolver.lock().as_mut().filter(|resolver| resolver.has_references(&self.raw)) {
            match resolver.resolve(&self.raw) {
                // A task that asks often learns nothing new each time.
                Ok(resolved) if resolved.config != *latest => {
                    self.masks.0.lock().extend(resolved.secrets);
                    *latest = resolved.config;
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "a config provider failed; the values from before are used"),
            }
        }
        latest.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use data_plane_connector_api::ConfigProvider;
    use data_plane_providers::FileConfigProvider;

    use super::*;

    fn file_resolver() -> Resolver {
        let provider: Box<dyn ConfigProvider> = Box::new(FileConfigProvider::default());
        Resolver::new(BTreeMap::from([("file".to_owned(), provider)])).unwrap()
    }

    #[test]
    fn values_are_resolved_anew_and_never_reported() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "password=hunter2secret").unwrap();
        let reference = format!("${{file:{}:password}}", file.path().display());
        let raw = Config::from([("p".to_owned(), reference.clone())]);
        let (mut connector, mut task) = (raw.clone(), raw.clone());
        let mut resolver = file_resolver();
        let resolution = resolve(Some(&mut resolver), &mut [&mut connector, &mut task]).unwrap();
        assert_eq!((connector["p"].as_str(), task["p"].as_str()), ("hunter2secret", "hunter2secret"));
        let error = ConnectError::connect("no login with hunter2secret").caused_by("c", "hunter2secret is wrong");
        let shown = masked(&resolution.secrets, error).trace_text();
        assert!(!shown.contains("hunter2") && shown.contains(&reference), "{shown}");
        let live = LiveConfig::new(raw, Some(resolver), task, Masks::default());
        std::fs::write(file.path(), "password=another1secret").unwrap();
        assert_eq!(live.now()["p"], "another1secret");
        assert_eq!(live.masks().text("no login with another1secret"), format!("no login with {reference}"));
        std::fs::remove_file(file.path()).unwrap();
        assert_eq!(live.now()["p"], "another1secret");
    }
}
