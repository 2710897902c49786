//! Revisions of configs, and rollbacks.

use super::Connectors;
use crate::{
    caller,
    convert::{names, request, revision},
    service::{ConnectorView, RollbackConnector, ServiceError},
};
use control_plane_core::{
    history::{Author, Reason},
    ids::Generation,
};
use prost::Message as _;
use proto::v1;

impl Connectors {
    /// Asks for fewer revisions where many large ones would not fit in one answer.
    pub(super) async fn revisions(
        &self,
        request: v1::ListConnectorRevisionsRequest,
    ) -> Result<v1::ListConnectorRevisionsResponse, ServiceError> {
        let (namespace, name) = names::connector("parent", &request.parent)?;
        let with_config = revision::with_config(request.view, false)?;
        let mut page = request::page(request.page_size, request.page_token)?;
        loop {
            let found = self.service.list_revisions(&namespace, &name, page.clone()).await?;
            let count = found.items.len();
            let wire = |view| revision::revision(&namespace, &name, view, with_config);
            let answer = v1::ListConnectorRevisionsResponse {
                revisions: found.items.into_iter().map(wire).collect(),
                next_page_token: found.next.unwrap_or_default(),
            };
            if count <= 1 || answer.encoded_len() <= self.max_message_bytes {
                return Ok(answer);
            }
            page.size = (count / 2) as u32;
        }
    }

    pub(super) async fn revision(
        &self,
        request: v1::GetConnectorRevisionRequest,
    ) -> Result<v1::ConnectorRevision, ServiceError> {
        let (namespace, name, generation) = names::revision("name", &request.name)?;
        let with_config = revision::with_config(request.view, true)?;
        let view = self.service.get_revision(&namespace, &name, generation).await?;
        Ok(revision::revision(&namespace, &name, view, with_config))
    }

    pub(super) async fn rollback(
        &self,
        author: Author,
        request: v1::RollbackConnectorRequest,
    ) -> Result<(ConnectorView, bool), ServiceError> {
        let (namespace, name) = names::connector("name", &request.name)?;
        if request.revision == 0 {
            return Err(names::invalid("revision", "it is missing; give the number of a revision, from 1"));
        }
        let rollback = RollbackConnector {
            namespace,
            name,
            revision: Generation(request.revision),
            etag: request::etag(request.etag),
            request_id: request::request_id(request.request_id)?,
            validate_only: request.validate_only,
            author,
            reason: reason(&request.reason)?,
        };
        self.service.rollback_connector(rollback).await
    }
}

/// The reason that a request gives.
pub(super) fn reason(text: &str) -> Result<Reason, ServiceError> {
    Reason::parse(text).map_err(caller::wrong("reason"))
}
