//! Revisions of configs, to the wire.

use super::{
    names::{connector_name, invalid},
    timestamp,
};
use crate::service::{RevisionView, ServiceError};
use control_plane_core::{
    history::KeyChange,
    ids::{ConnectorName, Namespace},
};
use proto::v1::{self, ChangeKind, ConfigChange};

/// Whether the config is shown.
pub(crate) fn with_config(view: i32, default: bool) -> Result<bool, ServiceError> {
    match v1::RevisionView::try_from(view) {
        Ok(v1::RevisionView::Unspecified) => Ok(default),
        Ok(v1::RevisionView::Basic) => Ok(false),
        Ok(v1::RevisionView::Full) => Ok(true),
        Err(_) => Err(invalid("view", format!("{view} is unknown; give REVISION_VIEW_BASIC or REVISION_VIEW_FULL"))),
    }
}

pub(crate) fn revision(
    namespace: &Namespace,
    name: &ConnectorName,
    RevisionView { revision, changes }: RevisionView,
    with_config: bool,
) -> v1::ConnectorRevision {
    v1::ConnectorRevision {
        name: format!("{}/revisions/{}", connector_name(namespace, name), revision.generation.0),
        generation: revision.generation.0,
        author: revision.author.to_string(),
        create_time: Some(timestamp(revision.time)),
        reason: revision.reason.to_string(),
        config: if with_config { revision.config } else { Default::default() },
        previous_dropped: changes.is_none(),
        changes: changes.into_iter().flatten().map(change).collect(),
    }
}

fn change((key, change): (String, KeyChange)) -> ConfigChange {
    let (kind, old_value, new_value) = match change {
        KeyChange::Added { new } => (ChangeKind::Added, String::new(), new),
        KeyChange::Changed { old, new } => (ChangeKind::Changed, old, new),
        KeyChange::Removed { old } => (ChangeKind::Removed, old, String::new()),
    };
    ConfigChange { key, kind: kind.into(), old_value, new_value }
}
