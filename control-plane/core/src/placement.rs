//! Where units go: which worker gets what has none, and which units move. `placement/README.md` says what is wanted of
//! it and how it is done.
//!
//! It knows nothing of transactions and epochs, nor of why something cannot start yet: it is told.

mod balance;
mod board;
mod eligibility;
mod pairs;
mod rules;
mod selector;
mod survey;
mod versions;

pub use rules::{
    ANTI_AFFINITY, PLUGIN_VERSION, PlacementRules, RuleMistake, RuleViolation, SPREAD, Spread, TASK_WEIGHT,
    WORKER_SELECTOR, Weight,
};
pub use selector::{InvalidSelector, Selector};
pub use versions::Versions;

use crate::{
    connector::Connector,
    ids::{Unit, UnitKind, WorkerId},
    policy::Policy,
    world::World,
};
use balance::UnderWay;
use pairs::Pairs;
use std::collections::BTreeSet;
use survey::{Survey, survey};

/// What to do about where units are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placement {
    /// Units that nobody has, and who gets them now.
    pub give: Vec<(Unit, WorkerId)>,
    /// Units to be taken from where they are: another worker is there to take them.
    pub vacate: Vec<Unit>,
}

/// Which units of a connector may be given out now, if nobody has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MayStart {
    /// Its planner.
    pub planner: bool,
    /// Its tasks.
    pub tasks: bool,
}

/// Places what has no worker, or whose worker is about to end it (`taken`), and moves what must or should move.
pub fn place(
    world: &World,
    policy: &Policy,
    taken: &BTreeSet<Unit>,
    may_start: impl Fn(&Connector) -> MayStart,
) -> Placement {
    let pairs = Pairs::new(world);
    let Survey { mut board, homeless, misplaced, families } = survey(world, taken, &pairs);
    let mut placement = Placement::default();
    let mut under_way = UnderWay::default();

    for family in homeless {
        let may_start = may_start(family.connector);
        for applicant in family.units {
            let Some(seat) = board.pick(&applicant) else { continue };
            board.arrive(&applicant, seat);
            under_way.note(&applicant, &pairs);
            let unit = applicant.unit;
            let may_start = match unit.kind {
                UnitKind::Planner => may_start.planner,
                UnitKind::Task(_) => may_start.tasks,
            };
            if may_start && applicant.at.is_none() {
                placement.give.push((unit, board.worker(seat)));
            }
            if placement.give.len() >= policy.grants_per_plan {
                // The rest is for the next plan, and moves are for when everything is placed.
                return placement;
            }
        }
    }

    let mut vacated: BTreeSet<Unit> = BTreeSet::new();
    let conflicts = board.conflicts(&families);
    for applicant in misplaced.into_iter().chain(conflicts) {
        if vacated.len() >= policy.grants_per_plan {
            break;
        }
        // It, or one that was beside it, may have been moved by a step before.
        if vacated.contains(&applicant.unit) || !board.is_misplaced(&applicant) {
            continue;
        }
        if applicant.at.is_some_and(|from| !board.at(from).may_let_go(policy)) {
            continue;
        }
        let Some(seat) = board.pick(&applicant) else { continue };
        board.shift(&applicant, seat);
        under_way.note(&applicant, &pairs);
        vacated.insert(applicant.unit);
    }

    balance::plan_moves(&mut board, &families, under_way, policy.balance_moves, &mut vacated);
    placement.vacate = vacated.into_iter().collect();
    placement
}
