//! What validation finds before a connector runs: each mistake at its key.

use super::harness::config;
use crate::plugins::built_in;
use crate::validate::validate;

/// Keys with errors, with their texts.
fn errors(class: &str, lines: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut all = config(&[("name", "c"), ("connector.class", class), ("file", "/tmp/x")]);
    all.extend(config(lines));
    let result = validate(&built_in(), None, &all).unwrap();
    let infos: serde_json::Value = serde_json::from_str(&result.config_infos_json).unwrap();
    let values = infos["configs"].as_array().unwrap().iter().map(|entry| &entry["value"]);
    let errors = values.flat_map(|value| {
        let texts = value["errors"].as_array().unwrap().iter();
        texts.map(|text| (value["name"].as_str().unwrap().to_owned(), text.as_str().unwrap().to_owned()))
    });
    errors.collect()
}

#[test]
fn each_mistake_is_found_at_its_key() {
    const CAST: (&str, &str) = ("transforms.cast.type", "org.apache.kafka.connect.transforms.Cast$Value");
    let source = |lines: &[(&str, &str)]| errors("FileStreamSource", &[&[("topic", "t")], lines].concat());
    let sink = |lines: &[(&str, &str)]| errors("FileStreamSink", lines);
    let creation = [("topic.creation.default.partitions", "1"), ("topic.creation.default.replication.factor", "1")];
    assert_eq!(source(&[]), []);
    assert_eq!(sink(&[("topics", "t")]), []);
    for (found, key) in [
        (
            source(&[
                ("transforms", "cast"),
                CAST,
                ("transforms.cast.spec", "a:int32"),
                ("transforms.cast.predicate", "nobody"),
            ]),
            "transforms.cast.predicate",
        ),
        (source(&[("transforms", "cast"), CAST, ("transforms.cast.spec", "a:int33")]), "transforms.cast.spec"),
        (source(&[("transforms", "x"), ("transforms.x.type", "NoSuchTransform")]), "transforms.x.type"),
        (source(&[&creation[..], &[("topic.creation.groups", "g")]].concat()), "topic.creation.g.include"),
        (
            source(&[&creation[..], &[("topic.creation.groups", "g"), ("topic.creation.g.include", "(")]].concat()),
            "topic.creation.g.include",
        ),
        (source(&[("topic.creation.default.partitions", "1")]), "topic.creation.default.replication.factor"),
        (source(&[("producer.override.linger.ms", "soon")]), "producer.override.linger.ms"),
        (sink(&[("topics", "t"), ("consumer.override.fetch.min.bytes", "many")]), "consumer.override.fetch.min.bytes"),
        (sink(&[("topics.regex", "d.*"), ("errors.deadletterqueue.topic.name", "dead")]), "topics.regex"),
        (
            sink(&[("topics", "t"), ("errors.deadletterqueue.topic.replication.factor", "many")]),
            "errors.deadletterqueue.topic.replication.factor",
        ),
        (sink(&[("topics", "t"), ("errors.tolerance", "some")]), "errors.tolerance"),
    ] {
        let keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, [key], "{found:?}");
    }
}
