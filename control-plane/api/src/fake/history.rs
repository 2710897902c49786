//! The fake's histories: every revision, for ever.

use super::{FakeService, World};
use crate::service::{ConnectorView, ServiceError};
use control_plane_core::{
    connector::Connector,
    history::{Author, ConfigRevision, Reason},
    ids::{ConnectorName, Namespace},
};

impl World {
    pub(super) fn remember(
        &mut self,
        connector: &Connector,
        author: Author,
        reason: Reason,
        request_id: Option<String>,
    ) {
        self.histories.entry(connector.uid).or_default().push(ConfigRevision {
            generation: connector.config_generation,
            config: connector.config.clone(),
            author,
            time: connector.updated,
            reason,
            request_id,
        });
    }
}

impl FakeService {
    pub(super) fn with_history(
        &self,
        namespace: &Namespace,
        name: &ConnectorName,
    ) -> Result<(ConnectorView, Vec<ConfigRevision>), ServiceError> {
        let world = self.world()?;
        let view = world.find(namespace, name)?.clone();
        let history = world.histories.get(&view.connector.uid).cloned().unwrap_or_default();
        Ok((view, history))
    }
}
