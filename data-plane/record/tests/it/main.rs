//! Properties of the readers of text: they take anything without a panic, in bounded depth and time.

use data_plane_record::{Arena, JavaDateFormat, Value, ValueMap, jackson, values};
use proptest::prelude::*;

/// Text of the pieces that JSON and Connect's own notation are made of, and of anything else.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => proptest::sample::select(vec![
            "[", "]", "{", "}", ",", ":", "\"", "\\", "\\u", "d83d", " ", "-", "+", ".", "e", "E", "0", "1", "99", "true",
            "false", "null", "2024-02-29", "T", "12:34:56.789Z", "\n", "٣", "é", "😀",
        ])
        .prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| number.to_string()),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Values that Connect reads back from their text: integers, booleans, words, and arrays and maps of them.
fn readable() -> impl Strategy<Value = Value> {
    // Other text may look like a number, a date, an array.
    let word = "[b-e][a-z]{0,8}".prop_map(|word| Value::String(word.into()));
    let leaves = [
        any::<i64>().prop_map(Value::Int64).boxed(),
        any::<bool>().prop_map(Value::Boolean).boxed(),
        word.clone().boxed(),
    ];
    let of_leaves = leaves.clone().map(|leaf| {
        let items = prop::collection::vec(leaf.clone(), 1..6).prop_map(|items| Value::Array(Box::new(items)));
        let entries = prop::collection::btree_map("[b-e][a-z]{0,8}", leaf, 1..6).prop_map(|entries| {
            let entries = entries.into_iter().map(|(key, value)| (Value::String(key.into()), value));
            Value::Map(Box::new(entries.collect::<ValueMap>()))
        });
        prop_oneof![items, entries].boxed()
    });
    prop::strategy::Union::new(leaves.into_iter().chain(of_leaves))
}

/// Equality but for the width of integers: text is read as the narrowest.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(&**b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a.0, b.0) && same(a.1, b.1))
        }
        _ => a == b || a.as_int().is_some() && a.as_int() == b.as_int(),
    }
}

proptest! {
    #[test]
    fn json_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60), text in pieces()) {
        let _ = jackson::read(&bytes);
        if let Ok(Some(json)) = jackson::read(text.as_bytes()) {
            let _ = (json.to_value(), json.long_value(), json.double_value(), json.float_value());
        }
    }

    #[test]
    fn text_stands_for_something(text in pieces()) {
        if let Ok(Some(parsed)) = values::parse_string(&text) {
            let _ = values::to_string(&parsed.value, &Arena::default());
        }
    }

    #[test]
    fn what_connect_reads_back_is_read_back(value in readable()) {
        let text = values::to_string(&value, &Arena::default()).expect("not null");
        let parsed = values::parse_string(&text).expect("not deep").expect("not null").value;
        prop_assert!(same(&parsed, &value), "{text} was read as {parsed:?}");
    }

    #[test]
    fn dates_are_read_or_refused(pattern in "[GyMdkHmsSEDFwWahKzZYuXL' :-]{0,12}", text in pieces(), millis in any::<i64>()) {
        if let Ok(format) = JavaDateFormat::new(&pattern, 0) {
            let _ = format.parse(&text);
            let _ = format.parse(&format.format(millis));
        }
    }

    #[test]
    fn moments_are_read_back(millis in -62_000_000_000_000_i64..250_000_000_000_000) {
        for pattern in ["yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "yyyyMMddHHmmssSSS", "YYYY-ww-u HH:mm:ss.SSS", "yyyy D k m s S"] {
            // Weeks and days of 1582, which lost ten days, are counted otherwise when read, as in Java.
            prop_assume!(!(-12_244_089_600_000..-12_212_553_600_000).contains(&millis) || pattern.contains("MM"));
            let format = JavaDateFormat::new(pattern, 0).expect("a pattern");
            prop_assert_eq!(format.parse(&format.format(millis)), Some(millis), "{}", pattern);
        }
    }
}

/// Each would take minutes or overflow the stack if time were quadratic or depth unlimited.
#[test]
fn huge_text_is_read_or_refused_in_time() {
    const HUGE: usize = 20_000_000;
    let huge = |piece: &str| piece.repeat(HUGE / piece.len());
    for text in [huge("1"), huge("0"), huge("["), huge("{"), huge("{\"a\":"), huge("[1,"), format!("1e{}", huge("1"))] {
        assert!(jackson::read(text.as_bytes()).is_err() || text.starts_with('0'), "{}", &text[..5]);
    }
    for piece in ["1", "[", "{", "1,", "\"", "\\\"", "[1,", "1:", "1.", "-"] {
        let text = piece.repeat(1_000_000);
        let parsed = values::parse_string(&text);
        assert!(parsed.is_err() || parsed.is_ok_and(|parsed| parsed.is_some()), "{piece}");
    }
}
