//! The converters against cases recorded from Kafka Connect 4.3 (`testdata/*.jsonl`), chosen by component and config alone.

mod cases;
mod typed;

use data_plane_converters::{ByteArrayConverter, StringConverter};

#[test]
fn string_converter_does_what_connect_does() {
    assert_eq!(cases::run("string_converter.jsonl", StringConverter::default), 358);
}

#[test]
fn byte_array_converter_does_what_connect_does() {
    assert_eq!(cases::run("byte_array_converter.jsonl", ByteArrayConverter::default), 244);
}
