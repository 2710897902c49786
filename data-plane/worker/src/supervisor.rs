//! The loop that owns the lease, what is held, and the runners.
//!
//! Words of the control plane and events of runners come in; the core decides; orders are carried out here. Nothing is
//! awaited while state is half changed: sends to sessions and runners never wait.

mod commands;
mod ending;
mod replicas;
mod sending;
mod units;

use crate::{
    clock,
    guard::Guard,
    plugins::catalogue,
    session::SessionEvent,
    task::{Runtime, TaskEvent},
    wire::{self as convert, SettingsTable, Work},
};
use data_plane_connector_api::Plugins;
use data_plane_core::{
    assignment::{Epoch, Holdings, Order, Target, UnitName},
    lease::Lease,
    report::Reports,
    time::Monotonic,
};
use ending::Ending;
use parking_lot::Mutex;
use proto::worker_v1::{self as wire, session_request::Message as ToReplica, session_response::Message as FromReplica};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use units::Units;
use uuid::Uuid;

/// Events of sessions that may wait.
const SESSION_EVENTS: usize = 4096;
/// Events of runners that may wait.
const TASK_EVENTS: usize = 4096;
/// Reports that are not answered within this time are sent again.
const REPORT_AGAIN: Duration = Duration::from_secs(2);
/// How often timers are looked at.
const TICK: Duration = Duration::from_millis(50);
/// A stop may take so much longer than the graceful timeout before it is cut off.
const STOP_MARGIN: Duration = Duration::from_secs(1);

/// What a worker is started with.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The process, over all of its ids.
    pub instance: Uuid,
    /// Control planes to begin with.
    pub control_planes: Vec<String>,
    /// host:port of the admin listener.
    pub address: String,
    /// Placement.
    pub pool: String,
    /// Placement.
    pub zone: String,
    /// Placement.
    pub labels: BTreeMap<String, String>,
    /// Most units; 0: no limit.
    pub capacity: u32,
}

/// What others may read of the worker.
#[derive(Debug, Clone, Default)]
pub struct Glance {
    /// Its present id.
    pub worker_id: String,
    /// Replicas with an open session.
    pub sessions: usize,
    /// Whether the lease holds.
    pub leased: bool,
    /// Units held.
    pub units: usize,
    /// Units that failed and wait.
    pub failed: usize,
    /// Records that units of this process have handed over.
    pub records: u64,
}

/// Shared with the admin listener.
pub type SharedGlance = Arc<Mutex<Glance>>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum ReportKey {
    State(UnitName, Epoch),
    Ended(UnitName, Epoch),
    TaskSet(UnitName, Epoch),
    KnownReplicas,
}

struct Session {
    /// The replica's address as it lists itself; the one that was dialled may be another name of it.
    listed_as: String,
    outbox: mpsc::Sender<wire::SessionRequest>,
}

/// The loop.
pub struct Supervisor {
    identity: Identity,
    plugins: Arc<Plugins>,
    glance: SharedGlance,
    guard: Guard,
    hello: watch::Sender<wire::Hello>,
    lease: Lease,
    heartbeat_interval: Duration,
    holdings: Holdings<Arc<Work>>,
    reports: Reports<ReportKey, ToReplica>,
    settings: SettingsTable,
    /// By dialled address.
    sessions: BTreeMap<String, Session>,
    dialling: BTreeMap<String, JoinHandle<()>>,
    /// Dialled address → the address that the replica lists itself under.
    aliases: BTreeMap<String, String>,
    /// As a replica told last.
    listed: BTreeSet<String>,
    units: Units,
    session_sender: mpsc::Sender<(String, SessionEvent)>,
    session_events: mpsc::Receiver<(String, SessionEvent)>,
    task_events: mpsc::Receiver<(UnitName, Epoch, TaskEvent)>,
    next_heartbeat: Instant,
    ending: Option<Ending>,
    urgent: bool,
    /// The guard's cuts that were noticed.
    cuts: u64,
    /// The replica that acknowledged last: it can reach the store.
    acknowledging: Option<String>,
}

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Asked,
    /// The worker's id is void; a new life under a new id may begin.
    Expired,
}

impl Supervisor {
    /// A worker with a fresh id.
    pub fn new(
        identity: Identity,
        plugins: Arc<Plugins>,
        runtime: Arc<Runtime>,
        guard: Guard,
        glance: SharedGlance,
    ) -> Supervisor {
        let worker_id = Uuid::new_v4().to_string();
        let hello = wire::Hello {
            protocol_min: 1,
            protocol_max: 1,
            worker_id: worker_id.clone(),
            instance: identity.instance.to_string(),
            address: identity.address.clone(),
            pool: identity.pool.clone(),
            zone: identity.zone.clone(),
            labels: identity.labels.clone(),
            capacity: identity.capacity,
            plugins: catalogue(&plugins),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..wire::Hello::default()
        };
        *glance.lock() = Glance { worker_id, ..Glance::default() };
        guard.forget_deadline();
        let cuts = guard.cuts();
        let (session_sender, session_events) = mpsc::channel(SESSION_EVENTS);
        let (task_sender, task_events) = mpsc::channel(TASK_EVENTS);
        Supervisor {
            units: Units::new(runtime, guard.clone(), task_sender),
            identity,
            plugins,
            glance,
            guard,
            hello: watch::channel(hello).0,
            lease: Lease::new(Duration::from_secs(1)),
            heartbeat_interval: Duration::from_millis(300),
            holdings: Holdings::default(),
            reports: Reports::new(REPORT_AGAIN),
            settings: SettingsTable::new(),
            sessions: BTreeMap::new(),
            dialling: BTreeMap::new(),
            aliases: BTreeMap::new(),
            listed: BTreeSet::new(),
            session_sender,
            session_events,
            task_events,
            next_heartbeat: Instant::now(),
            ending: None,
            urgent: false,
            cuts,
            acknowledging: None,
        }
    }

    /// Runs until it is asked to end, or the worker's id is void.
    ///
    /// # Errors
    /// When a replica refuses this worker for good; the text says why.
    pub async fn run(mut self, stop: CancellationToken) -> Result<Ended, String> {
        let control_planes = self.identity.control_planes.clone();
        control_planes.iter().for_each(|address| self.lease.know(address.clone()));
        self.hello.send_modify(|hello| hello.known_replicas = self.lease.known().map(str::to_owned).collect());
        control_planes.into_iter().for_each(|address| self.dial(address));
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                _ = tick.tick() => self.timers(),
                () = stop.cancelled(), if self.ending.is_none() => self.begin_end(),
                Some((address, event)) = self.session_events.recv() => {
                    match event {
                        SessionEvent::Unwanted(reason) => return Err(format!("{address}: {reason}")),
                        SessionEvent::Message(FromReplica::Expired(_)) => {
                            tracing::warn!("the worker's lease has ended; it starts over under a new id");
                            self.give_up().await;
                            return Ok(Ended::Expired);
                        }
                        event => self.session_event(address, event),
                    }
                }
                Some((unit, epoch, event)) = self.task_events.recv() => self.task_event(unit, epoch, event),
            }
            self.flush();
            if self.ending.as_ref().is_some_and(|ending| self.has_ended() || Instant::now() >= ending.by) {
                self.say_goodbye().await;
                return Ok(Ended::Asked);
            }
        }
    }

    fn session_event(&mut self, address: String, event: SessionEvent) {
        match event {
            SessionEvent::Opened(welcome, outbox) => self.opened(address, *welcome, outbox),
            SessionEvent::Message(message) => {
                let listed_as = self.sessions.get(&address).map(|session| session.listed_as.clone());
                if let Some(listed_as) = listed_as {
                    self.message(&listed_as, message);
                }
            }
            SessionEvent::Refused(tried_at) => {
                self.notice_the_end_of_the_lease();
                let listed_as = self.aliases.get(&address).unwrap_or(&address).clone();
                self.lease.refused(&listed_as, tried_at);
                self.set_deadline();
            }
            SessionEvent::Closed => {
                if self.sessions.remove(&address).is_some() {
                    tracing::info!(replica = %address, "session ended");
                    self.reports.lost_session();
                    self.update_hello();
                }
            }
            // Ends the loop before it gets here.
            SessionEvent::Unwanted(_) => {}
        }
    }

    fn opened(&mut self, address: String, welcome: wire::Welcome, outbox: mpsc::Sender<wire::SessionRequest>) {
        tracing::info!(replica = %address, id = %welcome.replica_id, "session opened");
        self.lease.set_length(Duration::from_millis(welcome.lease_ms.into()));
        self.heartbeat_interval = Duration::from_millis(u64::from(welcome.heartbeat_interval_ms).max(10));
        self.hello.send_modify(|hello| {
            // Later ones may tell of an incarnation that this worker has not lived under: it is about to hear that it is void.
            if !hello.registered {
                hello.incarnation = welcome.incarnation;
            }
            hello.registered = true;
        });
        self.lease.renamed(&address, &welcome.address);
        self.aliases.insert(address.clone(), welcome.address.clone());
        if self.sessions.is_empty() {
            // What was said may have been lost with a store that was restored meanwhile.
            self.units.say_again();
            self.report_states();
            for ((unit, epoch), set) in self.units.task_sets() {
                self.reports.push(ReportKey::TaskSet(unit, epoch), ToReplica::TaskSet(set));
            }
        }
        self.sessions.insert(address, Session { listed_as: welcome.address, outbox });
        if let Some(settings) = welcome.settings {
            self.take_settings(settings);
        }
        if let Some(replicas) = welcome.replicas {
            self.listed(replicas);
        }
        self.urgent = true;
        if self.ending.is_some() {
            self.send_to_one(ToReplica::DrainMe(wire::DrainMe {}));
        }
    }

    fn take_settings(&mut self, list: wire::SettingsList) {
        let settings = convert::settings_table(list);
        // Each replica tells them.
        if settings != self.settings {
            self.settings = settings;
            self.units.warm_up(&self.settings);
        }
    }

    fn message(&mut self, replica: &str, message: FromReplica) {
        match message {
            FromReplica::HeartbeatAck(ack) if ack.hold => {
                self.notice_the_end_of_the_lease();
                self.lease.held(replica, ack.number);
                self.set_deadline();
            }
            FromReplica::HeartbeatAck(ack) => {
                self.notice_the_end_of_the_lease();
                self.acknowledging = Some(replica.to_owned());
                self.lease.acknowledged(replica, ack.number);
                self.set_deadline();
                let orders = self.holdings.acknowledged(self.lease.acknowledged_number());
                self.carry_out(orders);
            }
            FromReplica::Document(document) => {
                let orders = self.holdings.document(convert::document(document), self.lease.next_number());
                self.carry_out(orders);
            }
            FromReplica::ReportAck(ack) => {
                let answered = self.reports.answered(ack.sequence);
                if let Some((ReportKey::TaskSet(unit, epoch), _)) = answered
                    && !ack.accepted
                    && !ack.reason.is_empty()
                {
                    self.units.fail(&unit, epoch, ack.reason);
                    self.report_states();
                }
            }
            FromReplica::Command(command) => self.command(replica, command),
            FromReplica::Replicas(list) => self.listed(list),
            FromReplica::Settings(list) => self.take_settings(list),
            FromReplica::Welcome(_) | FromReplica::Expired(_) | FromReplica::Refused(_) => {}
        }
    }

    fn set_deadline(&self) {
        if let Some(deadline) = self.lease.deadline() {
            self.guard.set_deadline(deadline);
        }
    }

    fn update_hello(&self) {
        let held = self.holdings.held();
        self.hello.send_modify(|hello| {
            hello.revision = self.holdings.seen() as u64;
            hello.held = held
                .iter()
                .map(|(unit, epoch)| wire::UnitGrant {
                    unit: Some(convert::wire_unit(unit)),
                    epoch: Some(convert::wire_epoch(*epoch)),
                })
                .collect();
        });
    }

    /// Carries orders out, and those that follow from units which had no runner to end.
    fn carry_out(&mut self, orders: Vec<Order<Arc<Work>>>) {
        let mut orders = VecDeque::from(orders);
        loop {
            while let Some(order) = orders.pop_front() {
                self.carry_out_one(order);
            }
            let Some((unit, epoch)) = self.units.take_ended() else { break };
            orders.extend(self.holdings.ended(&unit, epoch, self.lease.next_number()));
        }
        self.report_states();
        self.update_hello();
    }

    fn carry_out_one(&mut self, order: Order<Arc<Work>>) {
        match order {
            Order::Start(assigned) => {
                // The sooner a heartbeat follows the grant, the sooner it is confirmed.
                self.urgent = true;
                self.units.start(assigned, &self.settings);
            }
            Order::Confirm(unit, epoch) => self.units.confirm(&unit, epoch),
            Order::SetTarget(unit, epoch, target) => {
                self.units.set_target(&unit, epoch, target);
                // Stopping has emptied the stored task set, and the planner may not even have seen the stop.
                if let (Target::Running, Some(set)) = (target, self.units.task_set(&unit, epoch)) {
                    self.reports.push(ReportKey::TaskSet(unit, epoch), ToReplica::TaskSet(set));
                }
            }
            Order::Stop(unit, epoch) => self.units.stop(&unit, epoch),
            Order::Sever(unit, epoch) => self.units.sever(&unit, epoch),
            Order::ReportEnded(unit, epoch, kind) => {
                let ended = wire::UnitEnded {
                    sequence: 0,
                    unit: Some(convert::wire_unit(&unit)),
                    epoch: Some(convert::wire_epoch(epoch)),
                    kind: convert::wire_end(kind).into(),
                };
                self.units.forget(&unit, epoch);
                self.reports.push(ReportKey::Ended(unit, epoch), ToReplica::UnitEnded(ended));
            }
            Order::ReportLater(unit, epoch, seen) => self.epoch_seen(&unit, epoch, seen, false),
        }
    }

    /// Said each time anew, and not kept: it is found again.
    fn epoch_seen(&self, unit: &UnitName, epoch: Epoch, seen: Epoch, stored: bool) {
        let seen = wire::EpochSeen {
            unit: Some(convert::wire_unit(unit)),
            epoch: Some(convert::wire_epoch(epoch)),
            seen: Some(convert::wire_epoch(seen)),
            stored,
        };
        self.send_to_one(ToReplica::EpochSeen(seen));
    }

    /// Seen before anything extends the lease: what the guard has cut off, or would, does not come back by a late word.
    fn notice_the_end_of_the_lease(&mut self) {
        let cuts = self.guard.cuts();
        let is_over = self.lease.deadline().is_some_and(|deadline| clock::now() >= deadline);
        if is_over || cuts != self.cuts {
            self.cuts = cuts;
            let orders = self.holdings.lease_over();
            if !orders.is_empty() {
                tracing::warn!(units = orders.len(), "no control plane was heard in time: the lease has ended");
            }
            self.carry_out(orders);
        }
    }

    fn task_event(&mut self, unit: UnitName, epoch: Epoch, event: TaskEvent) {
        match event {
            TaskEvent::TaskSet(tasks) => {
                if let Some(set) = self.units.planned(&unit, epoch, tasks) {
                    self.reports.push(ReportKey::TaskSet(unit, epoch), ToReplica::TaskSet(set));
                }
            }
            TaskEvent::LaterEpoch((incarnation, counter)) => {
                self.epoch_seen(&unit, epoch, Epoch { incarnation, counter }, true);
            }
            TaskEvent::Progress { records, bytes, positions, lag } => {
                self.units.progressed(&unit, epoch, records);
                let positions = positions.into_iter().take(100);
                let progress = wire::Progress {
                    unit: Some(convert::wire_unit(&unit)),
                    epoch: Some(convert::wire_epoch(epoch)),
                    records,
                    bytes,
                    positions: positions.map(|(partition, offset)| wire::Position { partition, offset }).collect(),
                    lag,
                };
                self.send_sample(&progress);
            }
            event => {
                self.units.event(&unit, epoch, event);
                self.carry_out(Vec::new());
            }
        }
    }

    /// Queues what units have become since the last call.
    fn report_states(&mut self) {
        for (unit, epoch, mut report) in self.units.take_reports() {
            report.unit = Some(convert::wire_unit(&unit));
            report.epoch = Some(convert::wire_epoch(epoch));
            self.reports.push(ReportKey::State(unit, epoch), ToReplica::UnitReport(report));
        }
    }

    fn command(&mut self, replica: &str, command: wire::Command) {
        if let Some(session) = self.sessions.values().find(|session| session.listed_as == replica) {
            commands::carry_out(command, &self.plugins, &self.settings, session.outbox.clone());
        }
    }

    fn timers(&mut self) {
        self.notice_the_end_of_the_lease();
        for (unit, epoch) in self.units.overdue(STOP_MARGIN) {
            tracing::warn!(%unit, %epoch, "the unit does not stop in time");
            let orders = self.holdings.overdue(&unit, epoch, self.lease.next_number());
            if orders.is_empty() {
                self.units.stop_is_blocked(&unit, epoch);
            }
            self.carry_out(orders);
        }
        self.units.restart_due(&self.settings);
        self.units.look();
        self.go_on_ending();
        self.report_states();
        self.look(clock::now());
    }

    fn look(&self, now: Monotonic) {
        let mut glance = self.glance.lock();
        glance.sessions = self.sessions.len();
        glance.leased = self.lease.deadline().is_some_and(|deadline| now < deadline);
        (glance.units, glance.failed) = self.units.count();
        glance.records = self.units.records();
    }
}

#[cfg(test)]
mod tests;
