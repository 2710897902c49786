//! Each converter both ways.

use std::fmt;

use data_plane_connector_api::{Converter, ConverterRole, Factory, HeaderConverter, PluginKind};
use data_plane_record::{Arena, SchemaType, Value};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

use crate::records::{Column, ROWS, Shape, line, lines, orders, stamped_lines};
use crate::{PLUGINS, config};

/// A converter and what it converts.
struct Case {
    class: &'static str,
    what: &'static str,
    config: &'static [(&'static str, &'static str)],
    column: fn(&mut Arena) -> Column,
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.class, self.what)
    }
}

const PLAIN: &[(&str, &str)] = &[];
const SCHEMALESS: &[(&str, &str)] = &[("schemas.enable", "false")];

const fn case(class: &'static str, what: &'static str, column: fn(&mut Arena) -> Column) -> Case {
    Case { class, what, config: PLAIN, column }
}

const fn json(what: &'static str, config: &'static [(&str, &str)], column: fn(&mut Arena) -> Column) -> Case {
    Case { class: "JsonConverter", what, config, column }
}

const CONVERTERS: [Case; 14] = [
    case("StringConverter", "lines", |arena| lines(Shape::WithSchema, arena)),
    case("ByteArrayConverter", "lines", |arena| {
        Column::plain(SchemaType::Bytes, arena, |row, arena| Value::BytesSpan(arena.push(line(row).as_bytes())))
    }),
    json("schemaless two fields", SCHEMALESS, |arena| stamped_lines(Shape::Schemaless, arena)),
    json("schemaless struct of two fields", SCHEMALESS, |arena| stamped_lines(Shape::WithSchema, arena)),
    json("with schemas two fields", PLAIN, |arena| stamped_lines(Shape::WithSchema, arena)),
    json("schemaless orders", SCHEMALESS, |arena| orders(Shape::Schemaless, arena)),
    json("with schemas orders", PLAIN, |arena| orders(Shape::WithSchema, arena)),
    json("schemaless text with escapes", SCHEMALESS, |arena| {
        let quoted = |row, arena: &mut Arena| Value::StringSpan(arena.push(format!("\"{}\"\n", line(row)).as_bytes()));
        Column { schema: None, ..Column::plain(SchemaType::String, arena, quoted) }
    }),
    case("BooleanConverter", "", |arena| {
        Column::plain(SchemaType::Boolean, arena, |row, _| Value::Boolean(row % 3 == 0))
    }),
    case("ShortConverter", "", |arena| Column::plain(SchemaType::Int16, arena, |row, _| Value::Int16(row as i16))),
    case("IntegerConverter", "", |arena| Column::plain(SchemaType::Int32, arena, |row, _| Value::Int32(row as i32))),
    case("LongConverter", "", |arena| Column::plain(SchemaType::Int64, arena, |row, _| Value::Int64(row as i64))),
    case("FloatConverter", "", |arena| {
        Column::plain(SchemaType::Float32, arena, |row, _| Value::Float32(row as f32 / 7.0))
    }),
    case("DoubleConverter", "", |arena| {
        Column::plain(SchemaType::Float64, arena, |row, _| Value::Float64(row as f64 / 7.0))
    }),
];

fn converter(case: &Case) -> Box<dyn Converter> {
    let plugin = PLUGINS.find(PluginKind::Converter, case.class).expect("a converter");
    let Factory::Converter(make) = &plugin.factory else { unreachable!("found by its kind") };
    let mut converter = make();
    converter.configure(&config(case.config), ConverterRole::Value).expect("a valid config");
    converter
}

#[divan::bench(args = &CONVERTERS)]
fn from_connect(bencher: Bencher<'_, '_>, case: &Case) {
    let (mut converter, mut arena) = (converter(case), Arena::default());
    let column = (case.column)(&mut arena);
    let length = arena.len();
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        arena.truncate(length);
        for value in &column.values {
            let wire = converter.from_connect("orders", column.schema.as_ref(), black_box(value), &mut arena);
            black_box(wire.expect("converts"));
        }
    });
}

#[divan::bench(args = &CONVERTERS)]
fn to_connect(bencher: Bencher<'_, '_>, case: &Case) {
    let (mut converter, mut arena) = (converter(case), Arena::default());
    let column = (case.column)(&mut arena);
    let wire = |value| converter.from_connect("orders", column.schema.as_ref(), value, &mut arena).expect("converts");
    let wires: Vec<_> = column.values.iter().map(wire).collect();
    let length = arena.len();
    let mut values = Vec::with_capacity(ROWS);
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        arena.truncate(length);
        values.clear();
        for wire in &wires {
            let (schema, value) = converter.to_connect("orders", *black_box(wire), &mut arena).expect("converts");
            black_box(schema);
            values.push(value);
        }
        black_box(&values);
    });
}

const HEADERS: [Case; 4] = [
    case("SimpleHeaderConverter", "text", |arena| {
        Column::plain(SchemaType::String, arena, |row, arena| {
            Value::StringSpan(arena.push(format!("request-{row}").as_bytes()))
        })
    }),
    case("SimpleHeaderConverter", "integers", |arena| {
        Column::plain(SchemaType::Int64, arena, |row, _| Value::Int64(row as i64 * 1_000))
    }),
    case("SimpleHeaderConverter", "booleans", |arena| {
        Column::plain(SchemaType::Boolean, arena, |row, _| Value::Boolean(row % 3 == 0))
    }),
    case("SimpleHeaderConverter", "timestamps", |arena| {
        let value = |row, arena: &mut Arena| {
            Value::StringSpan(arena.push(format!("2026-01-01T00:00:{:02}.{:03}Z", row % 60, row % 1000).as_bytes()))
        };
        Column::plain(SchemaType::String, arena, value)
    }),
];

fn header_converter(case: &Case) -> Box<dyn HeaderConverter> {
    let plugin = PLUGINS.find(PluginKind::HeaderConverter, case.class).expect("a header converter");
    let Factory::HeaderConverter(make) = &plugin.factory else { unreachable!("found by its kind") };
    let mut converter = make();
    converter.configure(&config(case.config), ConverterRole::Header).expect("a valid config");
    converter
}

#[divan::bench(args = &HEADERS)]
fn from_connect_header(bencher: Bencher<'_, '_>, case: &Case) {
    let (mut converter, mut arena) = (header_converter(case), Arena::default());
    let column = (case.column)(&mut arena);
    let length = arena.len();
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        arena.truncate(length);
        for value in &column.values {
            let schema = column.schema.as_ref();
            let wire = converter.from_connect_header("orders", "h", schema, black_box(value), &mut arena);
            black_box(wire.expect("converts"));
        }
    });
}

#[divan::bench(args = &HEADERS)]
fn to_connect_header(bencher: Bencher<'_, '_>, case: &Case) {
    let (mut converter, mut arena) = (header_converter(case), Arena::default());
    let column = (case.column)(&mut arena);
    let schema = column.schema.as_ref();
    let wire = |value| converter.from_connect_header("orders", "h", schema, value, &mut arena).expect("converts");
    let wires: Vec<_> = column.values.iter().map(wire).collect();
    let length = arena.len();
    let mut values = Vec::with_capacity(ROWS);
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        arena.truncate(length);
        values.clear();
        for wire in &wires {
            let converted = converter.to_connect_header("orders", "h", *black_box(wire), &mut arena);
            let (schema, value) = converted.expect("converts");
            black_box(schema);
            values.push(value);
        }
        black_box(&values);
    });
}
