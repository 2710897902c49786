//! `ferry.lossy.conversions`: each quiet change of the converters, with Connect's result and refused.

use std::sync::Arc;

use data_plane_connector_api::lossy::LOSSY_CONVERSIONS;
use data_plane_connector_api::{Config, ConverterRole, Factory, PluginKind, Plugins};
use data_plane_converters::Converters;
use data_plane_record::{Arena, Schema, SchemaBuilder, SchemaType, Value, java_text, logical};

/// Keys with their values.
type Options = &'static [(&'static str, &'static str)];

fn config(losses: &str, more: &[(&str, &str)]) -> Config {
    let pairs = more.iter().copied().chain([(LOSSY_CONVERSIONS, losses)]);
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The text of what bytes are read to, or the error.
fn read(class: &str, config: &Config, bytes: &[u8]) -> Result<String, String> {
    let plugins = Plugins::new(&[&Converters]);
    let mut arena = Arena::default();
    let span = arena.push(bytes);
    let plugin = plugins.find(PluginKind::HeaderConverter, class).expect("there is one");
    let Factory::HeaderConverter(make) = &plugin.factory else { panic!("no converter") };
    let mut converter = make();
    converter.configure(config, ConverterRole::Header).map_err(|error| error.message)?;
    let (_, value) =
        converter.to_connect_header("t", "h", Some(span), &mut arena).map_err(|error| error.trace_text())?;
    let mut text = Vec::new();
    java_text::write_value(&value, &arena, &mut text);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The bytes that a value is written to, or the error.
fn written(class: &str, config: &Config, schema: Option<&Arc<Schema>>, value: &Value) -> Result<Vec<u8>, String> {
    let plugins = Plugins::new(&[&Converters]);
    let mut arena = Arena::default();
    let plugin = plugins.find(PluginKind::HeaderConverter, class).expect("there is one");
    let Factory::HeaderConverter(make) = &plugin.factory else { panic!("no converter") };
    let mut converter = make();
    converter.configure(config, ConverterRole::Header).map_err(|error| error.message)?;
    let span =
        converter.from_connect_header("t", "h", schema, value, &mut arena).map_err(|error| error.trace_text())?;
    Ok(span.map(|span| arena.get(span).to_vec()).unwrap_or_default())
}

fn check(class: &str, more: &[(&str, &str)], bytes: &[u8], allowed: &str, refused: bool) {
    let shown = String::from_utf8_lossy(bytes);
    assert_eq!(read(class, &config("allow", more), bytes), Ok(allowed.to_owned()), "{shown}");
    match read(class, &config("fail", more), bytes) {
        Ok(text) => assert!(!refused && text == allowed, "{shown} is read as {text}"),
        Err(error) => {
            assert!(refused, "{shown}: {error}");
            assert!(error.starts_with("org.apache.kafka.connect.errors.DataException: "), "{error}");
            assert!(error.contains(" would become ") && error.contains("ferry.lossy.conversions=fail"), "{error}");
        }
    }
}

#[test]
fn json_under_a_schema() {
    let cases = [
        ("\"int8\"", "300", "44", true),
        ("\"int8\"", "-128", "-128", false),
        ("\"int8\"", "1.0", "1", false),
        ("\"int16\"", "40000", "-25536", true),
        ("\"int32\"", "1.9", "1", true),
        ("\"int32\"", "true", "0", true),
        ("\"int32\"", "\"7\"", "0", true),
        ("\"int64\"", "9223372036854775808", "-9223372036854775808", true),
        ("\"int64\"", "1e3", "1000", false),
        ("\"float\"", "1e39", "Infinity", true),
        ("\"float\"", "0.1", "0.1", false),
        ("\"float\"", "0.123456789012345", "0.12345679", false),
        ("\"double\"", "1e400", "Infinity", true),
        ("\"double\"", "1e-400", "0.0", true),
        ("\"double\"", "0.0", "0.0", false),
        ("\"double\"", "\"NaN\"", "0.0", true),
        ("\"boolean\"", "\"true\"", "false", true),
        ("\"boolean\"", "1", "false", true),
        ("\"string\",\"optional\":true", "5", "null", true),
        ("\"string\",\"optional\":true", "null", "null", false),
        ("\"bytes\",\"optional\":true", "5", "null", true),
        ("\"array\",\"items\":{\"type\":\"int8\"}", "{}", "[]", true),
        ("\"array\",\"items\":{\"type\":\"int8\"}", "[1,300]", "[1, 44]", true),
        ("\"array\",\"items\":{\"type\":\"int8\"}", "[1,2]", "[1, 2]", false),
        ("\"struct\",\"fields\":[{\"field\":\"a\",\"type\":\"int8\"}]", "{\"a\":1,\"b\":2}", "Struct{a=1}", true),
        ("\"struct\",\"fields\":[{\"field\":\"a\",\"type\":\"int8\"}]", "{\"a\":1}", "Struct{a=1}", false),
        ("\"int8\",\"optional\":\"true\"", "1", "1", true),
        ("\"int8\",\"version\":4294967297", "1", "1", true),
        ("\"int8\",\"name\":7", "1", "1", true),
        ("\"int8\",\"name\":null,\"version\":1", "1", "1", false),
        (
            "\"int64\",\"name\":\"org.apache.kafka.connect.data.Timestamp\"",
            "18446744073709551616",
            "Thu Jan 01 00:00:00 UTC 1970",
            true,
        ),
    ];
    for (schema, payload, allowed, refused) in cases {
        let text = format!("{{\"schema\":{{\"type\":{schema}}},\"payload\":{payload}}}");
        check("JsonConverter", &[], text.as_bytes(), allowed, refused);
        let content = format!("{{\"type\":{schema}}}");
        if !(refused && content.contains("optional\":\"") || content.contains("version\":4") || content.contains(":7"))
        {
            check("JsonConverter", &[("schema.content", &content)], payload.as_bytes(), allowed, refused);
        }
    }
}

#[test]
fn json_without_a_schema() {
    let cases = [
        ("9223372036854775807", "9223372036854775807", false),
        ("18446744073709551617", "1", true),
        ("{\"a\":[1e400]}", "{a=[Infinity]}", true),
        ("1.5", "1.5", false),
        ("1 , 2", "1", true),
        ("[1] x", "[1]", true),
        ("[1] \n", "[1]", false),
    ];
    for (text, allowed, refused) in cases {
        check("JsonConverter", &[("schemas.enable", "false")], text.as_bytes(), allowed, refused);
    }
}

#[test]
fn text_of_headers() {
    let cases = [
        ("1,000", "1", true),
        ("1:2", "1", true),
        ("1000", "1000", false),
        ("+1.50", "1.5", false),
        ("1.0", "1", false),
        ("3.14159", "3.14159", false),
        ("3.14159265358979", "3.1415927", true),
        ("1e-60", "0.0", true),
        ("123456789012345678901234567890", "123456789012345678901234567890", false),
        ("[1, 2] and more", "[1, 2]", true),
        ("[16777217, 1.5]", "[1.6777216E7, 1.5]", true),
        ("[1, 1.5]", "[1.0, 1.5]", false),
        ("[3.14159265358979, x]", "[3.14159265358979, x]", false),
        ("{\"a\":1, \"b\":300}", "{a=1, b=300}", false),
        ("a, b: c", "a, b: c", false),
        ("null", "null", false),
        ("2020-02-29", "Sat Feb 29 00:00:00 UTC 2020", false),
        ("2020-13-01", "Fri Jan 01 00:00:00 UTC 2021", true),
        ("2019-02-29", "Fri Mar 01 00:00:00 UTC 2019", true),
        ("2020-1-2xy", "Thu Jan 02 00:00:00 UTC 2020", true),
        ("1582-10-15", "Fri Oct 15 00:00:00 UTC 1582", false),
        ("1500-01-01", "Wed Jan 01 00:00:00 UTC 1500", true),
        ("2020-01-01T23:59:59.999Z", "Wed Jan 01 23:59:59 UTC 2020", false),
        ("2020-01-01T24:00:00.000Z", "Thu Jan 02 00:00:00 UTC 2020", true),
    ];
    for (text, allowed, refused) in cases {
        check("SimpleHeaderConverter", &[], text.as_bytes(), allowed, refused);
    }
    check("SimpleHeaderConverter", &[], b"a\xff", "a\u{fffd}", true);
}

#[test]
fn text_in_encodings() {
    check("StringConverter", &[], b"a\xff", "a\u{fffd}", true);
    check("StringConverter", &[], "aü\u{fffd}".as_bytes(), "aü\u{fffd}", false);
    check("StringConverter", &[("converter.encoding", "US-ASCII")], b"a\xff", "a\u{fffd}", true);
    check("StringConverter", &[("converter.encoding", "ISO-8859-1")], b"a\xff", "aÿ", false);
}

#[test]
fn writing() {
    let text = |text: &str| Value::String(text.into());
    let nested = Value::Array(Box::new(vec![Value::DateTime(-1)]));
    let cases: [(&str, Options, Value, &[u8], bool); 8] = [
        ("StringConverter", &[], Value::Bytes([1, 2].into()), b"[B@3e2", true),
        ("StringConverter", &[], Value::Int8(1), b"1", false),
        ("StringConverter", &[("converter.encoding", "US-ASCII")], text("é"), b"?", true),
        ("StringConverter", &[("converter.encoding", "ISO-8859-1")], text("é"), b"\xe9", false),
        ("SimpleHeaderConverter", &[], Value::DateTime(-1), b"23:59:59.999Z", true),
        ("SimpleHeaderConverter", &[], nested, b"[23:59:59.999Z]", true),
        ("SimpleHeaderConverter", &[], Value::DateTime(86_400_000), b"1970-01-02", false),
        ("JsonConverter", &[("schemas.enable", "false")], Value::Float64(f64::NAN), b"\"NaN\"", false),
    ];
    for (class, more, value, allowed, refused) in cases {
        assert_eq!(written(class, &config("allow", more), None, &value), Ok(allowed.to_vec()), "{value:?}");
        assert_eq!(written(class, &config("fail", more), None, &value).is_err(), refused, "{class} {value:?}");
    }
    let keys = SchemaBuilder::map(Schema::optional_string().clone(), Schema::plain(SchemaType::Int8, false).clone());
    let map = Value::Map(Box::new([(Value::Null, Value::Int8(1))].into_iter().collect()));
    let days = Value::DateTime((1 << 32) * 86_400_000);
    let plain = [("schemas.enable", "false")];
    for (schema, value, allowed) in [(keys.build(), map, "{\"null\":1}"), (logical::date().build(), days, "0")] {
        let written = |losses| written("JsonConverter", &config(losses, &plain), Some(&schema), &value);
        assert_eq!(written("allow"), Ok(allowed.as_bytes().to_vec()));
        assert!(written("fail").is_err_and(|error| error.contains(" would become ")));
    }
}

#[test]
fn a_wrong_word_is_refused() {
    for class in ["JsonConverter", "SimpleHeaderConverter", "StringConverter"] {
        let error = read(class, &config("perhaps", &[]), b"1").expect_err("no such word");
        assert!(error.starts_with("Invalid value perhaps for configuration ferry.lossy.conversions: "), "{error}");
    }
}
