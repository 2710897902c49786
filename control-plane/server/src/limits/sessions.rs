//! What workers may take of a replica: sessions that have said nothing yet, and how fast a session is read.

use super::{
    Limits,
    refusals::{Limit, Refusals},
};
use control_plane_api::errors::status;
use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

/// How long a worker should wait that found no place.
const RETRY: Duration = Duration::from_secs(2);

/// The limits of the workers' listener. Cheap to clone.
#[derive(Clone)]
pub struct SessionLimits {
    limits: Limits,
    refusals: Refusals,
    greetings: Arc<Semaphore>,
}

impl SessionLimits {
    /// Nobody is there yet.
    pub fn new(limits: Limits, refusals: Refusals) -> SessionLimits {
        let greetings = Arc::new(Semaphore::new(limits.greetings.get() as usize));
        SessionLimits { limits, refusals, greetings }
    }

    /// A place for a session until it has said Hello.
    ///
    /// # Errors
    /// There is none.
    pub fn greet(&self) -> Result<OwnedSemaphorePermit, Box<Status>> {
        let refused = |_| Box::new(status(self.refusals.refuse(Limit::Greetings, self.limits.greetings, RETRY)));
        self.greetings.clone().try_acquire_owned().map_err(refused)
    }

    /// What a session gets that finds all places taken.
    pub fn full(&self) -> Status {
        status(self.refusals.refuse(Limit::Sessions, self.limits.sessions, RETRY))
    }

    /// What a session ends with whose message could not be taken; None if its size was not the reason.
    pub fn too_large(&self, found: &Status) -> Option<Status> {
        let (limit, bytes) = (Limit::WorkerMessageBytes, self.limits.worker_message_bytes);
        super::grpc::is_too_large(found).then(|| super::grpc::too_large(found, &self.refusals, limit, bytes))
    }

    /// How fast one session may be read.
    pub fn pace(&self) -> Pace {
        Pace {
            limiter: RateLimiter::direct(Quota::per_second(self.limits.session_rate)),
            clock: DefaultClock::default(),
            refusals: self.refusals.clone(),
        }
    }
}

/// Slows the reading of one session down to its rate. What is not read stays with the worker, by HTTP/2's own flow
/// control: nobody else waits.
pub struct Pace {
    limiter: DefaultDirectRateLimiter,
    clock: DefaultClock,
    refusals: Refusals,
}

impl Pace {
    /// Returns when the next message may be read. Dropped meanwhile, nothing is lost but the wait.
    pub async fn next(&self) {
        while let Err(early) = self.limiter.check() {
            self.refusals.count(Limit::SessionRate);
            tokio::time::sleep(early.wait_time_from(self.clock.now())).await;
        }
    }
}
