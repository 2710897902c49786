//! Kafka seen from outside, through kcat.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::places::kcat_program;
use crate::wait::wait_for;

/// A record as kcat prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The partition.
    pub partition: i64,
    /// The offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970; -1 where there is none.
    pub timestamp_ms: i64,
    /// The key, as text; `None` is Kafka's null.
    pub key: Option<String>,
    /// The value, as text; `None` is Kafka's null.
    pub value: Option<String>,
    /// Header names and values, in order.
    pub headers: Vec<(String, String)>,
}

/// A Kafka cluster to talk to. Each call is a run of kcat. Reading sees committed records only, and only UTF-8 is read right.
#[derive(Clone, Debug)]
pub struct Kcat {
    bootstrap: String,
}

impl Kcat {
    /// `bootstrap` is `host:port[,host:port]`.
    pub fn new(bootstrap: &str) -> Self {
        Self { bootstrap: bootstrap.to_owned() }
    }

    /// Writes records without keys, one a line, and waits for their acknowledgement.
    pub fn produce(&self, topic: &str, values: &[&str]) -> Result<()> {
        self.run(&["-P", "-t", topic], values.join("\n").as_bytes()).map(drop)
    }

    /// Writes records with keys; neither part may hold a tab or a line end. An empty value is written as Kafka's null.
    pub fn produce_keyed(&self, topic: &str, records: &[(&str, &str)]) -> Result<()> {
        let lines: Vec<String> = records.iter().map(|(key, value)| format!("{key}\t{value}")).collect();
        self.run(&["-P", "-t", topic, "-K", "\t", "-Z"], lines.join("\n").as_bytes()).map(drop)
    }

    /// All records of the topic up to its end as it is now; none if the topic does not exist.
    pub fn read_all(&self, topic: &str) -> Result<Vec<Message>> {
        if !self.topics()?.iter().any(|name| name == topic) {
            return Ok(Vec::new());
        }
        let lines = self.run(&["-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J"], b"")?;
        lines.lines().map(parse).collect()
    }

    /// Waits until the topic has `count` records or more, and returns all of them.
    pub fn consume(&self, topic: &str, count: usize, limit: Duration) -> Result<Vec<Message>> {
        wait_for(limit, &format!("{count} records in {topic}"), || {
            let messages = self.read_all(topic)?;
            ensure!(messages.len() >= count, "{topic} has {} records", messages.len());
            Ok(Some(messages))
        })
    }

    /// The number of records that can be read now.
    pub fn count(&self, topic: &str) -> Result<usize> {
        Ok(self.read_all(topic)?.len())
    }

    /// The offset that the next record of the partition will have; cheap.
    pub fn end_offset(&self, topic: &str, partition: u32) -> Result<u64> {
        let answer = self.run(&["-Q", "-t", &format!("{topic}:{partition}:-1")], b"")?;
        let offset = answer.trim().rsplit(' ').next().and_then(|word| word.parse().ok());
        offset.with_context(|| format!("kcat -Q answered {answer:?}"))
    }

    /// The names of all topics, the cluster's own included.
    pub fn topics(&self) -> Result<Vec<String>> {
        let answer: Value = serde_json::from_str(&self.run(&["-L", "-J"], b"")?).context("kcat -L -J")?;
        let topics = answer["topics"].as_array().context("kcat -L -J has no topics")?;
        Ok(topics.iter().filter_map(|topic| Some(topic["topic"].as_str()?.to_owned())).collect())
    }

    /// Runs kcat with these arguments and this input, and returns what it printed.
    pub fn run(&self, args: &[&str], input: &[u8]) -> Result<String> {
        let mut child = Command::new(kcat_program())
            .args(["-b", &self.bootstrap])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting kcat (deploy/local/install installs it)")?;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(input).context("writing to kcat")?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("kcat {} failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// One line of `kcat -J`.
fn parse(line: &str) -> Result<Message> {
    let record: Value = serde_json::from_str(line).with_context(|| format!("kcat printed {line:?}"))?;
    let text = |field: &Value| field.as_str().map(str::to_owned);
    // Headers are one flat list: name, value, name, value.
    let headers: Vec<String> =
        record["headers"].as_array().into_iter().flatten().map(|part| text(part).unwrap_or_default()).collect();
    Ok(Message {
        partition: record["partition"].as_i64().context("no partition")?,
        offset: record["offset"].as_i64().context("no offset")?,
        timestamp_ms: record["ts"].as_i64().unwrap_or(-1),
        key: text(&record["key"]),
        value: text(&record["payload"]),
        headers: headers.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_nulls_are_read() {
        let line = r#"{"topic":"t","partition":2,"offset":7,"tstype":"create","ts":5,"broker":1,"headers":["a","1","b","2"],"key":null,"payload":"v"}"#;
        let expected = Message {
            partition: 2,
            offset: 7,
            timestamp_ms: 5,
            key: None,
            value: Some("v".into()),
            headers: vec![("a".into(), "1".into()), ("b".into(), "2".into())],
        };
        assert_eq!(parse(line).expect("parsed"), expected);
    }
}
