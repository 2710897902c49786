//! Workers as users see and drain them.

use super::{Control, StoreErrorAt};
use control_plane_api::service::{Page, PageRequest, ServiceError, WorkerView};
use control_plane_core::worker::WorkerState;

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

    pub(super) async fn drain(&self, name: &str, validate_only: bool) -> Result<WorkerView, ServiceError> {
        self.up_to_date().await?;
        let found = self.find_worker(name)?;
        if !validate_only && found.worker.state == WorkerState::Active {
            let id = found.worker.id;
            self.reports.worker_state(id, WorkerState::Draining).await.map_err(StoreErrorAt)?;
        }
        self.find_worker(name)
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
