//! Creation, lists, updates and deletion of connectors.

use super::{
    Control, TRIES, check_etag,
    history::{Note, with_revision},
    not_found,
    plugins::Validated,
};
use control_plane_api::service::{
    ConfigChange, ConnectorRef, ConnectorView, CreateConnector, Page, PageRequest, ServiceError, UpdateConnector,
    Violation,
};
use control_plane_core::{
    connector::{Config, Connector, DeletedConnector, TargetState},
    ids::{ConnectorName, ConnectorUid, Namespace},
    keys::{Key, encode},
    txn::{Compare, Txn},
};
use uuid::Uuid;

impl Control {
    pub(super) async fn create(&self, mut request: CreateConnector) -> Result<ConnectorView, ServiceError> {
        name_in_config(&mut request.config, &request.name)?;
        self.up_to_date().await?;
        // Said before the config is judged, and looked at again before anything is stored.
        if let Some(repeated) = self.repeated(&request)? {
            return Ok(repeated);
        }
        self.check_space(request.validate_only)?;
        let validated = self.validate(&request.config).await?;
        self.store_new(request, validated).await
    }

    /// The connector that this very request has created before; an error if the name is somebody else's.
    fn repeated(&self, request: &CreateConnector) -> Result<Option<ConnectorView>, ServiceError> {
        let existing = self.cache.world().connector(&request.namespace, &request.name).cloned();
        match existing {
            None => Ok(None),
            Some(existing) if request.request_id.is_some() && existing.value.request_id == request.request_id => {
                Ok(Some(self.view(&existing.value)))
            }
            Some(_) => Err(ServiceError::AlreadyExists { name: request.name.to_string() }),
        }
    }

    async fn store_new(&self, request: CreateConnector, validated: Validated) -> Result<ConnectorView, ServiceError> {
        for _ in 0..TRIES {
            self.up_to_date().await?;
            if let Some(repeated) = self.repeated(&request)? {
                return Ok(repeated);
            }
            let now = self.clock.wall();
            let connector = Connector {
                namespace: request.namespace.clone(),
                config: request.config.clone(),
                target: request.target,
                connector_type: validated.connector_type,
                fence_class: validated.fence_class,
                request_id: request.request_id.clone(),
                ..Connector::new(ConnectorUid(Uuid::now_v7()), request.name.clone(), validated.class.clone(), now)
            };
            if request.validate_only {
                return Ok(self.view(&connector));
            }
            let key = Key::Connector(request.namespace.clone(), request.name.clone());
            let txn = Txn::new().when(Compare::Absent(key.clone())).put(key, encode(&connector));
            let note = Note { author: &request.author, reason: &request.reason, request_id: None };
            if self.commit(with_revision(txn, &connector, &note, &[])).await? {
                return Ok(self.view(&connector));
            }
        }
        Err(ServiceError::Contended)
    }

    pub(super) async fn page_of_connectors(
        &self,
        namespace: Option<&Namespace>,
        page: PageRequest,
    ) -> Result<Page<ConnectorView>, ServiceError> {
        self.up_to_date().await?;
        let world = self.cache.world();
        let after: Option<(Namespace, ConnectorName)> = match page.token.split_once('/') {
            None if page.token.is_empty() => None,
            Some((namespace, name)) => match (Namespace::parse(namespace), ConnectorName::parse(name)) {
                (Ok(namespace), Ok(name)) => Some((namespace, name)),
                _ => return Err(ServiceError::bad_page_token()),
            },
            None => return Err(ServiceError::bad_page_token()),
        };
        let in_scope = world
            .names
            .iter()
            .filter(|((at, _), _)| namespace.is_none_or(|wanted| wanted == at))
            .filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after));
        let size = page.limit();
        let mut items = Vec::new();
        let mut next = None;
        for ((at, name), uid) in in_scope {
            if items.len() == size {
                next = items
                    .last()
                    .map(|view: &ConnectorView| format!("{}/{}", view.connector.namespace, view.connector.name));
                break;
            }
            match world.connectors.get(uid) {
                Some(stored) => items.push(self.viewer.connector(&world, &stored.value)),
                None => tracing::error!(namespace = %at, connector = %name, "a name without a connector"),
            }
        }
        Ok(Page { items, next })
    }

    pub(super) async fn update(&self, request: UpdateConnector) -> Result<(ConnectorView, bool), ServiceError> {
        for _ in 0..TRIES {
            self.up_to_date().await?;
            let stored = self.cache.world().connector(&request.namespace, &request.name).cloned();
            let Some(stored) = stored else {
                if !request.allow_missing {
                    return Err(not_found(&request.name));
                }
                let config = match &request.change {
                    ConfigChange::Replace(config) => config.clone(),
                    ConfigChange::Merge(_) => return Err(not_found(&request.name)),
                };
                let create = CreateConnector {
                    namespace: request.namespace.clone(),
                    name: request.name.clone(),
                    config,
                    target: TargetState::Running,
                    request_id: request.request_id.clone(),
                    validate_only: request.validate_only,
                    author: request.author.clone(),
                    reason: request.reason.clone(),
                };
                return match self.create(create).await {
                    Ok(view) => Ok((view, true)),
                    // Created by somebody else meanwhile: update that one.
                    Err(ServiceError::AlreadyExists { .. }) => continue,
                    Err(error) => Err(error),
                };
            };
            check_etag(&stored.value, request.etag.as_deref())?;
            let mut config = changed_config(&stored.value.config, &request.change);
            if matches!(request.change, ConfigChange::Replace(_)) {
                name_in_config(&mut config, &request.name)?;
            }
            if config == stored.value.config {
                return Ok((self.view(&stored.value), false));
            }
            let note = Note { author: &request.author, reason: &request.reason, request_id: None };
            if let Some(view) = self.store_config(stored, config, &note, request.validate_only).await? {
                return Ok((view, false));
            }
        }
        Err(ServiceError::Contended)
    }

    pub(super) async fn delete(&self, reference: ConnectorRef) -> Result<(), ServiceError> {
        for _ in 0..TRIES {
            self.up_to_date().await?;
            let stored = self.find(&reference.namespace, &reference.name)?;
            check_etag(&stored.value, reference.etag.as_deref())?;
            if reference.validate_only {
                return Ok(());
            }
            let deleted = DeletedConnector {
                namespace: reference.namespace.clone(),
                name: reference.name.clone(),
                settings: stored.value.settings,
                config_generation: stored.value.config_generation,
            };
            let key = Key::Connector(reference.namespace.clone(), reference.name.clone());
            let txn = Txn::new()
                .when(Compare::Unchanged(key.clone(), stored.revision))
                .delete(key)
                .put(Key::Deleted(stored.value.uid), encode(&deleted));
            if self.commit(txn).await? {
                return Ok(());
            }
        }
        Err(ServiceError::Contended)
    }
}

fn changed_config(config: &Config, change: &ConfigChange) -> Config {
    match change {
        ConfigChange::Replace(new) => new.clone(),
        ConfigChange::Merge(patch) => {
            let mut merged = config.clone();
            for (key, value) in patch {
                match value {
                    Some(value) => drop(merged.insert(key.clone(), value.clone())),
                    None => drop(merged.remove(key)),
                }
            }
            merged
        }
    }
}

/// `name` in the config is the connector's name, and is added where it is missing.
fn name_in_config(config: &mut Config, name: &ConnectorName) -> Result<(), ServiceError> {
    match config.get("name") {
        Some(other) if other != name.as_str() => Err(ServiceError::Invalid(vec![Violation {
            field: "config.name".to_owned(),
            description: format!(
                "Connector name configuration ({other}) doesn't match connector name in the URL ({name}); leave it out, \
                 or make them equal"
            ),
        }])),
        Some(_) => Ok(()),
        None => {
            config.insert("name".to_owned(), name.to_string());
            Ok(())
        }
    }
}
