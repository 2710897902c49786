//! Tasks whose target fences its old owner are granted elsewhere before the lease of a worker that is gone has ended.

#![expect(clippy::print_stdout, reason = "the measured times are shown with --nocapture")]

use crate::{
    etcd_process::{self, Etcd},
    up::{DEADLINE, Up, connector, hello, put},
};
use control_plane_core::{connector::Connector, lease::FenceClass};
use control_plane_server::limits::Limits;
use control_plane_store::etcd::EtcdStore;
use proto::worker_v1::{self as wire, session_request::Message as ToReplica, session_response::Message as FromReplica};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, interval, timeout},
};

/// Tasks of the connector.
const TASKS: u32 = 8;
/// Workers that are killed.
const TRIALS: u128 = 6;
/// Promised of a kill; the successor's own start comes on top of what is measured here.
const PROMISE: Duration = Duration::from_secs(1);
/// What holds of the median on any machine.
const ALWAYS: Duration = Duration::from_millis(700);

/// What there is of a worker.
#[derive(Default)]
struct Seen {
    /// A heartbeat is stored: only then a replica knows of a session that ends.
    is_heard: bool,
    tasks: BTreeSet<u32>,
}

/// By number.
type Held = Arc<parking_lot::Mutex<BTreeMap<u128, Seen>>>;

/// A worker that takes what it is given and gives back what it is asked for, until it is aborted.
async fn live(up: Arc<Up>, number: u128, held: Held) {
    let source = wire::PluginInfo { kind: "source".into(), class: "C".into(), ..Default::default() };
    let hello = wire::Hello { plugins: vec![source], ..hello(number, number) };
    let (mut session, _) = up.session(hello).await.expect("a session");
    let (mut beats, mut reports) = (0, 0);
    let mut ticks = interval(Duration::from_millis(100));
    loop {
        let message = tokio::select! {
            _ = ticks.tick() => {
                beats += 1;
                session.beat(beats).await;
                continue;
            }
            message = session.next() => message.expect("the session goes on"),
        };
        let document = match message {
            FromReplica::Document(document) => document,
            FromReplica::HeartbeatAck(ack) => {
                held.lock().entry(number).or_default().is_heard |= !ack.hold;
                continue;
            }
            _ => continue,
        };
        for given in document.assignments {
            let (unit, epoch) = (given.unit.expect("a unit"), given.epoch);
            reports += 1;
            let report = match (unit.task, given.revoking) {
                (task, true) => {
                    task.map(|task| held.lock().entry(number).or_default().tasks.remove(&task));
                    let kind = wire::EndKind::Stopped.into();
                    ToReplica::UnitEnded(wire::UnitEnded { sequence: reports, unit: Some(unit), epoch, kind })
                }
                (Some(task), false) => {
                    held.lock().entry(number).or_default().tasks.insert(task);
                    continue;
                }
                (None, false) => ToReplica::TaskSet(wire::ReportTaskSet {
                    sequence: reports,
                    connector_uid: unit.connector_uid,
                    epoch,
                    config_generation: given.config_generation,
                    tasks: vec![wire::TaskConfig::default(); TASKS as usize],
                    change: 1,
                }),
            };
            session.say(report).await;
        }
    }
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        let mut ticks = interval(Duration::from_millis(1));
        while !is_so().await {
            ticks.tick().await;
        }
    };
    timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("not so: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_fence_are_elsewhere_within_a_second() {
    let etcd = Etcd::start(&etcd_process::binaries()[0], &[]);
    let store = Arc::new(EtcdStore::connect(&[etcd.url()], "/ferry", DEADLINE).await.expect("connect"));
    let up = Arc::new(Up::start_on(store.clone(), Limits::default()).await);
    let config = BTreeMap::from([("connector.class".to_owned(), "C".to_owned())]);
    put(&*store, Connector { fence_class: FenceClass::Transactional, ..connector(1, config) }).await;
    let held = Held::default();
    let start = |number| tokio::spawn(live(up.clone(), number, held.clone()));
    let mut workers: BTreeMap<u128, JoinHandle<()>> = [1, 2].map(|number| (number, start(number))).into();

    let mut times = Vec::new();
    for trial in 0..=TRIALS {
        let numbers: Vec<u128> = workers.keys().copied().collect();
        until("each has half of the tasks", async || {
            let held = held.lock();
            let has_half = |seen: &Seen| seen.is_heard && seen.tasks.len() == TASKS as usize / 2;
            let half = |number: &u128| held.get(number).is_some_and(has_half);
            numbers.iter().all(half)
        })
        .await;
        // Not always the one that has been there longer.
        let victim = numbers[(trial % 2) as usize];
        let killed = Instant::now();
        workers.remove(&victim).expect("it lives").abort();
        let other = numbers[(1 - trial % 2) as usize];
        let has_all = || held.lock().get(&other).is_some_and(|seen| seen.tasks.len() == TASKS as usize);
        until("the other one has all", async || has_all()).await;
        // A leader that has just been elected lets its workers settle.
        if trial > 0 {
            times.push(killed.elapsed());
        }
        held.lock().remove(&victim);
        // Two that vanish together would be no suspects.
        until("the dead one is forgotten", async || up.metric("workers").await == 1.0).await;
        workers.insert(10 + trial, start(10 + trial));
    }
    workers.values().for_each(JoinHandle::abort);
    times.sort();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    println!("n {TRIALS}, median {median:?}, slowest {slowest:?}; promised (fenced by the target), below {PROMISE:?}");
    assert!(median < ALWAYS, "{times:?}");
}
