//! Replicas of different versions on one store: the older one stops where it would have to guess.

use crate::{
    etcd_process::{self, Etcd},
    up::{DEADLINE, Up},
};
use control_plane_server::limits::Limits;
use control_plane_store::etcd::EtcdStore;
use etcd_client::Client;
use std::sync::Arc;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_too_old_for_what_is_stored_ends_and_says_what_to_do() {
    let Some(binary) = etcd_process::binaries().into_iter().next() else { panic!("no etcd") };
    let etcd = Etcd::start(&binary, &[]);
    let store = EtcdStore::connect(&[etcd.url()], "/versions", DEADLINE).await.expect("connected");
    let older = Up::start_on(Arc::new(store), Limits::default()).await;
    let mut newer = Client::connect([etcd.url()], None).await.expect("a client");

    // A kind of key that is new is none of its business; a value of a later schema is.
    newer.put("/versions/novelties/1", r#"{"v":2}"#, None).await.expect("stored");
    newer.put("/versions/settings/other", r#"{"v":1,"generation":1,"properties":{}}"#, None).await.expect("stored");
    assert!(older.metric("store_live").await > 0.0);
    newer.put("/versions/settings/other", r#"{"v":2,"shape":"another"}"#, None).await.expect("stored");
    let error = timeout(DEADLINE, older.ended()).await.expect("it ends in time");
    let text = format!("{error:#}");
    assert!(text.contains("settings/other has schema version 2") && text.contains("upgrade it"), "{text}");
}
