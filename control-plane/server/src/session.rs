//! A worker's session: the gRPC service, and what is done with each message.
//!
//! Heartbeats go to the hub at once; reports are stored one after another beside it, so that a slow store delays no
//! heartbeat. An answer is sent only for what is stored or void; the worker repeats the rest.

mod registration;

use crate::{
    cache::Cache,
    clock::Clock,
    hub::{ToHub, replica_list, settings_list},
    limits::sessions::SessionLimits,
    progress::{POSITIONS_LIMIT, ProgressTable, Sample},
    reports::Reports,
    sessions::{OUTBOX, Outgoing, Sessions},
};
use control_plane_api::service::Position;
use control_plane_core::{
    ids::{Epoch, ReplicaId, Unit, UnitKind, WorkerId},
    incarnation::LaterEpoch,
    policy::Policy,
    report::{Grant, Report, Verdict},
    status::{PluginError, RECENT_FAILURES_LIMIT, RecentFailure, RunState, SHORT_TEXT_LIMIT, Standstill, UnitStatus},
    time::Wall,
    worker::WorkerState,
};
use control_plane_store::StoreError;
use prost::Message as _;
use proto::worker_v1::{
    self as wire, session_request::Message as FromWorker, session_response::Message as ToWorker,
    session_service_server::SessionService,
};
use registration::{KNOWN_REPLICAS_LIMIT, Registered};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// The protocol version that this program speaks.
pub const PROTOCOL: u32 = 1;
/// How long a connection may take to say hello.
const HELLO_PATIENCE: Duration = Duration::from_secs(10);
/// How often workers send heartbeats.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(300);
/// What is taken off the worker's side of the lease.
const LEASE_MARGIN: Duration = Duration::from_millis(200);
/// Reports of a session that may wait for the store.
const REPORTS: usize = 1024;
/// What they may take together; a single one that is larger waits alone.
const REPORTS_BYTES: usize = 2 << 20;

/// A report, and the room that it takes.
type Queued = (FromWorker, OwnedSemaphorePermit);

/// The service.
#[derive(Clone)]
pub struct WorkerSessions {
    /// What is known of the store.
    pub cache: Cache,
    /// The clock.
    pub clock: Clock,
    /// Who is connected.
    pub sessions: Sessions,
    /// Samples.
    pub progress: ProgressTable,
    /// Stores reports.
    pub reports: Reports,
    /// The hub's inbox.
    pub hub: mpsc::Sender<ToHub>,
    /// Who we are.
    pub replica: ReplicaId,
    /// Where workers reach us, as all replicas list it.
    pub address: String,
    /// The leader's numbers: the lease that workers are told.
    pub policy: Policy,
    /// What workers may take of this replica.
    pub limits: SessionLimits,
}

#[tonic::async_trait]
impl SessionService for WorkerSessions {
    type SessionStream = ReceiverStream<Outgoing>;

    async fn session(
        &self,
        request: Request<Streaming<wire::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let greeting = self.limits.greet().map_err(|refused| *refused)?;
        let (outbox, stream) = mpsc::channel(OUTBOX);
        let sessions = self.clone();
        tokio::spawn(async move { sessions.serve(request.into_inner(), outbox, greeting).await });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

impl WorkerSessions {
    async fn serve(
        self,
        mut incoming: Streaming<wire::SessionRequest>,
        outbox: mpsc::Sender<Outgoing>,
        greeting: OwnedSemaphorePermit,
    ) {
        let hello = match timeout(HELLO_PATIENCE, incoming.message()).await {
            Ok(Ok(Some(wire::SessionRequest { message: Some(FromWorker::Hello(hello)) }))) => hello,
            Ok(Err(status)) => {
                // The worker may have gone already.
                let _ = outbox.send(Err(self.limits.too_large(&status).unwrap_or(status))).await;
                return;
            }
            _ => {
                refuse(&outbox, "the first message of a session is Hello".to_owned()).await;
                return;
            }
        };
        drop(greeting);
        // Before it is registered: an entry without a session would only be expired again.
        if hello.worker_id.parse().is_ok_and(|worker| !self.sessions.has_room(worker)) {
            let _ = outbox.send(Err(self.limits.full())).await;
            return;
        }
        let worker = match self.register(&hello).await {
            Ok(Registered::Welcome(worker)) => worker,
            Ok(Registered::Expired) => {
                let _ = outbox.send(Ok(message(ToWorker::Expired(wire::Expired {})))).await;
                return;
            }
            Ok(Registered::Refused(reason)) => {
                refuse(&outbox, reason).await;
                return;
            }
            Err(error) => {
                let _ = outbox.send(Err(Status::unavailable(error.to_string()))).await;
                return;
            }
        };
        let welcome = self.welcome();
        if outbox.send(Ok(message(ToWorker::Welcome(welcome)))).await.is_err() {
            return;
        }
        let Some(session) = self.sessions.insert(worker, outbox.clone(), hello.plugins) else {
            let _ = outbox.send(Err(self.limits.full())).await;
            return;
        };
        drop(outbox);
        if self.hub.send(ToHub::Opened(worker, session)).await.is_err() {
            return;
        }
        tracing::info!(%worker, address = %hello.address, held = hello.held.len(), "session opened");
        self.listen(worker, session, incoming).await;
        tracing::info!(%worker, "session ended");
    }

    fn welcome(&self) -> wire::Welcome {
        let world = self.cache.world();
        wire::Welcome {
            protocol: PROTOCOL,
            replica_id: self.replica.to_string(),
            heartbeat_interval_ms: HEARTBEAT_INTERVAL.as_millis() as u32,
            lease_ms: self.policy.lease_ttl.saturating_sub(LEASE_MARGIN).as_millis() as u32,
            replicas: Some(replica_list(&world)),
            settings: Some(settings_list(&world)),
            address: self.address.clone(),
            incarnation: world.incarnation(),
        }
    }

    /// A unit found a later epoch than its grant's: nobody has been granted it since, if its own grant stands.
    async fn epoch_seen(&self, worker: WorkerId, seen: wire::EpochSeen) -> Result<(), StoreError> {
        let (Some((unit, granted)), Some(later)) = (unit_epoch(seen.unit, seen.epoch), seen.seen.map(core_epoch))
        else {
            return Ok(());
        };
        self.cache.up_to_date(&*self.reports.store).await?;
        let meaning = self.cache.world().what_of_later(unit, granted, later, seen.stored);
        match meaning {
            LaterEpoch::IsNothing => {}
            LaterEpoch::IsForgotten => self.has_forgotten(later.incarnation),
            LaterEpoch::IsPassed => {
                tracing::warn!(%unit, %granted, %later, "its offsets were stored under a later epoch: it is granted anew");
                self.reports.report(Grant { worker, unit, epoch: granted }, Report::TakeBack).await?;
            }
        }
        Ok(())
    }

    async fn listen(&self, worker: WorkerId, session: u64, mut incoming: Streaming<wire::SessionRequest>) {
        let (reports, queue) = mpsc::channel(REPORTS);
        let room = Arc::new(Semaphore::new(REPORTS_BYTES));
        let storing = tokio::spawn(self.clone().store_reports(worker, queue));
        let pace = self.limits.pace();
        loop {
            pace.next().await;
            let request = match incoming.message().await {
                Ok(Some(request)) => request,
                Ok(None) => break,
                Err(status) => {
                    if let Some(too_large) = self.limits.too_large(&status) {
                        tracing::warn!(%worker, reason = too_large.message(), "the session is ended");
                        self.sessions.end(worker, session, too_large);
                    }
                    break;
                }
            };
            if !self.sessions.is_current(worker, session) {
                break;
            }
            let size = request.encoded_len().min(REPORTS_BYTES) as u32;
            let Some(message) = request.message else { continue };
            match message {
                FromWorker::Heartbeat(beat) => {
                    if self.hub.send(ToHub::Heartbeat(worker, beat.number)).await.is_err() {
                        break;
                    }
                }
                FromWorker::CommandResult(result) => self.sessions.answered(worker, result),
                FromWorker::Progress(progress) => self.sample(progress),
                FromWorker::Goodbye(_) => {
                    let Ok(room) = room.clone().acquire_many_owned(size).await else { break };
                    if reports.send((FromWorker::Goodbye(wire::Goodbye {}), room)).await.is_err() {
                        break;
                    }
                }
                FromWorker::Hello(_) => tracing::warn!(%worker, "a second Hello is ignored"),
                // A full queue drops the report: the worker repeats it.
                report => {
                    if let Ok(room) = room.clone().try_acquire_many_owned(size) {
                        drop(reports.try_send((report, room)));
                    }
                }
            }
        }
        drop(reports);
        // Told first: storing may take its time, and nobody is there any more.
        let _ = self.hub.send(ToHub::Closed(worker, session)).await;
        // What was reported is stored, also by a worker that has gone.
        let _ = storing.await;
    }

    fn sample(&self, progress: wire::Progress) {
        let Some((unit, epoch)) = unit_epoch(progress.unit, progress.epoch) else { return };
        let is_current = self.cache.world().owners.get(&unit).is_some_and(|owner| owner.value.epoch == epoch);
        if is_current {
            let positions = progress.positions.into_iter().take(POSITIONS_LIMIT);
            let positions =
                positions.map(|position| Position { partition: position.partition, offset: position.offset }).collect();
            self.progress.put(unit, Sample { epoch, records: progress.records, positions });
        }
    }

    async fn store_reports(self, worker: WorkerId, mut queue: mpsc::Receiver<Queued>) {
        while let Some((report, _room)) = queue.recv().await {
            let (sequence, verdict) = match report {
                FromWorker::UnitReport(report) => (report.sequence, self.unit_report(worker, report).await),
                FromWorker::UnitEnded(ended) => {
                    let verdict = match unit_epoch(ended.unit, ended.epoch) {
                        Some((unit, epoch)) => self.reports.report(Grant { worker, unit, epoch }, Report::Ended).await,
                        None => Ok(Verdict::Void),
                    };
                    (ended.sequence, verdict)
                }
                FromWorker::TaskSet(set) => (set.sequence, self.task_set(worker, set).await),
                FromWorker::DrainMe(_) => {
                    self.note(worker, self.reports.worker_state(worker, WorkerState::Leaving).await);
                    continue;
                }
                FromWorker::KnownReplicas(known) => {
                    let addresses = known.addresses.into_iter().take(KNOWN_REPLICAS_LIMIT).collect();
                    let stored = self.reports.known_replicas(worker, addresses).await;
                    (known.sequence, stored.map(|found| if found { Verdict::Accepted } else { Verdict::Void }))
                }
                FromWorker::EpochSeen(seen) => {
                    self.note(worker, self.epoch_seen(worker, seen).await.map(|()| true));
                    continue;
                }
                FromWorker::Goodbye(_) => {
                    self.note(worker, self.reports.worker_state(worker, WorkerState::Expired).await);
                    continue;
                }
                _ => continue,
            };
            let ack = match verdict {
                Ok(Verdict::Accepted) => wire::ReportAck { sequence, accepted: true, reason: String::new() },
                Ok(Verdict::Void) => wire::ReportAck { sequence, accepted: false, reason: String::new() },
                Ok(Verdict::Refused(reason)) => wire::ReportAck { sequence, accepted: false, reason },
                // Not answered: the worker tells it again.
                Ok(Verdict::Postponed) => continue,
                Err(error @ StoreError::OutOfSpace(_)) => {
                    tracing::debug!(%worker, %error, "a report was not stored");
                    continue;
                }
                Err(StoreError::TooLarge(reason)) => wire::ReportAck { sequence, accepted: false, reason },
                Err(error) => {
                    tracing::warn!(%worker, %error, "a report could not be stored");
                    continue;
                }
            };
            self.sessions.send(worker, ToWorker::ReportAck(ack));
        }
    }

    fn note(&self, worker: WorkerId, result: Result<bool, StoreError>) {
        if let Err(error) = result {
            tracing::warn!(%worker, %error, "the worker's state could not be stored");
        }
    }

    async fn unit_report(&self, worker: WorkerId, report: wire::UnitReport) -> Result<Verdict, StoreError> {
        let state = match report.state() {
            wire::RunState::Starting => RunState::Starting,
            wire::RunState::Running => RunState::Running,
            wire::RunState::Paused => RunState::Paused,
            wire::RunState::Stopped => RunState::Stopped,
            wire::RunState::Failed => RunState::Failed,
            wire::RunState::Unspecified => return Ok(Verdict::Void),
        };
        let Some((unit, epoch)) = unit_epoch(report.unit, report.epoch) else { return Ok(Verdict::Void) };
        let error = report.error.map(|error| PluginError {
            class: error.class,
            message: error.message,
            causes: error.causes,
            trace: error.trace,
            retriable: error.retriable,
        });
        let wall = self.clock.wall();
        let recent_failures = report.recent_failures.into_iter().take(RECENT_FAILURES_LIMIT);
        let status = UnitStatus {
            state,
            worker,
            epoch,
            since: Wall(wall.0 - report.age_ms as i64),
            error,
            restarts: report.restarts,
            next_attempt: (report.next_attempt_ms > 0).then(|| Wall(wall.0 + report.next_attempt_ms as i64)),
            version: report.version,
            // A worker that does not number what it says numbers its messages at least.
            change: if report.change == 0 { report.sequence } else { report.change },
            recent_failures: recent_failures.map(|failure| recent_failure(failure, wall)).collect(),
            stalled: report.stalled.map(|stalled| standstill(stalled, wall)),
            stop_blocked: report.stop_blocked.map(|blocked| standstill(blocked, wall)),
        };
        self.reports.report(Grant { worker, unit, epoch }, Report::Status(Box::new(status))).await
    }

    async fn task_set(&self, worker: WorkerId, set: wire::ReportTaskSet) -> Result<Verdict, StoreError> {
        let (Ok(uid), Some(epoch)) = (set.connector_uid.parse(), set.epoch) else { return Ok(Verdict::Void) };
        let tasks = set.tasks.into_iter().map(|task| task.config).collect();
        let planner = Unit { connector: uid, kind: UnitKind::Planner };
        let grant = Grant { worker, unit: planner, epoch: core_epoch(epoch) };
        self.reports.report(grant, Report::TaskSet { change: set.change, tasks }).await
    }
}

fn unit_epoch(unit: Option<wire::Unit>, epoch: Option<wire::Epoch>) -> Option<(Unit, Epoch)> {
    let (unit, epoch) = (unit?, epoch?);
    let kind = unit.task.map_or(UnitKind::Planner, UnitKind::Task);
    let connector = unit.connector_uid.parse().ok()?;
    Some((Unit { connector, kind }, core_epoch(epoch)))
}

fn recent_failure(failure: wire::RecentFailure, now: Wall) -> RecentFailure {
    let (class, message) = (short(failure.class), short(failure.message));
    RecentFailure { at: before(now, failure.age_ms), class, message }
}

fn standstill(standstill: wire::Standstill, now: Wall) -> Standstill {
    Standstill { since: before(now, standstill.age_ms), place: short(standstill.place) }
}

fn before(now: Wall, age_ms: u64) -> Wall {
    Wall(now.0.saturating_sub_unsigned(age_ms))
}

/// A worker cuts its texts; what is stored is bounded all the same.
fn short(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(SHORT_TEXT_LIMIT));
    text
}

fn core_epoch(epoch: wire::Epoch) -> Epoch {
    Epoch { incarnation: epoch.incarnation, counter: epoch.counter }
}

fn message(message: ToWorker) -> wire::SessionResponse {
    wire::SessionResponse { message: Some(message) }
}

async fn refuse(outbox: &mpsc::Sender<Outgoing>, reason: String) {
    tracing::warn!(%reason, "a session is refused");
    // The worker may have gone already.
    let _ = outbox.send(Ok(message(ToWorker::Refused(wire::Refused { reason })))).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_with_ages_is_stored_with_times_and_short() {
        let (class, message) = ("E".to_owned(), "é".repeat(SHORT_TEXT_LIMIT));
        let failure = recent_failure(wire::RecentFailure { age_ms: 30, class, message }, Wall(100));
        assert_eq!((failure.at, failure.class.as_str()), (Wall(70), "E"));
        assert_eq!(failure.message.len(), SHORT_TEXT_LIMIT);
        let put = standstill(wire::Standstill { age_ms: 1, place: "put".to_owned() }, Wall(100));
        assert_eq!(put, Standstill { since: Wall(99), place: "put".to_owned() });
    }
}
