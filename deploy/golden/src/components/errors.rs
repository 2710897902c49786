//! Error handling: retries and tolerance, and the pipelines of sinks and sources with converters, transforms and dead letters.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use data_plane_connector_api::{Config, ConnectError, Failure, Outcome, Stage};
use data_plane_core::retry::Wait;
use data_plane_record::{Arena, RecordBatch, Span, TimestampType};
use data_plane_worker::pipeline::{
    DeadLetterSettings, ErrorCounts, ErrorPolicy, Flow, Inbound, Outbound, Place, Retrier, WireRecord, WireRecords,
    context_headers,
};
use serde_json::{Value as Json, json};

use super::{PLUGINS, config_of, records};
use crate::check::{self, Failed};
use crate::typed;

const STRING_CONVERTER: &str = "org.apache.kafka.connect.storage.StringConverter";

/// Runs a case.
pub(super) fn run(case: &Json) -> Result<(), String> {
    match case["op"].as_str() {
        Some("execute") => execute(case),
        Some("convertAndTransformRecord") => sink(case),
        Some("convertTransformedRecord") => source(case),
        other => Err(format!("op {other:?}")),
    }
}

fn same(what: &str, found: &Json, expected: &Json) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what} is {found}, Connect {expected}")) }
}

/// Compares a recorded error's class, and its cause's, where they are Connect's or Kafka's own.
fn same_error(class: &str, expected: &Json) -> Result<(), String> {
    let recorded = expected["class"].as_str().unwrap_or_default();
    match check::is_same_class(class, recorded) {
        true => Ok(()),
        false => Err(format!("fails with {class}, Connect {expected}")),
    }
}

fn thrown(error: Option<&ConnectError>, expected: Option<&Json>) -> Result<(), String> {
    match (error, expected) {
        (None, None) => Ok(()),
        (Some(error), Some(expected)) => {
            same_error(&error.class, expected)?;
            match (error.causes.first(), expected.get("cause")) {
                (Some(cause), Some(expected)) => same_error(&cause.class, expected),
                (_, None) => Ok(()),
                (None, Some(cause)) => Err(format!("has no cause, Connect {cause}")),
            }
        }
        (error, expected) => Err(format!("throws {error:?}, Connect {expected:?}")),
    }
}

/// Compares a failure with the recorded state of a processing context.
pub(super) fn failure(found: &Failure, expected: &Json) -> Result<(), String> {
    same("the stage", &found.stage.name().into(), &expected["stage"])?;
    same("the class", &found.class.as_str().into(), &expected["executing_class"])?;
    same_error(&found.cause.class, &expected["error"])
}

fn counts(found: &ErrorCounts, expected: &Json) -> Result<(), String> {
    let all = [
        ("record_failures", found.failures),
        ("record_errors", found.errors),
        ("records_skipped", found.skipped),
        ("retries", found.retries),
        ("errors_logged", found.logged),
        ("dlq_requests", found.dead_letters),
        ("dlq_failures", found.dead_letter_failures),
    ];
    let found: serde_json::Map<_, _> =
        all.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count.into())).collect();
    same("the metrics", &Json::Object(found), expected)
}

/// Whether Connect counts a failure: those of Kafka's own record are thrown past its counters.
fn is_of_the_operator(failure: &Failure) -> bool {
    !matches!(failure.stage, Stage::KafkaProduce | Stage::KafkaConsume)
}

fn error_of(kind: &str) -> ConnectError {
    match kind {
        "retriable" => ConnectError::retriable("try again"),
        "data" => ConnectError::data("bad data"),
        "connect" => ConnectError::connect("broken"),
        "runtime" => ConnectError { class: "java.lang.IllegalStateException".to_owned(), ..ConnectError::data("odd") },
        "checked" => ConnectError { class: "java.io.IOException".to_owned(), ..ConnectError::data("io") },
        _ => ConnectError {
            class: "org.apache.kafka.common.errors.TimeoutException".to_owned(),
            ..ConnectError::data("late")
        },
    }
}

/// An operation that fails so many times.
fn execute(case: &Json) -> Result<(), String> {
    let input = &case["input"];
    let policy = ErrorPolicy::parse(&config_of(case)).map_err(|error| error.message)?;
    let stage = [
        Stage::TaskPut,
        Stage::TaskPoll,
        Stage::Transformation,
        Stage::KeyConverter,
        Stage::ValueConverter,
        Stage::HeaderConverter,
        Stage::KafkaProduce,
        Stage::KafkaConsume,
    ];
    let stage = stage.into_iter().find(|stage| input["stage"] == stage.name()).ok_or("a stage")?;
    let fail_times = input["fail_times"].as_u64().unwrap_or(0);
    let (mut retrier, mut found) = (Retrier::new(policy.retry), ErrorCounts::default());
    let (mut calls, mut now, mut delays) = (0_u64, 0_i64, Vec::new());
    let cause = error_of(input["exception"].as_str().unwrap_or_default());
    let failed = loop {
        calls += 1;
        if calls > fail_times {
            break None;
        }
        match retrier.failed((0, 0), &cause, now, &mut found) {
            None => break Some(Failure { stage, class: String::new(), transform: None, cause }),
            Some(Wait::Fixed(millis)) => {
                delays.push(Json::from(millis));
                now += millis.max(0);
            }
            Some(Wait::RandomBelow(1, _)) => delays.push(0.into()),
            // Almost every random number is above what is left.
            Some(Wait::RandomBelow(max, left)) if left < max => {
                delays.push(left.into());
                now += left;
            }
            Some(Wait::RandomBelow(max, _)) => delays.push(json!({"random_below": max})),
        }
    };
    let verdict = failed.as_ref().map(|failed| policy.judge(failed));
    found.errors += u64::from(failed.is_some());
    found.skipped += u64::from(matches!(verdict, Some(Ok(()))));
    let expected = &case["expect"]["output"];
    let result = match &verdict {
        None => "ok",
        Some(Ok(())) => "skipped",
        Some(Err(_)) => "thrown",
    };
    same("the result", &result.into(), &expected["result"])?;
    thrown(verdict.as_ref().and_then(|verdict| verdict.as_ref().err()), expected.get("thrown"))?;
    same("calls", &calls.into(), &expected["calls"])?;
    let recorded = expected["delays_ms"].as_array().into_iter().flatten();
    let recorded: Vec<Json> = recorded
        .map(|delay| delay.as_str().and_then(|text| text.parse::<i64>().ok()).map_or(delay.clone(), Json::from))
        .collect();
    same("the waits", &delays.into(), &recorded.into())?;
    counts(&found, &expected["metrics"])
}

/// A consumed record, its bytes in the arena of the batch.
struct Consumed {
    topic: Arc<str>,
    input: Json,
    key: Option<Span>,
    value: Option<Span>,
    headers: Vec<(Span, Option<Span>)>,
}

impl Consumed {
    fn new(input: &Json, arena: &mut Arena) -> Self {
        let mut wire = |json: &Json| optional_bytes(json).map(|bytes| arena.push(&bytes));
        let (key, value) = (wire(&input["key"]), wire(&input["value"]));
        let headers = input["headers"].as_array().into_iter().flatten();
        let headers = headers.map(|header| {
            let value = optional_bytes(&header[1]).map(|bytes| arena.push(&bytes));
            (arena.push(header[0].as_str().unwrap_or_default().as_bytes()), value)
        });
        let headers = headers.collect();
        Self { topic: input["topic"].as_str().unwrap_or_default().into(), input: input.clone(), key, value, headers }
    }
}

fn optional_bytes(json: &Json) -> Option<Vec<u8>> {
    (json["type"] != "null").then(|| typed::bytes(json))
}

impl WireRecords for Consumed {
    fn len(&self) -> usize {
        1
    }

    fn record(&self, _: usize) -> WireRecord<'_> {
        let kind = match self.input["timestamp_type"].as_str() {
            Some("CreateTime") => TimestampType::CreateTime,
            Some("LogAppendTime") => TimestampType::LogAppendTime,
            _ => TimestampType::NoTimestampType,
        };
        WireRecord {
            topic: &self.topic,
            partition: self.input["partition"].as_i64().unwrap_or_default() as i32,
            offset: typed::optional_integer(&self.input["offset"]).unwrap_or_default(),
            timestamp: (typed::optional_integer(&self.input["timestamp"]), kind),
            key: self.key,
            value: self.value,
            headers: Range { start: 0, end: self.headers.len() },
        }
    }

    fn header(&self, index: usize) -> (Span, Option<Span>) {
        self.headers[index]
    }
}

fn timestamp(input: &Json) -> Option<i64> {
    typed::optional_integer(&input["timestamp"]).filter(|millis| *millis >= 0)
}

/// The worker's defaults in these cases.
fn worker() -> Config {
    [("key.converter", STRING_CONVERTER), ("value.converter", "org.apache.kafka.connect.json.JsonConverter")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn sink(case: &Json) -> Result<(), String> {
    let config = config_of(case);
    let mut batch = RecordBatch::new();
    let consumed = Consumed::new(&case["input"], &mut batch.arena);
    let done = Inbound::new(&PLUGINS, &worker(), &config).map_err(Failed::configure);
    let letters = DeadLetterSettings::parse(&config).map_err(|error| error.message)?;
    check::outcome(case, done, |mut pipeline, expected| {
        let mut now = 0;
        pipeline.begin();
        while let Flow::Wait(pause) = pipeline.run(&consumed, &mut batch, now) {
            now += pause.max(Duration::from_millis(1)).as_millis() as i64;
        }
        let mut found = pipeline.counts;
        let failed = match pipeline.outcomes().first() {
            Some(Outcome::Failed(failure)) => Some(failure),
            _ => None,
        };
        let verdict = failed.map(|failure| pipeline.policy().judge(failure));
        found.errors += u64::from(failed.is_some_and(|failure| is_of_the_operator(failure)));
        found.skipped += u64::from(matches!(verdict, Some(Ok(()))));
        thrown(verdict.as_ref().and_then(|verdict| verdict.as_ref().err()), expected.get("thrown"))?;
        match (failed, expected["record"].is_null()) {
            (None, false) => records::check(&batch, &expected["record"])?,
            (None, true) if pipeline.outcomes() == [Outcome::Dropped] => {}
            (None, true) => return Err("gives a record, Connect none".to_owned()),
            (Some(_), true) => {}
            (Some(failure), false) => return Err(format!("fails: {failure:?}")),
        }
        if let Some(expected) = expected.get("failure") {
            let mut last = failed.cloned().ok_or("does not fail")?;
            // Connect's context moves on to the last converter asked for.
            if verdict.as_ref().is_some_and(Result::is_ok)
                && matches!(last.stage, Stage::KeyConverter | Stage::ValueConverter)
            {
                last.stage = Stage::HeaderConverter;
                last.class = expected["executing_class"].as_str().unwrap_or_default().to_owned();
            }
            super::errors::failure(&last, expected)?;
        }
        let mut dlq = Vec::new();
        if let (Some(letters), Some(failure)) = (&letters, failed) {
            found.dead_letters += 1;
            let (partition, offset) = (consumed.record(0).partition, consumed.record(0).offset);
            let place =
                Place { connector: "conn", task: 0, topic: &consumed.topic, consumed: Some((partition, offset)) };
            let context = if letters.has_context_headers { context_headers(place, failure) } else { Vec::new() };
            dlq.push((letters.topic.clone(), context));
        }
        counts(&found, &expected["metrics"])?;
        dead_letters(&dlq, &case["input"], &expected["dlq"])
    })
}

type Headers = Vec<(String, Option<Vec<u8>>)>;

fn dead_letters(found: &[(String, Headers)], input: &Json, expected: &Json) -> Result<(), String> {
    let expected: Vec<_> = expected.as_array().into_iter().flatten().collect();
    same("the number of dead letters", &found.len().into(), &expected.len().into())?;
    for ((topic, context), expected) in found.iter().zip(expected) {
        same("the dead letter's topic", &topic.as_str().into(), &expected["topic"])?;
        same("the dead letter's timestamp", &timestamp(input).into(), &expected["timestamp"])?;
        for part in ["key", "value"] {
            if optional_bytes(&input[part]) != optional_bytes(&expected[part]) {
                return Err(format!("the dead letter's {part} differs"));
            }
        }
        let own = input["headers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|header| (header[0].as_str().unwrap_or_default().to_owned(), optional_bytes(&header[1])));
        let all: Headers = own.chain(context.iter().cloned()).collect();
        let recorded: Vec<_> = expected["headers"].as_array().into_iter().flatten().collect();
        same("the number of headers", &all.len().into(), &recorded.len().into())?;
        for ((name, value), recorded) in all.iter().zip(recorded) {
            same("a header's name", &name.as_str().into(), &recorded[0])?;
            same_header(name, value.as_deref(), &recorded[1])?;
        }
    }
    Ok(())
}

fn same_header(name: &str, value: Option<&[u8]>, recorded: &Json) -> Result<(), String> {
    let text = value.map(String::from_utf8_lossy);
    // Texts of errors are compared loosely, their classes not.
    if name == "__connect.errors.exception.message" {
        return Ok(());
    }
    if let Some(first) = recorded["first_line"].as_str() {
        let class = first.split(':').next().unwrap_or_default();
        return match text.as_deref().is_some_and(|text| text.starts_with(class))
            || !class.starts_with("org.apache.kafka.")
        {
            true => Ok(()),
            false => Err(format!("header {name} is {text:?}, Connect {first:?}")),
        };
    }
    let recorded = optional_bytes(recorded);
    let is_accident = name == "__connect.errors.exception.class.name"
        && recorded.as_ref().is_some_and(|class| !class.starts_with(b"org.apache.kafka."));
    match is_accident || value == recorded.as_deref() {
        true => Ok(()),
        false => Err(format!("header {name} is {text:?}, Connect {:?}", recorded.map(String::from_utf8))),
    }
}

fn source(case: &Json) -> Result<(), String> {
    let config = config_of(case);
    let mut batch = records::batch(&case["input"]);
    let done = Outbound::new(&PLUGINS, &worker(), &config).map_err(Failed::configure);
    check::outcome(case, done, |mut pipeline, expected| {
        let mut now = 0;
        pipeline.begin(&batch);
        while let Flow::Wait(pause) = pipeline.run(&mut batch, now) {
            now += pause.max(Duration::from_millis(1)).as_millis() as i64;
        }
        let mut found = pipeline.counts;
        let failed = match &pipeline.outcomes()[0] {
            Outcome::Failed(failure) => Some(failure),
            _ => None,
        };
        let verdict = failed.map(|failure| pipeline.policy().judge(failure));
        found.errors += u64::from(failed.is_some_and(|failure| is_of_the_operator(failure)));
        found.skipped += u64::from(matches!(verdict, Some(Ok(()))));
        thrown(verdict.as_ref().and_then(|verdict| verdict.as_ref().err()), expected.get("thrown"))?;
        if let Some(expected) = expected.get("failure") {
            let mut last = failed.cloned().ok_or("does not fail")?;
            if verdict.as_ref().is_some_and(Result::is_ok)
                && matches!(last.stage, Stage::KeyConverter | Stage::HeaderConverter)
            {
                last.stage = Stage::ValueConverter;
                last.class = expected["executing_class"].as_str().unwrap_or_default().to_owned();
            }
            super::errors::failure(&last, expected)?;
        }
        counts(&found, &expected["metrics"])?;
        let is_produced = pipeline.outcomes()[0].is_ok();
        match (is_produced, expected["produced"].is_null()) {
            (false, true) => Ok(()),
            (true, false) => produced(&pipeline, &batch, &expected["produced"]),
            _ => Err(format!("produced: {is_produced}, Connect {}", expected["produced"])),
        }
    })
}

fn produced(pipeline: &Outbound, batch: &RecordBatch, expected: &Json) -> Result<(), String> {
    let (wire, row) = (&pipeline.rows()[0], &batch.rows()[0]);
    let topic = batch.head_of(0).map(|head| head.topic.to_string());
    same("the topic", &topic.into(), &expected["topic"])?;
    same("the partition", &row.partition().into(), &expected["partition"])?;
    same("the timestamp", &row.timestamp_ms().into(), &expected["timestamp"])?;
    let bytes = |span: Option<Span>| span.map(|span| batch.arena.get(span).to_vec());
    let shown = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    for (part, found) in [("key", bytes(wire.key)), ("value", bytes(wire.value))] {
        let recorded = optional_bytes(&expected[part]);
        if found != recorded {
            return Err(format!("the {part} is {:?}, Connect {:?}", shown(&found), shown(&recorded)));
        }
    }
    let recorded: Vec<_> = expected["headers"].as_array().into_iter().flatten().collect();
    let headers = pipeline.headers(wire);
    same("the number of headers", &headers.len().into(), &recorded.len().into())?;
    for ((name, value), recorded) in headers.iter().zip(recorded) {
        same("a header's name", &String::from_utf8_lossy(batch.arena.get(*name)).into(), &recorded[0])?;
        if bytes(*value) != optional_bytes(&recorded[1]) {
            return Err(format!("a header's value is {:?}, Connect {recorded}", shown(&bytes(*value))));
        }
    }
    Ok(())
}
