//! `ConfigTransformer`: finds `${provider:path:key}` and `${provider:key}` in config values and asks the providers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use data_plane_connector_api::{Config, ConfigProvider, ConnectError, Factory, PluginKind, Plugins};
use regex::{Captures, Regex};

use crate::Secrets;

/// Kafka's own pattern: the shortest provider before a colon, then the shortest path before the next, the rest is the key.
const REFERENCE: &str = r"\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}";
/// The key that names the providers.
const PROVIDERS: &str = "config.providers";

/// A worker's config providers under their names.
pub struct Resolver {
    providers: BTreeMap<String, Box<dyn ConfigProvider>>,
    reference: Regex,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.providers.keys()).finish()
    }
}

/// A config with its references resolved. Its `Debug` shows keys only.
#[derive(Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The config to run with. Never report it: see [`Secrets`].
    pub config: Config,
    /// After this time a value is stale (`config.action.reload`); the shortest of those that the providers gave.
    pub ttl: Option<Duration>,
    /// What was put in.
    pub secrets: Secrets,
}

impl fmt::Debug for Resolved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.config.keys().collect();
        formatter.debug_struct("Resolved").field("keys", &keys).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

/// What a reference asks for: provider, path, key.
type Wanted = (String, String, String);

fn wanted(found: &Captures<'_>) -> Wanted {
    let part = |group| found.get(group).map_or("", |part| part.as_str()).to_owned();
    (part(1), part(3), part(4))
}

impl Resolver {
    /// Makes the providers that `config.providers` lists, each from `config.providers.<name>.class` and
    /// `config.providers.<name>.param.*`.
    ///
    /// # Errors
    /// If a class is missing or unknown, or a provider refuses its parameters; the text names the key or the provider.
    pub fn from_worker_properties(
        plugins: &Plugins,
        properties: &BTreeMap<String, String>,
    ) -> Result<Self, ConnectError> {
        let mut providers = BTreeMap::new();
        let names = properties.get(PROVIDERS).map_or("", String::as_str);
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let class_key = format!("{PROVIDERS}.{name}.class");
            let Some(class) = properties.get(&class_key).map(|class| class.trim()).filter(|class| !class.is_empty())
            else {
                return Err(ConnectError::config(format!(
                    "Missing required configuration \"{class_key}\" for the provider {name} in {PROVIDERS}"
                )));
            };
            let plugin = plugins
                .find(PluginKind::ConfigProvider, class)
                .map_err(|error| ConnectError::config_value(&class_key, class, &error.to_string()))?;
            let Factory::ConfigProvider(make) = &plugin.factory else {
                return Err(ConnectError::config_value(&class_key, class, "not a config provider"));
            };
            let prefix = format!("{PROVIDERS}.{name}.param.");
            let parameter =
                |(key, value): (&String, &String)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone()));
            let mut provider = make();
            provider
                .configure(&properties.iter().filter_map(parameter).collect())
                .map_err(|error| of_provider(name, error))?;
            providers.insert(name.to_owned(), provider);
        }
        Self::new(providers)
    }

    /// With these providers, set up already.
    ///
    /// # Errors
    /// Never, in fact: the pattern is a constant.
    pub fn new(providers: BTreeMap<String, Box<dyn ConfigProvider>>) -> Result<Self, ConnectError> {
        let reference = Regex::new(REFERENCE).map_err(|error| ConnectError::config(error.to_string()))?;
        Ok(Self { providers, reference })
    }

    /// Whether any value holds what may be a reference.
    #[must_use]
    pub fn has_references(&self, config: &Config) -> bool {
        config.values().any(|value| self.reference.is_match(value))
    }

    /// Resolves all references. One call a provider and path; a reference to a provider or key that is not there stays as
    /// it is, and what a provider gives is not looked through again. Blocks.
    ///
    /// # Errors
    /// A provider's, with the provider's name.
    pub fn resolve(&mut self, config: &Config) -> Result<Resolved, ConnectError> {
        let mut keys: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for found in config.values().flat_map(|value| self.reference.captures_iter(value)) {
            let (provider, path, key) = wanted(&found);
            keys.entry((provider, path)).or_default().insert(key);
        }
        let mut values: BTreeMap<Wanted, String> = BTreeMap::new();
        let mut ttl: Option<Duration> = None;
        for ((name, path), keys) in keys {
            let Some(provider) = self.providers.get_mut(&name) else { continue };
            let keys: Vec<String> = keys.into_iter().collect();
            let found = provider.get(&path, Some(&keys)).map_err(|error| of_provider(&name, error))?;
            ttl = [ttl, found.ttl].into_iter().flatten().min();
            let found = found.data.into_iter().filter(|(key, _)| keys.contains(key));
            values.extend(found.map(|(key, value)| ((name.clone(), path.clone(), key), value)));
        }
        let mut secrets = Secrets::default();
        let mut replace = |(key, raw): (&String, &String)| {
            let mut is_changed = false;
            let resolved = self.reference.replace_all(raw, |found: &Captures<'_>| match values.get(&wanted(found)) {
                Some(value) => {
                    secrets.add_value(&found[0], value);
                    is_changed = true;
                    value.clone()
                }
                None => found[0].to_owned(),
            });
            if is_changed {
                secrets.add_entry(key, raw, &resolved);
            }
            (key.clone(), resolved.into_owned())
        };
        let config = config.iter().map(&mut replace).collect();
        Ok(Resolved { config, ttl, secrets })
    }
}

fn of_provider(name: &str, mut error: ConnectError) -> ConnectError {
    error.message = format!("{} (config provider {name})", error.message);
    error
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use data_plane_connector_api::{ConfigData, ConfigDef};

    use super::*;
    use crate::Providers;

    /// Gives `<key>` for keys that do not begin with "no"; a path `ttl5` lives 5 ms.
    #[derive(Default)]
    struct Echo(Arc<Mutex<Vec<String>>>);

    impl ConfigProvider for Echo {
        fn configure(&mut self, _: &Config) -> Result<(), ConnectError> {
            Ok(())
        }

        fn config_def(&self) -> ConfigDef {
            ConfigDef::new([])
        }

        fn get(&mut self, path: &str, keys: Option<&[String]>) -> Result<ConfigData, ConnectError> {
            let keys = keys.unwrap_or_default();
            self.0.lock().unwrap().push(format!("{path}={}", keys.join(",")));
            let value = |key: &String| if key == "n" { "${p:a:b}".to_owned() } else { format!("<{key}>") };
            Ok(ConfigData {
                data: keys.iter().filter(|key| !key.starts_with("no")).map(|key| (key.clone(), value(key))).collect(),
                ttl: path.strip_prefix("ttl").map(|ms| Duration::from_millis(ms.parse().unwrap())),
            })
        }
    }

    fn config(entries: &[(&str, &str)]) -> Config {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn echo() -> (Resolver, Arc<Mutex<Vec<String>>>) {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let provider: Box<dyn ConfigProvider> = Box::new(Echo(Arc::clone(&calls)));
        (Resolver::new([("p".to_owned(), provider)].into()).unwrap(), calls)
    }

    /// Each value with what Kafka's `ConfigTransformer` makes of it.
    #[test]
    fn references_are_found_as_kafka_finds_them() {
        for (value, expected) in [
            ("${p:a:b}", "<b>"),
            ("${p:k}", "<k>"),
            ("${p:a:b:c}", "<b:c>"),
            ("${p::k}", "<k>"),
            ("${q:a:b}", "${q:a:b}"),
            ("x${p:a:b}y${p:a:c}z", "x<b>y<c>z"),
            ("${p:a:no}", "${p:a:no}"),
            ("${p:a:n}", "${p:a:b}"),
            ("${p:a}${p:b}", "<a><b>"),
            ("${${p:a:b}", "${${p:a:b}"),
            ("${p:a:b", "${p:a:b"),
            ("$${p:a:b}", "$<b>"),
            ("${p}", "${p}"),
            ("${:a:b}", "${:a:b}"),
            ("${p:}", "<>"),
            ("${p:a:}", "<>"),
            ("${p:C:\\x:y}", "<\\x:y>"),
            ("${p: a : b }", "< b >"),
            ("${p:a\nb:c}", "<c>"),
            ("${P:a:b}", "${P:a:b}"),
            ("${p:a:b}}", "<b>}"),
            ("${ p:a:b}", "${ p:a:b}"),
            ("${env${p:x:y}:z}", "${env${p:x:y}:z}"),
        ] {
            let resolved = echo().0.resolve(&config(&[("k", value)])).unwrap();
            assert_eq!(resolved.config["k"], expected, "{value}");
            assert_eq!(resolved.secrets.is_empty(), value == expected, "{value}");
            assert_eq!(resolved.secrets.put_references_back(&resolved.config)["k"], value);
        }
    }

    #[test]
    fn a_path_is_asked_for_once_with_all_keys() {
        let (mut resolver, calls) = echo();
        let raw = config(&[("a", "${p:x:1}${p:x:2}"), ("b", "${p:x:1}"), ("c", "${p:ttl5:k}${p:ttl3:k}"), ("d", "-")]);
        assert!(resolver.has_references(&raw) && !resolver.has_references(&config(&[("d", "-")])));
        let resolved = resolver.resolve(&raw).unwrap();
        assert_eq!(*calls.lock().unwrap(), ["ttl3=k", "ttl5=k", "x=1,2"]);
        assert_eq!(resolved.ttl, Some(Duration::from_millis(3)));
        assert!(!format!("{resolved:?}").contains('<'));
    }

    #[test]
    fn a_workers_properties_make_its_providers() {
        let plugins = Plugins::new(&[&Providers]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "password=s3cret").unwrap();
        let path = file.path().to_str().unwrap();
        let worker = [
            ("config.providers", "f, env"),
            ("config.providers.f.class", "org.apache.kafka.common.config.provider.FileConfigProvider"),
            ("config.providers.env.class", "EnvVarConfigProvider"),
            ("config.providers.env.param.allowlist.pattern", "NONE"),
        ];
        let mut resolver = Resolver::from_worker_properties(&plugins, &config(&worker)).unwrap();
        let raw = config(&[("password", &format!("${{f:{path}:password}}")), ("home", "${env:HOME}")]);
        let resolved = resolver.resolve(&raw).unwrap();
        assert_eq!(resolved.config, config(&[("home", "${env:HOME}"), ("password", "s3cret")]));
        assert_eq!(resolved.secrets.mask("no s3cret"), format!("no {}", raw["password"]));

        let error = resolver.resolve(&config(&[("a", "${f:/no/such:k}")])).unwrap_err();
        assert!(error.message.contains("file /no/such: ") && error.message.ends_with("(config provider f)"), "{error}");
    }

    #[test]
    fn a_provider_that_cannot_be_made_is_named() {
        let plugins = Plugins::new(&[&Providers]);
        let mistake = |entries: &[(&str, &str)]| {
            Resolver::from_worker_properties(&plugins, &config(entries)).unwrap_err().message
        };
        let missing = mistake(&[("config.providers", "f")]);
        assert!(missing.contains("\"config.providers.f.class\""), "{missing}");
        let unknown = mistake(&[("config.providers", "f"), ("config.providers.f.class", "Vault")]);
        assert!(unknown.contains("config.providers.f.class: Failed to find any class"), "{unknown}");
        let refused = mistake(&[
            ("config.providers", "f"),
            ("config.providers.f.class", "File"),
            ("config.providers.f.param.allowed.paths", "here"),
        ]);
        assert_eq!(refused, "Path here is not absolute (in allowed.paths) (config provider f)");
    }
}
