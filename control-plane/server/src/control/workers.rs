//! Workers as users see, cordon and drain them.

use super::{Control, StoreErrorAt};
use control_plane_api::service::{Page, PageRequest, ServiceError, WorkerChange, WorkerView};
use control_plane_core::worker::{Worker, WorkerState};

impl Control {
    pub(super) async fn page_of_workers(&self, page: PageRequest) -> Result<Page<WorkerView>, ServiceError> {
        self.up_to_date().await?;
        let world = self.cache.world();
        let after = match page.token.as_str() {
            "" => None,
            token => Some(token.parse().map_err(|_| ServiceError::bad_page_token())?),
        };
        let size = page.limit();
        let mut ids: Vec<_> =
            world.workers.keys().filter(|id| after.is_none_or(|after| **id > after)).copied().collect();
        let next = (ids.len() > size).then(|| ids[size - 1].to_string());
        ids.truncate(size);
        Ok(Page { items: ids.into_iter().filter_map(|id| self.viewer.worker(&world, id)).collect(), next })
    }

    pub(super) async fn drain(&self, worker: WorkerChange) -> Result<WorkerView, ServiceError> {
        self.change_worker(&worker, |worker| match worker.state {
            WorkerState::Active | WorkerState::Cordoned => WorkerState::Draining,
            state @ (WorkerState::Draining | WorkerState::Leaving | WorkerState::Expired) => state,
        })
        .await
    }

    pub(super) async fn cordon(&self, worker: WorkerChange) -> Result<WorkerView, ServiceError> {
        self.change_worker(&worker, |worker| match worker.state {
            WorkerState::Active => WorkerState::Cordoned,
            state => state,
        })
        .await
    }

    pub(super) async fn uncordon(&self, worker: WorkerChange) -> Result<WorkerView, ServiceError> {
        let changed = self.change_worker(&worker, |worker| match worker.state {
            WorkerState::Cordoned | WorkerState::Draining => WorkerState::Active,
            state @ (WorkerState::Active | WorkerState::Leaving | WorkerState::Expired) => state,
        });
        let view = changed.await?;
        match view.worker.state {
            WorkerState::Active => Ok(view),
            WorkerState::Expired => Err(ServiceError::FailedPrecondition(format!(
                "the lease of worker {} has ended: its process, if it lives, comes back under a new id",
                worker.name
            ))),
            WorkerState::Cordoned | WorkerState::Draining | WorkerState::Leaving => {
                Err(ServiceError::FailedPrecondition(format!(
                    "the process of worker {} is ending and gives up its units; start it again",
                    worker.name
                )))
            }
        }
    }

    pub(super) async fn expire(&self, worker: WorkerChange) -> Result<WorkerView, ServiceError> {
        self.up_to_date().await?;
        let found = self.find_worker(&worker.name)?;
        if found.worker.state != WorkerState::Expired && !found.silent {
            return Err(ServiceError::FailedPrecondition(format!(
                "heartbeats of worker {} arrive, so its process runs: end that, or drain the worker",
                worker.name
            )));
        }
        self.change_worker(&worker, |_| WorkerState::Expired).await
    }

    /// Gives the worker as it is afterwards, or would be.
    async fn change_worker(
        &self,
        asked: &WorkerChange,
        state: impl Fn(&Worker) -> WorkerState + Send + Sync,
    ) -> Result<WorkerView, ServiceError> {
        self.up_to_date().await?;
        let mut found = self.find_worker(&asked.name)?;
        check_worker_etag(&found.worker, asked.etag.as_deref())?;
        if asked.validate_only {
            found.worker.state = state(&found.worker);
            return Ok(found);
        }
        let id = found.worker.id;
        // Looked at again with each try: where it has become stale meanwhile, nothing changes.
        let is_as_asked = |worker: &Worker| check_worker_etag(worker, asked.etag.as_deref()).is_ok();
        let change = |worker: &Worker| match is_as_asked(worker) {
            true => Worker { state: state(worker), ..worker.clone() },
            false => worker.clone(),
        };
        self.reports.change_worker(id, change).await.map_err(StoreErrorAt)?;
        let changed = self.find_worker(&id.to_string())?;
        if changed.worker.state != state(&found.worker) {
            check_worker_etag(&changed.worker, asked.etag.as_deref())?;
        }
        Ok(changed)
    }

    pub(super) fn find_worker(&self, name: &str) -> Result<WorkerView, ServiceError> {
        let world = self.cache.world();
        let found = world.workers.values().map(|stored| &stored.value).find(|worker| {
            worker.id.to_string() == name || (worker.address == name && worker.state != WorkerState::Expired)
        });
        found
            .and_then(|worker| self.viewer.worker(&world, worker.id))
            .ok_or_else(|| ServiceError::NotFound { what: "Worker", name: name.to_owned() })
    }
}

fn check_worker_etag(worker: &Worker, given: Option<&str>) -> Result<(), ServiceError> {
    match given {
        Some(given) if given != worker.etag() => {
            Err(ServiceError::StaleEtag { given: given.to_owned(), current: worker.etag() })
        }
        _ => Ok(()),
    }
}
