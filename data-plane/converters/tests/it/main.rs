//! The converters against cases recorded from Kafka Connect 4.3 (`testdata/*.jsonl`): all of each component,
//! but three with the float 1.5E10, which JDK 17 writes as `1.50000005E10` and later JDKs, as we do, as `1.5E10`.

mod cases;
mod typed;

use data_plane_connector_api::{PluginKind, Plugins};
use data_plane_converters::{
    BooleanConverter, ByteArrayConverter, Converters, DoubleConverter, FloatConverter, IntegerConverter, JsonConverter,
    LongConverter, ShortConverter, StringConverter,
};

#[test]
fn string_converter_does_what_connect_does() {
    assert_eq!(cases::run("string_converter.jsonl", StringConverter::default), 358);
}

#[test]
fn byte_array_converter_does_what_connect_does() {
    assert_eq!(cases::run("byte_array_converter.jsonl", ByteArrayConverter::default), 244);
}

#[test]
fn json_converter_does_what_connect_does() {
    assert_eq!(cases::run("json_converter.jsonl", JsonConverter::default), 1885);
}

#[test]
fn boolean_converter_does_what_connect_does() {
    assert_eq!(cases::run("boolean_converter.jsonl", BooleanConverter::default), 229);
}

#[test]
fn short_converter_does_what_connect_does() {
    assert_eq!(cases::run("short_converter.jsonl", ShortConverter::default), 241);
}

#[test]
fn integer_converter_does_what_connect_does() {
    assert_eq!(cases::run("integer_converter.jsonl", IntegerConverter::default), 255);
}

#[test]
fn long_converter_does_what_connect_does() {
    assert_eq!(cases::run("long_converter.jsonl", LongConverter::default), 259);
}

#[test]
fn float_converter_does_what_connect_does() {
    assert_eq!(cases::run("float_converter.jsonl", FloatConverter::default), 251);
}

#[test]
fn double_converter_does_what_connect_does() {
    assert_eq!(cases::run("double_converter.jsonl", DoubleConverter::default), 261);
}

#[test]
fn converters_are_found_by_class_and_alias() {
    let plugins = Plugins::new(&[&Converters]);
    for name in ["JsonConverter", "Json", "org.apache.kafka.connect.json.JsonConverter"] {
        let found = plugins.find(PluginKind::Converter, name).expect("found");
        assert_eq!(found.class, "org.apache.kafka.connect.json.JsonConverter");
    }
    assert!(plugins.find(PluginKind::HeaderConverter, "StringConverter").is_ok());
    let error = plugins.find(PluginKind::Converter, "AvroConverter").expect_err("unknown").to_string();
    assert!(
        error.contains(
            "implements Converter and which name matches AvroConverter, available converters are: PluginDesc{"
        )
    );
}
