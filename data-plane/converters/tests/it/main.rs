//! The converters and `Values` against cases recorded from Kafka Connect 4.3 (`testdata/*.jsonl`, or a whole recorded set in the
//! folder that `FERRY_GOLDEN_DIR` names): all cases of each component, but those that `cases::OLD_FLOAT_TEXT` names.

mod cases;
mod typed;

use data_plane_connector_api::{PluginKind, Plugins};
use data_plane_converters::{
    BooleanConverter, ByteArrayConverter, Converters, DoubleConverter, FloatConverter, IntegerConverter, JsonConverter,
    LongConverter, ShortConverter, SimpleHeaderConverter, StringConverter,
};

#[test]
fn string_converter_does_what_connect_does() {
    cases::run(
        ("string_converter.jsonl", "simple_converters.jsonl"),
        "storage.StringConverter",
        358,
        StringConverter::default,
    );
}

#[test]
fn byte_array_converter_does_what_connect_does() {
    cases::run(
        ("byte_array_converter.jsonl", "simple_converters.jsonl"),
        "converters.ByteArrayConverter",
        244,
        ByteArrayConverter::default,
    );
}

#[test]
fn json_converter_does_what_connect_does() {
    cases::run(("json_converter.jsonl", "json_converter.jsonl"), "json.JsonConverter", 1885, JsonConverter::default);
}

#[test]
fn boolean_converter_does_what_connect_does() {
    cases::run(
        ("boolean_converter.jsonl", "simple_converters.jsonl"),
        "converters.BooleanConverter",
        229,
        BooleanConverter::default,
    );
}

#[test]
fn short_converter_does_what_connect_does() {
    cases::run(
        ("short_converter.jsonl", "simple_converters.jsonl"),
        "converters.ShortConverter",
        241,
        ShortConverter::default,
    );
}

#[test]
fn integer_converter_does_what_connect_does() {
    cases::run(
        ("integer_converter.jsonl", "simple_converters.jsonl"),
        "converters.IntegerConverter",
        255,
        IntegerConverter::default,
    );
}

#[test]
fn long_converter_does_what_connect_does() {
    cases::run(
        ("long_converter.jsonl", "simple_converters.jsonl"),
        "converters.LongConverter",
        259,
        LongConverter::default,
    );
}

#[test]
fn float_converter_does_what_connect_does() {
    cases::run(
        ("float_converter.jsonl", "simple_converters.jsonl"),
        "converters.FloatConverter",
        251,
        FloatConverter::default,
    );
}

#[test]
fn double_converter_does_what_connect_does() {
    cases::run(
        ("double_converter.jsonl", "simple_converters.jsonl"),
        "converters.DoubleConverter",
        261,
        DoubleConverter::default,
    );
}

#[test]
fn simple_header_converter_does_what_connect_does() {
    let files = ("simple_header_converter.jsonl", "simple_header_converter.jsonl");
    cases::run_headers(files, "storage.SimpleHeaderConverter", 518, SimpleHeaderConverter::default);
}

#[test]
fn values_do_what_connect_does() {
    cases::run_values(4070);
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
