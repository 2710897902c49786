//! What Java 17 does with a table of patterns, texts and replacements (`testdata/java_regex.jsonl`).

use serde_json::Value as Json;

use super::{JavaRegex, LONGEST_PATTERN};

fn table() -> impl Iterator<Item = Json> {
    let lines = include_str!("../../testdata/java_regex.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).expect("a line of the table"))
}

/// Patterns of the table that are refused though Java takes them, as the module's head says.
const NOT_SUPPORTED: [&str; 2] = [r"\X", r"\b{g}"];

/// Patterns whose last group is another one in Java: it counts a last round of a loop that matches nothing.
const OTHER_GROUPS: [&str; 2] = ["(a*)*", "(a*)+"];

#[test]
fn patterns_match_what_java_matches() {
    let texts = table().next().expect("the texts")["texts"].as_array().expect("texts").clone();
    let mut wrong = Vec::new();
    for line in table().filter(|line| line.get("results").is_some()) {
        let pattern = line["pattern"].as_str().expect("a pattern");
        let regex = match JavaRegex::new(pattern) {
            Ok(regex) => regex,
            Err(_) if NOT_SUPPORTED.contains(&pattern) => continue,
            Err(error) => {
                wrong.push(format!("{pattern:?} is refused: {error}"));
                continue;
            }
        };
        let results = line["results"].as_array().expect("results");
        for (text, java) in texts.iter().zip(results.chunks(2)) {
            let text = text.as_str().expect("a text");
            let matches = regex.is_match(text).expect("an answer");
            let captures = regex.part.captures(text).expect("an answer");
            let groups = captures.map_or(Json::Null, |captures| {
                captures.iter().map(|group| group.map(|group| group.as_str())).collect::<Vec<_>>().into()
            });
            if java[0] != i32::from(matches) || java[1] != groups && !OTHER_GROUPS.contains(&pattern) {
                wrong.push(format!("{pattern:?} on {text:?}: {matches} {groups}, Java {} {}", java[0], java[1]));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn patterns_are_refused_as_java_refuses_them() {
    let mut wrong = Vec::new();
    for line in table().filter(|line| line.get("error").is_some() && line.get("index").is_some()) {
        let pattern = line["pattern"].as_str().expect("a pattern");
        let message = JavaRegex::new(pattern).err().map(|error| error.to_string());
        if message.as_deref() != line["message"].as_str() {
            wrong.push(format!("{pattern:?}: {message:?}, Java {}", line["message"]));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn replacements_are_expanded_as_in_java() {
    let mut wrong = Vec::new();
    for line in table().filter(|line| line.get("replacement").is_some()) {
        let text = |name: &str| line[name].as_str().expect("text");
        let regex = JavaRegex::new(text("pattern")).expect("a pattern");
        let replaced = regex.replace_first(text("text"), text("replacement"));
        let is_same = match &replaced {
            Ok(replaced) => line["result"] == **replaced,
            Err(error) => line["error"] == *error.class && line["message"] == *error.message,
        };
        if !is_same {
            wrong.push(format!("{replaced:?}, Java {line}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn limits_are_errors() {
    assert!(JavaRegex::new(&"a".repeat(LONGEST_PATTERN + 1)).is_err());
    assert!(JavaRegex::new(&"(".repeat(5_000)).is_err());
    assert!(JavaRegex::new(&"[".repeat(5_000)).is_err());
    assert!(JavaRegex::new("(?:(?:(?:a{1000}){1000}){1000}){1000}").is_err());
    let slow = JavaRegex::new(r"(?:(a+)+\1)+b").expect("a pattern");
    let error = slow.is_match(&"a".repeat(200)).expect_err("too many steps back");
    assert_eq!(error.class, "java.lang.StackOverflowError");
}
