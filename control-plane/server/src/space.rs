//! What this replica knows of the store's space, asked for every ten seconds.

use crate::clock::Clock;
use control_plane_api::service::ServiceError;
use control_plane_core::{
    space::{Level, Space},
    time::Wall,
};
use control_plane_store::Store;
use parking_lot::RwLock;
use std::{sync::Arc, time::Duration};

/// How often the store is asked.
const POLL: Duration = Duration::from_secs(10);

/// The space as it was last told. Cheap to clone; plenty before anything was told.
#[derive(Clone, Default)]
pub struct SpaceView {
    inner: Arc<RwLock<Known>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    space: Option<Space>,
    level: Level,
    since: Wall,
}

impl SpaceView {
    /// The space, if the store has a quota.
    pub fn space(&self) -> Option<Space> {
        self.inner.read().space
    }

    /// What it allows.
    pub fn level(&self) -> Level {
        self.inner.read().level
    }

    /// Whether a new config may be stored.
    ///
    /// # Errors
    /// It may not; the text says what to do.
    pub fn check_configs(&self) -> Result<(), ServiceError> {
        match self.level().takes_configs() {
            true => Ok(()),
            false => Err(ServiceError::OutOfSpace(self.text())),
        }
    }

    /// Since when a granted unit's state is not known for want of space. A status that is stored while space is low is true:
    /// one that became false was deleted. With no space at all not even that could be stored.
    pub fn unknown_since(&self, has_status: bool) -> Option<Wall> {
        let known = self.inner.read();
        let is_unknown = known.level == Level::Full || (known.level == Level::Low && !has_status);
        is_unknown.then_some(known.since)
    }

    /// For people: how it is, and what to do.
    pub fn text(&self) -> String {
        let known = *self.inner.read();
        let (used, quota) = known.space.map_or((0, 0), |space| (space.used_bytes >> 20, space.quota_bytes >> 20));
        let refused = match known.level {
            Level::Normal => return format!("etcd uses {used} MiB of its quota of {quota} MiB"),
            Level::Low => "no connector is created and no config changed; pausing, stopping and deleting are possible",
            Level::Full => "nothing can be stored, and no unit of a lost worker is taken over",
        };
        format!(
            "etcd uses {used} MiB of its quota of {quota} MiB: {refused}. Compact and defragment etcd (etcdctl defrag), or \
             raise its --quota-backend-bytes, and disarm its alarm if it has one (etcdctl alarm disarm)"
        )
    }

    /// Takes what the store told; a change of level is logged.
    fn told(&self, space: Option<Space>, now: Wall) {
        let level = space.map_or(Level::Normal, |space| space.level());
        let before = {
            let mut known = self.inner.write();
            let before = known.level;
            let since = if level == before { known.since } else { now };
            *known = Known { space, level, since };
            before
        };
        if level > before {
            tracing::error!(?level, "space: {}", self.text());
        } else if level < before {
            tracing::info!(?level, "space: {}", self.text());
        }
    }
}

/// Asks for ever.
pub async fn watch(store: Arc<dyn Store>, view: SpaceView, clock: Clock) {
    loop {
        match store.space().await {
            Ok(space) => view.told(space, clock.wall()),
            // What was known last is the best that is known.
            Err(error) => tracing::debug!(%error, "the store did not tell its space"),
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_and_not_known_at_each_level() {
        let view = SpaceView::default();
        let check = |used_bytes, at, takes_configs, without_status, with_status| {
            view.told(Some(Space { used_bytes, quota_bytes: 100 << 20, is_exhausted: false }), Wall(at));
            assert_eq!(view.check_configs().is_ok(), takes_configs, "{used_bytes}");
            let unknown = (view.unknown_since(false), view.unknown_since(true));
            assert_eq!(unknown, (without_status, with_status), "{used_bytes}");
        };
        check(1 << 20, 1, true, None, None);
        check(81 << 20, 2, false, Some(Wall(2)), None);
        check(82 << 20, 3, false, Some(Wall(2)), None);
        check(100 << 20, 4, false, Some(Wall(4)), Some(Wall(4)));
        let text = view.check_configs().unwrap_err().to_string();
        assert!(text.contains("100 MiB of its quota of 100 MiB") && text.contains("defrag"), "{text}");
        check(2 << 20, 5, true, None, None);
        view.told(None, Wall(6));
        assert_eq!(view.level(), Level::Normal, "a store without a quota");
    }
}
