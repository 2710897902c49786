//! What a planner, a source task and a sink task have in common: blocking steps that the driver calls one at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use data_plane_connector_api::ConnectError;
use tokio::sync::Notify;

use super::{Target, TaskEvent};

/// What to do after a step.
#[derive(Debug)]
pub(super) enum Step {
    /// There is more to do: step again at once.
    Again,
    /// Step again after this time, or when a waker is notified.
    Wait(Duration),
}

/// Ends a plugin call that may wait for something; callable while a step runs.
pub(super) type Interrupt = Arc<dyn Fn() + Send + Sync>;

/// A unit. Every method but `wakers` and `interrupt` may block.
pub(super) trait Unit: Send {
    /// Begins, once; only called when the target is Running and the lease is confirmed.
    fn start(&mut self) -> Result<(), ConnectError>;

    /// Works for a while (tens of milliseconds), towards a target.
    fn step(&mut self, target: Target) -> Result<Step, ConnectError>;

    /// Finishes and releases, by `deadline` as far as possible. Also called when `start` or `step` failed.
    fn stop(&mut self, deadline: Instant);

    /// Things to report: appended in order.
    fn take_events(&mut self, events: &mut Vec<TaskEvent>);

    /// A sample of the progress, if there is any since the last one.
    fn progress(&mut self) -> Option<TaskEvent> {
        None
    }

    /// Notified when a step may have something to do.
    fn wakers(&self) -> Vec<Arc<Notify>>;

    /// Called when the unit is asked to stop, while a step may be running.
    fn interrupt(&self) -> Option<Interrupt> {
        None
    }
}
