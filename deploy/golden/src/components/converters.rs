//! Converters and header converters.

use data_plane_connector_api::{ConnectError, Converter, ConverterRole, Factory, HeaderConverter, PluginKind};
use data_plane_record::{Arena, Schema, Span, Value};
use serde_json::Value as Json;
use std::sync::Arc;

use super::{PLUGINS, config_of};
use crate::check::{self, Failed};
use crate::typed;

enum Done {
    Wire(Option<Vec<u8>>),
    Data(Option<Arc<Schema>>, Value),
}

/// Runs a case of the converter of this class.
pub(super) fn run(class: &str, case: &Json) -> Result<(), String> {
    let config = config_of(case);
    let role = match config.get("converter.type").map(String::as_str) {
        Some("key") => ConverterRole::Key,
        Some("header") => ConverterRole::Header,
        _ => ConverterRole::Value,
    };
    let mut arena = Arena::default();
    let is_of_headers = case["op"].as_str().is_some_and(|op| op.ends_with("Header"));
    let kind = if is_of_headers { PluginKind::HeaderConverter } else { PluginKind::Converter };
    let plugin = PLUGINS.find(kind, class).map_err(|error| error.to_string())?;
    let done = match &plugin.factory {
        Factory::Converter(make) => {
            let mut converter = make();
            let configured = converter.configure(&config, role).map_err(Failed::configure);
            configured.and_then(|()| apply(case, &mut *converter, &mut arena).map_err(Failed::apply))
        }
        Factory::HeaderConverter(make) => {
            let mut converter = make();
            let configured = converter.configure(&config, role).map_err(Failed::configure);
            configured.and_then(|()| apply_header(case, &mut *converter, &mut arena).map_err(Failed::apply))
        }
        _ => return Err("not a converter".to_owned()),
    };
    check::outcome(case, done, |done, expected| match done {
        Done::Wire(wire) => {
            let expected = (expected["type"] != "null").then(|| typed::bytes(expected));
            let show =
                |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            match wire == expected {
                true => Ok(()),
                false => Err(format!("writes {:?}, Connect {:?}", show(&wire), show(&expected))),
            }
        }
        Done::Data(schema, value) => check::data(schema.as_ref(), &value, &check::recorded_data(expected), &arena),
    })
}

fn wire_input(case: &Json, arena: &mut Arena) -> Option<Span> {
    let bytes = &case["input"]["bytes"];
    (bytes["type"] != "null").then(|| arena.push(&typed::bytes(bytes)))
}

fn apply(case: &Json, converter: &mut dyn Converter, arena: &mut Arena) -> Result<Done, ConnectError> {
    let input = &case["input"];
    let topic = input["topic"].as_str().unwrap_or_default();
    if case["op"] == "fromConnectData" {
        let schema = typed::schema(&input["schema"]);
        let value = typed::value(&input["value"], schema.as_ref());
        let span = converter.from_connect(topic, schema.as_ref(), &value, arena)?;
        return Ok(Done::Wire(span.map(|span| arena.get(span).to_vec())));
    }
    let data = wire_input(case, arena);
    converter.to_connect(topic, data, arena).map(|(schema, value)| Done::Data(schema.cloned(), value))
}

fn apply_header(case: &Json, converter: &mut dyn HeaderConverter, arena: &mut Arena) -> Result<Done, ConnectError> {
    let input = &case["input"];
    let topic = input["topic"].as_str().unwrap_or_default();
    let header = input["header"].as_str().unwrap_or_default();
    if case["op"] == "fromConnectHeader" {
        let schema = typed::schema(&input["schema"]);
        let value = typed::value(&input["value"], schema.as_ref());
        let span = converter.from_connect_header(topic, header, schema.as_ref(), &value, arena)?;
        return Ok(Done::Wire(span.map(|span| arena.get(span).to_vec())));
    }
    let data = wire_input(case, arena);
    let read = converter.to_connect_header(topic, header, data, arena);
    read.map(|(schema, value)| Done::Data(schema.cloned(), value))
}
