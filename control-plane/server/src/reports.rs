//! What workers report is stored, as the core decides it.

use crate::{cache::Cache, clock::Clock, space::SpaceView};
use control_plane_core::{
    ids::WorkerId,
    keys::{Key, encode},
    report::{self, Circumstances, Grant, Report, Step, Verdict},
    txn::{Compare, Txn},
    worker::{Worker, WorkerState},
    world::Stored,
};
use control_plane_store::{Outcome, Store, StoreError};
use std::{collections::BTreeSet, sync::Arc};

/// Tries against a store that keeps changing.
const TRIES: usize = 10;

/// Stores workers' reports.
#[derive(Clone)]
pub struct Reports {
    /// The store.
    pub store: Arc<dyn Store>,
    /// What is known of it.
    pub cache: Cache,
    /// The clock.
    pub clock: Clock,
    /// How much may still be stored.
    pub space: SpaceView,
}

impl Reports {
    /// A worker reports something of a unit.
    pub async fn report(&self, grant: Grant, report: Report) -> Result<Verdict, StoreError> {
        let mut is_up_to_date = false;
        for _ in 0..TRIES {
            let takes_statuses = self.space.level().takes_statuses();
            let circumstances = Circumstances { is_up_to_date, takes_statuses };
            let step = report::decide(&self.cache.world(), grant, &report, circumstances);
            match step {
                Step::Done(verdict) => return Ok(verdict),
                Step::Behind => {}
                Step::Store(txn, verdict) => match self.store.commit(txn).await? {
                    Outcome::Committed(revision) => {
                        self.cache.reach_or_go_on(revision).await;
                        return Ok(verdict);
                    }
                    Outcome::Refused => {}
                },
            }
            self.cache.up_to_date(&*self.store).await?;
            is_up_to_date = true;
        }
        Err(contended())
    }

    /// The worker wants to end, or says goodbye (it holds nothing any more).
    pub async fn worker_state(&self, id: WorkerId, state: WorkerState) -> Result<bool, StoreError> {
        self.change_worker(id, |worker| match worker.state.may_become(state) {
            true => Worker { state, ..worker.clone() },
            false => worker.clone(),
        })
        .await
    }

    /// The worker counts on these replicas.
    pub async fn known_replicas(&self, id: WorkerId, addresses: BTreeSet<String>) -> Result<bool, StoreError> {
        self.change_worker(id, |worker| Worker { known_replicas: addresses.clone(), ..worker.clone() }).await
    }

    /// Changes a worker's entry: somebody asks for it, or the worker itself does. One whose lease has ended stays as it is.
    /// False: there is no such worker.
    pub async fn change_worker(&self, id: WorkerId, change: impl Fn(&Worker) -> Worker) -> Result<bool, StoreError> {
        for _ in 0..TRIES {
            let worker = self.cache.world().workers.get(&id).cloned();
            let Some(Stored { value, revision }) = worker else { return Ok(false) };
            let changed = change(&value);
            if changed == value || value.state == WorkerState::Expired {
                return Ok(true);
            }
            let txn =
                Txn::new().when(Compare::Unchanged(Key::Worker(id), revision)).put(Key::Worker(id), encode(&changed));
            match self.store.commit(txn).await? {
                Outcome::Committed(revision) => {
                    self.cache.reach(revision).await?;
                    return Ok(true);
                }
                Outcome::Refused => self.cache.up_to_date(&*self.store).await?,
            }
        }
        Err(contended())
    }
}

fn contended() -> StoreError {
    StoreError::Unavailable("the entry is being changed by others again and again".to_owned())
}
