//! One module a kind of component: sets it up as a case says, applies it, compares.

mod chain;
mod configs;
mod converters;
mod errors;
mod offsets;
mod records;
mod schema_projector;
mod transforms;
mod values;

use std::sync::LazyLock;

use data_plane_connector_api::{Config, PluginKind, Plugins};
use serde_json::Value as Json;

/// Everything that a worker has built in.
static PLUGINS: LazyLock<Plugins> = LazyLock::new(data_plane_worker::plugins::built_in);

/// Runs a case of a component (a Java class); an error tells the difference.
pub(crate) fn run(component: &str, case: &Json) -> Result<(), String> {
    let is = |kind| PLUGINS.find(kind, component).is_ok();
    match component {
        _ if case["op"] == "pluginConfig" => configs::plugin(component, case),
        _ if case["op"] == "configDef" => configs::common(component, case),
        "org.apache.kafka.connect.runtime.AbstractHerder" => configs::validate(case),
        "org.apache.kafka.connect.data.SchemaProjector" => schema_projector::run(case),
        "org.apache.kafka.connect.data.Values" => values::run(case),
        "org.apache.kafka.connect.storage.OffsetStorageWriter"
        | "org.apache.kafka.connect.storage.OffsetUtils"
        | "org.apache.kafka.common.utils.Utils" => offsets::run(case),
        "org.apache.kafka.connect.runtime.TransformationChain" => chain::run(case),
        "org.apache.kafka.connect.runtime.WorkerSinkTask"
        | "org.apache.kafka.connect.runtime.WorkerSourceTask"
        | "org.apache.kafka.connect.runtime.errors.RetryWithToleranceOperator" => errors::run(case),
        _ if is(PluginKind::Converter) || is(PluginKind::HeaderConverter) => converters::run(component, case),
        _ if component.contains(".predicates.") => transforms::test(component, case),
        _ if component.starts_with("org.apache.kafka.connect.transforms.") => transforms::apply(component, case),
        _ => Err("no such component".to_owned()),
    }
}

/// The config of a case.
fn config_of(case: &Json) -> Config {
    let entries = case["config"].as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
