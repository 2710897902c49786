//! The store's contract, on the embedded database and on a real etcd.
//!
//! Every etcd of `etcd_process::binaries` is tested: 3.7, and Debian's 3.4 where it is to be had.

mod contract;
mod etcd_process;

use control_plane_core::space::Level;
use control_plane_store::{Store, embedded::EmbeddedStore, etcd::EtcdStore};
use std::{sync::Arc, time::Duration};

#[tokio::test]
async fn embedded() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("store.redb");
    let store = EmbeddedStore::open(&path).expect("open");
    contract::run(Arc::new(store)).await;
    assert!(EmbeddedStore::open(&path).is_ok(), "the file is free again, and readable");
}

#[tokio::test]
async fn embedded_entries_survive_and_ephemeral_ones_do_not() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("store.redb");
    {
        let store = EmbeddedStore::open(&path).expect("open");
        contract::seed(&store).await;
        assert!(EmbeddedStore::open(&path).is_err(), "one process at a time");
    }
    let store = EmbeddedStore::open(&path).expect("open again");
    contract::seeded_without_ephemeral(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd() {
    for binary in etcd_process::binaries() {
        let etcd = etcd_process::Etcd::start(&binary, &[]);
        let store = EtcdStore::connect(&[etcd.url()], "/contract", Duration::from_secs(20)).await.expect("connect");
        contract::run(Arc::new(store)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_lists_its_keys_for_followers() {
    for binary in etcd_process::binaries() {
        let etcd = etcd_process::Etcd::start(&binary, &[]);
        let store = EtcdStore::connect(&[etcd.url()], "/listed", Duration::from_secs(20)).await.expect("connect");
        let store = store.with_listing(Duration::from_millis(50));
        contract::seed(&store).await;
        contract::expect_listing_of_the_seed(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_that_is_killed_and_comes_back() {
    for binary in etcd_process::binaries() {
        let mut etcd = etcd_process::Etcd::start(&binary, &[]);
        let store = EtcdStore::connect(&[etcd.url()], "/gap", Duration::from_secs(20)).await.expect("connect");
        contract::seed(&store).await;
        let mut followed = store.follow();
        contract::expect_reset(&mut followed).await;
        etcd.kill();
        contract::expect_away(&mut followed).await;
        assert!(store.head().await.is_err());
        etcd.restart();
        contract::expect_reset(&mut followed).await;
        contract::run(Arc::new(store)).await;
    }
}

#[tokio::test]
async fn an_unreachable_etcd_is_named() {
    let port = etcd_process::free_port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let error = match EtcdStore::connect(std::slice::from_ref(&endpoint), "/x", Duration::from_secs(1)).await {
        Ok(_) => panic!("nobody listens there"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains(&endpoint) && error.contains("--etcd") && error.contains("1 s"), "{error}");
}

/// Of etcd's quota in this test; its file begins with less than 1 MiB.
const QUOTA_BYTES: u64 = 4 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn etcd_tells_its_space_and_that_it_has_none_left() {
    for binary in etcd_process::binaries() {
        let quota = QUOTA_BYTES.to_string();
        // Each write counts at once.
        let arguments = ["--quota-backend-bytes", &quota, "--backend-batch-limit", "1"];
        let etcd = etcd_process::Etcd::start(&binary, &arguments);
        let store = EtcdStore::connect(&[etcd.url()], "/space", Duration::from_secs(20)).await.expect("connect");
        let store = store.with_quota(QUOTA_BYTES);
        let before = store.space().await.expect("space").expect("etcd has a quota");
        assert_eq!((before.quota_bytes, before.level()), (QUOTA_BYTES, Level::Normal), "{before:?}");
        assert!(contract::fill(&store, 8).await > 0, "8 MiB do not fit into 4");
        let after = store.space().await.expect("space").expect("etcd has a quota");
        assert!(after.used_bytes > before.used_bytes && after.is_exhausted, "{after:?}");
        assert_eq!(after.level(), Level::Full);
    }
    let embedded = EmbeddedStore::in_memory().expect("store");
    assert_eq!(embedded.space().await.expect("space"), None);
}
