//! Records that fail: skipped, counted, in the dead letter topic with their headers; and what a connector asks of its topics and
//! secrets.

use anyhow::{Context as _, Result};
use deploy_e2e::{Message, wait_until};
use serde_json::Value;

use crate::cluster::{Cluster, LIMIT};

#[test]
fn good_records_arrive_and_poisoned_ones_are_dead_letters() -> Result<()> {
    let cluster = Cluster::start(1)?;
    a_sources_poisoned_line(&cluster)?;
    a_sinks_poisoned_record(&cluster)?;
    without_tolerance_the_task_fails_after_the_good_records(&cluster)
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    let name = format!("__connect.errors.{name}");
    message.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

/// A number from the worker's metrics.
fn metric(cluster: &Cluster, name: &str, connector: &str) -> Result<i64> {
    let answer = cluster.workers[0].admin()?.get("/metrics")?;
    let text = answer.body.as_str().unwrap_or_default();
    let wanted = format!("ferry_worker_{name}{{connector=\"{connector}\",task=\"0\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&wanted));
    line.and_then(|number| number.trim().parse().ok()).with_context(|| format!("{wanted} is not in\n{text}"))
}

fn a_sources_poisoned_line(cluster: &Cluster) -> Result<()> {
    cluster.write("numbers.txt", "1\n2\nzwölf\n4\n-\n6\n")?;
    let config = [
        ("connector.class", "FileStreamSource"),
        ("file", &*cluster.text("numbers.txt")),
        ("topic", "numbers"),
        ("transforms", "number"),
        ("transforms.number.type", "org.apache.kafka.connect.transforms.Cast$Value"),
        ("transforms.number.spec", "int32"),
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter.schemas.enable", "false"),
        ("errors.tolerance", "all"),
        ("errors.log.enable", "true"),
        ("errors.deadletterqueue.topic.name", "dead-lines"),
        ("errors.deadletterqueue.topic.replication.factor", "1"),
        ("topic.creation.default.partitions", "3"),
        ("topic.creation.default.replication.factor", "1"),
        ("topic.creation.default.retention.ms", "3600000"),
    ];
    cluster.control_plane.rest()?.put_config("numbers", &config)?;
    let kcat = cluster.kafka.kcat();
    let mut values: Vec<_> = kcat.consume("numbers", 4, LIMIT)?.into_iter().filter_map(|found| found.value).collect();
    values.sort();
    assert_eq!(values, ["1", "2", "4", "6"]);
    assert!(kcat.run(&["-L", "-t", "numbers"], b"")?.contains("with 3 partitions"));

    let dead = kcat.consume("dead-lines", 2, LIMIT)?;
    let first: Value = serde_json::from_str(dead[0].value.as_deref().unwrap_or_default())?;
    assert_eq!(first["topic"], "numbers");
    assert_eq!(first["value"]["payload"], "zwölf");
    assert_eq!(first["value"]["schema"]["type"], "string");
    assert_eq!(first["sourcePartition"]["filename"], cluster.text("numbers.txt"));
    assert_eq!(first["sourceOffset"]["position"], "1\n2\nzwölf\n".len());
    for (name, value) in [
        ("connector.name", "numbers"),
        ("task.id", "0"),
        ("stage", "TRANSFORMATION"),
        ("class.name", "org.apache.kafka.connect.transforms.Cast$Value"),
        ("exception.class.name", "org.apache.kafka.connect.errors.DataException"),
    ] {
        assert_eq!(header(&dead[0], name), Some(value), "{dead:?}");
    }
    assert!(header(&dead[0], "exception.message").is_some_and(|text| text.contains("zwölf")), "{dead:?}");
    assert!(header(&dead[0], "exception.stacktrace").is_some_and(|text| text.contains("transform number")), "{dead:?}");

    wait_until(LIMIT, "the source's metrics", || Ok(metric(cluster, "task_records", "numbers")? == 4))?;
    for (name, count) in
        [("task_record_errors", 2), ("task_records_skipped", 2), ("task_dead_letters", 2), ("task_errors_logged", 2)]
    {
        assert_eq!(metric(cluster, name, "numbers")?, count, "{name}");
    }
    // Offsets are committed past the dead letters.
    let position = cluster.size("numbers.txt").to_string();
    wait_until(LIMIT, "the offset after the last line", || {
        let described = cluster.cli()?.succeed(&["describe", "connector", "numbers"])?;
        Ok(described.contains(&format!("\"position\":{position}")) || described.contains(&position))
    })
}

fn a_sinks_poisoned_record(cluster: &Cluster) -> Result<()> {
    let kcat = cluster.kafka.kcat();
    kcat.produce_keyed("raw", &[("a", "{\"n\":1}"), ("b", "not json"), ("c", "{\"n\":3}")])?;
    let config = [
        ("connector.class", "FileStreamSink"),
        ("file", &*cluster.text("sink.txt")),
        ("topics", "raw"),
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter.schemas.enable", "false"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dead-records"),
        ("errors.deadletterqueue.topic.replication.factor", "1"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
    ];
    cluster.control_plane.rest()?.put_config("records", &config)?;
    wait_until(LIMIT, "the good records", || Ok(cluster.size("sink.txt") >= "{n=1}\n{n=3}\n".len() as u64))?;
    assert_eq!(String::from_utf8(cluster.read("sink.txt")?)?, "{n=1}\n{n=3}\n");
    let dead = kcat.consume("dead-records", 1, LIMIT)?;
    assert_eq!((dead[0].key.as_deref(), dead[0].value.as_deref()), (Some("b"), Some("not json")));
    for (name, value) in [
        ("topic", "raw"),
        ("partition", "0"),
        ("offset", "1"),
        ("stage", "VALUE_CONVERTER"),
        ("class.name", "org.apache.kafka.connect.json.JsonConverter"),
        ("exception.class.name", "org.apache.kafka.connect.errors.DataException"),
    ] {
        assert_eq!(header(&dead[0], name), Some(value), "{dead:?}");
    }
    wait_until(LIMIT, "the sink's metrics", || Ok(metric(cluster, "task_record_errors", "records")? == 1))?;
    Ok(())
}

fn without_tolerance_the_task_fails_after_the_good_records(cluster: &Cluster) -> Result<()> {
    let config = [
        ("connector.class", "FileStreamSink"),
        ("file", &*cluster.text("strict.txt")),
        ("topics", "raw"),
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter.schemas.enable", "false"),
    ];
    let rest = cluster.control_plane.rest()?;
    rest.put_config("strict", &config)?;
    wait_until(LIMIT, "the failure", || {
        let status = rest.status("strict")?;
        let trace = status["tasks"][0]["trace"].as_str().unwrap_or_default().to_owned();
        Ok(trace.contains("Tolerance exceeded in error handler")
            && trace.contains("raw-0@1")
            && trace.contains("VALUE_CONVERTER"))
    })?;
    assert_eq!(String::from_utf8(cluster.read("strict.txt")?)?, "{n=1}\n");
    Ok(())
}

#[test]
fn secrets_stay_on_the_worker() -> Result<()> {
    let properties = [
        ("config.providers", "file"),
        ("config.providers.file.class", "org.apache.kafka.common.config.provider.FileConfigProvider"),
        ("connector.client.config.override.policy", "Principal"),
    ];
    let cluster = Cluster::start_with(1, &properties)?;
    cluster.write("secrets.properties", "topic=hidden-topic-name\nfile=hidden-file-name")?;
    cluster.write("in.txt", "a line\n")?;
    let reference = |key: &str| format!("${{file:{}:{key}}}", cluster.text("secrets.properties"));
    let rest = cluster.control_plane.rest()?;
    let config =
        [("connector.class", "FileStreamSource"), ("file", &*cluster.text("in.txt")), ("topic", &*reference("topic"))];
    rest.put_config("secret", &config)?;
    assert_eq!(cluster.kafka.kcat().consume("hidden-topic-name", 1, LIMIT)?[0].value.as_deref(), Some("a line"));

    // A failure that would show it, a refusal, and an absent file.
    let failing = [
        ("connector.class", "FileStreamSink"),
        ("file", &*format!("{}/no-folder/{}", cluster.folder.path().display(), reference("file"))),
        ("topics", "other"),
    ];
    rest.put_config("failing", &failing)?;
    wait_until(LIMIT, "the failure", || Ok(rest.status("failing")?["tasks"][0]["trace"].is_string()))?;
    let trace = rest.status("failing")?["tasks"][0]["trace"].to_string();
    assert!(trace.contains("no-folder") && trace.contains("secrets.properties:file"), "{trace}");
    let mut refused = serde_json::json!({"connector.class": "FileStreamSource", "file": cluster.text("in.txt")});
    refused["topic"] = "${file:/no/such/file:topic}".into();
    let refusal = |config: &Value| -> Result<String> {
        let answer = rest.request(reqwest::Method::PUT, "/connectors/refused/config", Some(config))?;
        assert_eq!(answer.status, 400, "{:?}", answer.body);
        Ok(answer.body["message"].to_string())
    };
    let text = refusal(&refused)?;
    assert!(text.contains("/no/such/file"), "{text}");
    refused["topic"] = "t".into();
    refused["producer.override.acks"] = "1".into();
    let text = refusal(&refused)?;
    assert!(text.contains("'Principal' policy") && text.contains("acks"), "{text}");

    for path in
        ["/connectors/secret", "/connectors/secret/tasks", "/connectors/secret/status", "/connectors/failing/status"]
    {
        let text = rest.get(path)?.body.to_string();
        assert!(!text.contains("hidden-file-name"), "{path}: {text}");
    }
    assert!(cluster.etcd.has_stored("secrets.properties:topic")?, "the reference is stored");
    for secret in ["hidden-topic-name", "hidden-file-name"] {
        assert!(!cluster.etcd.has_stored(secret)?, "{secret} is stored");
    }
    Ok(())
}
