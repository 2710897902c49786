//! A task's converters: the connector's, or else the worker's.

use std::collections::BTreeMap;

use data_plane_connector_api::{
    Config, ConnectError, Converter, ConverterRole, Factory, HeaderConverter, PluginKind, Plugins,
};

/// Connect's default for headers.
const DEFAULT_HEADER_CONVERTER: &str = "org.apache.kafka.connect.storage.SimpleHeaderConverter";

/// The three converters of a task, each with its Java class name.
pub struct Converters {
    /// Of keys.
    pub key: Named<dyn Converter>,
    /// Of values.
    pub value: Named<dyn Converter>,
    /// Of headers.
    pub header: Named<dyn HeaderConverter>,
}

/// A plugin's instance.
pub struct Named<T: ?Sized> {
    /// Full Java class name.
    pub class: String,
    /// The instance.
    pub plugin: Box<T>,
}

impl Converters {
    /// Makes and configures the converters of a connector; `worker` are the worker's properties.
    ///
    /// # Errors
    /// A `ConfigException` that names the key.
    pub fn new(
        plugins: &Plugins,
        worker: &BTreeMap<String, String>,
        connector: &BTreeMap<String, String>,
    ) -> Result<Self, ConnectError> {
        Ok(Self {
            key: converter(plugins, worker, connector, ConverterRole::Key)?,
            value: converter(plugins, worker, connector, ConverterRole::Value)?,
            header: header_converter(plugins, worker, connector)?,
        })
    }
}

fn converter(
    plugins: &Plugins,
    worker: &BTreeMap<String, String>,
    connector: &BTreeMap<String, String>,
    role: ConverterRole,
) -> Result<Named<dyn Converter>, ConnectError> {
    let prefix = format!("{}.converter", role.name());
    let (class, config) = chosen(worker, connector, &prefix, role).ok_or_else(|| {
        ConnectError::config(format!("Missing required configuration \"{prefix}\" which has no default value."))
    })?;
    let plugin = plugins.find(PluginKind::Converter, &class)?;
    let Factory::Converter(make) = &plugin.factory else {
        return Err(ConnectError::config_value(&prefix, &class, "is not a converter"));
    };
    let mut converter = make();
    converter.configure(&config, role)?;
    Ok(Named { class: plugin.class.clone(), plugin: converter })
}

fn header_converter(
    plugins: &Plugins,
    worker: &BTreeMap<String, String>,
    connector: &BTreeMap<String, String>,
) -> Result<Named<dyn HeaderConverter>, ConnectError> {
    const KEY: &str = "header.converter";
    let (class, config) = chosen(worker, connector, KEY, ConverterRole::Header)
        .unwrap_or_else(|| (DEFAULT_HEADER_CONVERTER.to_owned(), role_only(ConverterRole::Header)));
    let plugin = plugins.find(PluginKind::HeaderConverter, &class)?;
    let Factory::HeaderConverter(make) = &plugin.factory else {
        return Err(ConnectError::config_value(KEY, &class, "is not a header converter"));
    };
    let mut converter = make();
    converter.configure(&config, ConverterRole::Header)?;
    Ok(Named { class: plugin.class.clone(), plugin: converter })
}

/// Class and config (without the prefix): all from the connector if it names a class, else all from the worker.
fn chosen(
    worker: &BTreeMap<String, String>,
    connector: &BTreeMap<String, String>,
    prefix: &str,
    role: ConverterRole,
) -> Option<(String, Config)> {
    [connector, worker].into_iter().find_map(|from| {
        let class = from.get(prefix).map(|class| class.trim()).filter(|class| !class.is_empty())?;
        let mut config = role_only(role);
        for (key, value) in from {
            if let Some(key) = key.strip_prefix(prefix).and_then(|key| key.strip_prefix('.')) {
                config.insert(key.to_owned(), value.clone());
            }
        }
        Some((class.to_owned(), config))
    })
}

fn role_only(role: ConverterRole) -> Config {
    [("converter.type".to_owned(), role.name().to_owned())].into()
}
