//! Watches: present connectors, then every change, from the cache's log of changes.

use super::Control;
use control_plane_api::service::{Position64, ServiceError, Watched};
use control_plane_core::ids::{ConnectorUid, Namespace, Revision};
use futures::stream::BoxStream;
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Steps that may wait for a watcher that reads slowly; it then falls behind in the log, which is bounded.
const BUFFER: usize = 64;
/// Changes are gathered for at least this long.
const LEAST_INTERVAL: Duration = Duration::from_millis(10);

pub(super) fn watch(
    control: Control,
    namespace: Option<Namespace>,
    after: Option<Position64>,
    min_interval: Duration,
) -> Result<BoxStream<'static, Result<Watched, ServiceError>>, ServiceError> {
    if let Some(after) = after
        && control.cache.changes_after(Revision(after)).is_none()
    {
        return Err(ServiceError::ResumeTooOld);
    }
    let (sender, receiver) = mpsc::channel(BUFFER);
    let watcher = Watcher { control, namespace, interval: min_interval.max(LEAST_INTERVAL), sender };
    tokio::spawn(watcher.run(after));
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

struct Watcher {
    control: Control,
    namespace: Option<Namespace>,
    interval: Duration,
    sender: mpsc::Sender<Result<Watched, ServiceError>>,
}

impl Watcher {
    /// Ends when the watcher has gone or has fallen too far behind.
    async fn run(self, after: Option<Position64>) {
        let mut progress = self.control.cache.subscribe();
        let mut at = match after {
            Some(after) => Revision(after),
            None => match self.present().await {
                Some(revision) => revision,
                None => return,
            },
        };
        if self.sender.send(Ok(Watched::Synced(at.0))).await.is_err() {
            return;
        }
        loop {
            let Some(changes) = self.control.cache.changes_after(at) else {
                // Nobody may be left to be told.
                let _ = self.sender.send(Err(ServiceError::ResumeTooOld)).await;
                return;
            };
            let mut latest: BTreeMap<ConnectorUid, _> = BTreeMap::new();
            for change in changes {
                at = at.max(change.revision);
                // A deletion stays one, whatever its units do afterwards.
                let deleted: &mut Option<_> = latest.entry(change.connector).or_default();
                *deleted = deleted.take().or(change.deleted);
            }
            for (uid, deleted) in latest {
                let Some(step) = self.step(uid, deleted, at) else { continue };
                if self.sender.send(Ok(step)).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = self.sender.closed() => return,
                changed = progress.changed() => if changed.is_err() { return },
            }
            tokio::time::sleep(self.interval).await;
        }
    }

    async fn present(&self) -> Option<Revision> {
        let (uids, revision): (Vec<ConnectorUid>, Revision) = {
            let world = self.control.cache.world();
            (world.names.values().copied().collect(), world.revision)
        };
        for uid in uids {
            if let Some(step) = self.step(uid, None, revision) {
                self.sender.send(Ok(step)).await.ok()?;
            }
        }
        Some(revision)
    }

    fn step(
        &self,
        uid: ConnectorUid,
        deleted: Option<(Namespace, control_plane_core::ids::ConnectorName)>,
        at: Revision,
    ) -> Option<Watched> {
        let in_scope = |namespace: &Namespace| self.namespace.as_ref().is_none_or(|wanted| wanted == namespace);
        let world = self.control.cache.world();
        match (world.connectors.get(&uid), deleted) {
            (Some(stored), _) if in_scope(&stored.value.namespace) => {
                let view = self.control.viewer.connector(&world, &stored.value);
                Some(Watched::Changed(Box::new(view), at.0))
            }
            (None, Some((namespace, name))) if in_scope(&namespace) => {
                Some(Watched::Deleted(namespace, name, uid.to_string(), at.0))
            }
            _ => None,
        }
    }
}
