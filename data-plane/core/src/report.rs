//! Reports to the control plane: kept until one replica says that they are stored or void, sent again until then.
//!
//! Bounded by coalescing: a later report under the same key replaces an earlier one that is still unanswered.

use crate::time::Monotonic;
use std::{collections::BTreeMap, time::Duration};

/// Unanswered reports.
#[derive(Debug, Clone)]
pub struct Reports<K, R> {
    next: u64,
    again_after: Duration,
    pending: BTreeMap<u64, Pending<K, R>>,
    by_key: BTreeMap<K, u64>,
}

#[derive(Debug, Clone)]
struct Pending<K, R> {
    key: K,
    report: R,
    sent: Option<Monotonic>,
}

impl<K: Ord + Clone, R: Clone> Reports<K, R> {
    /// Unanswered reports are sent again after `again_after`.
    pub fn new(again_after: Duration) -> Self {
        Reports { next: 1, again_after, pending: BTreeMap::new(), by_key: BTreeMap::new() }
    }

    /// A new report; it replaces an unanswered one of the same key.
    pub fn push(&mut self, key: K, report: R) {
        let sequence = self.next;
        self.next += 1;
        if let Some(old) = self.by_key.insert(key.clone(), sequence) {
            self.pending.remove(&old);
        }
        self.pending.insert(sequence, Pending { key, report, sent: None });
    }

    /// What is to be sent now, in order, at most `limit`.
    pub fn due(&mut self, now: Monotonic, limit: usize) -> Vec<(u64, R)> {
        let again_after = self.again_after;
        self.pending
            .iter_mut()
            .filter(|(_, pending)| pending.sent.is_none_or(|sent| now.since(sent) >= again_after))
            .take(limit)
            .map(|(sequence, pending)| {
                pending.sent = Some(now);
                (*sequence, pending.report.clone())
            })
            .collect()
    }

    /// The session that carried them is gone: everything unanswered is due again.
    pub fn lost_session(&mut self) {
        for pending in self.pending.values_mut() {
            pending.sent = None;
        }
    }

    /// A replica answered; gives the report, unless a later one has replaced it or it was answered before.
    pub fn answered(&mut self, sequence: u64) -> Option<(K, R)> {
        let pending = self.pending.remove(&sequence)?;
        if self.by_key.get(&pending.key) == Some(&sequence) {
            self.by_key.remove(&pending.key);
        }
        Some((pending.key, pending.report))
    }

    /// Nothing waits for an answer.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_repeated_until_answered_and_replaced_by_later_ones() {
        let mut reports = Reports::new(Duration::from_millis(1000));
        reports.push("a", 1);
        reports.push("b", 2);
        assert_eq!(reports.due(Monotonic(0), 10), [(1, 1), (2, 2)]);
        assert_eq!(reports.due(Monotonic(999), 10), []);
        reports.push("a", 3);
        assert_eq!(reports.answered(1), None, "it was replaced");
        assert_eq!(reports.due(Monotonic(1000), 10), [(2, 2), (3, 3)]);
        assert_eq!(reports.answered(2), Some(("b", 2)));
        reports.lost_session();
        assert_eq!(reports.due(Monotonic(1001), 10), [(3, 3)]);
        assert_eq!(reports.answered(3), Some(("a", 3)));
        assert!(reports.is_empty());
    }
}
