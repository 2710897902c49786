//! The board: all workers with their loads, and the picking of the best one for a unit.
//!
//! A seat is a worker on the board. A unit is *settled* on it (granted, and it stays), *arriving* (it would be granted
//! there now), or *leaving* (still there, and on its way off: it takes room, stands beside others, and has no weight).

use super::{
    eligibility::{Eligibility, GroupId},
    pairs::Pairs,
    survey::Family,
};
use crate::{
    ids::{ConnectorUid, Unit, UnitKind, WorkerId},
    lease::GrantState,
    policy::Policy,
    worker::{Worker, WorkerState},
    world::World,
};
use std::collections::{BTreeMap, BTreeSet};

/// Most workers of the same load that are compared for how few of a connector's units they have.
const COMPARED: usize = 64;

/// A worker's place on the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SeatId(pub(super) usize);

/// Planners and tasks are balanced apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    Planners,
    Tasks,
}

impl Lane {
    pub(super) const ALL: [Lane; 2] = [Lane::Planners, Lane::Tasks];

    pub(super) fn of(kind: UnitKind) -> Lane {
        match kind {
            UnitKind::Planner => Lane::Planners,
            UnitKind::Task(_) => Lane::Tasks,
        }
    }
}

/// A unit that looks for a worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Applicant {
    pub(super) unit: Unit,
    pub(super) weight: u32,
    pub(super) group: GroupId,
    /// Where it still is.
    pub(super) at: Option<SeatId>,
}

/// What a worker carries.
#[derive(Debug, Clone)]
pub(super) struct Seat<'w> {
    pub(super) worker: &'w Worker,
    /// By lane: the weight of what is settled or arriving.
    load: [u64; 2],
    /// By lane: the most that one of these weighs. It stays when a unit is moved away, so that fewer move.
    heaviest: [u32; 2],
    units: usize,
    leaving: usize,
    /// It may be given something: also, it was heard of lately.
    is_open: bool,
}

impl Seat<'_> {
    /// Whether another unit may be moved off a worker that drains: not all of them pause at once.
    pub(super) fn may_let_go(&self, policy: &Policy) -> bool {
        let at_a_time = policy.drain_at_a_time.max((self.units + self.leaving) / 8);
        self.worker.state != WorkerState::Draining || self.leaving < at_a_time
    }

    pub(super) fn load(&self, lane: Lane) -> u64 {
        self.load[lane as usize]
    }

    pub(super) fn heaviest(&self, lane: Lane) -> u64 {
        u64::from(self.heaviest[lane as usize])
    }

    fn has_room(&self, besides: usize) -> bool {
        self.worker.capacity == 0 || self.units + self.leaving - besides < self.worker.capacity as usize
    }

    fn take(&mut self, lane: Lane, weight: u32) {
        self.load[lane as usize] += u64::from(weight);
        self.heaviest[lane as usize] = self.heaviest[lane as usize].max(weight);
        self.units += 1;
    }
}

/// How many of a connector's units are on a seat, by lane.
#[derive(Debug, Clone, Copy, Default)]
struct Presence {
    here: [usize; 2],
    leaving: [usize; 2],
}

/// All workers that are known.
#[derive(Debug)]
pub(super) struct Board<'w> {
    world: &'w World,
    taken: &'w BTreeSet<Unit>,
    pub(super) pairs: &'w Pairs,
    /// In the order of `ids`.
    seats: Vec<Seat<'w>>,
    ids: Vec<WorkerId>,
    /// By lane: open seats by load and number of units.
    order: [BTreeSet<(u64, usize, SeatId)>; 2],
    pub(super) eligibility: Eligibility<'w>,
    /// Of the connectors that somebody asked for.
    presence: BTreeMap<ConnectorUid, BTreeMap<SeatId, Presence>>,
    /// Groups and, under rules between units, connectors that found no worker: during a plan, there only is ever less room.
    without_worker: BTreeSet<GroupId>,
    without_pair: BTreeSet<(ConnectorUid, Lane)>,
}

impl<'w> Board<'w> {
    /// All workers, nothing on them yet.
    pub(super) fn new(world: &'w World, taken: &'w BTreeSet<Unit>, pairs: &'w Pairs) -> Board<'w> {
        let seats = world.workers.values().map(|stored| Seat {
            worker: &stored.value,
            load: [0; 2],
            heaviest: [0; 2],
            units: 0,
            leaving: 0,
            is_open: stored.value.state == WorkerState::Active && !world.cut_off.contains_key(&stored.value.id),
        });
        Board {
            world,
            taken,
            pairs,
            seats: seats.collect(),
            ids: world.workers.keys().copied().collect(),
            order: [BTreeSet::new(), BTreeSet::new()],
            eligibility: Eligibility::new(world.workers.len()),
            presence: BTreeMap::new(),
            without_worker: BTreeSet::new(),
            without_pair: BTreeSet::new(),
        }
    }

    /// A unit that stays where it is. Only before `put_in_order`.
    pub(super) fn settle(&mut self, unit: &Applicant) {
        if let Some(seat) = unit.at {
            self.seats[seat.0].take(Lane::of(unit.unit.kind), unit.weight);
        }
    }

    /// A unit that ends there. Only before `put_in_order`.
    pub(super) fn leave(&mut self, seat: SeatId) {
        self.seats[seat.0].leaving += 1;
    }

    /// Everything is on the board.
    pub(super) fn put_in_order(&mut self) {
        for lane in Lane::ALL {
            let open = self.seats.iter().enumerate().filter(|(_, seat)| seat.is_open);
            self.order[lane as usize] = open.map(|(at, seat)| (seat.load(lane), seat.units, SeatId(at))).collect();
        }
    }

    /// The place of a worker, if it is known.
    pub(super) fn seat(&self, worker: WorkerId) -> Option<SeatId> {
        self.ids.binary_search(&worker).ok().map(SeatId)
    }

    /// Who sits there.
    pub(super) fn worker(&self, seat: SeatId) -> WorkerId {
        self.ids[seat.0]
    }

    /// What is there.
    pub(super) fn at(&self, seat: SeatId) -> &Seat<'w> {
        &self.seats[seat.0]
    }

    /// Open seats with their loads, least first.
    pub(super) fn by_load(&self, lane: Lane) -> impl DoubleEndedIterator<Item = (u64, SeatId)> {
        self.order[lane as usize].iter().map(|(load, _, seat)| (*load, *seat))
    }

    /// Whether a unit is on a worker that is being emptied, or that has not what it needs.
    pub(super) fn must_leave(&self, unit: &Applicant) -> bool {
        unit.at.is_some_and(|seat| {
            let worker = self.seats[seat.0].worker;
            worker.state == WorkerState::Draining || !self.eligibility.allows(unit.group, seat, worker)
        })
    }

    /// Whether a settled unit should be elsewhere.
    pub(super) fn is_misplaced(&self, unit: &Applicant) -> bool {
        self.must_leave(unit) || self.conflicts_at(unit).is_some()
    }

    /// Settled units that stand beside what they may not stand beside; first those of whose kind there are the fewest.
    pub(super) fn conflicts(&mut self, families: &[Family]) -> Vec<Applicant> {
        let mut found = Vec::new();
        for family in families {
            let uid = family.connector;
            let Some(pair) = self.pairs.of(uid) else { continue };
            self.count(uid);
            pair.foes.iter().for_each(|foe| self.count(*foe));
            for applicant in Lane::ALL.into_iter().flat_map(|lane| self.settled_units(family, lane)) {
                found.extend(self.conflicts_at(&applicant).map(|beside| (beside, applicant)));
            }
        }
        found.sort_by_key(|(beside, applicant)| (*beside, applicant.unit));
        found.into_iter().map(|(_, applicant)| applicant).collect()
    }

    /// A connector's units that were settled when the plan began, in order.
    pub(super) fn settled_units<'b>(&'b self, family: &'b Family, lane: Lane) -> impl Iterator<Item = Applicant> + 'b {
        self.world
            .owned_units(family.connector)
            .filter(move |(unit, owner)| Lane::of(unit.kind) == lane && is_settled(self.taken, unit, owner.value.state))
            .map(|(unit, owner)| family.applicant(unit.kind, self.seat(owner.value.worker)))
    }

    /// How many settled units of its connector are beside a unit, if there are also some that may not be.
    fn conflicts_at(&self, unit: &Applicant) -> Option<usize> {
        let pair = self.pairs.of(unit.unit.connector)?;
        let seat = unit.at?;
        let here = |connector: &ConnectorUid| self.presence(*connector, seat).here;
        let own = here(&unit.unit.connector);
        let is_crowded = pair.spreads && Lane::of(unit.unit.kind) == Lane::Tasks && own[Lane::Tasks as usize] > 1;
        let is_beside_foe = pair.foes.iter().any(|foe| here(foe) != [0; 2]);
        (is_crowded || is_beside_foe).then(|| own.iter().sum())
    }

    /// The best worker for a unit now; None if nobody can take it.
    ///
    /// The least loaded; among equals, one with few units of the connector and few at all.
    pub(super) fn pick(&mut self, applicant: &Applicant) -> Option<SeatId> {
        let uid = applicant.unit.connector;
        let lane = Lane::of(applicant.unit.kind);
        let pair = self.pairs.of(uid);
        if self.without_worker.contains(&applicant.group) || self.without_pair.contains(&(uid, lane)) {
            // What it leaves behind itself may be the only room.
            return applicant.at.filter(|seat| self.may_take(applicant, *seat));
        }
        self.count(uid);
        pair.iter().flat_map(|pair| &pair.foes).for_each(|foe| self.count(*foe));

        let mut best: Option<(u64, usize, SeatId)> = None;
        let mut compared = 0;
        for (load, seat) in self.by_load(lane) {
            if compared == COMPARED || best.is_some_and(|(least, ..)| least < load) {
                break;
            }
            if !self.may_take(applicant, seat) {
                continue;
            }
            let of_connector = self.presence(uid, seat).here.iter().sum();
            if best.is_none_or(|(_, fewest, _)| of_connector < fewest) {
                best = Some((load, of_connector, seat));
            }
            if of_connector == 0 {
                break;
            }
            compared += 1;
        }
        match (best, pair) {
            (None, None) => drop(self.without_worker.insert(applicant.group)),
            (None, Some(_)) => drop(self.without_pair.insert((uid, lane))),
            _ => {}
        }
        best.map(|(_, _, seat)| seat)
    }

    /// The least loaded worker for units of a group, rules between units aside.
    pub(super) fn lightest(&self, lane: Lane, group: GroupId) -> Option<(u64, SeatId)> {
        if self.without_worker.contains(&group) {
            return None;
        }
        self.by_load(lane).find(|(_, seat)| {
            let on = self.at(*seat);
            on.has_room(0) && self.eligibility.allows(group, *seat, on.worker)
        })
    }

    /// A unit is to be granted there.
    pub(super) fn arrive(&mut self, unit: &Applicant, seat: SeatId) {
        let uid = unit.unit.connector;
        let lane = Lane::of(unit.unit.kind);
        self.count(uid);
        self.change(seat, |on| on.take(lane, unit.weight));
        self.note_presence(uid, seat, |presence| presence.here[lane as usize] += 1);
    }

    /// A settled unit is to move.
    pub(super) fn shift(&mut self, unit: &Applicant, to: SeatId) {
        let uid = unit.unit.connector;
        let lane = Lane::of(unit.unit.kind);
        self.count(uid);
        if let Some(from) = unit.at {
            self.change(from, |on| {
                on.load[lane as usize] -= u64::from(unit.weight);
                on.units -= 1;
                on.leaving += 1;
            });
            self.note_presence(uid, from, |presence| {
                presence.here[lane as usize] -= 1;
                presence.leaving[lane as usize] += 1;
            });
        }
        self.arrive(unit, to);
    }

    fn may_take(&self, applicant: &Applicant, seat: SeatId) -> bool {
        let on = self.at(seat);
        on.is_open
            && on.has_room(usize::from(applicant.at == Some(seat)))
            && self.eligibility.allows(applicant.group, seat, on.worker)
            && !self.is_barred(applicant, seat)
    }

    /// Whether something is there, or still there, that the unit may not stand beside.
    fn is_barred(&self, applicant: &Applicant, seat: SeatId) -> bool {
        let Some(pair) = self.pairs.of(applicant.unit.connector) else { return false };
        let at = |connector: ConnectorUid, lane: Lane| {
            let Presence { here, leaving } = self.presence(connector, seat);
            here[lane as usize] + leaving[lane as usize]
        };
        let itself = usize::from(applicant.at == Some(seat));
        let is_task = Lane::of(applicant.unit.kind) == Lane::Tasks;
        (pair.spreads && is_task && at(applicant.unit.connector, Lane::Tasks) > itself)
            || pair.foes.iter().any(|foe| Lane::ALL.into_iter().any(|lane| at(*foe, lane) > 0))
    }

    fn presence(&self, connector: ConnectorUid, seat: SeatId) -> Presence {
        self.presence.get(&connector).and_then(|seats| seats.get(&seat)).copied().unwrap_or_default()
    }

    /// Counts a connector's units, if that has not been done.
    fn count(&mut self, connector: ConnectorUid) {
        if self.presence.contains_key(&connector) {
            return;
        }
        let mut seats: BTreeMap<SeatId, Presence> = BTreeMap::new();
        for (unit, owner) in self.world.owned_units(connector) {
            let Some(seat) = self.seat(owner.value.worker) else { continue };
            let presence = seats.entry(seat).or_default();
            let lane = Lane::of(unit.kind) as usize;
            match is_settled(self.taken, unit, owner.value.state) {
                true => presence.here[lane] += 1,
                false => presence.leaving[lane] += 1,
            }
        }
        self.presence.insert(connector, seats);
    }

    fn note_presence(&mut self, connector: ConnectorUid, seat: SeatId, note: impl FnOnce(&mut Presence)) {
        note(self.presence.entry(connector).or_default().entry(seat).or_default());
    }

    fn change(&mut self, seat: SeatId, change: impl FnOnce(&mut Seat<'w>)) {
        let on = &mut self.seats[seat.0];
        for lane in Lane::ALL {
            self.order[lane as usize].remove(&(on.load(lane), on.units, seat));
        }
        change(on);
        if on.is_open {
            for lane in Lane::ALL {
                self.order[lane as usize].insert((on.load(lane), on.units, seat));
            }
        }
    }
}

/// Whether an owned unit stays where it is.
pub(super) fn is_settled(taken: &BTreeSet<Unit>, unit: &Unit, state: GrantState) -> bool {
    state == GrantState::Granted && !taken.contains(unit)
}
