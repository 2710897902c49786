//! `ferry.lossy.conversions`: each quiet change of the transforms, with Connect's result and refused.

use std::sync::Arc;

use data_plane_connector_api::Outcome;
use data_plane_connector_api::lossy::LOSSY_CONVERSIONS;
use data_plane_record::{Decimal, Position, RecordBatch, Row, RunHead, Schema, Value, ValueMap, java_text, logical};

use crate::properties::{apply, transform};

/// The text of a record's value after a transform, or the error.
fn transformed(
    name: &str,
    config: &[(&str, &str)],
    losses: &str,
    (schema, value): (Option<&Arc<Schema>>, &Value),
) -> Result<String, String> {
    let config: Vec<_> = config.iter().copied().chain([(LOSSY_CONVERSIONS, losses)]).collect();
    let mut batch = RecordBatch::new();
    let head = Arc::new(RunHead { value_schema: schema.cloned(), ..RunHead::default() });
    batch.push(&head, Row::new(Value::Null, value.clone(), Position::SourceField(0)));
    match apply(&mut *transform(name, &config), &mut batch).remove(0) {
        Outcome::Failed(failure) => Err(failure.cause.trace_text()),
        _ => {
            let mut text = Vec::new();
            java_text::write_value(&batch.rows()[0].value, &batch.arena, &mut text);
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
    }
}

fn check(name: &str, config: &[(&str, &str)], data: (Option<&Arc<Schema>>, &Value), allowed: &str, refused: bool) {
    let shown = format!("{name} {config:?} {:?}", data.1);
    assert_eq!(transformed(name, config, "allow", data), Ok(allowed.to_owned()), "{shown}");
    match transformed(name, config, "fail", data) {
        Ok(text) => assert!(!refused && text == allowed, "{shown} is {text}"),
        Err(error) => {
            assert!(refused, "{shown}: {error}");
            assert!(error.starts_with("org.apache.kafka.connect.errors.DataException: "), "{error}");
            assert!(error.contains(" would become ") && error.contains("ferry.lossy.conversions=fail"), "{error}");
        }
    }
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

fn decimal(text: &str) -> Value {
    Value::Decimal(Box::new(Decimal::parse(text).expect("a number")))
}

#[test]
fn casts() {
    let cases = [
        (Value::Int32(300), "int8", "44", true),
        (Value::Int32(44), "int8", "44", false),
        (Value::Float64(1.9), "int32", "1", true),
        (Value::Float64(-0.0), "int32", "0", false),
        (Value::Float64(1e20), "int64", "9223372036854775807", true),
        (Value::Float32(f32::NAN), "int16", "0", true),
        (Value::Int64((1 << 53) + 1), "float64", "9.007199254740992E15", true),
        (Value::Int64(1 << 53), "float64", "9.007199254740992E15", false),
        (Value::Float64(0.1), "float32", "0.1", false),
        (Value::Float64(0.123_456_789), "float32", "0.12345679", true),
        (Value::Float64(1e300), "float32", "Infinity", true),
        (Value::Float32(0.1), "float64", "0.10000000149011612", false),
        (Value::Int8(5), "boolean", "true", true),
        (Value::Int8(1), "boolean", "true", false),
        (Value::Boolean(true), "int8", "1", false),
        (text("yes"), "boolean", "false", true),
        (text("FALSE"), "boolean", "false", false),
        (text("1e400"), "float64", "Infinity", true),
        (text("-Infinity"), "float64", "-Infinity", false),
        (text("1e-60"), "float32", "0.0", true),
        (text("0.123456789"), "float32", "0.12345679", false),
        (Value::Int8(1), "string", "1", false),
    ];
    for (value, to, allowed, refused) in cases {
        check("Cast$Value", &[("spec", to)], (None, &value), allowed, refused);
        let map = ValueMap::from_iter([(text("a"), value)]);
        let spec = format!("a:{to}");
        let allowed = format!("{{a={allowed}}}");
        check("Cast$Value", &[("spec", &spec)], (None, &Value::Map(Box::new(map))), &allowed, refused);
    }
    let amounts = [("1.5", "int8", "1", true), ("12.34", "float32", "12.34", false)];
    for (amount, to, allowed, refused) in amounts {
        let schema = logical::decimal(2).build();
        check("Cast$Value", &[("spec", to)], (Some(&schema), &decimal(amount)), allowed, refused);
    }
    let before = (Some(logical::timestamp_schema(false)), &Value::DateTime(-1));
    check("Cast$Value", &[("spec", "string")], before, "23:59:59.999Z", true);
    check("Cast$Value", &[("spec", "int64")], before, "-1", false);
    check("Cast$Value", &[("spec", "int32")], (before.0, &Value::DateTime(1 << 40)), "0", true);
}

#[test]
fn masks() {
    let cases = [
        (Value::Int8(1), "300", "44", true),
        (Value::Int32(1), "1.9", "1", true),
        (Value::Int32(1), "1.0", "1", false),
        (Value::Float32(1.0), "0.5", "0.5", false),
        (Value::Float32(1.0), "1e39", "Infinity", true),
        (decimal("1"), "1.90", "1.90", false),
        (text("x"), "1,000", "1,000", false),
    ];
    for (value, replacement, allowed, refused) in cases {
        let map = Value::Map(Box::new(ValueMap::from_iter([(text("a"), value)])));
        let config = [("fields", "a"), ("replacement", replacement)];
        check("MaskField$Value", &config, (None, &map), &format!("{{a={allowed}}}"), refused);
    }
}

#[test]
fn timestamps() {
    const DAY_MS: i64 = 86_400_000;
    let timestamp = logical::timestamp_schema(false);
    let of = |target: &'static str, precision: &'static str| [("target.type", target), ("unix.precision", precision)];
    let moments = [
        (1_500, "unix", "seconds", "1", true),
        (2_000, "unix", "seconds", "2", false),
        (i64::MAX / 1_000, "unix", "nanoseconds", "9223372036854775807", true),
        (1_500, "unix", "microseconds", "1500000", false),
        (DAY_MS + 1_000, "Date", "seconds", "Fri Jan 02 00:00:00 UTC 1970", true),
        (DAY_MS, "Date", "seconds", "Fri Jan 02 00:00:00 UTC 1970", false),
        (DAY_MS + 1_000, "Time", "seconds", "Thu Jan 01 00:00:01 UTC 1970", true),
        (1_000, "Time", "seconds", "Thu Jan 01 00:00:01 UTC 1970", false),
        (-20_000_000_000_000, "Timestamp", "seconds", "Fri Mar 15 12:26:40 UTC 1336", false),
    ];
    for (millis, target, precision, allowed, refused) in moments {
        let data = (Some(timestamp), &Value::DateTime(millis));
        check("TimestampConverter$Value", &of(target, precision), data, allowed, refused);
    }
    let numbers = [
        (1_500_999, "microseconds", "Thu Jan 01 00:00:01 UTC 1970", true),
        (1_500_000, "microseconds", "Thu Jan 01 00:00:01 UTC 1970", false),
        (i64::MAX, "seconds", "Sun Aug 17 07:12:55 UTC 292278994", true),
    ];
    for (number, precision, allowed, refused) in numbers {
        let config = of("Timestamp", precision);
        check("TimestampConverter$Value", &config, (None, &Value::Int64(number)), allowed, refused);
    }
    let texts = [
        ("yyyy-MM-dd", "2020-12-01", "Tue Dec 01 00:00:00 UTC 2020", false),
        ("yyyy-MM-dd", "2020-13-01", "Fri Jan 01 00:00:00 UTC 2021", true),
        ("yyyy-MM-dd", "2020-12-01 and more", "Tue Dec 01 00:00:00 UTC 2020", true),
        ("yyyy-MM-dd", "1500-01-01", "Wed Jan 01 00:00:00 UTC 1500", true),
        ("yyyy-MM-dd", "4294969316-01-01", "Wed Jan 01 00:00:00 UTC 2020", true),
        ("EEE d MMM yyyy", "Tue 1 Dec 2020", "Tue Dec 01 00:00:00 UTC 2020", false),
        ("EEE d MMM yyyy", "Mon 1 Dec 2020", "Tue Dec 01 00:00:00 UTC 2020", true),
        ("yyyy-MM-dd'T'HH:mmXXX", "2020-12-01T01:30+02:00", "Mon Nov 30 23:30:00 UTC 2020", false),
        ("yyyy-MM-dd hh:mm a", "2020-12-01 12:30 PM", "Tue Dec 01 12:30:00 UTC 2020", false),
        ("yyyy-MM-dd hh:mm a", "2020-12-01 13:30 PM", "Wed Dec 02 01:30:00 UTC 2020", true),
        ("yyyy-DDD", "2020-366", "Thu Dec 31 00:00:00 UTC 2020", false),
        ("yyyy-DDD", "2019-366", "Wed Jan 01 00:00:00 UTC 2020", true),
        ("YYYY-'W'ww-u", "2021-W01-5", "Fri Jan 01 00:00:00 UTC 2021", false),
    ];
    for (format, moment, allowed, refused) in texts {
        let config = [("target.type", "Timestamp"), ("format", format)];
        check("TimestampConverter$Value", &config, (None, &text(moment)), allowed, refused);
    }
    let config = [("target.type", "string"), ("format", "yyyy-MM-dd")];
    check("TimestampConverter$Value", &config, (Some(timestamp), &Value::DateTime(0)), "1970-01-01", false);
    let before = Value::DateTime(-20_000_000_000_000);
    check("TimestampConverter$Value", &config, (Some(timestamp), &before), "1336-03-15", true);
}

#[test]
fn literals_of_headers() {
    let plugins = data_plane_connector_api::Plugins::new(&[&data_plane_transforms::Transforms]);
    let plugin = plugins.find(data_plane_connector_api::PluginKind::Transformation, "InsertHeader").expect("there");
    let data_plane_connector_api::Factory::Transformation(make) = &plugin.factory else { panic!("no transform") };
    let configure = |literal: &str, losses: &str| {
        let pairs = [("header", "h"), ("value.literal", literal), (LOSSY_CONVERSIONS, losses)];
        make().configure(&pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into())
    };
    assert_eq!(configure("1,000", "allow"), Ok(()));
    assert_eq!(configure("1000", "fail"), Ok(()));
    let error = configure("1,000", "fail").expect_err("refused").message;
    assert!(error.starts_with("1,000 would become 1, "), "{error}");
}
