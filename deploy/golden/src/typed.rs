//! Reads the recorded cases' typed values and schemas, and compares values with them.

use std::sync::Arc;

use data_plane_record::{Arena, Decimal, Schema, SchemaBuilder, SchemaType, Struct, Value, ValueMap};
use serde_json::Value as Json;

/// Bytes of base64 text or of a `utf8` entry.
pub(crate) fn bytes(json: &Json) -> Vec<u8> {
    if let Some(text) = json["utf8"].as_str() {
        return text.as_bytes().to_vec();
    }
    let digits = json["v"].as_str().expect("base64").bytes().filter(|&digit| digit != b'=').map(|digit| match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        _ => 63,
    });
    let (mut bytes, mut group, mut bits) = (Vec::new(), 0_u32, 0);
    for digit in digits {
        group = group << 6 | u32::from(digit);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits) as u8);
        }
    }
    bytes
}

fn integer(json: &Json) -> i64 {
    json.as_i64().unwrap_or_else(|| json.as_str().expect("an integer").parse().expect("an integer"))
}

/// An integer, or none for null.
pub(crate) fn optional_integer(json: &Json) -> Option<i64> {
    (!json.is_null()).then(|| integer(json))
}

fn float<T: std::str::FromStr>(json: &Json) -> T {
    let text = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
    text.parse().ok().expect("a float")
}

fn decimal(text: &str) -> Decimal {
    let (digits, scale) = match text.split_once('E') {
        Some((digits, exponent)) => (digits.to_owned(), -exponent.parse::<i32>().expect("an exponent")),
        None => (text.replace('.', ""), text.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i32)),
    };
    let negative = digits.starts_with('-');
    let mut magnitude = vec![0_u8];
    for digit in digits.bytes().filter(u8::is_ascii_digit) {
        let mut carry = u32::from(digit - b'0');
        for byte in magnitude.iter_mut().rev() {
            carry += u32::from(*byte) * 10;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            magnitude.insert(0, carry as u8);
        }
    }
    if negative {
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            (*byte, carry) = (!*byte).overflowing_add(carry.into());
        }
    }
    let sign: u8 = if negative { 0xff } else { 0 };
    if (magnitude[0] ^ sign) & 0x80 != 0 {
        magnitude.insert(0, sign);
    }
    while magnitude.len() > 1 && magnitude[0] == sign && (magnitude[1] ^ sign) & 0x80 == 0 {
        magnitude.remove(0);
    }
    Decimal { unscaled: magnitude.into(), scale }
}

/// A typed value under its surrounding schema.
pub(crate) fn value(json: &Json, surrounding: Option<&Arc<Schema>>) -> Value {
    let inner = &json["v"];
    match json["type"].as_str().expect("a type") {
        "null" => Value::Null,
        "boolean" => Value::Boolean(inner.as_bool().expect("a boolean")),
        "int8" => Value::Int8(integer(inner) as i8),
        "int16" => Value::Int16(integer(inner) as i16),
        "int32" => Value::Int32(integer(inner) as i32),
        "int64" => Value::Int64(integer(inner)),
        "float32" => Value::Float32(float(inner)),
        "float64" => Value::Float64(float(inner)),
        "string" => Value::String(inner.as_str().expect("text").into()),
        "bytes" => Value::Bytes(bytes(json).into()),
        "array" => {
            let items = surrounding.and_then(|schema| schema.values.as_ref());
            Value::Array(Box::new(inner.as_array().expect("items").iter().map(|item| value(item, items)).collect()))
        }
        "map" => {
            let (keys, values) = surrounding.map_or((None, None), |s| (s.keys.as_ref(), s.values.as_ref()));
            let entries = inner.as_array().expect("entries").iter();
            Value::Map(Box::new(entries.map(|e| (value(&e[0], keys), value(&e[1], values))).collect::<ValueMap>()))
        }
        "struct" => {
            let own = schema(&json["schema"]);
            let schema = own.as_ref().or(surrounding).expect("a struct's schema").clone();
            let fields = inner.as_array().expect("fields").iter().zip(schema.fields());
            let values = fields.map(|(entry, field)| value(&entry[1], Some(&field.schema))).collect();
            Value::Struct(Box::new(Struct { schema, values }))
        }
        "decimal" => Value::Decimal(Box::new(decimal(inner.as_str().expect("a decimal")))),
        "datetime" => Value::DateTime(integer(inner)),
        other => panic!("type {other}"),
    }
}

/// A recorded schema; `None` for null.
pub(crate) fn schema(json: &Json) -> Option<Arc<Schema>> {
    let kind = match json.get("type")?.as_str()? {
        "int8" => SchemaType::Int8,
        "int16" => SchemaType::Int16,
        "int32" => SchemaType::Int32,
        "int64" => SchemaType::Int64,
        "float32" => SchemaType::Float32,
        "float64" => SchemaType::Float64,
        "boolean" => SchemaType::Boolean,
        "string" => SchemaType::String,
        "bytes" => SchemaType::Bytes,
        "array" => SchemaType::Array,
        "map" => SchemaType::Map,
        "struct" => SchemaType::Struct,
        other => panic!("schema type {other}"),
    };
    let mut builder = match kind {
        SchemaType::Array => match schema(&json["items"]).or_else(|| schema(&json["values"])) {
            Some(items) => SchemaBuilder::array(items),
            None => Schema::builder(kind),
        },
        SchemaType::Map => match (schema(&json["keys"]), schema(&json["values"])) {
            (Some(keys), Some(values)) => SchemaBuilder::map(keys, values),
            (Some(keys), None) => SchemaBuilder::map_with_null_values(keys),
            _ => Schema::builder(kind),
        },
        _ => Schema::builder(kind),
    };
    for field in json["fields"].as_array().into_iter().flatten() {
        builder = builder.field(field["name"].as_str().expect("a name"), schema(&field["schema"]).expect("a schema"));
    }
    if json["optional"] == true {
        builder = builder.optional();
    }
    if let Some(name) = json["name"].as_str() {
        builder = builder.name(name);
    }
    if let Some(version) = json["version"].as_i64() {
        builder = builder.version(version as i32);
    }
    if let Some(doc) = json["doc"].as_str() {
        builder = builder.doc(doc);
    }
    for (name, text) in json["parameters"].as_object().into_iter().flatten() {
        builder = builder.parameter(name.as_str(), text.as_str().expect("text"));
    }
    if !json["default"].is_null() {
        let built = builder.clone().build();
        builder = builder.default_value(value(&json["default"], Some(&built)));
    }
    Some(builder.build())
}

/// Structural equality across arenas; maps without order, floats by their bits.
pub(crate) fn same(a: &Value, b: &Value, arena: &Arena) -> bool {
    match (a, b) {
        (Value::Float32(a), Value::Float32(b)) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
        (Value::Float64(a), Value::Float64(b)) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(&**b).all(|(a, b)| same(a, b, arena)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| {
                    b.iter().any(|(other, theirs)| same(key, other, arena) && same(value, theirs, arena))
                })
        }
        (Value::Struct(a), Value::Struct(b)) => {
            a.schema == b.schema && a.values.iter().zip(&b.values).all(|(a, b)| same(a, b, arena))
        }
        _ => a.to_owned_value(arena) == b.to_owned_value(arena),
    }
}
