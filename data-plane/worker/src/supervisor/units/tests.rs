//! Units on the in-memory broker: restarts by policy, stops that hang.

use super::*;
use crate::task::tests::{
    harness::{DEADLINE, Worker, eventually},
    sinks::{self, Script},
};
use std::sync::atomic::{AtomicBool, Ordering};

struct Up {
    worker: Worker,
    script: Arc<Script>,
    settings: SettingsTable,
    units: Units,
    events: mpsc::Receiver<(UnitName, Epoch, TaskEvent)>,
    /// The latest report of the unit.
    told: wire::UnitReport,
}

const EPOCH: Epoch = Epoch { incarnation: 1, counter: 1 };

fn unit() -> UnitName {
    UnitName { connector_uid: "u".to_owned(), task: Some(0) }
}

/// A sink task that may not be cut off.
fn start(worker_properties: &[(&str, &str)], connector_config: &[(&str, &str)]) -> Up {
    let (mut worker, script) = sinks::worker();
    let owned = |lines: &[(&str, &str)]| {
        lines.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
    };
    worker.settings.extend(owned(worker_properties));
    let settings = WorkerSettings::parse("default", &worker.settings).map_err(|error| error.to_string());
    let settings = SettingsTable::from([("default".to_owned(), settings.map(Arc::new))]);
    let (sender, events) = mpsc::channel(64);
    let mut units = Units::new(worker.runtime.clone(), Guard::default(), sender);
    let mut config = owned(&[("connector.class", "Scripted"), ("topics", "t")]);
    config.extend(owned(connector_config));
    let work = Work {
        connector: "c".to_owned(),
        connector_config: config,
        config_generation: 1,
        task_config: BTreeMap::new(),
        settings_id: "default".to_owned(),
    };
    let assigned = Assigned {
        unit: unit(),
        epoch: EPOCH,
        revoking: false,
        target: Target::Running,
        target_generation: 1,
        severable: false,
        outlives_lease: false,
        work: Arc::new(work),
    };
    worker.append("t", &["a"]);
    units.start(assigned, &settings);
    units.confirm(&unit(), EPOCH);
    Up { worker, script, settings, units, events, told: wire::UnitReport::default() }
}

impl Up {
    /// Lives on until a report is as wanted.
    async fn until(&mut self, what: &str, wanted: impl Fn(&wire::UnitReport) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            for (_, _, report) in self.units.take_reports() {
                self.told = report;
                if wanted(&self.told) {
                    return;
                }
            }
            assert!(Instant::now() < deadline, "{what}: {:?}", self.told);
            self.live().await;
        }
    }

    /// What the supervisor does between two ticks.
    async fn live(&mut self) {
        if let Ok(Some((unit, epoch, event))) = tokio::time::timeout(Duration::from_millis(5), self.events.recv()).await
        {
            self.units.event(&unit, epoch, event);
        }
        self.units.restart_due(&self.settings);
        self.units.look();
    }

    fn fail_puts(&self, times: usize) {
        *self.script.refusals.lock() = (0..times).map(|at| ConnectError::data(format!("no {at}"))).collect();
    }
}

fn is_running(report: &wire::UnitReport) -> bool {
    report.state() == wire::RunState::Running
}

fn is_failed(report: &wire::UnitReport) -> bool {
    report.state() == wire::RunState::Failed
}

const FAST: [(&str, &str); 3] = [
    ("ferry.restart.backoff.ms", "5"),
    ("ferry.restart.backoff.max.ms", "20"),
    ("ferry.restart.healthy.after.ms", "400"),
];

#[tokio::test]
async fn a_failing_unit_is_started_again_and_its_restarts_are_forgotten_after_a_healthy_spell() {
    let mut up =
        start(&[("ferry.restart.policy", "none")], &[&FAST[..], &[("ferry.restart.policy", "backoff")]].concat());
    up.fail_puts(7);
    up.until("a failure with a next attempt", |told| is_failed(told) && told.next_attempt_ms > 0).await;
    assert_eq!((up.told.restarts, up.told.recent_failures.len()), (0, 1));
    up.until("seven restarts", |told| is_running(told) && told.restarts == 7).await;
    let told = &up.told.recent_failures;
    assert_eq!(told.len(), 5);
    assert!(told[4].message.ends_with("no 0") && told[0].message.ends_with("no 4"), "{told:?}");
    up.until("a healthy spell", |told| is_running(told) && told.restarts == 0).await;
    assert!(up.told.age_ms >= 400, "{:?}", up.told);
    assert_eq!(up.told.recent_failures.len(), 5, "what happened is still told");
    assert_eq!(*up.script.values.lock(), ["a"]);
}

#[tokio::test]
async fn where_the_cluster_says_none_a_failed_unit_waits_for_its_user() {
    let mut up = start(&[&FAST[..], &[("ferry.restart.policy", "none")]].concat(), &[]);
    up.fail_puts(1);
    up.until("a failure", is_failed).await;
    let deadline = Instant::now() + Duration::from_millis(200);
    while Instant::now() < deadline {
        up.live().await;
        for (_, _, report) in up.units.take_reports() {
            assert!(is_failed(&report) && report.next_attempt_ms == 0, "{report:?}");
        }
    }
    assert!(up.script.values.lock().is_empty());
}

#[tokio::test]
async fn a_policy_that_cannot_be_used_fails_the_unit() {
    let mut up = start(&[], &[("ferry.restart.policy", "sometimes")]);
    up.until("a failure", is_failed).await;
    let text = up.told.error.as_ref().map(|error| error.message.clone()).unwrap_or_default();
    assert!(text.starts_with("Invalid value sometimes for configuration ferry.restart.policy"), "{text}");
}

#[tokio::test]
async fn a_hung_put_is_a_stall_and_blocks_the_stop() {
    let mut up = start(&[("ferry.stall.after.ms", "30")], &[]);
    let may_go = Arc::new(AtomicBool::new(false));
    let waits_for = Arc::clone(&may_go);
    *up.script.on_put.lock() = Some(Box::new(move |_, _| {
        while !waits_for.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }));
    up.worker.append("t", &["b"]);
    up.until("a stall", |told| told.stalled.is_some()).await;
    let stalled = up.told.stalled.clone().unwrap_or_default();
    assert_eq!((up.told.state(), stalled.place.as_str()), (wire::RunState::Running, "put"));
    assert!(stalled.age_ms >= 30, "{stalled:?}");

    up.units.stop(&unit(), EPOCH);
    assert!(up.units.overdue(Duration::from_secs(60)).is_empty());
    eventually("the grace is over", || up.units.overdue(Duration::ZERO) == [(unit(), EPOCH)]).await;
    up.units.stop_is_blocked(&unit(), EPOCH);
    up.until("it is told", |told| told.stop_blocked.is_some()).await;
    let blocked = up.told.stop_blocked.clone().unwrap_or_default();
    assert_eq!(blocked.place, "put");
    assert!(blocked.age_ms >= 2000, "since it was asked: {blocked:?}");
    assert_eq!(up.units.take_ended(), None);
    may_go.store(true, Ordering::Relaxed);
    let deadline = Instant::now() + DEADLINE;
    while up.units.take_ended().is_none() {
        assert!(Instant::now() < deadline, "it has not ended");
        up.live().await;
    }
}
