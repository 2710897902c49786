//! The common keys and their validation against what Kafka Connect 4.3 says.

use serde_json::Value as Json;

use super::*;

#[test]
fn definitions_are_those_of_connect() {
    let text = include_str!("../../testdata/common_config_defs.jsonl");
    for line in text.lines() {
        let case: Json = serde_json::from_str(line).expect("a case");
        let component = case["component"].as_str().expect("a class");
        let definition = match component.rsplit('.').next() {
            Some("ConnectorConfig") => connector_config_def(),
            Some("SourceConnectorConfig") => source_config_def(),
            Some("SinkConnectorConfig") => sink_config_def(),
            other => panic!("class {other:?}"),
        };
        let expected = case["expect"]["output"].as_array().expect("keys");
        let keys = serde_json::to_value(&definition.keys).expect("JSON");
        let keys = keys.as_array().expect("keys");
        assert_eq!(keys.len(), expected.len(), "{component}");
        for (key, expected) in keys.iter().zip(expected) {
            for (name, value) in expected.as_object().expect("a key") {
                assert_eq!(&key[name], value, "{name} of {}", expected["name"]);
            }
        }
    }
    assert_eq!(text.lines().count(), 3);
}

fn errors(values: Vec<ConfigValue>, name: &str) -> Vec<String> {
    values.into_iter().find(|value| value.name == name).expect("the key").errors
}

fn config(name: &str, value: &str) -> Config {
    Config::from([(name.to_owned(), value.to_owned())])
}

#[test]
fn errors_read_as_in_connect() {
    let cases = [
        ("tasks.max", "2.5", "Invalid value 2.5 for configuration tasks.max: Not a number of type INT"),
        ("tasks.max", "0", "Invalid value 0 for configuration tasks.max: Value must be at least 1"),
        ("name", " ", "Invalid value  for configuration name: String may not be empty"),
        (
            "name",
            "a\u{1}b",
            "Invalid value a\u{1}b for configuration name: String may not contain control sequences but had the following \
             ASCII chars: 1",
        ),
        (
            "errors.tolerance",
            "ALL",
            "Invalid value ALL for configuration errors.tolerance: String must be one of: none, all",
        ),
        (
            "errors.log.enable",
            "yes",
            "Invalid value yes for configuration errors.log.enable: Expected value to be either true or false",
        ),
        (
            "errors.retry.timeout",
            "abc",
            "Invalid value abc for configuration errors.retry.timeout: Not a number of type LONG",
        ),
        ("transforms", "a, a", "Invalid value [a, a] for configuration transforms: Duplicate alias provided."),
        (
            "exactly.once.support",
            "sometimes",
            "Invalid value sometimes for configuration exactly.once.support: String must be one of (case insensitive): \
             REQUIRED, REQUESTED",
        ),
    ];
    for (name, value, expected) in cases {
        assert_eq!(errors(validate_source(&config(name, value)), name)[0], expected);
    }
    assert_eq!(
        errors(validate_source(&config("tasks.max", "x")), "tasks.max")[1],
        "Invalid value null for configuration tasks.max: Value must be non-null"
    );
    assert_eq!(
        errors(validate_source(&Config::new()), "name"),
        ["Missing required configuration \"name\" which has no default value."]
    );
    assert!(errors(validate_source(&Config::new()), "transaction.boundary.interval.ms").is_empty());
}

#[test]
fn a_sink_names_its_topics_one_way() {
    assert_eq!(errors(validate_sink(&Config::new()), "topics"), ["Must configure one of topics or topics.regex"]);
    assert!(errors(validate_sink(&config("topics", "a,b")), "topics").is_empty());
    assert_eq!(
        errors(validate_sink(&config("topics", "a,a")), "topics"),
        ["Configuration 'topics' values must not be duplicated."]
    );
    assert_eq!(
        errors(validate_sink(&config("topics", "a,")), "topics"),
        ["Configuration 'topics' values must not be empty."]
    );
}
