//! Reports in any order: what was said last is what stays.

use super::*;
use crate::{
    connector::Connector,
    ids::{ConnectorName, ConnectorUid, Revision, SettingsId},
    keys::Entry,
    lease::FenceClass,
    status::RunState,
    task::UnitDigest,
    time::{Monotonic, Wall},
    txn::Write,
};
use uuid::Uuid;

const UID: ConnectorUid = ConnectorUid(Uuid::from_u128(7));
const WORKER: WorkerId = WorkerId(Uuid::from_u128(1));
const PLANNER: Unit = Unit { connector: UID, kind: UnitKind::Planner };
const EPOCH: Epoch = Epoch { incarnation: 1, counter: 3 };
const GRANT: Grant = Grant { worker: WORKER, unit: PLANNER, epoch: EPOCH };

struct Case {
    world: World,
    revision: i64,
    circumstances: Circumstances,
}

impl Case {
    /// A running connector whose planner is granted.
    fn new() -> Case {
        let circumstances = Circumstances { is_up_to_date: false, takes_statuses: true };
        let mut case = Case { world: World::default(), revision: 0, circumstances };
        case.connector(TargetState::Running);
        let digest = UnitDigest::of(&SettingsId::default(), Generation(0), &Config::new(), None);
        let owner =
            Owner { worker: WORKER, epoch: EPOCH, state: GrantState::Granted, fence_class: FenceClass::Lease, digest };
        case.put(Key::Owner(PLANNER), Entry::Owner(owner));
        case
    }

    fn connector(&mut self, target: TargetState) {
        let connector = Connector {
            target,
            ..Connector::new(UID, ConnectorName::parse("c").expect("a name"), "C".to_owned(), Wall(0))
        };
        self.put(Key::Connector(connector.namespace.clone(), connector.name.clone()), Entry::Connector(connector));
    }

    fn put(&mut self, key: Key, entry: Entry) {
        self.revision += 1;
        self.world.apply(key, entry, Revision(self.revision), Monotonic(0));
    }

    /// Decides, and stores what is to be stored; None: the view may be behind.
    fn report(&mut self, report: &Report) -> Option<Verdict> {
        let (txn, verdict) = match decide(&self.world, GRANT, report, self.circumstances) {
            Step::Behind => return None,
            Step::Done(verdict) => return Some(verdict),
            Step::Store(txn, verdict) => (txn, verdict),
        };
        for write in txn.writes {
            match write {
                Write::Put(key, value) => {
                    let entry = key.decode(&value).expect("what was encoded");
                    self.put(key, entry);
                }
                Write::Delete(key) => {
                    self.revision += 1;
                    self.world.delete(&key, Revision(self.revision));
                }
            }
        }
        Some(verdict)
    }

    fn state(&self) -> Option<RunState> {
        self.world.statuses.get(&PLANNER).map(|stored| stored.value.state)
    }

    /// Number and size of the stored set.
    fn set(&self) -> (u64, usize) {
        let set = &self.world.task_sets[&UID].value;
        (set.number.0, set.tasks.len())
    }
}

fn status(change: u64, state: RunState) -> Report {
    Report::Status(Box::new(UnitStatus {
        state,
        worker: WORKER,
        epoch: EPOCH,
        since: Wall(change as i64),
        error: None,
        restarts: 0,
        next_attempt: None,
        version: String::new(),
        change,
        recent_failures: Vec::new(),
        stalled: None,
        stop_blocked: None,
    }))
}

fn tasks(change: u64, count: usize) -> Report {
    Report::TaskSet { change, tasks: vec![Config::new(); count] }
}

#[test]
fn a_late_status_changes_nothing_also_where_the_last_one_was_as_one_before() {
    let mut case = Case::new();
    assert_eq!(case.report(&status(1, RunState::Running)), Some(Verdict::Accepted));
    // It failed and runs again: the word of its start hangs in another replica.
    let starting = status(2, RunState::Starting);
    assert_eq!(case.report(&status(3, RunState::Running)), Some(Verdict::Accepted));
    assert_eq!(case.report(&starting), Some(Verdict::Void));
    assert_eq!(case.state(), Some(RunState::Running));
    let revision = case.revision;
    assert_eq!(case.report(&status(3, RunState::Running)), Some(Verdict::Accepted));
    assert_eq!(case.revision, revision, "said again, it costs no write");
}

#[test]
fn a_late_task_set_changes_nothing() {
    let mut case = Case::new();
    assert_eq!(case.report(&tasks(1, 2)), Some(Verdict::Accepted));
    assert_eq!(case.set(), (1, 2));
    assert_eq!(case.report(&tasks(3, 2)), Some(Verdict::Accepted));
    assert_eq!(case.set(), (1, 2), "the same set keeps its number");
    assert_eq!(case.report(&tasks(2, 5)), Some(Verdict::Void));
    assert_eq!(case.set(), (1, 2));
    assert_eq!(case.report(&tasks(4, 5)), Some(Verdict::Accepted));
    assert_eq!(case.set(), (2, 5));
}

#[test]
fn a_task_set_that_a_stop_has_emptied_is_stored_when_it_is_said_again() {
    let mut case = Case::new();
    case.report(&tasks(1, 2));
    let stored = case.world.task_sets[&UID].value.clone();
    case.connector(TargetState::Stopped);
    let empty = TaskSet { number: stored.number.next(), tasks: Vec::new(), ..stored };
    case.put(Key::TaskSet(UID), Entry::TaskSet(empty));
    assert_eq!(case.report(&tasks(1, 2)), None, "the view may be behind a resumption");
    case.circumstances.is_up_to_date = true;
    assert_eq!(case.report(&tasks(1, 2)), Some(Verdict::Void));
    case.connector(TargetState::Running);
    assert_eq!(case.report(&tasks(1, 2)), Some(Verdict::Accepted));
    assert_eq!(case.set(), (3, 2));
}

#[test]
fn only_the_grant_that_stands_is_heard() {
    let mut case = Case::new();
    let later = Grant { epoch: Epoch { counter: 4, ..EPOCH }, ..GRANT };
    let earlier = Grant { epoch: Epoch { counter: 2, ..EPOCH }, ..GRANT };
    let of_another = Grant { worker: WorkerId(Uuid::from_u128(2)), ..GRANT };
    let decided = |case: &Case, grant| decide(&case.world, grant, &Report::Ended, case.circumstances);
    assert_eq!(decided(&case, earlier), Step::Done(Verdict::Void));
    assert_eq!(decided(&case, later), Step::Behind, "this view may not have seen it yet");
    case.put(Key::Epoch, Entry::Epoch(Epoch { counter: 9, ..EPOCH }));
    assert_eq!(decided(&case, later), Step::Done(Verdict::Void), "it was granted, and is past");
    assert_eq!(decided(&case, of_another), Step::Done(Verdict::Void));
    assert_eq!(case.report(&Report::TakeBack), Some(Verdict::Accepted));
    assert_eq!(case.world.owners[&PLANNER].value.state, GrantState::Revoking);
    assert_eq!(case.report(&Report::Ended), Some(Verdict::Accepted));
    assert!(case.world.owners.is_empty());
}

#[test]
fn without_space_a_status_that_is_not_true_any_more_goes() {
    let mut case = Case::new();
    case.report(&status(1, RunState::Running));
    case.circumstances.takes_statuses = false;
    assert_eq!(case.report(&status(2, RunState::Failed)), Some(Verdict::Postponed));
    assert_eq!(case.state(), None);
    assert_eq!(case.report(&status(2, RunState::Failed)), Some(Verdict::Postponed));
    case.circumstances.takes_statuses = true;
    assert_eq!(case.report(&status(2, RunState::Failed)), Some(Verdict::Accepted));
    assert_eq!(case.state(), Some(RunState::Failed));
}

#[test]
fn a_task_set_that_is_too_large_is_refused_with_the_way_out() {
    let mut case = Case::new();
    let large = Config::from([("k".to_owned(), "x".repeat(TASK_SET_LIMIT_BYTES))]);
    let report = Report::TaskSet { change: 1, tasks: vec![large] };
    let Some(Verdict::Refused(reason)) = case.report(&report) else { panic!("it was taken") };
    assert!(reason.contains("lower tasks.max or shorten the configs"), "{reason}");
    assert!(case.world.task_sets.is_empty());
}
