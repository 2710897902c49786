//! Kafka Connect's REST API: the same for Kafka Connect and for Ferry.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use reqwest::blocking::Client;
use serde_json::{Map, Value};

use crate::wait::wait_for;

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; `Null` if it is empty, a string if it is not JSON.
    pub body: Value,
}

/// A client for one server. Not for use inside an async runtime: it blocks.
#[derive(Clone, Debug)]
pub struct Rest {
    base: String,
    client: Client,
}

impl Rest {
    /// `base` is the URL without a slash at its end.
    pub fn new(base: &str) -> Result<Self> {
        Self::impatient(base, Duration::from_secs(100))
    }

    /// As [`Rest::new`], for a server that may be stopped: no answer within `limit` is an error.
    pub fn impatient(base: &str, limit: Duration) -> Result<Self> {
        let client = Client::builder().timeout(limit).build().context("making an HTTP client")?;
        Ok(Self { base: base.to_owned(), client })
    }

    /// One request, whatever it answers.
    pub fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(serde_json::to_vec(body)?);
        }
        let response = request.send().with_context(|| format!("{method} {path}"))?;
        let status = response.status().as_u16();
        let text = response.text()?;
        let body =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        Ok(Answer { status, body })
    }

    /// GET, whatever it answers.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.request(Method::GET, path, None)
    }

    /// Creates a connector or changes its config; an error unless the answer is 200 or 201.
    pub fn put_config(&self, connector: &str, config: &[(&str, &str)]) -> Result<Answer> {
        let config: Map<String, Value> =
            config.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
        self.expect(Method::PUT, &format!("/connectors/{connector}/config"), Some(&Value::Object(config)))
    }

    /// `pause`, `resume` or `stop`.
    pub fn put_state(&self, connector: &str, verb: &str) -> Result<Answer> {
        self.expect(Method::PUT, &format!("/connectors/{connector}/{verb}"), None)
    }

    /// Deletes a connector.
    pub fn delete(&self, connector: &str) -> Result<Answer> {
        self.expect(Method::DELETE, &format!("/connectors/{connector}"), None)
    }

    /// A connector's status.
    pub fn status(&self, connector: &str) -> Result<Value> {
        Ok(self.expect(Method::GET, &format!("/connectors/{connector}/status"), None)?.body)
    }

    /// Waits until the connector and at least `tasks` tasks of it are RUNNING, and returns the status.
    pub fn wait_running(&self, connector: &str, tasks: usize, limit: Duration) -> Result<Value> {
        wait_for(limit, &format!("{connector} RUNNING with {tasks} tasks"), || {
            let status = self.status(connector)?;
            let all = status["tasks"].as_array().context("a status without tasks")?;
            let running = all.iter().filter(|task| task["state"] == "RUNNING").count();
            let fine = status["connector"]["state"] == "RUNNING" && running >= tasks && running == all.len();
            ensure!(fine, "the last status was {status}");
            Ok(Some(status))
        })
    }

    /// A gauge or counter without labels, by its name in `/metrics`.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let answer = self.get("/metrics")?;
        let text = answer.body.as_str().unwrap_or_default();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
        value.with_context(|| format!("no {name} in {text:?}"))
    }

    fn expect(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let answer = self.request(method.clone(), path, body)?;
        ensure!((200..300).contains(&answer.status), "{method} {path} answered {}: {}", answer.status, answer.body);
        Ok(answer)
    }
}
