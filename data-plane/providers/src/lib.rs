//! Kafka Connect's config providers (KIP-297, KIP-421, KIP-632, KIP-887, KIP-993), and the resolution of
//! `${provider:path:key}` in configs.
//!
//! Class names, config keys and behaviour are those of Kafka 4.3. What is resolved stays in the process that resolved it:
//! see [`Secrets`]. The providers block on files; call them off the async threads.

mod allowed_paths;
mod directory;
mod env_var;
mod file;
mod properties;
mod read;
mod secrets;
mod transformer;

use data_plane_connector_api::{Factory, Plugin, PluginSource};

pub use directory::DirectoryConfigProvider;
pub use env_var::EnvVarConfigProvider;
pub use file::FileConfigProvider;
pub use properties::{MalformedEscape, parse_properties};
pub use secrets::Secrets;
pub use transformer::{Resolved, Resolver};

/// The version that built-in plugins report: the Kafka Connect release that they follow.
pub const VERSION: &str = "4.3.0";

/// The providers of this crate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Providers;

impl PluginSource for Providers {
    fn plugins(&self) -> Vec<Plugin> {
        let plugin = |class: &str, config_def, factory| Plugin {
            class: format!("org.apache.kafka.common.config.provider.{class}"),
            version: VERSION.to_owned(),
            config_def,
            factory,
        };
        vec![
            plugin(
                "FileConfigProvider",
                allowed_paths::config_def(),
                Factory::ConfigProvider(std::sync::Arc::new(|| Box::new(FileConfigProvider::default()))),
            ),
            plugin(
                "DirectoryConfigProvider",
                allowed_paths::config_def(),
                Factory::ConfigProvider(std::sync::Arc::new(|| Box::new(DirectoryConfigProvider::default()))),
            ),
            plugin(
                "EnvVarConfigProvider",
                env_var::config_def(),
                Factory::ConfigProvider(std::sync::Arc::new(|| Box::new(EnvVarConfigProvider::default()))),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use data_plane_connector_api::{PluginKind, Plugins};

    use super::*;

    #[test]
    fn providers_are_found_by_class_and_alias() {
        let plugins = Plugins::new(&[&Providers]);
        for name in ["org.apache.kafka.common.config.provider.FileConfigProvider", "DirectoryConfigProvider", "EnvVar"]
        {
            assert_eq!(plugins.find(PluginKind::ConfigProvider, name).unwrap().version, "4.3.0");
        }
    }
}
