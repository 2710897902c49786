//! What is shown of a unit by its grant, its status and its worker's silence.

use super::*;
use crate::space::SpaceView;
use control_plane_core::{
    connector::ConnectorType,
    ids::{ConnectorName, ConnectorUid, Epoch, Generation, Revision, SettingsId},
    keys::{Entry, Key},
    lease::{FenceClass, Owner},
    status::{RecentFailure, Standstill},
    task::UnitDigest,
    time::Wall,
    worker::Worker,
};
use std::time::Duration;
use uuid::Uuid;

const WORKER: WorkerId = WorkerId(Uuid::from_u128(7));
const EPOCH: Epoch = Epoch { incarnation: 1, counter: 2 };

fn connector() -> Connector {
    Connector {
        connector_type: ConnectorType::Sink,
        ..Connector::new(
            ConnectorUid(Uuid::from_u128(1)),
            ConnectorName::parse("a").expect("a name"),
            "C".to_owned(),
            Wall(1),
        )
    }
}

fn worker() -> Worker {
    Worker::new(WORKER, "127.0.0.1:1".to_owned(), Wall(1))
}

fn status(state: RunState) -> UnitStatus {
    UnitStatus {
        state,
        worker: WORKER,
        epoch: EPOCH,
        since: Wall(5),
        error: None,
        restarts: 3,
        next_attempt: None,
        version: "1".to_owned(),
        change: 1,
        recent_failures: vec![RecentFailure { at: Wall(4), class: "E".to_owned(), message: "m".to_owned() }],
        stalled: None,
        stop_blocked: None,
    }
}

fn put() -> Option<Standstill> {
    Some(Standstill { since: Wall(6), place: "put".to_owned() })
}

/// The planner's view, under a grant in this state, of a worker that may be silent.
fn shown(status: UnitStatus, grant: GrantState, is_silent: bool) -> UnitView {
    let clock = Clock::new();
    let policy = match is_silent {
        true => Policy { lease_ttl: Duration::ZERO, ..Policy::default() },
        false => Policy { lease_ttl: Duration::from_secs(3600), ..Policy::default() },
    };
    let unit = Unit { connector: connector().uid, kind: UnitKind::Planner };
    let owner = Owner {
        worker: WORKER,
        epoch: EPOCH,
        state: grant,
        fence_class: FenceClass::Lease,
        digest: UnitDigest::of(&SettingsId::default(), Generation::FIRST, &Config::new(), None),
    };
    let mut world = World::default();
    let mut apply = |key, entry| world.apply(key, entry, Revision(1), clock.now());
    apply(Key::Worker(WORKER), Entry::Worker(worker()));
    apply(Key::Owner(unit), Entry::Owner(owner));
    apply(Key::Status(unit), Entry::Status(status));
    Viewer { clock, progress: ProgressTable::default(), policy, space: SpaceView::default() }
        .connector(&world, &connector())
        .planner
}

#[test]
fn a_stall_is_shown_beside_the_state_while_the_unit_is_at_work() {
    let stalled = |state| UnitStatus { stalled: put(), ..status(state) };
    let view = shown(stalled(RunState::Running), GrantState::Granted, false);
    assert_eq!((view.state, view.stalled), (UnitState::Running, put()));
    assert_eq!(shown(stalled(RunState::Starting), GrantState::Granted, false).stalled, put());
    assert_eq!(shown(stalled(RunState::Paused), GrantState::Granted, false).stalled, None);
    assert_eq!(shown(stalled(RunState::Running), GrantState::Revoking, false).stalled, None);
    let unknown = shown(stalled(RunState::Running), GrantState::Granted, true);
    assert_eq!((unknown.state, unknown.stalled), (UnitState::Unknown, None), "nobody knows");
}

#[test]
fn a_stop_that_hangs_is_shown_in_place_of_the_state() {
    let blocked = || UnitStatus { stop_blocked: put(), ..status(RunState::Running) };
    for grant in [GrantState::Revoking, GrantState::Granted] {
        let view = shown(blocked(), grant, false);
        assert_eq!((view.state, view.stop_blocked), (UnitState::StopBlocked, put()), "{grant:?}");
    }
    let view = shown(status(RunState::Running), GrantState::Revoking, false);
    assert_eq!((view.state, view.stop_blocked), (UnitState::Restarting, None));
    let unknown = shown(blocked(), GrantState::Revoking, true);
    assert_eq!((unknown.state, unknown.stop_blocked), (UnitState::Unknown, None));
}

#[test]
fn a_flapping_unit_shows_its_restarts_next_attempt_and_reasons() {
    let failed = UnitStatus { next_attempt: Some(Wall(9)), ..status(RunState::Failed) };
    let view = shown(failed.clone(), GrantState::Granted, false);
    assert_eq!((view.restarts, view.next_attempt), (3, Some(Wall(9))));
    assert_eq!(view.recent_failures, failed.recent_failures);
    assert_eq!(shown(status(RunState::Running), GrantState::Granted, false).recent_failures.len(), 1);
}
