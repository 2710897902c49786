//! Words in every order.

use super::*;

fn unit() -> UnitName {
    UnitName { connector_uid: "u".to_owned(), task: Some(0) }
}

fn epoch(counter: u64) -> Epoch {
    Epoch { incarnation: 1, counter }
}

fn grant(counter: u64) -> Assigned<()> {
    Assigned {
        unit: unit(),
        epoch: epoch(counter),
        revoking: false,
        target: Target::Running,
        target_generation: 1,
        severable: true,
        outlives_lease: false,
        work: (),
    }
}

fn change(revision: i64, assigned: Vec<Assigned<()>>) -> Document<()> {
    Document { revision, whole: false, assigned, removed: Vec::new() }
}

fn running(counter: u64) -> Holdings<()> {
    let mut holdings = Holdings::default();
    holdings.document(change(10, vec![grant(counter)]), 5);
    holdings.acknowledged(5);
    holdings
}

#[test]
fn a_unit_is_confirmed_by_a_heartbeat_sent_after_the_grant() {
    let mut holdings = Holdings::default();
    assert_eq!(holdings.document(change(10, vec![grant(1)]), 5), [Order::Start(grant(1))]);
    assert_eq!(holdings.acknowledged(4), [], "sent before");
    assert!(!holdings.may_run(&unit(), epoch(1)));
    assert_eq!(holdings.acknowledged(6), [Order::Confirm(unit(), epoch(1))]);
    assert!(holdings.may_run(&unit(), epoch(1)));
    assert_eq!(holdings.document(change(11, vec![grant(1)]), 7), [], "the same word of another replica");
}

#[test]
fn a_revoked_unit_stops_ends_and_never_starts_again() {
    let mut holdings = running(1);
    let revoked = Assigned { revoking: true, ..grant(1) };
    assert_eq!(holdings.document(change(12, vec![revoked.clone()]), 9), [Order::Stop(unit(), epoch(1))]);
    assert_eq!(holdings.document(change(12, vec![revoked]), 9), []);
    assert_eq!(holdings.ended(&unit(), epoch(1), 9), [Order::ReportEnded(unit(), epoch(1), EndKind::Stopped)]);
    assert_eq!(holdings.document(change(11, vec![grant(1)]), 9), [], "an old word");
    let told_again = holdings.document(change(13, vec![grant(1)]), 9);
    assert_eq!(told_again, [Order::ReportEnded(unit(), epoch(1), EndKind::Stopped)]);
    assert_eq!(holdings.document(change(14, vec![grant(2)]), 9), [Order::Start(grant(2))]);
}

#[test]
fn a_later_grant_waits_for_the_end_of_the_one_before() {
    let mut holdings = running(1);
    assert_eq!(holdings.document(change(12, vec![grant(2)]), 9), [Order::Sever(unit(), epoch(1))]);
    assert!(!holdings.may_run(&unit(), epoch(1)));
    assert_eq!(
        holdings.ended(&unit(), epoch(1), 9),
        [Order::ReportEnded(unit(), epoch(1), EndKind::Stopped), Order::Start(grant(2))]
    );
}

#[test]
fn what_a_whole_document_does_not_list_is_severed() {
    let mut holdings = running(1);
    let empty = |revision| Document { revision, whole: true, assigned: Vec::new(), removed: Vec::new() };
    assert_eq!(holdings.document(empty(9), 9), [], "older than the grant");
    assert_eq!(holdings.document(empty(12), 9), [Order::Sever(unit(), epoch(1))]);
}

#[test]
fn a_whole_document_is_a_word_about_what_it_does_not_list() {
    let mut holdings: Holdings<()> = Holdings::default();
    let empty = Document { revision: 12, whole: true, assigned: Vec::new(), removed: Vec::new() };
    assert_eq!(holdings.document(empty, 5), []);
    assert_eq!(holdings.document(change(10, vec![grant(1)]), 5), [], "of a replica that lags behind");
    assert_eq!(holdings.document(change(13, vec![grant(2)]), 5), [Order::Start(grant(2))]);
}

#[test]
fn a_removal_names_the_epoch() {
    let mut holdings = running(5);
    let removal =
        |counter| Document { revision: 20, whole: false, assigned: vec![], removed: vec![(unit(), epoch(counter))] };
    assert_eq!(holdings.document(removal(4), 9), []);
    assert_eq!(holdings.document(removal(5), 9), [Order::Sever(unit(), epoch(5))]);
}

#[test]
fn a_hung_stop_is_cut_off_where_that_is_safe() {
    let mut holdings = running(1);
    assert_eq!(holdings.overdue(&unit(), epoch(1), 9), [], "nobody asked it to stop");
    holdings.document(change(12, vec![Assigned { revoking: true, ..grant(1) }]), 9);
    assert_eq!(
        holdings.overdue(&unit(), epoch(1), 9),
        [Order::Sever(unit(), epoch(1)), Order::ReportEnded(unit(), epoch(1), EndKind::Severed)]
    );
    let mut blocked = Holdings::default();
    blocked.document(change(10, vec![Assigned { severable: false, ..grant(1) }]), 5);
    blocked.document(change(12, vec![Assigned { severable: false, revoking: true, ..grant(1) }]), 9);
    assert_eq!(blocked.overdue(&unit(), epoch(1), 9), []);
}

#[test]
fn an_unknown_unit_that_is_revoked_is_reported_at_once() {
    let mut holdings: Holdings<()> = Holdings::default();
    let orders = holdings.document(change(3, vec![Assigned { revoking: true, ..grant(1) }]), 1);
    assert_eq!(orders, [Order::ReportEnded(unit(), epoch(1), EndKind::Stopped)]);
}

#[test]
fn a_target_that_changed_and_changed_back_is_told() {
    let mut holdings = running(1);
    let again = Assigned { target_generation: 3, ..grant(1) };
    let told = [Order::SetTarget(unit(), epoch(1), Target::Running)];
    assert_eq!(holdings.document(change(12, vec![again.clone()]), 9), told);
    assert_eq!(holdings.document(change(13, vec![again]), 9), []);
}

#[test]
fn an_ending_process_gives_back_what_it_is_granted() {
    let mut holdings = running(1);
    assert_eq!(holdings.stop_all(), [Order::Stop(unit(), epoch(1))]);
    holdings.ended(&unit(), epoch(1), 9);
    let orders = holdings.document(change(14, vec![grant(2)]), 9);
    assert_eq!(orders, [Order::ReportEnded(unit(), epoch(2), EndKind::Stopped)]);
}

#[test]
fn a_lost_lease_severs_everything_once() {
    let mut holdings = running(1);
    assert_eq!(holdings.lost(), [Order::Sever(unit(), epoch(1))]);
    assert_eq!(holdings.lost(), []);
    assert_eq!(holdings.held(), [(unit(), epoch(1))], "until its runner has ended");
}
