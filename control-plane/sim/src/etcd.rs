//! etcd as the replicas see it: revisions, guarded transactions, sessions with a time to live, a log to watch.
//!
//! It decides nothing about delays: those are the simulator's.

use crate::replica::Replica;
use control_plane_core::{
    ids::{Revision, WorkerId},
    incarnation::StoreIdentity,
    keys::{Entry, Key},
    txn::{Compare, Txn, Write},
    worker::WorkerState,
};
use std::collections::BTreeMap;

/// Life of a replica's session without a renewal, in ms.
pub const SESSION_TTL_MS: u64 = 3000;

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All conditions held.
    Committed(Revision),
    /// A condition did not hold.
    Refused,
}

/// A call.
#[derive(Debug, Clone)]
pub enum Request {
    /// A transaction, with the caller's session for ephemeral keys.
    Commit(Txn, Option<u64>),
    /// The revision of the last durable write.
    Head,
    /// Everything.
    ReadAll,
    /// A new session.
    Grant,
    /// Renews a session.
    KeepAlive(u64),
}

/// Its answer.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Of a transaction.
    Outcome(Outcome),
    /// Of Head.
    Head(Revision),
    /// Of ReadAll.
    All(Vec<(Key, Entry, Revision)>, Revision),
    /// Of Grant.
    Granted(u64),
    /// Of KeepAlive: whether the session lives.
    Alive(bool),
    /// The call was refused, or nothing came in time: a write may have happened.
    Failed,
}

/// A change of a key.
#[derive(Debug, Clone)]
pub struct Change {
    /// When.
    pub revision: Revision,
    /// The key.
    pub key: Key,
    /// None: deleted.
    pub entry: Option<Entry>,
}

#[derive(Debug, Clone)]
struct Item {
    entry: Entry,
    revision: Revision,
    session: Option<u64>,
}

/// A backup of the store.
#[derive(Debug, Clone)]
pub struct Backup {
    items: BTreeMap<Key, Item>,
    revision: Revision,
    head: Revision,
}

impl Backup {
    /// The replica has seen more.
    pub fn is_older_than(&self, replica: &Replica) -> bool {
        replica.is_up && !replica.is_paused && replica.world.revision > self.revision
    }

    /// A worker that may run was stored then.
    pub fn knows(&self, worker: WorkerId) -> bool {
        let item = self.items.get(&Key::Worker(worker));
        item.is_some_and(|item| matches!(&item.entry, Entry::Worker(worker) if worker.state != WorkerState::Expired))
    }
}

/// The store.
#[derive(Debug, Default)]
pub struct Etcd {
    items: BTreeMap<Key, Item>,
    revision: Revision,
    head: Revision,
    log: Vec<Change>,
    sessions: BTreeMap<u64, u64>,
    next_session: u64,
    term: u64,
    /// It answers nobody.
    pub is_away: bool,
    /// It answers nobody until then, and everybody after.
    pub stalled_until: u64,
}

impl Etcd {
    /// The newest revision.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// What stands under a key.
    pub fn get(&self, key: &Key) -> Option<&Entry> {
        self.items.get(key).map(|item| &item.entry)
    }

    /// Everything stored.
    pub fn entries(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.items.iter().map(|(key, item)| (key, &item.entry))
    }

    /// The changes after `cursor` up to `upto`.
    pub fn changes(&self, cursor: Revision, upto: Revision) -> Vec<Change> {
        let from = self.log.partition_point(|change| change.revision <= cursor);
        self.log[from..].iter().take_while(|change| change.revision <= upto).cloned().collect()
    }

    /// Serves a call.
    pub fn serve(&mut self, request: Request, now: u64) -> Answer {
        self.expire(now);
        match request {
            Request::Commit(txn, session) => self.commit(txn, session),
            Request::Head => Answer::Head(self.head),
            Request::ReadAll => {
                let all = self.items.iter().filter(|(key, _)| !matches!(key, Key::Revision(..)));
                let all = all.map(|(key, item)| (key.clone(), item.entry.clone(), item.revision)).collect();
                Answer::All(all, self.revision)
            }
            Request::Grant => {
                self.next_session += 1;
                self.sessions.insert(self.next_session, now + SESSION_TTL_MS);
                Answer::Granted(self.next_session)
            }
            Request::KeepAlive(id) => match self.sessions.get_mut(&id) {
                Some(until) => {
                    *until = now + SESSION_TTL_MS;
                    Answer::Alive(true)
                }
                None => Answer::Alive(false),
            },
        }
    }

    /// Ends sessions whose time is over, with what is bound to them. Gives whether any did.
    pub fn expire(&mut self, now: u64) -> bool {
        if self.is_away {
            return false;
        }
        let over: Vec<u64> = self.sessions.iter().filter(|(_, until)| **until <= now).map(|(id, _)| *id).collect();
        for id in &over {
            self.sessions.remove(id);
            let bound: Vec<Key> =
                self.items.iter().filter(|(_, item)| item.session == Some(*id)).map(|(key, _)| key.clone()).collect();
            if !bound.is_empty() {
                self.revision.0 += 1;
            }
            bound.into_iter().for_each(|key| self.delete(key));
        }
        !over.is_empty()
    }

    /// As its answers' heads tell it.
    pub fn identity(&self) -> StoreIdentity {
        StoreIdentity { cluster: 1, term: self.term }
    }

    /// A backup, as of now.
    pub fn backup(&self) -> Backup {
        Backup { items: self.items.clone(), revision: self.revision, head: self.head }
    }

    /// What was stored since the backup never was; revisions are given again. A snapshot is restored into a new cluster,
    /// files that are put back are the old one.
    pub fn restore(&mut self, backup: Backup, is_snapshot: bool) {
        if is_snapshot {
            self.term = 0;
        }
        let Backup { items, revision, head } = backup;
        self.log.retain(|change| change.revision <= revision);
        (self.items, self.revision, self.head) = (items, revision, head);
        for session in self.items.values().filter_map(|item| item.session) {
            self.sessions.entry(session).or_default();
        }
    }

    /// It was away and is back: as a new leader of etcd does, every session gets its full time again.
    pub fn back(&mut self, now: u64) {
        self.is_away = false;
        self.term += 1;
        self.sessions.values_mut().for_each(|until| *until = now + SESSION_TTL_MS);
    }

    fn commit(&mut self, txn: Txn, session: Option<u64>) -> Answer {
        let ephemeral = txn.writes.iter().any(|write| matches!(write, Write::Put(key, _) if key.is_ephemeral()));
        if ephemeral && session.is_none_or(|id| !self.sessions.contains_key(&id)) {
            return Answer::Failed;
        }
        if !txn.compares.iter().all(|compare| self.holds(compare)) {
            return Answer::Outcome(Outcome::Refused);
        }
        self.revision.0 += 1;
        if txn.writes.iter().any(|write| !write.key().is_ephemeral()) {
            self.head = self.revision;
        }
        for write in txn.writes {
            match write {
                Write::Put(key, value) => {
                    // The cores' own codec is under test too: what cannot be read back ends the run.
                    let Ok(entry) = key.decode(&value) else { return Answer::Failed };
                    let session = session.filter(|_| key.is_ephemeral());
                    self.log.push(Change { revision: self.revision, key: key.clone(), entry: Some(entry.clone()) });
                    self.items.insert(key, Item { entry, revision: self.revision, session });
                }
                Write::Delete(key) => self.delete(key),
            }
        }
        Answer::Outcome(Outcome::Committed(self.revision))
    }

    fn delete(&mut self, key: Key) {
        if self.items.remove(&key).is_some() {
            self.log.push(Change { revision: self.revision, key, entry: None });
        }
    }

    fn holds(&self, compare: &Compare) -> bool {
        match compare {
            Compare::Unchanged(key, revision) => self.items.get(key).is_some_and(|item| item.revision == *revision),
            Compare::Absent(key) => !self.items.contains_key(key),
            Compare::NoReplicaNewer(revision) => {
                !self.items.iter().any(|(key, item)| matches!(key, Key::Replica(_)) && item.revision > *revision)
            }
        }
    }
}
