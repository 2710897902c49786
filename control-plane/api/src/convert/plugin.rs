//! Plugins and config definitions, to the wire.

use crate::service::{ConfigInfo, ConfigInfos, ConfigKeyInfo, PluginView};
use proto::v1;

pub(crate) fn plugin(view: PluginView) -> v1::Plugin {
    v1::Plugin {
        kind: view.kind,
        class: view.class,
        version: view.version,
        aliases: view.aliases,
        workers: view.workers,
    }
}

pub(crate) fn key(key: ConfigKeyInfo) -> v1::ConfigKey {
    v1::ConfigKey {
        name: key.name,
        r#type: key.kind,
        required: key.required,
        default_value: key.default_value,
        importance: key.importance,
        documentation: key.documentation.unwrap_or_default(),
        group: key.group.unwrap_or_default(),
        order_in_group: key.order_in_group,
        width: key.width,
        display_name: key.display_name,
        dependents: key.dependents,
    }
}

pub(crate) fn validation(infos: ConfigInfos) -> v1::ValidateConfigResponse {
    v1::ValidateConfigResponse {
        class: infos.name,
        error_count: infos.error_count,
        groups: infos.groups,
        configs: infos.configs.into_iter().map(info).collect(),
    }
}

fn info(info: ConfigInfo) -> v1::ConfigInfo {
    v1::ConfigInfo {
        definition: info.definition.map(key),
        value: Some(v1::ConfigValue {
            name: info.value.name,
            value: info.value.value,
            recommended_values: info.value.recommended_values,
            errors: info.value.errors,
            visible: info.value.visible,
        }),
    }
}
