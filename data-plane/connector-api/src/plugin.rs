//! Plugins: what there is, under which names it is found, and how an instance is made.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config_def::ConfigDef;
use crate::connector::Connector;
use crate::converter::{Converter, HeaderConverter};
use crate::error::ConnectError;
use crate::provider::ConfigProvider;
use crate::sink::SinkTask;
use crate::source::SourceTask;
use crate::transform::{PerRecord, Predicate, RecordTransform, Transformation};

/// Kinds of plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum PluginKind {
    Source,
    Sink,
    Converter,
    HeaderConverter,
    Transformation,
    Predicate,
    ConfigProvider,
}

impl PluginKind {
    /// Connect's name of the type, as its REST API shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
            Self::Converter => "converter",
            Self::HeaderConverter => "header_converter",
            Self::Transformation => "transformation",
            Self::Predicate => "predicate",
            Self::ConfigProvider => "configprovider",
        }
    }

    /// The interface in Java; also the suffix that aliases leave out.
    fn interface(self) -> &'static str {
        match self {
            Self::Source | Self::Sink => "Connector",
            Self::Converter => "Converter",
            Self::HeaderConverter => "HeaderConverter",
            Self::Transformation => "Transformation",
            Self::Predicate => "Predicate",
            Self::ConfigProvider => "ConfigProvider",
        }
    }
}

/// Makes instances of a trait. Shared, so that plugins of other processes can carry their connection.
pub type Make<T> = Arc<dyn Fn() -> Box<T> + Send + Sync>;

/// How instances of a plugin are made.
#[derive(Clone)]
pub enum Factory {
    /// A source connector and its tasks.
    Source {
        /// Makes connectors.
        connector: Make<dyn Connector>,
        /// Makes tasks.
        task: Make<dyn SourceTask>,
    },
    /// A sink connector and its tasks.
    Sink {
        /// Makes connectors.
        connector: Make<dyn Connector>,
        /// Makes tasks.
        task: Make<dyn SinkTask>,
    },
    /// A converter.
    Converter(Make<dyn Converter>),
    /// A header converter.
    HeaderConverter(Make<dyn HeaderConverter>),
    /// A transformation.
    Transformation(Make<dyn Transformation>),
    /// A predicate.
    Predicate(Make<dyn Predicate>),
    /// A config provider.
    ConfigProvider(Make<dyn ConfigProvider>),
}

impl Factory {
    /// A source connector made by two functions.
    pub fn source<C: Connector + 'static, T: SourceTask + 'static>(connector: fn() -> C, task: fn() -> T) -> Self {
        Self::Source { connector: Arc::new(move || Box::new(connector())), task: Arc::new(move || Box::new(task())) }
    }

    /// A sink connector made by two functions.
    pub fn sink<C: Connector + 'static, T: SinkTask + 'static>(connector: fn() -> C, task: fn() -> T) -> Self {
        Self::Sink { connector: Arc::new(move || Box::new(connector())), task: Arc::new(move || Box::new(task())) }
    }

    /// A converter made by a function.
    pub fn converter<C: Converter + 'static>(make: fn() -> C) -> Self {
        Self::Converter(Arc::new(move || Box::new(make())))
    }

    /// A header converter made by a function.
    pub fn header_converter<C: HeaderConverter + 'static>(make: fn() -> C) -> Self {
        Self::HeaderConverter(Arc::new(move || Box::new(make())))
    }

    /// A transform of single records made by a function.
    pub fn transformation<T: RecordTransform + 'static>(make: fn() -> T) -> Self {
        Self::Transformation(Arc::new(move || Box::new(PerRecord(make()))))
    }

    /// A predicate made by a function.
    pub fn predicate<P: Predicate + 'static>(make: fn() -> P) -> Self {
        Self::Predicate(Arc::new(move || Box::new(make())))
    }

    /// A config provider made by a function.
    pub fn config_provider<P: ConfigProvider + 'static>(make: fn() -> P) -> Self {
        Self::ConfigProvider(Arc::new(move || Box::new(make())))
    }

    /// The kind of what it makes.
    #[must_use]
    pub fn kind(&self) -> PluginKind {
        match self {
            Self::Source { .. } => PluginKind::Source,
            Self::Sink { .. } => PluginKind::Sink,
            Self::Converter(_) => PluginKind::Converter,
            Self::HeaderConverter(_) => PluginKind::HeaderConverter,
            Self::Transformation(_) => PluginKind::Transformation,
            Self::Predicate(_) => PluginKind::Predicate,
            Self::ConfigProvider(_) => PluginKind::ConfigProvider,
        }
    }
}

impl fmt::Debug for Factory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Factory({})", self.kind().name())
    }
}

/// A plugin.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// Full Java class name.
    pub class: String,
    /// Its version.
    pub version: String,
    /// Its config keys, without common ones.
    pub config_def: ConfigDef,
    /// How instances are made.
    pub factory: Factory,
}

impl Plugin {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> PluginKind {
        self.factory.kind()
    }

    /// Names under which it is found. Connect's are the full class name, the simple name, the simple name up to its kind's suffix.
    /// Transforms of keys and values share simple names (`Key`, `Value`); they are also found by `Cast$Value`.
    #[must_use]
    pub fn aliases(&self) -> Vec<&str> {
        let simple = self.class.rsplit(['.', '$']).next().unwrap_or(&self.class);
        let mut names = vec![self.class.as_str()];
        let pruned = simple.rfind(self.kind().interface()).filter(|&at| at > 0).map(|at| &simple[..at]);
        let sided = self.class.rsplit('.').next().filter(|_| self.kind() == PluginKind::Transformation);
        for name in [Some(simple), pruned, sided].into_iter().flatten() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

impl fmt::Display for Plugin {
    /// As Connect's `PluginDesc` prints itself.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "PluginDesc{{klass=class {class}, name='{class}', version='{version}', encodedVersion={version}, \
             type={kind}, typeName='{kind}', location='classpath'}}",
            class = self.class,
            version = self.version,
            kind = self.kind().name()
        )
    }
}

/// A place that plugins come from: built in, processes, a JVM.
pub trait PluginSource {
    /// What it has.
    fn plugins(&self) -> Vec<Plugin>;
}

/// No plugin, or more than one, has the name asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownPlugin {
    /// None has it.
    #[error(
        "Failed to find any class that implements {interface} and which name matches {name}, available {listed} are: {available}"
    )]
    NotFound {
        /// Java interface.
        interface: &'static str,
        /// Name asked for.
        name: String,
        /// `connectors`, `converters` ...
        listed: String,
        /// What there is.
        available: String,
    },
    /// Several have it.
    #[error(
        "More than one {kind} matches alias {name}. Please use full package and class name instead. Classes found: {found}"
    )]
    Ambiguous {
        /// `connector`, `converter` ...
        kind: String,
        /// Name asked for.
        name: String,
        /// Those that match.
        found: String,
    },
}

impl From<UnknownPlugin> for ConnectError {
    fn from(error: UnknownPlugin) -> Self {
        Self::connect(error.to_string())
    }
}

/// All plugins of a worker.
#[derive(Clone, Debug, Default)]
pub struct Plugins {
    by_class: BTreeMap<(PluginKind, String), Arc<Plugin>>,
}

impl Plugins {
    /// The plugins of all sources; of the same kind and class, the first wins.
    #[must_use]
    pub fn new(sources: &[&dyn PluginSource]) -> Self {
        let mut plugins = Self::default();
        for plugin in sources.iter().flat_map(|source| source.plugins()) {
            plugins.by_class.entry((plugin.kind(), plugin.class.clone())).or_insert_with(|| Arc::new(plugin));
        }
        plugins
    }

    /// All plugins, by kind and class.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.by_class.values()
    }

    /// The plugin of a kind with this class name or alias.
    ///
    /// # Errors
    /// If there is none, or more than one; the text lists what there is.
    pub fn find(&self, kind: PluginKind, name: &str) -> Result<&Arc<Plugin>, UnknownPlugin> {
        self.find_among(&[kind], name)
    }

    /// The connector, source or sink, with this class name or alias.
    ///
    /// # Errors
    /// As [`Plugins::find`].
    pub fn find_connector(&self, name: &str) -> Result<&Arc<Plugin>, UnknownPlugin> {
        self.find_among(&[PluginKind::Source, PluginKind::Sink], name)
    }

    fn find_among(&self, kinds: &[PluginKind], name: &str) -> Result<&Arc<Plugin>, UnknownPlugin> {
        let candidates: Vec<_> = self.iter().filter(|plugin| kinds.contains(&plugin.kind())).collect();
        if let Some(exact) = candidates.iter().find(|plugin| plugin.class == name) {
            return Ok(exact);
        }
        let interface = kinds[0].interface();
        let kind = interface.to_lowercase();
        let list = |plugins: &[&Arc<Plugin>]| plugins.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let found: Vec<_> = candidates.iter().copied().filter(|plugin| plugin.aliases().contains(&name)).collect();
        match found.as_slice() {
            [one] => Ok(one),
            [] => Err(UnknownPlugin::NotFound {
                interface,
                name: name.to_owned(),
                listed: format!("{kind}s"),
                available: list(&candidates),
            }),
            several => Err(UnknownPlugin::Ambiguous { kind, name: name.to_owned(), found: list(several) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use data_plane_record::OpenRecord;

    use super::*;
    use crate::config_def::Config;
    use crate::transform::Verdict;

    struct Nothing;

    impl RecordTransform for Nothing {
        fn class(&self) -> &'static str {
            "Nothing"
        }

        fn configure(&mut self, _config: &Config) -> Result<(), ConnectError> {
            Ok(())
        }

        fn config_def(&self) -> ConfigDef {
            ConfigDef::default()
        }

        fn apply(&mut self, _record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError> {
            Ok(Verdict::Keep)
        }
    }

    struct Source;

    impl PluginSource for Source {
        fn plugins(&self) -> Vec<Plugin> {
            ["org.x.Hoist$Key", "org.x.Hoist$Value", "org.x.Cast$Value", "org.x.FilterTransformation"]
                .map(|class| Plugin {
                    class: class.to_owned(),
                    version: "1".to_owned(),
                    config_def: ConfigDef::default(),
                    factory: Factory::transformation(|| Nothing),
                })
                .into()
        }
    }

    #[test]
    fn transforms_are_found_by_simple_name_and_side() {
        let plugins = Plugins::new(&[&Source]);
        let find = |name| plugins.find(PluginKind::Transformation, name).map(|plugin| plugin.class.as_str());
        assert_eq!(find("Hoist$Key"), Ok("org.x.Hoist$Key"));
        assert_eq!(find("Cast$Value"), Ok("org.x.Cast$Value"));
        assert_eq!(find("Key"), Ok("org.x.Hoist$Key"));
        assert_eq!(find("Filter"), Ok("org.x.FilterTransformation"));
        assert!(matches!(find("Value"), Err(UnknownPlugin::Ambiguous { .. })));
        assert!(matches!(find("Hoist"), Err(UnknownPlugin::NotFound { .. })));
        let text = find("Hoist.Key").expect_err("unknown").to_string();
        assert!(text.starts_with(
            "Failed to find any class that implements Transformation and which name matches Hoist.Key, available"
        ));
    }
}
