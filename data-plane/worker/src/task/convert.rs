//! A task's converters: the connector's, or else the worker's.

use std::collections::BTreeMap;

use data_plane_connector_api::{
    Config, ConnectError, Converter, ConverterRole, Factory, HeaderConverter, PluginKind, Plugins,
};

use super::settings::WorkerSettings;

/// Connect's default for headers.
const DEFAULT_HEADER_CONVERTER: &str = "org.apache.kafka.connect.storage.SimpleHeaderConverter";

/// The three converters of a task.
pub(super) struct Converters {
    pub(super) key: Box<dyn Converter>,
    pub(super) value: Box<dyn Converter>,
    pub(super) header: Box<dyn HeaderConverter>,
}

impl Converters {
    pub(super) fn new(
        plugins: &Plugins,
        settings: &WorkerSettings,
        connector: &BTreeMap<String, String>,
    ) -> Result<Self, ConnectError> {
        let transforms = connector.get("transforms").map_or("", |transforms| transforms.trim());
        if !transforms.is_empty() {
            return Err(ConnectError::config_value(
                "transforms",
                transforms,
                "transforms cannot be run yet: remove the key",
            ));
        }
        Ok(Self {
            key: converter(plugins, settings, connector, ConverterRole::Key)?,
            value: converter(plugins, settings, connector, ConverterRole::Value)?,
            header: header_converter(plugins, settings, connector)?,
        })
    }
}

fn converter(
    plugins: &Plugins,
    settings: &WorkerSettings,
    connector: &BTreeMap<String, String>,
    role: ConverterRole,
) -> Result<Box<dyn Converter>, ConnectError> {
    let prefix = format!("{}.converter", role.name());
    let (class, config) = chosen(settings, connector, &prefix, role).ok_or_else(|| {
        ConnectError::config(format!("Missing required configuration \"{prefix}\" which has no default value."))
    })?;
    let plugin = plugins.find(PluginKind::Converter, &class)?;
    let Factory::Converter(make) = &plugin.factory else {
        return Err(ConnectError::config_value(&prefix, &class, "is not a converter"));
    };
    let mut converter = make();
    converter.configure(&config, role)?;
    Ok(converter)
}

fn header_converter(
    plugins: &Plugins,
    settings: &WorkerSettings,
    connector: &BTreeMap<String, String>,
) -> Result<Box<dyn HeaderConverter>, ConnectError> {
    const KEY: &str = "header.converter";
    let (class, config) = chosen(settings, connector, KEY, ConverterRole::Header)
        .unwrap_or_else(|| (DEFAULT_HEADER_CONVERTER.to_owned(), role_only(ConverterRole::Header)));
    let plugin = plugins.find(PluginKind::HeaderConverter, &class)?;
    let Factory::HeaderConverter(make) = &plugin.factory else {
        return Err(ConnectError::config_value(KEY, &class, "is not a header converter"));
    };
    let mut converter = make();
    converter.configure(&config, ConverterRole::Header)?;
    Ok(converter)
}

/// Class and config (without the prefix): all from the connector if it names a class, else all from the worker.
fn chosen(
    settings: &WorkerSettings,
    connector: &BTreeMap<String, String>,
    prefix: &str,
    role: ConverterRole,
) -> Option<(String, Config)> {
    [connector, &settings.raw].into_iter().find_map(|from| {
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

/// A converter's failure, as Connect words it when errors are not tolerated.
pub(super) fn conversion_failed(error: ConnectError) -> ConnectError {
    let mut failed = ConnectError::connect(format!("Tolerance exceeded in error handler: {error}"))
        .caused_by(error.class, error.message);
    failed.causes.extend(error.causes);
    failed
}
