//! The history of configs: every stored config is written with its revision, in one transaction; revisions are read from
//! the store, because the followed view leaves them out.

use super::{Control, StoreErrorAt, TRIES, check_etag};
use control_plane_api::{
    revisions,
    service::{ConnectorView, Page, PageRequest, RevisionView, RollbackConnector, ServiceError},
};
use control_plane_core::{
    connector::{Config, Connector},
    history::{Author, ConfigRevision, Reason, outlived},
    ids::{ConnectorName, ConnectorUid, Generation, Namespace},
    keys::{Key, encode},
    txn::{Compare, Txn},
    world::Stored,
};

/// What is noted of a change beside the config.
pub(super) struct Note<'a> {
    /// Who.
    pub(super) author: &'a Author,
    /// Why.
    pub(super) reason: &'a Reason,
    /// Of a rollback.
    pub(super) request_id: Option<&'a str>,
}

impl Control {
    pub(super) async fn page_of_revisions(
        &self,
        namespace: &Namespace,
        name: &ConnectorName,
        page: PageRequest,
    ) -> Result<Page<RevisionView>, ServiceError> {
        self.up_to_date().await?;
        let stored = self.find(namespace, name)?;
        revisions::page(&self.history(stored.value.uid).await?, &page)
    }

    pub(super) async fn revision(
        &self,
        namespace: &Namespace,
        name: &ConnectorName,
        revision: Generation,
    ) -> Result<RevisionView, ServiceError> {
        self.up_to_date().await?;
        let stored = self.find(namespace, name)?;
        revisions::find(&self.history(stored.value.uid).await?, name, revision)
    }

    pub(super) async fn rollback(&self, request: RollbackConnector) -> Result<(ConnectorView, bool), ServiceError> {
        for _ in 0..TRIES {
            self.up_to_date().await?;
            let stored = self.find(&request.namespace, &request.name)?;
            let history = self.history(stored.value.uid).await?;
            if request.request_id.is_some() && history.iter().any(|one| one.request_id == request.request_id) {
                return Ok((self.view(&stored.value), true));
            }
            check_etag(&stored.value, request.etag.as_deref())?;
            let config = revisions::find(&history, &request.name, request.revision)?.revision.config;
            if config == stored.value.config {
                return Ok((self.view(&stored.value), false));
            }
            let reason = Reason::of_rollback(request.revision, &request.reason);
            let request_id = request.request_id.as_deref();
            let note = Note { author: &request.author, reason: &reason, request_id };
            if let Some(view) = self.store_config(stored, config, &note, request.validate_only).await? {
                return Ok((view, true));
            }
        }
        Err(ServiceError::Contended)
    }

    /// Validates a connector's new config and stores it with its revision, unless the connector has changed since it
    /// was read: then None.
    pub(super) async fn store_config(
        &self,
        stored: Stored<Connector>,
        config: Config,
        note: &Note<'_>,
        validate_only: bool,
    ) -> Result<Option<ConnectorView>, ServiceError> {
        self.check_space(validate_only)?;
        let validated = self.validate(&config).await?;
        let connector = Connector {
            config,
            config_generation: stored.value.config_generation.next(),
            class: validated.class,
            connector_type: validated.connector_type,
            fence_class: validated.fence_class,
            updated: self.clock.wall(),
            ..stored.value
        };
        if validate_only {
            return Ok(Some(self.view(&connector)));
        }
        let key = Key::Connector(connector.namespace.clone(), connector.name.clone());
        let txn = Txn::new().when(Compare::Unchanged(key.clone(), stored.revision)).put(key, encode(&connector));
        let history = self.history(connector.uid).await?;
        let committed = self.commit(with_revision(txn, &connector, note, &history)).await?;
        Ok(committed.then(|| self.view(&connector)))
    }

    async fn history(&self, connector: ConnectorUid) -> Result<Vec<ConfigRevision>, ServiceError> {
        Ok(self.store.history(connector).await.map_err(StoreErrorAt)?)
    }
}

/// The transaction that stores a config also writes its revision, and drops those of `history` that are to go.
pub(super) fn with_revision(txn: Txn, connector: &Connector, note: &Note<'_>, history: &[ConfigRevision]) -> Txn {
    let revision = ConfigRevision {
        generation: connector.config_generation,
        config: connector.config.clone(),
        author: note.author.clone(),
        time: connector.updated,
        reason: note.reason.clone(),
        request_id: note.request_id.map(str::to_owned),
    };
    let txn = txn.put(Key::Revision(connector.uid, revision.generation), encode(&revision));
    // One read too late would be the new one itself: the guard then fails, and no key may be written twice.
    outlived(history, connector.updated)
        .filter(|generation| *generation < revision.generation)
        .fold(txn, |txn, generation| txn.delete(Key::Revision(connector.uid, generation)))
}
