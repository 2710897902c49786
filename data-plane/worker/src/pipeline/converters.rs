//! A task's converters: the connector's, or else the worker's.

use std::collections::BTreeMap;

use data_plane_connector_api::{
    Config, ConnectError, Converter, ConverterRole, Factory, HeaderConverter, Losses, PluginKind, Plugins, Stage,
};

use super::chain::missing;

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

    /// Class of the converter at work in a stage.
    pub(super) fn class_of(&self, stage: Stage) -> &str {
        match stage {
            Stage::KeyConverter => &self.key.class,
            Stage::ValueConverter => &self.value.class,
            _ => &self.header.class,
        }
    }
}

fn converter(
    plugins: &Plugins,
    worker: &BTreeMap<String, String>,
    connector: &BTreeMap<String, String>,
    role: ConverterRole,
) -> Result<Named<dyn Converter>, ConnectError> {
    let prefix = format!("{}.converter", role.name());
    let (class, mut config) = chosen(worker, connector, &prefix, role).ok_or_else(|| missing(&prefix))?;
    Losses::hand_on(connector, &mut config);
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
    let (class, mut config) = chosen(worker, connector, KEY, ConverterRole::Header)
        .unwrap_or_else(|| (DEFAULT_HEADER_CONVERTER.to_owned(), role_only(ConverterRole::Header)));
    Losses::hand_on(connector, &mut config);
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

#[cfg(test)]
mod tests {
    use super::super::Chain;
    use super::*;
    use crate::plugins::built_in;
    use data_plane_connector_api::lossy::LOSSY_CONVERSIONS;
    use data_plane_record::Arena;

    #[test]
    fn plugins_are_told_about_lossy_conversions() {
        let worker = BTreeMap::from(
            [("key.converter", "StringConverter"), ("value.converter", "JsonConverter")]
                .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        for (word, is_refused) in [("allow", false), ("fail", true)] {
            let connector = BTreeMap::from(
                [
                    (LOSSY_CONVERSIONS, word),
                    ("transforms", "h"),
                    ("transforms.h.type", "InsertHeader"),
                    ("transforms.h.header", "h"),
                    ("transforms.h.value.literal", "1,000"),
                ]
                .map(|(key, value)| (key.to_owned(), value.to_owned())),
            );
            let mut converters = Converters::new(&built_in(), &worker, &connector).expect("valid");
            let mut arena = Arena::default();
            let mut span = |text: &str| Some(arena.push(text.as_bytes()));
            let (text, lenient) = (span("a"), span("1,000"));
            let payload = span(r#"{"schema":{"type":"int8"},"payload":300}"#);
            assert!(converters.key.plugin.to_connect("t", text, &mut arena).is_ok());
            assert_eq!(converters.value.plugin.to_connect("t", payload, &mut arena).is_err(), is_refused);
            let header = converters.header.plugin.to_connect_header("t", "h", lenient, &mut arena);
            assert_eq!(header.is_err(), is_refused);
            assert_eq!(Chain::new(&built_in(), &connector).is_err(), is_refused);
        }
    }
}
