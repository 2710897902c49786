//! The store on etcd 3.4 and later.
//!
//! etcd-client's streams die for good with the connection (its unary calls recover by themselves), so each stream has
//! a supervisor here: the follower reads everything again and watches from the next revision, the keeper renews the
//! same lease or makes a new one. A hung etcd is noticed by HTTP/2 keep-alives. Of a cluster of etcd, one member is asked
//! until it fails (`members`).

mod members;

use crate::{Followed, HEAD, Outcome, Store, StoreError};
use control_plane_core::{
    history::ConfigRevision,
    ids::{ConnectorUid, Revision},
    incarnation::StoreIdentity,
    keys::{DecodeError, Entry, Key, REPLICAS},
    space::Space,
    txn::{Compare, Txn, Write},
};
use etcd_client::{
    Client, Compare as EtcdCompare, CompareOp, ConnectOptions, Error, EventType, GetOptions, GetResponse,
    LeaseGrantOptions, PutOptions, TxnOp, WatchOptions,
};
use futures::{future::BoxFuture, stream::BoxStream};
use members::Members;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;

/// Life of this process's session in etcd, in seconds; a dead leader is replaced after it.
const SESSION_TTL_S: i64 = 2;
/// Longest wait for an answer of etcd.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// Entries read at a time.
const PAGE: i64 = 1000;
/// Largest answer to a read: a whole history of large configs, or a page of large entries.
const READ_LIMIT_BYTES: usize = 64 << 20;
/// Steps that may wait for a slow reader of the followed view.
const FOLLOW_BUFFER: usize = 64;
/// The quota of an etcd that is told none.
pub const DEFAULT_QUOTA_BYTES: u64 = 2 << 30;
/// How often all keys are listed, for whoever follows to compare.
const LISTING: Duration = Duration::from_secs(180);
/// And again after that: what was on its way the first time has come by then.
const LISTING_AGAIN: Duration = Duration::from_secs(5);
/// Pause before etcd is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// The store on etcd.
pub struct EtcdStore {
    members: Arc<Members>,
    prefix: Arc<str>,
    /// For an etcd before 3.6, which does not tell its own.
    quota_bytes: u64,
    /// How often all keys are listed for followers.
    listing: Duration,
    session: watch::Receiver<Option<i64>>,
    keeper: Companion,
}

/// Ends a task with what it works for.
struct Companion(tokio::task::JoinHandle<()>);

impl Drop for Companion {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl EtcdStore {
    /// Connects; fails if no endpoint answers within `patience`. Keys lie under `prefix` (such as `/ferry`).
    pub async fn connect(endpoints: &[String], prefix: &str, patience: Duration) -> Result<EtcdStore, StoreError> {
        let options = ConnectOptions::new()
            .with_connect_timeout(CALL_TIMEOUT)
            .with_keep_alive(Duration::from_secs(2), Duration::from_secs(2))
            .with_keep_alive_while_idle(true);
        let unreachable = |cause: String| {
            StoreError::Unavailable(format!(
                "etcd at {} was not reached within {} s ({cause}); start it, or correct --etcd",
                endpoints.join(","),
                patience.as_secs()
            ))
        };
        let mut last = String::from("no answer");
        let reach = async {
            loop {
                let members = match Members::new(endpoints, &options).await {
                    Ok(members) => members,
                    Err(error) => return Err(error.to_string()),
                };
                match members.read(|client| async move { client.kv_client().get("health", None).await }).await {
                    Ok(_) => return Ok(members),
                    Err(error) => last = error.to_string(),
                }
                tracing::debug!(error = %last, "etcd is not reached yet");
                sleep(RETRY).await;
            }
        };
        let members = match timeout(patience, reach).await {
            Ok(Ok(members)) => Arc::new(members),
            Ok(Err(bad)) => return Err(unreachable(bad)),
            Err(_) => return Err(unreachable(last)),
        };
        let (sender, session) = watch::channel(None);
        let keeper = Companion(tokio::spawn(keep_session(members.clone(), sender)));
        let prefix = format!("{}/", prefix.trim_end_matches('/'));
        Ok(EtcdStore {
            members,
            prefix: prefix.into(),
            quota_bytes: DEFAULT_QUOTA_BYTES,
            listing: LISTING,
            session,
            keeper,
        })
    }

    /// With all keys listed for followers that often.
    pub fn with_listing(self, listing: Duration) -> EtcdStore {
        EtcdStore { listing, ..self }
    }

    /// With the quota of an etcd before 3.6; a later one tells its own.
    pub fn with_quota(self, quota_bytes: u64) -> EtcdStore {
        EtcdStore { quota_bytes, ..self }
    }

    async fn read_head(&self) -> Result<GetResponse, StoreError> {
        let read = |client: Client| async move { client.kv_client().get(format!("{}{HEAD}", self.prefix), None).await };
        self.members.read(read).await
    }

    fn path(&self, key: &Key) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn commit_now(&self, txn: Txn) -> Result<Outcome, StoreError> {
        let compares: Vec<EtcdCompare> = txn
            .compares
            .iter()
            .map(|compare| match compare {
                Compare::Unchanged(key, revision) => {
                    EtcdCompare::mod_revision(self.path(key), CompareOp::Equal, revision.0)
                }
                Compare::Absent(key) => EtcdCompare::mod_revision(self.path(key), CompareOp::Equal, 0),
                Compare::NoReplicaNewer(revision) => {
                    EtcdCompare::mod_revision(format!("{}{REPLICAS}", self.prefix), CompareOp::Less, revision.0 + 1)
                        .with_prefix()
                }
            })
            .collect();
        let durable = txn.writes.iter().any(|write| !write.key().is_ephemeral());
        let mut operations = Vec::with_capacity(txn.writes.len() + 1);
        for write in txn.writes {
            operations.push(match write {
                Write::Put(key, value) => {
                    let options = match key.is_ephemeral() {
                        true => Some(PutOptions::new().with_lease(self.session_lease().await?)),
                        false => None,
                    };
                    TxnOp::put(self.path(&key), value, options)
                }
                Write::Delete(key) => TxnOp::delete(self.path(&key), None),
            });
        }
        if durable {
            operations.push(TxnOp::put(format!("{}{HEAD}", self.prefix), "", None));
        }
        let request = etcd_client::Txn::new().when(compares).and_then(operations);
        let order = |client: Client| {
            let request = request.clone();
            async move { client.kv_client().txn(request).await }
        };
        let response = self.members.write(order).await?;
        let revision = response.header().map_or(0, |header| header.revision());
        Ok(if response.succeeded() { Outcome::Committed(Revision(revision)) } else { Outcome::Refused })
    }

    async fn session_lease(&self) -> Result<i64, StoreError> {
        let mut session = self.session.clone();
        let held = timeout(CALL_TIMEOUT, session.wait_for(Option::is_some)).await;
        match held {
            Ok(Ok(lease)) => lease.ok_or_else(no_session),
            _ => Err(no_session()),
        }
    }
}

impl Store for EtcdStore {
    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<Outcome, StoreError>> {
        Box::pin(self.commit_now(txn))
    }

    fn present(&self) -> BoxFuture<'_, Result<(StoreIdentity, Revision), StoreError>> {
        Box::pin(async move {
            let response = self.read_head().await?;
            let Some(header) = response.header() else { return Ok(Default::default()) };
            let identity = StoreIdentity { cluster: header.cluster_id(), term: header.raft_term() };
            Ok((identity, Revision(header.revision())))
        })
    }

    fn head(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        Box::pin(async move {
            let response = self.read_head().await?;
            Ok(Revision(response.kvs().first().map_or(0, etcd_client::KeyValue::mod_revision)))
        })
    }

    fn compact(&self, before: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let order = |client: Client| async move { client.kv_client().compact(before.0, None).await };
            match self.members.write(order).await {
                // Another replica was faster.
                Err(StoreError::Unavailable(text)) if text.contains("required revision has been compacted") => Ok(()),
                result => result.map(|_| ()),
            }
        })
    }

    fn space(&self) -> BoxFuture<'_, Result<Option<Space>, StoreError>> {
        Box::pin(async move {
            let status =
                self.members.read(|client: Client| async move { client.maintenance_client().status().await }).await?;
            let quota_bytes = match status.db_size_quota() {
                0 => self.quota_bytes,
                // A negative one switches the quota off.
                told => u64::try_from(told).unwrap_or(u64::MAX),
            };
            Ok(Some(Space {
                used_bytes: u64::try_from(status.db_size()).unwrap_or_default(),
                quota_bytes,
                is_exhausted: status.errors().iter().any(|error| error.contains("NOSPACE")),
            }))
        })
    }

    fn follow(&self) -> BoxStream<'static, Followed> {
        let (sender, receiver) = mpsc::channel(FOLLOW_BUFFER);
        tokio::spawn(follow(self.members.clone(), self.prefix.clone(), self.listing, sender));
        Box::pin(ReceiverStream::new(receiver))
    }

    fn history(&self, connector: ConnectorUid) -> BoxFuture<'_, Result<Vec<ConfigRevision>, StoreError>> {
        Box::pin(async move {
            let read = |client: Client| async move {
                let from = format!("{}revisions/{connector}/", self.prefix);
                let mut client = client.kv_client().max_decoding_message_size(READ_LIMIT_BYTES);
                client.get(from, Some(GetOptions::new().with_prefix())).await
            };
            let response = self.members.read(read).await?;
            let mut revisions = Vec::new();
            for stored in response.kvs() {
                let path = String::from_utf8_lossy(stored.key());
                let key = Key::parse(path.strip_prefix(&*self.prefix).unwrap_or(&path))?;
                if let Entry::Revision(revision) = key.decode(stored.value())? {
                    revisions.push(revision);
                }
            }
            Ok(revisions)
        })
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.keeper.0.abort();
            let Some(lease) = *self.session.borrow() else { return };
            let order = |client: Client| async move { client.lease_client().revoke(lease).await };
            if let Err(error) = self.members.write(order).await {
                tracing::debug!(%error, "the session ends by itself");
            }
        })
    }
}

async fn call<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
    match timeout(CALL_TIMEOUT, answer).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Err(store_error(error)),
        Err(_) => Err(StoreError::Unavailable(format!("no answer of etcd within {} s", CALL_TIMEOUT.as_secs()))),
    }
}

fn store_error(error: Error) -> StoreError {
    match &error {
        Error::GRpcStatus(status) if status.message().contains("request is too large") => {
            StoreError::TooLarge(status.message().to_owned())
        }
        Error::GRpcStatus(status) if status.message().contains("database space exceeded") => {
            StoreError::OutOfSpace(status.message().to_owned())
        }
        _ => StoreError::Unavailable(error.to_string()),
    }
}

fn no_session() -> StoreError {
    StoreError::Unavailable("this process has no session in etcd at the moment".to_owned())
}

/// Keeps one lease alive; makes another where it is gone.
async fn keep_session(members: Arc<Members>, session: watch::Sender<Option<i64>>) {
    loop {
        let (member, client) = members.current();
        let known = *session.borrow();
        let lease = match known {
            Some(lease) => lease,
            None => {
                let mut granter = client.lease_client();
                match timeout(CALL_TIMEOUT, granter.grant(SESSION_TTL_S, None::<LeaseGrantOptions>)).await {
                    Ok(Ok(granted)) => {
                        let _ = session.send(Some(granted.id()));
                        granted.id()
                    }
                    _ => {
                        members.failed(member);
                        sleep(RETRY).await;
                        continue;
                    }
                }
            }
        };
        match renew_until_it_fails(&client, lease).await {
            LeaseEnd::Gone => drop(session.send(None)),
            LeaseEnd::Unknown => members.failed(member),
        }
        sleep(RETRY).await;
    }
}

enum LeaseEnd {
    /// etcd says that there is no such lease.
    Gone,
    /// The stream broke; the lease may live.
    Unknown,
}

async fn renew_until_it_fails(client: &Client, lease: i64) -> LeaseEnd {
    let mut leases = client.lease_client();
    let (mut keeper, mut answers) = match timeout(CALL_TIMEOUT, leases.keep_alive(lease)).await {
        Ok(Ok(streams)) => streams,
        Ok(Err(Error::LeaseKeepAliveError(_))) => return LeaseEnd::Gone,
        _ => return LeaseEnd::Unknown,
    };
    loop {
        if !matches!(timeout(CALL_TIMEOUT, keeper.keep_alive()).await, Ok(Ok(()))) {
            return LeaseEnd::Unknown;
        }
        match timeout(CALL_TIMEOUT, answers.message()).await {
            Ok(Ok(Some(answer))) if answer.ttl() > 0 => {}
            Ok(Ok(Some(_))) => return LeaseEnd::Gone,
            _ => return LeaseEnd::Unknown,
        }
        sleep(Duration::from_millis(SESSION_TTL_S as u64 * 1000 / 4)).await;
    }
}

async fn follow(members: Arc<Members>, prefix: Arc<str>, listing: Duration, sender: mpsc::Sender<Followed>) {
    while !sender.is_closed() {
        let (member, client) = members.current();
        let step = match follow_until_it_fails(&client, &prefix, listing, &sender).await {
            Ok(()) => return,
            Err(error @ StoreError::Unreadable(_)) => {
                let _ = sender.send(Followed::Broken(error)).await;
                return;
            }
            Err(error) => {
                members.failed(member);
                Followed::Away(error)
            }
        };
        if sender.send(step).await.is_err() {
            return;
        }
        sleep(RETRY).await;
    }
}

/// Returns Ok only when nobody listens any more.
async fn follow_until_it_fails(
    client: &Client,
    prefix: &str,
    listing: Duration,
    sender: &mpsc::Sender<Followed>,
) -> Result<(), StoreError> {
    let (entries, revision) = read_everything(client, prefix).await?;
    let mut watcher = client.watch_client();
    let options = WatchOptions::new().with_prefix().with_start_revision(revision.0 + 1);
    let mut stream = call(watcher.watch(prefix, Some(options))).await?;
    if sender.send(Followed::Reset { entries, revision }).await.is_err() {
        return Ok(());
    }
    let mut told = revision;
    let (listings, mut listed) = mpsc::channel(1);
    let _lister = Companion(tokio::spawn(list_now_and_then(client.clone(), prefix.to_owned(), listing, listings)));
    loop {
        let message = tokio::select! {
            message = stream.message() => message.map_err(store_error)?,
            Some(listing) = listed.recv() => match sender.send(Followed::Listing(listing)).await {
                Ok(()) => continue,
                Err(_) => return Ok(()),
            },
            () = sender.closed() => return Ok(()),
        };
        let Some(response) = message else {
            return Err(StoreError::Unavailable("etcd ended the watch".to_owned()));
        };
        if response.canceled() || response.compact_revision() > 0 {
            return Err(StoreError::Unavailable(format!("etcd cancelled the watch: {}", response.cancel_reason())));
        }
        let mut changes = Vec::with_capacity(response.events().len());
        let mut upto = told;
        for event in response.events() {
            let Some(stored) = event.kv() else { continue };
            let revision = Revision(stored.mod_revision());
            // etcd 3.4 can repeat events.
            if revision <= told {
                continue;
            }
            upto = upto.max(revision);
            match event.event_type() {
                EventType::Put => {
                    if let Some((key, entry, _)) = followed_entry(prefix, stored)? {
                        changes.push((key, Some(entry), revision));
                    }
                }
                EventType::Delete => {
                    if let Some(key) = followed_key(prefix, stored.key())? {
                        changes.push((key, None, revision));
                    }
                }
            }
        }
        told = upto;
        if sender.send(Followed::Changes { changes, revision: told }).await.is_err() {
            return Ok(());
        }
    }
}

/// Two listings shortly after another, every few minutes. One that fails is left out: the watch tells of the trouble.
async fn list_now_and_then(
    client: Client,
    prefix: String,
    every: Duration,
    listings: mpsc::Sender<Vec<(Key, Revision)>>,
) {
    loop {
        for pause in [every, LISTING_AGAIN.min(every)] {
            sleep(pause).await;
            if let Ok(listing) = list_keys(&client, &prefix).await
                && listings.send(listing).await.is_err()
            {
                return;
            }
        }
    }
}

async fn list_keys(client: &Client, prefix: &str) -> Result<Vec<(Key, Revision)>, StoreError> {
    let mut kv = client.kv_client().max_decoding_message_size(READ_LIMIT_BYTES);
    let mut keys = Vec::new();
    let mut from = prefix.as_bytes().to_vec();
    loop {
        let options = GetOptions::new().with_range(prefix_end(prefix)).with_limit(PAGE).with_keys_only();
        let page = call(kv.get(from, Some(options))).await?;
        for stored in page.kvs() {
            if let Some(key) = followed_key(prefix, stored.key())? {
                keys.push((key, Revision(stored.mod_revision())));
            }
        }
        match page.kvs().last() {
            Some(last) if page.more() => {
                from = last.key().to_vec();
                from.push(0);
            }
            _ => return Ok(keys),
        }
    }
}

async fn read_everything(client: &Client, prefix: &str) -> Result<(Vec<(Key, Entry, Revision)>, Revision), StoreError> {
    let mut kv = client.kv_client().max_decoding_message_size(READ_LIMIT_BYTES);
    let mut entries = Vec::new();
    let end = prefix_end(prefix);
    let mut from = prefix.as_bytes().to_vec();
    let mut as_of = 0;
    loop {
        let options = GetOptions::new().with_range(end.clone()).with_limit(PAGE).with_revision(as_of);
        let page = call(kv.get(from.clone(), Some(options))).await?;
        if as_of == 0 {
            as_of = page.header().map_or(0, |header| header.revision());
        }
        for stored in page.kvs() {
            if let Some(entry) = followed_entry(prefix, stored)? {
                entries.push(entry);
            }
        }
        match page.kvs().last() {
            Some(last) if page.more() => {
                from = last.key().to_vec();
                from.push(0);
            }
            _ => return Ok((entries, Revision(as_of))),
        }
    }
}

fn prefix_end(prefix: &str) -> Vec<u8> {
    // The prefix ends in '/', and '0' follows it.
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

/// The key of the followed view; None for what is not part of it.
fn followed_key(prefix: &str, path: &[u8]) -> Result<Option<Key>, StoreError> {
    let path = String::from_utf8_lossy(path);
    let relative = path.strip_prefix(prefix).unwrap_or(&path);
    if relative == HEAD {
        return Ok(None);
    }
    match Key::parse(relative) {
        Ok(Key::Revision(..)) => Ok(None),
        Ok(key) => Ok(Some(key)),
        // A later version keeps kinds of things that this one does not know, and does not need.
        Err(DecodeError::UnknownKey(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn followed_entry(prefix: &str, stored: &etcd_client::KeyValue) -> Result<Option<(Key, Entry, Revision)>, StoreError> {
    let Some(key) = followed_key(prefix, stored.key())? else { return Ok(None) };
    let entry = key.decode(stored.value())?;
    Ok(Some((key, entry, Revision(stored.mod_revision()))))
}
