//! Every change of something that exists honours its etag, every change can be tried dry, and a creation can be repeated.

use super::*;

fn reference(etag: &str, validate_only: bool) -> ConnectorRef {
    let etag = (!etag.is_empty()).then(|| etag.to_owned());
    ConnectorRef { namespace: Namespace::default(), name: name(), etag, validate_only }
}

/// Every change of a connector, with this etag.
async fn changes(up: &Up, etag: &str, validate_only: bool) -> Vec<(&'static str, Option<ServiceError>)> {
    let update = UpdateConnector {
        namespace: Namespace::default(),
        name: name(),
        change: ConfigChange::Replace(config(&[("changed", "1")])),
        etag: Some(etag.to_owned()),
        allow_missing: false,
        validate_only,
        request_id: None,
        author: Author::default(),
        reason: Reason::default(),
    };
    let back = RollbackConnector { etag: Some(etag.to_owned()), validate_only, ..rollback(1) };
    let control = &up.control;
    let of = || reference(etag, validate_only);
    vec![
        ("update", control.update_connector(update).await.err()),
        ("roll back", control.rollback_connector(back).await.err()),
        ("pause", control.set_target(of(), TargetState::Paused).await.err()),
        ("stop", control.set_target(of(), TargetState::Stopped).await.err()),
        ("resume", control.set_target(of(), TargetState::Running).await.err()),
        ("restart", control.restart_connector(of(), true, false).await.err()),
        ("restart a task", control.restart_task(of(), 0).await.err()),
        ("delete", control.delete_connector(of()).await.err()),
    ]
}

#[tokio::test]
async fn a_stale_etag_changes_nothing() {
    let up = start().await;
    let old = up.create(&[("n", "1")]).await.connector.etag();
    up.update(&[("n", "2")], "").await;
    let head = up.control.store.head().await.unwrap();
    for (change, refused) in changes(&up, &old, false).await {
        assert!(matches!(refused, Some(ServiceError::StaleEtag { .. })), "{change}: {refused:?}");
    }
    assert_eq!(up.control.store.head().await.unwrap(), head);
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let up = start().await;
    up.create(&[("n", "1")]).await;
    let etag = up.update(&[("n", "2")], "").await.connector.etag();
    let head = up.control.store.head().await.unwrap();
    for (change, refused) in changes(&up, &etag, true).await {
        match (change, &refused) {
            ("restart a task", Some(ServiceError::NotFound { what: "Task", .. })) => {}
            (_, refused) => assert!(refused.is_none(), "{change}: {refused:?}"),
        }
    }
    let create = CreateConnector { validate_only: true, ..creation("dry", None) };
    up.control.create_connector(create).await.unwrap();
    assert_eq!(up.control.store.head().await.unwrap(), head);
}

fn creation(connector: &str, request_id: Option<&str>) -> CreateConnector {
    CreateConnector {
        namespace: Namespace::default(),
        name: ConnectorName::parse(connector).unwrap(),
        config: Config::from([("connector.class".to_owned(), "C".to_owned())]),
        target: TargetState::Running,
        request_id: request_id.map(str::to_owned),
        validate_only: false,
        author: Author::default(),
        reason: Reason::default(),
    }
}

#[tokio::test]
async fn a_creation_is_repeated_by_its_request_id_only() {
    let up = start().await;
    let first = up.control.create_connector(creation("b", Some("one"))).await.unwrap();
    let again = up.control.create_connector(creation("b", Some("one"))).await.unwrap();
    assert_eq!(again.connector.uid, first.connector.uid);
    for other in [Some("two"), None] {
        let refused = up.control.create_connector(creation("b", other)).await.unwrap_err();
        assert!(matches!(refused, ServiceError::AlreadyExists { .. }), "{refused:?}");
    }
}
