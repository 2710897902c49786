//! Moves that bring loads closer together.
//!
//! Why it ends: a move needs a gap larger than the moved weight, so the sum of the squared loads falls. And what is
//! under way at a time is interchangeable (same lane, weight and needs; no rules between units), so in whatever order
//! it arrives, the loads become those that were planned.

use super::{
    board::{Applicant, Board, Lane, SeatId},
    eligibility::GroupId,
    pairs::Pairs,
    survey::Family,
};
use crate::ids::{ConnectorUid, Unit};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// Most units under rules between units that are looked at for one move; each has a place of its own to be found.
const LOOKED_AT: usize = 256;

/// Units that are interchangeable on the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    lane: Lane,
    weight: u32,
    group: GroupId,
}

impl Class {
    fn of(unit: &Applicant) -> Class {
        Class { lane: Lane::of(unit.unit.kind), weight: unit.weight, group: unit.group }
    }
}

/// What has left its worker, or is about to, and has not arrived at the next.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct UnderWay {
    count: usize,
    kinds: Kinds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kinds {
    #[default]
    None,
    One(Class),
    Several,
}

impl UnderWay {
    pub(super) fn note(&mut self, unit: &Applicant, pairs: &Pairs) {
        self.count += 1;
        let class = Class::of(unit);
        self.kinds = match (self.kinds, pairs.of(unit.unit.connector)) {
            (Kinds::None, None) => Kinds::One(class),
            (Kinds::One(other), None) if other == class => Kinds::One(class),
            _ => Kinds::Several,
        };
    }

    /// Whether a unit may set out too.
    fn lets(&self, unit: &Applicant, pairs: &Pairs) -> bool {
        match self.kinds {
            Kinds::None => true,
            Kinds::One(class) => class == Class::of(unit) && pairs.of(unit.unit.connector).is_none(),
            Kinds::Several => false,
        }
    }
}

/// Adds the units to be moved for balance now to those that are vacated anyway, as long as no more than `limit` are
/// under way.
pub(super) fn plan_moves(
    board: &mut Board<'_>,
    families: &[Family],
    mut under_way: UnderWay,
    limit: usize,
    vacated: &mut BTreeSet<Unit>,
) {
    for lane in Lane::ALL {
        if under_way.count >= limit || under_way.kinds == Kinds::Several || !is_uneven(board, lane) {
            continue;
        }
        let mut movable = Movable::new(board, families, lane, vacated);
        while under_way.count < limit {
            let Some((unit, to)) = movable.best(board, lane) else { break };
            if !under_way.lets(&unit, board.pairs) {
                break;
            }
            under_way.note(&unit, board.pairs);
            board.shift(&unit, to);
            movable.remove(&unit);
            vacated.insert(unit.unit);
        }
    }
}

/// Whether a gap is larger than what one unit explains.
fn is_uneven(board: &Board<'_>, lane: Lane) -> bool {
    let Some((least, _)) = board.by_load(lane).next() else { return false };
    board.by_load(lane).rev().any(|(load, seat)| load - least > board.at(seat).heaviest(lane))
}

/// What may move, by seat.
struct Movable {
    seats: BTreeMap<SeatId, OnSeat>,
}

#[derive(Default)]
struct OnSeat {
    /// In order.
    by_class: BTreeMap<Class, Vec<Unit>>,
    /// Under rules between units.
    paired: Vec<Applicant>,
}

impl Movable {
    fn new(board: &Board<'_>, families: &[Family], lane: Lane, vacated: &BTreeSet<Unit>) -> Movable {
        let mut seats: BTreeMap<SeatId, OnSeat> =
            board.by_load(lane).map(|(_, seat)| (seat, OnSeat::default())).collect();
        for family in families {
            let is_paired = board.pairs.of(family.connector).is_some();
            for unit in board.settled_units(family, lane).filter(|unit| !vacated.contains(&unit.unit)) {
                let Some(on) = unit.at.and_then(|seat| seats.get_mut(&seat)) else { continue };
                match is_paired {
                    true => on.paired.push(unit),
                    false => on.by_class.entry(Class::of(&unit)).or_default().push(unit.unit),
                }
            }
        }
        Movable { seats }
    }

    fn remove(&mut self, unit: &Applicant) {
        let Some(on) = unit.at.and_then(|seat| self.seats.get_mut(&seat)) else { return };
        on.paired.retain(|other| other.unit != unit.unit);
        if let Some(units) = on.by_class.get_mut(&Class::of(unit))
            && let Ok(at) = units.binary_search(&unit.unit)
        {
            units.remove(at);
        }
    }

    /// The move that helps most, from the most loaded worker that has one.
    fn best(&self, board: &mut Board<'_>, lane: Lane) -> Option<(Applicant, SeatId)> {
        let (least, _) = board.by_load(lane).next()?;
        let uneven: Vec<(u64, u64, SeatId)> = board
            .by_load(lane)
            .rev()
            .map(|(load, seat)| (load, board.at(seat).heaviest(lane), seat))
            .filter(|(load, heaviest, _)| load - least > *heaviest)
            .collect();
        let mut lightest: BTreeMap<Class, Option<(u64, SeatId)>> = BTreeMap::new();
        let mut looked_at = 0;
        for (load, heaviest, from) in uneven {
            let Some(on) = self.seats.get(&from) else { continue };
            let mut best: Option<(Rank, Class, SeatId)> = None;
            for (class, _) in on.by_class.iter().filter(|(_, units)| !units.is_empty()) {
                let target = *lightest.entry(*class).or_insert_with(|| board.lightest(lane, class.group));
                let Some((other, to)) = target else { continue };
                let Some(rank) = rank(load, other, heaviest, class.weight) else { continue };
                if best.is_none_or(|(best, ..)| rank > best) {
                    best = Some((rank, *class, to));
                }
            }
            if let Some((_, class, to)) = best {
                return self
                    .widest_spread(from, to, class)
                    .map(|unit| (Applicant { unit, weight: class.weight, group: class.group, at: Some(from) }, to));
            }
            for unit in &on.paired {
                let class = Class::of(unit);
                let target = *lightest.entry(class).or_insert_with(|| board.lightest(lane, class.group));
                if target.is_none_or(|(other, _)| rank(load, other, heaviest, unit.weight).is_none()) {
                    continue;
                }
                looked_at += 1;
                if looked_at > LOOKED_AT {
                    return None;
                }
                if let Some(to) = board.pick(unit)
                    && rank(load, board.at(to).load(lane), heaviest, unit.weight).is_some()
                {
                    return Some((*unit, to));
                }
            }
        }
        None
    }

    /// Of a class, the unit whose connector has most on one worker compared with the other.
    fn widest_spread(&self, from: SeatId, to: SeatId, class: Class) -> Option<Unit> {
        let units =
            |seat: SeatId| self.seats.get(&seat).and_then(|on| on.by_class.get(&class)).map_or(&[][..], Vec::as_slice);
        let count = |units: &[Unit], connector: ConnectorUid| {
            let start = units.partition_point(|unit| unit.connector < connector);
            units[start..].partition_point(|unit| unit.connector == connector)
        };
        let mut best: Option<(isize, Unit)> = None;
        let mut rest = units(from);
        while let Some(first) = rest.first() {
            let (run, others) = rest.split_at(count(rest, first.connector));
            let more = run.len() as isize - count(units(to), first.connector) as isize;
            if let Some(last) = run.last()
                && best.is_none_or(|(most, _)| more > most)
            {
                best = Some((more, *last));
            }
            rest = others;
        }
        best.map(|(_, unit)| unit)
    }
}

/// Better moves are greater. The heaviest unit that leaves its worker with no less than the other has then: few moves,
/// and none that calls for others. Failing that, the lightest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Over(Reverse<u64>),
    Within(u64),
}

/// None where the gap is no more than one unit explains, or than the moved weight.
fn rank(load: u64, other: u64, heaviest: u64, weight: u32) -> Option<Rank> {
    let gap = load.saturating_sub(other);
    let weight = u64::from(weight);
    match gap {
        _ if gap <= heaviest.max(weight) => None,
        _ if 2 * weight <= gap => Some(Rank::Within(weight)),
        _ => Some(Rank::Over(Reverse(weight))),
    }
}
