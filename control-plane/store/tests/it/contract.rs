//! What every store keeps to.

use control_plane_core::{
    connector::Settings,
    history::{Author, ConfigRevision, Reason},
    ids::{ConnectorUid, Epoch, Generation, ReplicaId, Revision, SettingsId, WorkerId},
    keys::{Entry, Key, encode},
    time::Wall,
    txn::{Compare, Txn},
    worker::Replica,
};
use control_plane_store::{Followed, Outcome, Store, StoreError};
use futures::{StreamExt, stream::BoxStream};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::timeout;
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(20);

fn settings(n: u64) -> Settings {
    Settings { generation: Generation(n), properties: BTreeMap::new() }
}

fn key(id: &str) -> Key {
    Key::Settings(SettingsId::parse(id).expect("id"))
}

fn replica(number: u64) -> (Key, Replica) {
    let id = ReplicaId(Uuid::from_u128(5));
    let beats = BTreeMap::from([(WorkerId(Uuid::from_u128(6)), number)]);
    (Key::Replica(id), Replica { id, address: "http://127.0.0.1:1".to_owned(), beats })
}

async fn commit(store: &dyn Store, txn: Txn) -> Option<Revision> {
    match store.commit(txn).await.expect("the store answers") {
        Outcome::Committed(revision) => Some(revision),
        Outcome::Refused => None,
    }
}

/// A durable and an ephemeral entry.
pub async fn seed(store: &dyn Store) {
    let (replica_key, document) = replica(1);
    assert!(commit(store, Txn::new().put(key("kept"), encode(&settings(1)))).await.is_some());
    assert!(commit(store, Txn::new().put(replica_key, encode(&document))).await.is_some());
}

pub async fn seeded_without_ephemeral(store: &dyn Store) {
    let mut followed = store.follow();
    let Some(Followed::Reset { entries, .. }) = next(&mut followed).await else { panic!("a reset comes first") };
    let keys: Vec<&Key> = entries.iter().map(|(key, _, _)| key).collect();
    assert_eq!(keys, [&key("kept")]);
}

pub async fn expect_listing_of_the_seed(store: &dyn Store) {
    let mut followed = store.follow();
    let Some(Followed::Reset { entries, .. }) = next(&mut followed).await else { panic!("a reset comes first") };
    let mut stored: Vec<(Key, Revision)> = entries.into_iter().map(|(key, _, revision)| (key, revision)).collect();
    stored.sort();
    let mut listings = 0;
    while listings < 2 {
        match next(&mut followed).await {
            Some(Followed::Listing(mut listing)) => {
                listing.sort();
                assert_eq!(listing, stored);
                listings += 1;
            }
            Some(Followed::Changes { changes, .. }) => assert!(changes.is_empty(), "{changes:?}"),
            other => panic!("{other:?}"),
        }
    }
}

async fn next(followed: &mut BoxStream<'static, Followed>) -> Option<Followed> {
    timeout(DEADLINE, followed.next()).await.expect("a step within the deadline")
}

pub async fn expect_reset(followed: &mut BoxStream<'static, Followed>) {
    loop {
        match next(followed).await {
            Some(Followed::Reset { .. }) => return,
            Some(Followed::Away(_) | Followed::Changes { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

pub async fn expect_away(followed: &mut BoxStream<'static, Followed>) {
    loop {
        match next(followed).await {
            Some(Followed::Away(_)) => return,
            Some(Followed::Changes { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Reads changes until the key was told, and gives its entry.
async fn told(followed: &mut BoxStream<'static, Followed>, wanted: &Key) -> (Option<Entry>, Revision) {
    loop {
        match next(followed).await {
            Some(Followed::Changes { changes, revision }) => {
                for (key, entry, at) in changes {
                    assert!(at <= revision);
                    if key == *wanted {
                        return (entry, at);
                    }
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

pub async fn run(store: Arc<dyn Store>) {
    let mut followed = store.follow();
    expect_reset(&mut followed).await;

    // Guards.
    let first = commit(&*store, Txn::new().when(Compare::Absent(key("a"))).put(key("a"), encode(&settings(1)))).await;
    let first = first.expect("a is absent");
    assert_eq!(
        commit(&*store, Txn::new().when(Compare::Absent(key("a"))).put(key("a"), encode(&settings(2)))).await,
        None
    );
    let stale = Revision(first.0 - 1);
    assert_eq!(commit(&*store, Txn::new().when(Compare::Unchanged(key("a"), stale)).delete(key("a"))).await, None);
    assert_eq!(commit(&*store, Txn::new().when(Compare::Unchanged(key("b"), first)).delete(key("a"))).await, None);
    assert_eq!(told(&mut followed, &key("a")).await, (Some(Entry::Settings(settings(1))), first));
    assert!(store.head().await.expect("head") >= first);

    // All or nothing, in one revision.
    let both = Txn::new()
        .when(Compare::Unchanged(key("a"), first))
        .put(key("a"), encode(&settings(3)))
        .put(Key::Epoch, encode(&Epoch { incarnation: 1, counter: 9 }));
    let second = commit(&*store, both).await.expect("a is unchanged");
    assert!(second > first);
    assert_eq!(told(&mut followed, &key("a")).await.1, second);
    assert_eq!(store.head().await.expect("head"), second);

    // Heartbeat documents: guarded as a range, and no new head.
    let (replica_key, document) = replica(1);
    let third = commit(&*store, Txn::new().put(replica_key.clone(), encode(&document))).await.expect("no guard");
    assert_eq!(store.head().await.expect("head"), second);
    assert_eq!(told(&mut followed, &replica_key).await, (Some(Entry::Replica(document)), third));
    let guarded = |limit| Txn::new().when(Compare::NoReplicaNewer(limit)).put(key("c"), encode(&settings(1)));
    assert_eq!(commit(&*store, guarded(second)).await, None, "a heartbeat was stored since");
    assert!(commit(&*store, guarded(third)).await.is_some());
    let gone = commit(&*store, Txn::new().delete(replica_key.clone())).await.expect("no guard");
    assert_eq!(told(&mut followed, &replica_key).await, (None, gone));

    // History is kept apart from the followed view.
    let uid = ConnectorUid(Uuid::from_u128(77));
    let revision = |n| ConfigRevision {
        generation: Generation(n),
        config: BTreeMap::new(),
        author: Author::parse("me").expect("short"),
        time: Wall(1),
        reason: Reason::default(),
        request_id: None,
    };
    let history = Txn::new()
        .put(Key::Revision(uid, Generation(10)), encode(&revision(10)))
        .put(Key::Revision(uid, Generation(9)), encode(&revision(9)));
    assert!(commit(&*store, history).await.is_some());
    assert_eq!(store.history(uid).await.expect("history"), [revision(9), revision(10)]);
    // Large ones are more than a gRPC message is by default.
    for n in 1..=6 {
        let config = BTreeMap::from([("large".to_owned(), "x".repeat(1_000_000))]);
        let large = ConfigRevision { config, ..revision(n) };
        assert!(commit(&*store, Txn::new().put(Key::Revision(uid, Generation(n)), encode(&large))).await.is_some());
    }
    assert_eq!(store.history(uid).await.expect("history").len(), 8);

    // Many writers: exactly one of those that guard the same revision wins.
    let base = commit(&*store, Txn::new().put(key("race"), encode(&settings(1)))).await.expect("no guard");
    let racers = (0..20).map(|n| {
        let store = store.clone();
        async move {
            commit(
                &*store,
                Txn::new().when(Compare::Unchanged(key("race"), base)).put(key("race"), encode(&settings(n))),
            )
            .await
        }
    });
    let won = futures::future::join_all(racers).await.into_iter().flatten().count();
    assert_eq!(won, 1);

    // Compaction takes nothing that stands.
    store.compact(base).await.expect("compaction");
    store.compact(base).await.expect("once more is no harm");

    // A second follower sees everything at once.
    let mut late = store.follow();
    let Some(Followed::Reset { entries, .. }) = next(&mut late).await else { panic!("a reset comes first") };
    assert!(entries.iter().any(|(entry_key, _, at)| *entry_key == key("a") && *at == second));
    assert!(!entries.iter().any(|(entry_key, _, _)| matches!(entry_key, Key::Revision(..))));
}

/// Writes so many entries of about a MiB; gives how many were refused for want of space.
pub async fn fill(store: &dyn Store, entries: u64) -> usize {
    let mut refused = 0;
    for n in 0..entries {
        let properties = BTreeMap::from([("large".to_owned(), "x".repeat(1 << 20))]);
        let large = Settings { generation: Generation(n), properties };
        match store.commit(Txn::new().put(key(&format!("fill{n}")), encode(&large))).await {
            Ok(Outcome::Committed(_)) => {}
            Err(StoreError::OutOfSpace(_)) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    refused
}
