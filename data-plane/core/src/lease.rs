//! Until when the worker may run its units.
//!
//! The deadline is the lease's length after the worker SENT the last heartbeat that was acknowledged: the leader counts
//! at least as long from when it saw that heartbeat. Where every listed replica answers HOLD (it cannot reach the store)
//! or refuses the connection (nobody listens), nobody can grant the units to another: such answers extend the deadline
//! by the same rule. A silent replica may be cut off and alive; silence extends nothing. A replica that was known once
//! stays known: one that is away may come back and lead while the others answer HOLD.

use crate::time::Monotonic;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// Heartbeats whose sending time is remembered; older ones can no longer extend the lease.
const SENT_LIMIT: usize = 256;

/// Replicas whose word may be needed. Where they come and go under ever new addresses there are more, and then only an
/// acknowledgement extends the lease.
const KNOWN_LIMIT: usize = 64;

/// The worker's lease.
#[derive(Debug, Clone)]
pub struct Lease {
    length: Duration,
    next: u64,
    sent: VecDeque<(u64, Monotonic)>,
    /// The highest heartbeat acknowledged so far; they count from 1.
    acknowledged: u64,
    /// The deadline: moved on only by what happened before it.
    until: Option<Monotonic>,
    /// Known replicas, with the latest moment that each proved unable to grant.
    replicas: BTreeMap<String, Option<Monotonic>>,
    /// There were more of them than can be kept.
    is_crowded: bool,
}

impl Lease {
    /// No lease yet: the deadline is in the past until the first acknowledgement.
    pub fn new(length: Duration) -> Lease {
        Lease {
            length,
            next: 1,
            sent: VecDeque::new(),
            acknowledged: 0,
            until: None,
            replicas: BTreeMap::new(),
            is_crowded: false,
        }
    }

    /// As Welcome says; margins are taken off by the control plane.
    pub fn set_length(&mut self, length: Duration) {
        self.length = length;
    }

    /// A replica that exists, or existed, or is configured: its word is needed before anything but an acknowledgement
    /// extends the deadline.
    pub fn know(&mut self, address: String) {
        self.is_crowded |= self.replicas.len() >= KNOWN_LIMIT && !self.replicas.contains_key(&address);
        if !self.is_crowded {
            self.replicas.entry(address).or_insert(None);
        }
    }

    /// An address turned out to be another name of a replica.
    pub fn renamed(&mut self, from: &str, to: &str) {
        if from != to
            && let Some(evidence) = self.replicas.remove(from)
        {
            let known = self.replicas.entry(to.to_owned()).or_insert(None);
            *known = (*known).max(evidence);
        }
    }

    /// All replicas whose word is needed; none where nobody's word but an acknowledgement counts.
    pub fn known(&self) -> impl Iterator<Item = &str> {
        self.replicas.keys().map(String::as_str).filter(|_| !self.is_crowded)
    }

    /// A heartbeat goes out now, over all sessions; gives its number.
    pub fn send(&mut self, now: Monotonic) -> u64 {
        let number = self.next;
        self.next += 1;
        self.sent.push_back((number, now));
        if self.sent.len() > SENT_LIMIT {
            self.sent.pop_front();
        }
        number
    }

    /// The number that the next heartbeat will have.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// The highest heartbeat acknowledged so far.
    pub fn acknowledged_number(&self) -> u64 {
        self.acknowledged
    }

    /// A replica stored a heartbeat.
    pub fn acknowledged(&mut self, replica: &str, number: u64) {
        if let Some(evidence) = self.replicas.get_mut(replica) {
            *evidence = None;
        }
        let Some(at) = self.sent_at(number) else { return };
        self.acknowledged = self.acknowledged.max(number);
        self.until = self.until.max(Some(at + self.length));
        self.extend();
        while self.sent.front().is_some_and(|(first, _)| *first < number.saturating_sub(16)) {
            self.sent.pop_front();
        }
    }

    /// A replica got a heartbeat and cannot store it.
    pub fn held(&mut self, replica: &str, number: u64) {
        let at = self.sent_at(number);
        if let (Some(evidence), Some(at)) = (self.replicas.get_mut(replica), at) {
            *evidence = (*evidence).max(Some(at));
        }
        self.extend();
    }

    /// A replica refused the connection that was tried at `tried_at`.
    pub fn refused(&mut self, replica: &str, tried_at: Monotonic) {
        if let Some(evidence) = self.replicas.get_mut(replica) {
            *evidence = (*evidence).max(Some(tried_at));
        }
        self.extend();
    }

    /// That nobody can grant keeps a lease that holds; it brings none back that had ended before.
    fn extend(&mut self) {
        let nobody_can_grant_since = self.replicas.values().copied().min().flatten();
        if let (Some(until), Some(since), false) = (self.until, nobody_can_grant_since, self.is_crowded)
            && since <= until
        {
            self.until = Some(until.max(since + self.length));
        }
    }

    /// From this moment on nothing may be handed over any more; None before the first acknowledgement.
    pub fn deadline(&self) -> Option<Monotonic> {
        self.until
    }

    fn sent_at(&self, number: u64) -> Option<Monotonic> {
        self.sent.iter().rev().find(|(sent, _)| *sent == number).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "http://a";
    const B: &str = "http://b";

    fn lease() -> Lease {
        let mut lease = Lease::new(Duration::from_millis(1300));
        lease.know(A.to_owned());
        lease.know(B.to_owned());
        lease
    }

    #[test]
    fn the_deadline_counts_from_the_sending() {
        let mut lease = lease();
        assert_eq!(lease.deadline(), None);
        let first = lease.send(Monotonic(1000));
        let second = lease.send(Monotonic(1300));
        lease.acknowledged(A, second);
        assert_eq!(lease.deadline(), Some(Monotonic(2600)));
        lease.acknowledged(B, first);
        assert_eq!(lease.deadline(), Some(Monotonic(2600)), "a late one does not shorten it");
        lease.acknowledged(A, 99);
        assert_eq!(lease.deadline(), Some(Monotonic(2600)), "a number never sent proves nothing");
    }

    #[test]
    fn hold_and_refusal_by_all_extend_it_and_silence_of_one_does_not() {
        let mut lease = lease();
        let first = lease.send(Monotonic(1000));
        lease.acknowledged(A, first);
        let second = lease.send(Monotonic(2000));
        lease.held(A, second);
        assert_eq!(lease.deadline(), Some(Monotonic(2300)), "b is silent");
        lease.refused(B, Monotonic(1500));
        assert_eq!(lease.deadline(), Some(Monotonic(2800)), "as of the earliest answer");
        lease.refused(B, Monotonic(2100));
        assert_eq!(lease.deadline(), Some(Monotonic(3300)));
        let third = lease.send(Monotonic(2200));
        lease.acknowledged(A, third);
        assert_eq!(lease.deadline(), Some(Monotonic(3500)), "an answer takes the evidence back");
        lease.refused(B, Monotonic(9000));
        assert_eq!(lease.deadline(), Some(Monotonic(3500)));
    }

    #[test]
    fn a_lease_that_had_ended_is_not_brought_back() {
        let mut lease = lease();
        let first = lease.send(Monotonic(1000));
        // Stopped, and going on much later: both refuse, and then an old answer is read.
        lease.refused(A, Monotonic(9000));
        lease.refused(B, Monotonic(9000));
        lease.acknowledged("http://c", first);
        assert_eq!(lease.deadline(), Some(Monotonic(2300)));
        lease.refused(A, Monotonic(9100));
        lease.refused(B, Monotonic(9100));
        assert_eq!(lease.deadline(), Some(Monotonic(2300)));
    }

    #[test]
    fn a_replica_that_was_known_once_must_speak() {
        let mut lease = lease();
        let first = lease.send(Monotonic(1000));
        lease.acknowledged(A, first);
        lease.know("http://localhost".to_owned());
        lease.refused(A, Monotonic(2000));
        lease.refused(B, Monotonic(2000));
        assert_eq!(lease.deadline(), Some(Monotonic(2300)), "a third one is silent");
        lease.renamed("http://localhost", A);
        lease.refused(B, Monotonic(2100));
        assert_eq!(lease.deadline(), Some(Monotonic(3300)), "it was the first one");
    }

    #[test]
    fn with_too_many_replicas_to_know_only_an_acknowledgement_counts() {
        let mut lease = lease();
        let first = lease.send(Monotonic(1000));
        lease.acknowledged(A, first);
        for number in 0..100 {
            lease.know(format!("http://{number}"));
        }
        assert_eq!((lease.known().count(), lease.replicas.len()), (0, KNOWN_LIMIT));
        let all: Vec<String> = lease.replicas.keys().cloned().collect();
        all.iter().for_each(|address| lease.refused(address, Monotonic(2000)));
        assert_eq!(lease.deadline(), Some(Monotonic(2300)));
        let second = lease.send(Monotonic(2000));
        lease.acknowledged("http://77", second);
        assert_eq!(lease.deadline(), Some(Monotonic(3300)));
    }

    #[test]
    fn the_memory_of_sent_heartbeats_is_bounded() {
        let mut lease = lease();
        for at in 0..10_000 {
            lease.send(Monotonic(at));
        }
        assert!(lease.sent.len() <= SENT_LIMIT);
        assert_eq!(lease.next_number(), 10_001);
    }
}
