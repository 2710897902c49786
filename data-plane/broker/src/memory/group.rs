//! The in-memory consumer group: cooperative, sticky, with static members.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Cluster, State, failed};
use crate::{
    BrokerError, ClientConfig, ConsumerEvent, FetchedBatch, FetchedHeader, FetchedRow, GroupConsumer, Subscription,
    TimestampKind, TopicPartition,
};

#[derive(Default)]
pub(super) struct Group {
    members: BTreeMap<u64, Member>,
    pub(super) committed: BTreeMap<TopicPartition, i64>,
}

struct Member {
    instance: Option<String>,
    subscription: Subscription,
    /// Given to the member, whether it has acknowledged yet or not.
    held: BTreeSet<TopicPartition>,
    revoking: BTreeSet<TopicPartition>,
    events: VecDeque<ConsumerEvent>,
}

fn matches(subscription: &Subscription, topic: &str) -> bool {
    match subscription {
        Subscription::Topics(topics) => topics.iter().any(|name| name == topic),
        Subscription::Matching(filter) => filter.wants(topic),
    }
}

/// Brings every group to its target: partitions move only after they were given back.
pub(super) fn rebalance_all(state: &mut State) {
    let names: Vec<String> = state.groups.keys().cloned().collect();
    for name in names {
        rebalance(state, &name);
    }
    state.wake_all();
}

fn rebalance(state: &mut State, name: &str) {
    let Some(group) = state.groups.get_mut(name) else { return };
    let mut wanted: BTreeMap<TopicPartition, Vec<u64>> = BTreeMap::new();
    for (topic, partitions) in &state.topics {
        let takers: Vec<u64> = group
            .members
            .iter()
            .filter(|(_, member)| matches(&member.subscription, topic))
            .map(|(id, _)| *id)
            .collect();
        if !takers.is_empty() {
            for partition in 0..partitions.len() {
                wanted.insert(TopicPartition::new(topic.as_str(), partition as i32), takers.clone());
            }
        }
    }
    let share = wanted.len().div_ceil(group.members.len().max(1));
    for member in group.members.values_mut() {
        let excess: Vec<TopicPartition> = member.held.iter().skip(share).cloned().collect();
        let fresh: Vec<TopicPartition> =
            excess.into_iter().filter(|partition| !member.revoking.contains(partition)).collect();
        if !fresh.is_empty() {
            member.revoking.extend(fresh.iter().cloned());
            member.events.push_back(ConsumerEvent::Revoked(fresh));
        }
    }
    let taken: BTreeSet<TopicPartition> = group.members.values().flat_map(|member| member.held.clone()).collect();
    let mut given: BTreeMap<u64, Vec<TopicPartition>> = BTreeMap::new();
    for (partition, takers) in wanted.into_iter().filter(|(partition, _)| !taken.contains(partition)) {
        let id = takers.into_iter().min_by_key(|id| group.members[id].held.len());
        let Some((id, member)) = id.and_then(|id| group.members.get_mut(&id).map(|member| (id, member))) else {
            continue;
        };
        member.held.insert(partition.clone());
        given.entry(id).or_default().push(partition);
    }
    for (id, partitions) in given {
        if let Some(member) = group.members.get_mut(&id) {
            member.events.push_back(ConsumerEvent::Assigned(partitions));
        }
    }
}

/// Takes everything from everybody, and starts over.
pub(super) fn expire(state: &mut State, name: &str) {
    if let Some(group) = state.groups.get_mut(name) {
        for member in group.members.values_mut() {
            let lost: Vec<TopicPartition> = std::mem::take(&mut member.held).into_iter().collect();
            member.revoking.clear();
            member.events.clear();
            member.events.push_back(ConsumerEvent::Lost(lost));
        }
    }
    rebalance_all(state);
}

struct Reading {
    position: Option<i64>,
    is_paused: bool,
    is_active: bool,
}

pub(super) struct MemoryConsumer {
    cluster: Arc<Cluster>,
    group: String,
    id: u64,
    slots: Vec<(TopicPartition, Reading)>,
    reads_from_end: bool,
    waker: Arc<Notify>,
}

impl MemoryConsumer {
    pub(super) fn join(
        cluster: Arc<Cluster>,
        config: &ClientConfig,
        subscription: &Subscription,
    ) -> Result<Self, BrokerError> {
        let Some(group) = config.get("group.id") else {
            return Err(BrokerError::Config { key: "group.id".to_owned(), reason: "is missing".to_owned() });
        };
        let instance = config.get("group.instance.id").map(str::to_owned);
        let mut guard = cluster.state.lock();
        let state = &mut *guard;
        state.next_member += 1;
        let id = state.next_member;
        let members = &mut state.groups.entry(group.to_owned()).or_default().members;
        // A static member that comes back replaces, and so fences, the one before.
        members.retain(|_, member| member.instance.is_none() || member.instance != instance);
        let subscription = subscription.clone();
        let (held, revoking, events) = (BTreeSet::new(), BTreeSet::new(), VecDeque::new());
        members.insert(id, Member { instance, subscription, held, revoking, events });
        rebalance_all(state);
        let waker = state.new_waker();
        drop(guard);
        let reads_from_end = config.get("auto.offset.reset") == Some("latest");
        Ok(Self { cluster, group: group.to_owned(), id, slots: Vec::new(), reads_from_end, waker })
    }

    fn reading(&mut self, partition: &TopicPartition) -> &mut Reading {
        let index = self.slots.iter().position(|(known, _)| known == partition).unwrap_or_else(|| {
            let reading = Reading { position: None, is_paused: false, is_active: false };
            self.slots.push((partition.clone(), reading));
            self.slots.len() - 1
        });
        &mut self.slots[index].1
    }

    fn with_member<R>(&self, act: impl FnOnce(&mut Member) -> R) -> Result<R, BrokerError> {
        let mut state = self.cluster.state.lock();
        let member = state.groups.get_mut(&self.group).and_then(|group| group.members.get_mut(&self.id));
        member.map(act).ok_or_else(|| failed("consuming", "FENCED_INSTANCE_ID", true))
    }
}

impl GroupConsumer for MemoryConsumer {
    fn connect(&mut self, _: Duration) -> Result<(), BrokerError> {
        Ok(())
    }

    fn poll(
        &mut self,
        batch: &mut FetchedBatch,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<Option<ConsumerEvent>, BrokerError> {
        if let Some(event) = self.with_member(|member| member.events.pop_front())? {
            return Ok(Some(event));
        }
        let state = self.cluster.state.lock();
        for (index, (partition, reading)) in self.slots.iter_mut().enumerate() {
            let (Some(position), true, false) = (reading.position, reading.is_active, reading.is_paused) else {
                continue;
            };
            let log = state.topics.get(&*partition.topic).and_then(|logs| logs.get(partition.partition as usize));
            for (offset, record) in log.into_iter().flatten().enumerate().skip(position as usize) {
                if batch.rows.len() >= max_rows || batch.arena.len() >= max_bytes {
                    break;
                }
                let first_header = batch.headers.len() as u32;
                for (name, value) in &record.headers {
                    let name = batch.push_bytes(name.as_bytes());
                    let value = value.as_ref().map(|value| batch.push_bytes(value));
                    batch.headers.push(FetchedHeader { name, value });
                }
                let key = record.key.as_ref().map(|key| batch.push_bytes(key));
                let value = record.value.as_ref().map(|value| batch.push_bytes(value));
                batch.rows.push(FetchedRow {
                    partition: index as u32,
                    offset: offset as i64,
                    timestamp: record.timestamp,
                    timestamp_kind: TimestampKind::CreateTime,
                    key,
                    value,
                    first_header,
                    header_count: record.headers.len() as u32,
                });
                reading.position = Some(offset as i64 + 1);
            }
        }
        Ok(None)
    }

    fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.waker)
    }

    fn acknowledge_assign(&mut self, partitions: &[(TopicPartition, Option<i64>)]) -> Result<(), BrokerError> {
        for (partition, offset) in partitions {
            let (committed, end) = {
                let state = self.cluster.state.lock();
                let committed = state.groups.get(&self.group).and_then(|group| group.committed.get(partition).copied());
                let logs = state.topics.get(&*partition.topic);
                (committed, logs.and_then(|logs| logs.get(partition.partition as usize)).map_or(0, Vec::len) as i64)
            };
            let start = if self.reads_from_end { end } else { 0 };
            let reading = self.reading(partition);
            *reading =
                Reading { position: Some(offset.or(committed).unwrap_or(start)), is_paused: false, is_active: true };
        }
        self.waker.notify_one();
        Ok(())
    }

    fn acknowledge_revoke(&mut self, partitions: &[TopicPartition]) -> Result<(), BrokerError> {
        for partition in partitions {
            let reading = self.reading(partition);
            reading.is_active = false;
            reading.position = None;
        }
        self.with_member(|member| {
            for partition in partitions.iter().filter(|partition| member.revoking.remove(partition)) {
                member.held.remove(partition);
            }
        })?;
        rebalance_all(&mut self.cluster.state.lock());
        Ok(())
    }

    fn partition(&self, index: u32) -> &TopicPartition {
        &self.slots[index as usize].0
    }

    fn assignment(&self) -> Vec<TopicPartition> {
        self.slots.iter().filter(|(_, reading)| reading.is_active).map(|(partition, _)| partition.clone()).collect()
    }

    fn pause(&mut self, partition: &TopicPartition) {
        self.reading(partition).is_paused = true;
    }

    fn resume(&mut self, partition: &TopicPartition) {
        self.reading(partition).is_paused = false;
        self.waker.notify_one();
    }

    fn seek(&mut self, partition: &TopicPartition, offset: i64, _: Duration) -> Result<(), BrokerError> {
        self.reading(partition).position = Some(offset);
        self.waker.notify_one();
        Ok(())
    }

    fn position(&self, partition: &TopicPartition) -> Option<i64> {
        self.slots.iter().find(|(known, _)| known == partition).and_then(|(_, reading)| reading.position)
    }

    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        _: Duration,
    ) -> Result<Vec<(TopicPartition, Option<i64>)>, BrokerError> {
        let state = self.cluster.state.lock();
        let committed = state.groups.get(&self.group).map(|group| &group.committed);
        let offset = |partition| committed.and_then(|committed| committed.get(partition).copied());
        Ok(partitions.iter().map(|partition| (partition.clone(), offset(partition))).collect())
    }

    fn start_commit(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<(), BrokerError> {
        self.with_member(|_| ())?;
        if let Some(group) = self.cluster.state.lock().groups.get_mut(&self.group) {
            group.committed.extend(offsets.iter().cloned());
        }
        Ok(())
    }

    fn finish_commit(&mut self, _: Duration) -> Result<(), BrokerError> {
        Ok(())
    }

    fn lag(&self) -> Option<u64> {
        let state = self.cluster.state.lock();
        let behind = self.slots.iter().filter(|(_, reading)| reading.is_active).filter_map(|(partition, reading)| {
            let end = state.topics.get(&*partition.topic)?.get(partition.partition as usize)?.len() as i64;
            Some((end - reading.position?).max(0) as u64)
        });
        Some(behind.sum())
    }

    fn close(&mut self, _: Duration) -> Result<(), BrokerError> {
        let mut state = self.cluster.state.lock();
        if let Some(group) = state.groups.get_mut(&self.group) {
            group.members.remove(&self.id);
        }
        rebalance_all(&mut state);
        Ok(())
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        let _ = self.close(Duration::ZERO);
    }
}
