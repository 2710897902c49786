//! Config providers: values that go stale, and secrets in what is reported.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use data_plane_connector_api::{Config, ConfigData, ConfigDef, ConfigProvider, ConnectError, Factory};

use super::harness::{Worker, eventually};
use super::sources::{Script, factory, numbers, stored_offsets, worker};
use super::troubles::TOUCHY;
use crate::task::RunState;

/// Gives `hunter2-<key>` for each key; a path `stale` lives for a moment.
#[derive(Default)]
struct Provider;

impl ConfigProvider for Provider {
    fn configure(&mut self, _: &Config) -> Result<(), ConnectError> {
        Ok(())
    }
    fn config_def(&self) -> ConfigDef {
        ConfigDef::default()
    }
    fn get(&mut self, path: &str, keys: Option<&[String]>) -> Result<ConfigData, ConnectError> {
        let data = keys.unwrap_or_default().iter().map(|key| (key.clone(), format!("hunter2-{key}"))).collect();
        Ok(ConfigData { data, ttl: (path == "stale").then_some(Duration::from_millis(1)) })
    }
}

fn with_provider(mut worker: Worker, script: &Arc<Script>) -> Worker {
    worker.settings.insert("config.providers".to_owned(), "p".to_owned());
    worker.settings.insert("config.providers.p.class".to_owned(), "test.Provider".to_owned());
    let provider = Factory::config_provider(Provider::default);
    worker.restart_with(factory(script), &[("test.Provider", provider)]);
    worker
}

#[tokio::test]
async fn a_task_whose_values_are_stale_goes_on_under_the_same_epoch() {
    let (worker, script) = worker(25);
    let worker = with_provider(worker, &script);
    let mut unit = worker.spawn(worker.spec(Some(0), &[("password", "${p:stale:key}")]));
    unit.until(RunState::Running).await;
    unit.until(RunState::Starting).await;
    script.limit.store(40, Ordering::Relaxed);
    unit.until(RunState::Running).await;
    eventually("40 records", || worker.values("numbers").len() == 40).await;
    unit.stop().await;
    assert_eq!(worker.values("numbers"), numbers(1..=40));
    assert_eq!(script.started_at.lock()[..2], [0, 25]);
    let stored: Vec<_> = worker.broker.records("offsets").into_iter().flatten().collect();
    assert!(stored.iter().all(|record| record.headers == [("ferry.epoch".to_owned(), Some(b"1.1".to_vec()))]));
    assert_eq!(stored_offsets(&worker).last().unwrap(), r#"{"n":40}"#);
}

#[tokio::test]
async fn secrets_are_masked_in_failures_and_dead_letters() {
    let (worker, script) = worker(1);
    let worker = with_provider(worker, &script);
    worker.touchy.fail("1", ConnectError::data("no login with hunter2-key").caused_by("c.X", "hunter2-key is wrong"));
    let lines = [
        ("password", "${p:x:key}"),
        ("errors.deadletterqueue.topic.name", "dead"),
        ("errors.deadletterqueue.topic.replication.factor", "1"),
    ];
    let failure = worker.spawn(worker.spec(Some(0), &[&TOUCHY[..], &lines].concat())).failure().await;
    assert!(!failure.contains("hunter2") && failure.contains("no login with ${p:x:key}"), "{failure}");
    let letters = worker.broker.records("dead").into_iter().flatten().collect::<Vec<_>>();
    let texts: String = letters[0]
        .headers
        .iter()
        .map(|(_, value)| String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned())
        .collect();
    assert!(!texts.contains("hunter2") && texts.contains("no login with ${p:x:key}"), "{texts}");
}
