//! Which source offsets are safe to commit: one watermark per source partition.
//!
//! Records of a partition are sent in order and end in any order; the watermark is the offset of the last record before
//! the first unfinished one. What is unfinished is bounded by the caller, who stops sending.

use std::collections::VecDeque;

/// A source partition of one task, numbered by [`Acks::add_partition`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(u32);

impl PartitionId {
    /// The number: 0 for the first partition added.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A sent record; fits the 64 bits that a client carries along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(pub u64);

impl Ticket {
    /// A number that no [`Acks`] gives out, for what else the caller sends through the same client.
    pub fn foreign(number: u64) -> Self {
        Self(((MAX_PARTITIONS as u64) << SEQUENCE_BITS) | (number & SEQUENCE_MASK))
    }

    /// The number of a foreign ticket.
    pub fn as_foreign(self) -> Option<u64> {
        (self.0 >> SEQUENCE_BITS == MAX_PARTITIONS as u64).then_some(self.0 & SEQUENCE_MASK)
    }
}

/// Bits of a ticket that count within the partition; the others name the partition.
const SEQUENCE_BITS: u32 = 40;
const SEQUENCE_MASK: u64 = (1 << SEQUENCE_BITS) - 1;
/// Source partitions that one task may have. The highest number is not used: its tickets are free for the caller.
pub const MAX_PARTITIONS: usize = (1 << (64 - SEQUENCE_BITS)) - 1;

/// A task has more source partitions than tickets can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a task may have {MAX_PARTITIONS} source partitions at most")]
pub struct TooManyPartitions;

#[derive(Debug)]
struct Partition<O> {
    /// Sequence number of the first pending record.
    base: u64,
    /// Offset, and whether the record's outcome is durable.
    pending: VecDeque<(Option<O>, bool)>,
    watermark: Option<O>,
    is_advanced: bool,
}

/// Watermarks of all source partitions of one task; `O` is a source offset.
#[derive(Debug)]
pub struct Acks<O> {
    partitions: Vec<Partition<O>>,
    advanced: Vec<PartitionId>,
    unfinished: usize,
    finished: u64,
}

impl<O> Default for Acks<O> {
    fn default() -> Self {
        Self { partitions: Vec::new(), advanced: Vec::new(), unfinished: 0, finished: 0 }
    }
}

impl<O: Clone> Acks<O> {
    /// Nothing sent yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Numbers a new source partition.
    ///
    /// # Errors
    /// When there are [`MAX_PARTITIONS`] already.
    pub fn add_partition(&mut self) -> Result<PartitionId, TooManyPartitions> {
        if self.partitions.len() >= MAX_PARTITIONS {
            return Err(TooManyPartitions);
        }
        self.partitions.push(Partition { base: 0, pending: VecDeque::new(), watermark: None, is_advanced: false });
        Ok(PartitionId(self.partitions.len() as u32 - 1))
    }

    /// A record is about to be sent. Without an offset it only counts as unfinished.
    pub fn send(&mut self, partition: PartitionId, offset: Option<O>) -> Ticket {
        let entry = &mut self.partitions[partition.index()];
        let sequence = entry.base + entry.pending.len() as u64;
        entry.pending.push_back((offset, false));
        self.unfinished += 1;
        Ticket((u64::from(partition.0) << SEQUENCE_BITS) | (sequence & SEQUENCE_MASK))
    }

    /// The partition and offset of an unfinished record; `None` for a ticket that is not known.
    pub fn record(&self, ticket: Ticket) -> Option<(PartitionId, Option<&O>)> {
        let (partition, index) = self.find(ticket)?;
        Some((partition, self.partitions[partition.index()].pending[index].0.as_ref()))
    }

    /// A record's outcome is durable. A ticket that is not known, or finished, changes nothing.
    pub fn finish(&mut self, ticket: Ticket) {
        let Some((id, index)) = self.find(ticket) else { return };
        let partition = &mut self.partitions[id.index()];
        if std::mem::replace(&mut partition.pending[index].1, true) {
            return;
        }
        self.unfinished -= 1;
        self.finished += 1;
        while let Some((_, true)) = partition.pending.front() {
            let Some((offset, _)) = partition.pending.pop_front() else { break };
            partition.base += 1;
            if offset.is_some() {
                partition.watermark = offset;
                if !std::mem::replace(&mut partition.is_advanced, true) {
                    self.advanced.push(id);
                }
            }
        }
    }

    /// Records whose outcome has become durable so far.
    pub fn finished(&self) -> u64 {
        self.finished
    }

    /// Records sent whose outcome is not durable yet.
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// Whether a watermark moved since the last [`Acks::take_advanced`].
    pub fn has_advanced(&self) -> bool {
        !self.advanced.is_empty()
    }

    /// The partitions that [`Acks::take_advanced`] would give.
    pub fn advanced(&self) -> impl Iterator<Item = PartitionId> + '_ {
        self.advanced.iter().copied()
    }

    /// Watermarks that moved since the last call, in the order in which they first did.
    pub fn take_advanced(&mut self) -> Vec<(PartitionId, O)> {
        let partitions = &mut self.partitions;
        let advanced = self.advanced.drain(..);
        advanced
            .filter_map(|id| {
                let partition = &mut partitions[id.index()];
                partition.is_advanced = false;
                Some((id, partition.watermark.clone()?))
            })
            .collect()
    }

    /// What was taken could not be committed: it counts as moved again.
    pub fn give_back(&mut self, id: PartitionId) {
        let partition = &mut self.partitions[id.index()];
        if partition.watermark.is_some() && !std::mem::replace(&mut partition.is_advanced, true) {
            self.advanced.push(id);
        }
    }

    fn find(&self, ticket: Ticket) -> Option<(PartitionId, usize)> {
        let id = PartitionId((ticket.0 >> SEQUENCE_BITS) as u32);
        let partition = self.partitions.get(id.index())?;
        let index = (ticket.0 & SEQUENCE_MASK).wrapping_sub(partition.base & SEQUENCE_MASK) & SEQUENCE_MASK;
        let index = usize::try_from(index).ok()?;
        (index < partition.pending.len()).then_some((id, index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watermark_waits_for_the_first_unfinished_record() {
        let mut acks = Acks::new();
        let partition = acks.add_partition().unwrap();
        let tickets: Vec<Ticket> = (0..4).map(|offset| acks.send(partition, Some(offset))).collect();
        acks.finish(tickets[1]);
        acks.finish(tickets[2]);
        assert_eq!(acks.take_advanced(), []);
        acks.finish(tickets[0]);
        assert_eq!(acks.take_advanced(), [(partition, 2)]);
        assert_eq!(acks.take_advanced(), []);
        assert_eq!(acks.unfinished(), 1);
        acks.finish(tickets[0]);
        assert_eq!(acks.unfinished(), 1);
        acks.finish(tickets[3]);
        assert_eq!(acks.take_advanced(), [(partition, 3)]);
    }

    #[test]
    fn one_partition_does_not_hold_another_back() {
        let mut acks = Acks::new();
        let (slow, fast) = (acks.add_partition().unwrap(), acks.add_partition().unwrap());
        acks.send(slow, Some(1));
        let ticket = acks.send(fast, Some(10));
        assert_eq!(acks.record(ticket), Some((fast, Some(&10))));
        acks.finish(ticket);
        assert_eq!(acks.take_advanced(), [(fast, 10)]);
    }

    #[test]
    fn what_was_not_committed_comes_again_with_what_moved_since() {
        let mut acks = Acks::new();
        let partition = acks.add_partition().unwrap();
        let first = acks.send(partition, Some(1));
        acks.finish(first);
        assert_eq!(acks.take_advanced(), [(partition, 1)]);
        let second = acks.send(partition, Some(2));
        acks.finish(second);
        acks.give_back(partition);
        assert_eq!(acks.take_advanced(), [(partition, 2)]);
    }

    #[test]
    fn records_without_an_offset_hold_back_but_do_not_move() {
        let mut acks = Acks::new();
        let partition = acks.add_partition().unwrap();
        let without = acks.send(partition, None);
        let with = acks.send(partition, Some(5));
        acks.finish(with);
        assert_eq!(acks.take_advanced(), []);
        acks.finish(without);
        assert_eq!(acks.take_advanced(), [(partition, 5)]);
    }

    #[test]
    fn foreign_tickets_are_told_apart() {
        let mut acks = Acks::new();
        let partition = acks.add_partition().unwrap();
        let own = acks.send(partition, Some(1));
        assert_eq!((own.as_foreign(), Ticket::foreign(7).as_foreign()), (None, Some(7)));
        acks.finish(Ticket::foreign(0));
        assert_eq!(acks.unfinished(), 1);
    }

    #[test]
    fn sequences_wrap_within_their_bits() {
        let mut acks = Acks::new();
        let partition = acks.add_partition().unwrap();
        acks.partitions[0].base = SEQUENCE_MASK;
        let (last, first) = (acks.send(partition, Some(1)), acks.send(partition, Some(2)));
        acks.finish(first);
        acks.finish(last);
        assert_eq!(acks.take_advanced(), [(partition, 2)]);
    }
}
