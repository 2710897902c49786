//! What Java 17 does with a table of patterns, moments and texts (`testdata/java_date_format.tsv`).

use super::JavaDateFormat;

/// The moment that the table's two-digit years are relative to.
const NOW_MS: i64 = 1_700_000_000_000;

#[test]
fn moments_are_written_and_read_as_in_java() {
    let mut wrong = Vec::new();
    for line in include_str!("../../testdata/java_date_format.tsv").lines() {
        let [what, pattern, left, right] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let format = JavaDateFormat::new(pattern, NOW_MS);
        let ours = match (what, format) {
            ("illegal", format) => format.err().map_or_else(|| "taken".to_owned(), |error| error.to_string()),
            (_, Err(error)) => error.to_string(),
            ("format", Ok(format)) => format.format(left.parse().expect("millis")),
            (_, Ok(format)) => format.parse(left).map_or_else(|| "unparseable".to_owned(), |millis| millis.to_string()),
        };
        if ours != right {
            wrong.push(format!("{line}\tbut {ours}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn two_digit_years_lie_around_now() {
    let format = JavaDateFormat::new("dd/MM/yy HH", NOW_MS).expect("a pattern");
    // 14 November 1943 was 80 years before.
    let year =
        |text: &str| JavaDateFormat::new("yyyy", 0).expect("a pattern").format(format.parse(text).expect("a date"));
    assert_eq!(
        ["13/11/43 00", "15/11/43 00", "01/01/42 00", "01/01/44 00"].map(year),
        ["2043", "1943", "2042", "1944"]
    );
}
