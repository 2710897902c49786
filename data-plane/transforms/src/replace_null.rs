//! The key `replace.null.with.default` (KIP-1040), which most transforms have.

use data_plane_connector_api::ConfigKey;
use data_plane_connector_api::config_def::{ConfigType, Importance};

/// The key.
pub(crate) const REPLACE_NULL: &str = "replace.null.with.default";

/// Its definition.
pub(crate) fn replace_null_key() -> ConfigKey {
    ConfigKey::optional(
        REPLACE_NULL,
        ConfigType::Boolean,
        Some("true"),
        Importance::Medium,
        "Whether a field that is null counts as its default, if its schema has one.",
    )
}
