//! How a worker's process ends: in order, where its units are taken back, some at a time, or because its id is void.

use super::{STOP_MARGIN, Supervisor, ToReplica, wire};
use std::time::Duration;
use tokio::time::Instant;

/// How long an orderly end may take, beyond the units' own graceful timeouts.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(10);
/// The control plane may take so long to take the next units back from a process that wants to end.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);
/// How often the control plane is asked to take units back.
const DRAIN_AGAIN: Duration = Duration::from_secs(1);

/// The process was asked to end.
pub(super) struct Ending {
    /// By then it does.
    pub(super) by: Instant,
    /// When units were last seen on their way out.
    moved: Instant,
    /// When the control plane was last asked to take them back.
    asked: Instant,
    /// Everything was stopped at once: nobody took the units back.
    is_stopped: bool,
}

impl Supervisor {
    pub(super) fn begin_end(&mut self) {
        tracing::info!("asked to end: units are given back, some at a time");
        let now = Instant::now();
        let patience = self.units.longest_grace() + GOODBYE_PATIENCE;
        self.ending = Some(Ending { by: now + patience, moved: now, asked: now, is_stopped: false });
        // Nothing that is given back comes here again, and the others get it without a pause for all.
        self.holdings.close();
        self.send_to_one(ToReplica::DrainMe(wire::DrainMe {}));
        self.go_on_ending();
    }

    /// The control plane takes the units back. Where it does not, everything is stopped at once.
    pub(super) fn go_on_ending(&mut self) {
        let is_moving = self.holdings.is_stopping();
        // It is not answered, and was lost where the store was away: what is given back would be granted here again.
        if self.ending.as_ref().is_some_and(|ending| ending.asked.elapsed() >= DRAIN_AGAIN) {
            self.send_to_one(ToReplica::DrainMe(wire::DrainMe {}));
            self.ending.iter_mut().for_each(|ending| ending.asked = Instant::now());
        }
        let Some(ending) = self.ending.as_mut().filter(|ending| !ending.is_stopped) else { return };
        let now = Instant::now();
        if is_moving {
            ending.moved = now;
        }
        let is_late = now + self.units.longest_grace() + STOP_MARGIN >= ending.by;
        if self.sessions.is_empty() || is_late || now >= ending.moved + DRAIN_PATIENCE {
            ending.is_stopped = true;
            let orders = self.holdings.stop_all();
            self.carry_out(orders);
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.holdings.held().is_empty() && (self.reports.is_empty() || self.sessions.is_empty())
    }

    pub(super) async fn say_goodbye(mut self) {
        if self.holdings.held().is_empty() {
            self.send_to_one(ToReplica::Goodbye(wire::Goodbye {}));
        }
        // Dropping the outboxes ends the sessions after what is in them was sent.
        self.sessions.clear();
        tokio::time::sleep(Duration::from_millis(100)).await;
        for task in self.dialling.values() {
            task.abort();
        }
    }

    /// Everything is cut off; runners get their grace to release what they hold.
    pub(super) async fn give_up(&mut self) {
        let orders = self.holdings.lost();
        self.carry_out(orders);
        for task in self.dialling.values() {
            task.abort();
        }
        let patience = self.units.longest_grace();
        let _ = tokio::time::timeout(patience, async {
            while !self.units.is_empty() {
                let Some((unit, epoch, event)) = self.task_events.recv().await else { break };
                self.units.event(&unit, epoch, event);
                while let Some((unit, epoch)) = self.units.take_ended() {
                    self.units.forget(&unit, epoch);
                }
            }
        })
        .await;
    }
}
