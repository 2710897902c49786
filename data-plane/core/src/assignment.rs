//! What the worker holds, is to hold, and is giving up: documents and endings in, orders out.
//!
//! The same words about a unit come from every replica, in each one's own time. They are put in order by the store
//! revision of the document: an older word about a unit is ignored. A unit runs under one epoch at a time; a later
//! grant waits until the one before has ended. An epoch that has ended never starts again.

use std::{collections::BTreeMap, fmt};

/// A unit, as the control plane names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName {
    /// Uid of the connector.
    pub connector_uid: String,
    /// Task number; None for the planner.
    pub task: Option<u32>,
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.task {
            Some(task) => write!(f, "{}/{task}", self.connector_uid),
            None => write!(f, "{}/planner", self.connector_uid),
        }
    }
}

/// The fencing token of a grant: (incarnation, counter).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch {
    /// Raised when the store is restored from a backup.
    pub incarnation: u32,
    /// Raised by each grant.
    pub counter: u64,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.incarnation, self.counter)
    }
}

/// What the user wants of the connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Run.
    Running,
    /// Hold.
    Paused,
    /// The planner only, and that idle.
    Stopped,
}

/// A unit to hold, with what its runner needs (`W` is opaque here).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned<W> {
    /// The unit.
    pub unit: UnitName,
    /// The grant.
    pub epoch: Epoch,
    /// It is to be stopped and given back.
    pub revoking: bool,
    /// What the user wants.
    pub target: Target,
    /// Raised by each change of that, also by one and back.
    pub target_generation: u64,
    /// A hung stop may be cut off: closing the gate is enough to keep it from harm.
    pub severable: bool,
    /// It runs on when no control plane is heard: what it writes to refuses it once another has its unit.
    pub outlives_lease: bool,
    /// What the runner needs.
    pub work: W,
}

/// What a replica says that the worker is to hold, as of `revision`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document<W> {
    /// Store revision that this is true for.
    pub revision: i64,
    /// What is not listed is not the worker's.
    pub whole: bool,
    /// To hold.
    pub assigned: Vec<Assigned<W>>,
    /// No longer the worker's.
    pub removed: Vec<(UnitName, Epoch)>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order<W> {
    /// Start a runner; it prepares, and neither joins, writes nor polls before `Confirm`.
    Start(Assigned<W>),
    /// A heartbeat sent after the grant is acknowledged: join, re-read offsets, poll.
    Confirm(UnitName, Epoch),
    /// The user's wish has changed.
    SetTarget(UnitName, Epoch, Target),
    /// Stop in order: flush, commit, release. The runner says when it has ended.
    Stop(UnitName, Epoch),
    /// Close the gate at once; the unit is not the worker's any more.
    Sever(UnitName, Epoch),
    /// Tell the control plane that this grant has ended here.
    ReportEnded(UnitName, Epoch, EndKind),
    /// Tell the control plane that this grant is older than one of the unit that was held here: either the word of it was
    /// late, or the store has forgotten grants.
    ReportLater(UnitName, Epoch, Epoch),
}

/// How a unit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndKind {
    /// Everything released.
    Stopped,
    /// The gate is closed and the thread abandoned.
    Severed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waits for the acknowledgement of a heartbeat with this number or a later one.
    Unconfirmed(u64),
    Confirmed,
    /// Asked to stop.
    Stopping,
    /// Gate closed; the runner is still to end.
    Severed,
}

#[derive(Debug, Clone)]
struct Running {
    epoch: Epoch,
    phase: Phase,
    target_generation: u64,
    severable: bool,
    outlives_lease: bool,
}

#[derive(Debug, Clone)]
struct Slot<W> {
    /// Revision of the last word about this unit.
    word: i64,
    running: Option<Running>,
    /// Waits for the running one to end.
    next: Option<Assigned<W>>,
    /// The highest epoch that has ended here.
    ended: Option<Epoch>,
}

impl<W> Default for Slot<W> {
    fn default() -> Self {
        Slot { word: i64::MIN, running: None, next: None, ended: None }
    }
}

/// Units that ended are remembered, so that a late word does not start them again; this many at most.
const ENDED_LIMIT: usize = 100_000;

/// The units of a worker.
#[derive(Debug, Clone)]
pub struct Holdings<W> {
    slots: BTreeMap<UnitName, Slot<W>>,
    /// Revision of the newest whole document: a word about every unit, also about those that it does not list.
    whole: i64,
    /// The newest revision of which a replica said something.
    seen: i64,
    /// The process wants to end: nothing starts any more.
    is_closing: bool,
}

impl<W> Default for Holdings<W> {
    fn default() -> Self {
        Holdings { slots: BTreeMap::new(), whole: i64::MIN, seen: 0, is_closing: false }
    }
}

impl<W: Clone> Holdings<W> {
    /// A replica's document. `next_heartbeat` is the number of the next heartbeat to be sent.
    pub fn document(&mut self, document: Document<W>, next_heartbeat: u64) -> Vec<Order<W>> {
        let mut orders = Vec::new();
        let revision = document.revision;
        self.seen = self.seen.max(revision);
        let mut listed = std::collections::BTreeSet::new();
        for assigned in document.assigned {
            listed.insert(assigned.unit.clone());
            self.assigned(assigned, revision, next_heartbeat, &mut orders);
        }
        for (unit, epoch) in document.removed {
            self.removed(&unit, Some(epoch), revision, &mut orders);
        }
        if document.whole {
            let unlisted: Vec<UnitName> = self.slots.keys().filter(|unit| !listed.contains(*unit)).cloned().collect();
            for unit in unlisted {
                self.removed(&unit, None, revision, &mut orders);
            }
            self.whole = self.whole.max(revision);
        }
        self.forget_oldest();
        orders
    }

    fn assigned(&mut self, assigned: Assigned<W>, revision: i64, next_heartbeat: u64, orders: &mut Vec<Order<W>>) {
        let held = self.slots.get(&assigned.unit);
        let running = held.and_then(|slot| slot.running.as_ref()).map(|running| running.epoch);
        let later = running.max(held.and_then(|slot| slot.ended)).filter(|later| *later > assigned.epoch);
        if let Some(later) = later {
            orders.push(Order::ReportLater(assigned.unit, assigned.epoch, later));
            return;
        }
        if revision < self.whole {
            return;
        }
        let slot = self.slots.entry(assigned.unit.clone()).or_default();
        if revision < slot.word {
            return;
        }
        slot.word = revision;
        if slot.ended == Some(assigned.epoch) {
            // The control plane has not heard of the end, or its word was under way: say it again.
            orders.push(Order::ReportEnded(assigned.unit, assigned.epoch, EndKind::Stopped));
            return;
        }
        match &mut slot.running {
            Some(running) if running.epoch == assigned.epoch => {
                if assigned.revoking {
                    if matches!(running.phase, Phase::Unconfirmed(_) | Phase::Confirmed) {
                        running.phase = Phase::Stopping;
                        orders.push(Order::Stop(assigned.unit, assigned.epoch));
                    }
                } else if running.target_generation != assigned.target_generation {
                    running.target_generation = assigned.target_generation;
                    orders.push(Order::SetTarget(assigned.unit, assigned.epoch, assigned.target));
                }
            }
            Some(running) => {
                // A later grant to ourselves: the control plane has taken the running one back.
                if running.phase != Phase::Severed {
                    running.phase = Phase::Severed;
                    orders.push(Order::Sever(assigned.unit.clone(), running.epoch));
                }
                slot.next = Some(assigned);
            }
            None => start(slot, assigned, self.is_closing, next_heartbeat, orders),
        }
    }

    fn removed(&mut self, unit: &UnitName, epoch: Option<Epoch>, revision: i64, orders: &mut Vec<Order<W>>) {
        let Some(slot) = self.slots.get_mut(unit) else { return };
        if revision < slot.word {
            return;
        }
        slot.word = revision;
        if slot.next.as_ref().is_some_and(|next| epoch.is_none_or(|epoch| next.epoch <= epoch)) {
            slot.next = None;
        }
        if let Some(running) = &mut slot.running
            && epoch.is_none_or(|epoch| running.epoch <= epoch)
            && running.phase != Phase::Severed
        {
            running.phase = Phase::Severed;
            orders.push(Order::Sever(unit.clone(), running.epoch));
        }
    }

    /// Heartbeat `number` was acknowledged.
    pub fn acknowledged(&mut self, number: u64) -> Vec<Order<W>> {
        let mut orders = Vec::new();
        for (unit, slot) in &mut self.slots {
            if let Some(running) = &mut slot.running
                && matches!(running.phase, Phase::Unconfirmed(needed) if needed <= number)
            {
                running.phase = Phase::Confirmed;
                orders.push(Order::Confirm(unit.clone(), running.epoch));
            }
        }
        orders
    }

    /// What the unit writes to has refused this grant: another owner may have taken over, or have tried to. It begins again
    /// only once a heartbeat that is still to be sent is acknowledged with the grant still standing.
    pub fn refused(&mut self, unit: &UnitName, epoch: Epoch, next_heartbeat: u64) {
        if let Some(running) = self.slots.get_mut(unit).and_then(|slot| slot.running.as_mut())
            && running.epoch == epoch
            && running.phase == Phase::Confirmed
        {
            running.phase = Phase::Unconfirmed(next_heartbeat);
        }
    }

    /// The runner of this grant has released everything.
    pub fn ended(&mut self, unit: &UnitName, epoch: Epoch, next_heartbeat: u64) -> Vec<Order<W>> {
        let mut orders = Vec::new();
        let Some(slot) = self.slots.get_mut(unit) else { return orders };
        if slot.running.as_ref().is_some_and(|running| running.epoch == epoch) {
            slot.running = None;
            slot.ended = slot.ended.max(Some(epoch));
            orders.push(Order::ReportEnded(unit.clone(), epoch, EndKind::Stopped));
            if let Some(next) = slot.next.take() {
                start(slot, next, self.is_closing, next_heartbeat, &mut orders);
            }
        }
        orders
    }

    /// The runner of this grant takes too long to end. What may be cut off is cut off, reported and left to itself;
    /// else the control plane waits, and shows it.
    pub fn overdue(&mut self, unit: &UnitName, epoch: Epoch, next_heartbeat: u64) -> Vec<Order<W>> {
        let mut orders = Vec::new();
        let Some(slot) = self.slots.get_mut(unit) else { return orders };
        let Some(running) = slot.running.as_ref().filter(|running| running.epoch == epoch && running.severable) else {
            return orders;
        };
        match running.phase {
            Phase::Stopping => orders.push(Order::Sever(unit.clone(), epoch)),
            Phase::Severed => {}
            Phase::Unconfirmed(_) | Phase::Confirmed => return orders,
        }
        slot.running = None;
        slot.ended = slot.ended.max(Some(epoch));
        orders.push(Order::ReportEnded(unit.clone(), epoch, EndKind::Severed));
        if let Some(next) = slot.next.take() {
            start(slot, next, self.is_closing, next_heartbeat, &mut orders);
        }
        orders
    }

    /// The worker's id is void: nothing is the worker's any more.
    pub fn lost(&mut self) -> Vec<Order<W>> {
        self.sever(|_| true)
    }

    /// The lease has ended; the grants may still stand. What fences itself runs on until it is refused.
    pub fn lease_over(&mut self) -> Vec<Order<W>> {
        self.sever(|running| !running.outlives_lease)
    }

    fn sever(&mut self, is_meant: impl Fn(&Running) -> bool) -> Vec<Order<W>> {
        let mut orders = Vec::new();
        for (unit, slot) in &mut self.slots {
            slot.next = None;
            if let Some(running) = slot.running.as_mut().filter(|running| is_meant(running))
                && running.phase != Phase::Severed
            {
                running.phase = Phase::Severed;
                orders.push(Order::Sever(unit.clone(), running.epoch));
            }
        }
        orders
    }

    /// The process wants to end: what is granted from now on is given back; what runs does until it is taken back.
    pub fn close(&mut self) {
        self.is_closing = true;
    }

    /// Something was asked to stop and has not ended yet.
    pub fn is_stopping(&self) -> bool {
        let phases = self.slots.values().filter_map(|slot| slot.running.as_ref());
        phases.into_iter().any(|running| matches!(running.phase, Phase::Stopping | Phase::Severed))
    }

    /// The process ends and nobody takes its units back: everything is stopped in order.
    pub fn stop_all(&mut self) -> Vec<Order<W>> {
        self.close();
        let mut orders = Vec::new();
        for (unit, slot) in &mut self.slots {
            slot.next = None;
            if let Some(running) = &mut slot.running
                && matches!(running.phase, Phase::Unconfirmed(_) | Phase::Confirmed)
            {
                running.phase = Phase::Stopping;
                orders.push(Order::Stop(unit.clone(), running.epoch));
            }
        }
        orders
    }

    /// The newest revision of the store that was seen, for Hello.
    pub fn seen(&self) -> i64 {
        self.seen
    }

    /// What runs here, for Hello.
    pub fn held(&self) -> Vec<(UnitName, Epoch)> {
        self.slots
            .iter()
            .filter_map(|(unit, slot)| slot.running.as_ref().map(|running| (unit.clone(), running.epoch)))
            .collect()
    }

    /// Whether this grant may hand over records now, the lease aside.
    pub fn may_run(&self, unit: &UnitName, epoch: Epoch) -> bool {
        self.slots.get(unit).and_then(|slot| slot.running.as_ref()).is_some_and(|running| {
            running.epoch == epoch && matches!(running.phase, Phase::Confirmed | Phase::Stopping)
        })
    }

    fn forget_oldest(&mut self) {
        let idle = |slot: &Slot<W>| slot.running.is_none() && slot.next.is_none();
        let surplus = self.slots.values().filter(|slot| idle(slot)).count().saturating_sub(ENDED_LIMIT);
        if surplus > 0 {
            let mut oldest: Vec<(i64, UnitName)> = self
                .slots
                .iter()
                .filter(|(_, slot)| idle(slot))
                .map(|(unit, slot)| (slot.word, unit.clone()))
                .collect();
            oldest.sort();
            for (_, unit) in oldest.into_iter().take(surplus) {
                self.slots.remove(&unit);
            }
        }
    }
}

fn start<W: Clone>(
    slot: &mut Slot<W>,
    assigned: Assigned<W>,
    is_closing: bool,
    next_heartbeat: u64,
    orders: &mut Vec<Order<W>>,
) {
    if assigned.revoking || is_closing {
        slot.ended = slot.ended.max(Some(assigned.epoch));
        orders.push(Order::ReportEnded(assigned.unit, assigned.epoch, EndKind::Stopped));
        return;
    }
    slot.running = Some(Running {
        epoch: assigned.epoch,
        phase: Phase::Unconfirmed(next_heartbeat),
        target_generation: assigned.target_generation,
        severable: assigned.severable,
        outlives_lease: assigned.outlives_lease,
    });
    orders.push(Order::Start(assigned));
}

#[cfg(test)]
mod tests;
