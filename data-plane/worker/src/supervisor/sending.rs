//! What goes out to replicas: heartbeats to each, a report to one that can reach the store, samples where there is room.

use super::{Session, Supervisor, ToReplica, wire};
use crate::{clock, session};
use tokio::time::Instant;

/// Reports sent at a time.
const REPORT_BATCH: usize = 256;

impl Supervisor {
    /// Sends what is due; never waits.
    pub(super) fn flush(&mut self) {
        let now = Instant::now();
        if !self.sessions.is_empty() && (now >= self.next_heartbeat || self.urgent) {
            self.urgent = false;
            self.next_heartbeat = now + self.heartbeat_interval;
            let number = self.lease.send(clock::now());
            self.sessions.retain(|replica, session| {
                let beat = ToReplica::Heartbeat(wire::Heartbeat { number });
                let sent = session.outbox.try_send(wire::SessionRequest { message: Some(beat) }).is_ok();
                if !sent {
                    tracing::warn!(%replica, "the replica does not read its session");
                }
                sent
            });
        }
        if self.sessions.is_empty() {
            return;
        }
        for (sequence, report) in self.reports.due(clock::now(), REPORT_BATCH) {
            self.send_to_one(numbered(report, sequence));
        }
    }

    pub(super) fn send_to_one(&self, message: ToReplica) {
        let preferred = |session: &&Session| Some(&session.listed_as) == self.acknowledging.as_ref();
        if let Some(session) = self.sessions.values().find(preferred).or(self.sessions.values().next()) {
            // A report that does not fit is sent again.
            let _ = session.outbox.try_send(wire::SessionRequest { message: Some(message) });
        }
    }

    /// Each replica answers its users from what it was told itself. A sample never takes the room that other messages need.
    pub(super) fn send_sample(&self, progress: &wire::Progress) {
        for session in self.sessions.values().filter(|session| session.outbox.capacity() > session::OUTBOX / 2) {
            let message = Some(ToReplica::Progress(progress.clone()));
            // A sample that does not fit is followed by the next.
            let _ = session.outbox.try_send(wire::SessionRequest { message });
        }
    }
}

fn numbered(report: ToReplica, number: u64) -> ToReplica {
    match report {
        ToReplica::UnitReport(report) => ToReplica::UnitReport(wire::UnitReport { sequence: number, ..report }),
        ToReplica::UnitEnded(ended) => ToReplica::UnitEnded(wire::UnitEnded { sequence: number, ..ended }),
        ToReplica::TaskSet(set) => ToReplica::TaskSet(wire::ReportTaskSet { sequence: number, ..set }),
        ToReplica::KnownReplicas(known) => ToReplica::KnownReplicas(wire::KnownReplicas { sequence: number, ..known }),
        other => other,
    }
}
