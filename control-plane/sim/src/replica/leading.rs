//! The leader's loop: plans, and stores what was planned; as the server's does.

use super::{Waiting, address, committed, ms};
use crate::{
    etcd::{Answer, Outcome, Request},
    mutation::Mutation,
    say,
    sim::{Sim, To, What},
};
use control_plane_core::{
    election::campaign_pause,
    ids::Revision,
    keys::{Key, encode},
    lease::{FenceClass, GrantState},
    plan::{GrantChain, plan},
    policy::Policy,
    txn::{Compare, Txn},
    worker::Leader,
    world::World,
};
use std::collections::VecDeque;

/// Pause after a refused transaction, in ms.
const PAUSE: u64 = 20;
/// Longest time between two looks at an unchanged world.
const IDLE: u64 = 1000;
/// How long a replica that has resigned does not campaign.
const RESIGNED: u64 = 2000;
/// Longest wait for the view to catch up.
const CATCH_UP: u64 = 5000;

/// Where the loop is.
#[derive(Default)]
pub(super) struct Leading {
    led: Option<Revision>,
    /// Of the mutation: what is being revoked was not swept since the election.
    is_new: bool,
    state: State,
    /// Of the wake that counts.
    token: u64,
    /// It has resigned, and does not campaign until then.
    resigned_until: u64,
    /// Since when nobody leads.
    vacant_since: Option<u64>,
}

#[derive(Default)]
enum State {
    /// Wakes when the view moves, or in time.
    #[default]
    Idle,
    /// Wakes in time only.
    Pausing,
    Campaigning,
    Reaching(Revision),
    Executing(Box<Execution>),
}

struct Execution {
    txns: VecDeque<Txn>,
    chain: GrantChain,
    in_chain: bool,
    last: Option<Revision>,
}

impl Sim {
    fn policy(&self) -> Policy {
        match self.mutation {
            Some(Mutation::ShortLease) => Policy { lease_ttl: ms(500), ..Policy::default() },
            _ => Policy::default(),
        }
    }

    fn leader_wakes_in(&mut self, index: usize, delay: u64) {
        let token = self.number();
        let replica = &mut self.replicas[index];
        replica.leading.token = token;
        let to = To::Replica(index, replica.incarnation);
        self.after(delay, to, What::LeaderWake { token });
    }

    /// The view has moved.
    pub(super) fn leader_progress(&mut self, index: usize) {
        let replica = &self.replicas[index];
        match replica.leading.state {
            State::Idle if replica.is_listening => self.leader_wakes_in(index, 0),
            State::Reaching(revision) if replica.world.revision >= revision || replica.world.is_rewound() => {
                self.replicas[index].leading.state = State::Idle;
                self.leader_wakes_in(index, 0);
            }
            _ => {}
        }
    }

    pub(super) fn leader_wakes(&mut self, index: usize, token: u64) {
        let leading = &mut self.replicas[index].leading;
        if leading.token != token || matches!(leading.state, State::Campaigning | State::Executing(_)) {
            return;
        }
        // Also after waiting too long for the view.
        leading.state = State::Idle;
        let wait = match self.replicas[index].is_live {
            true => self.lead(index),
            false => Some(IDLE),
        };
        if let Some(wait) = wait {
            self.leader_wakes_in(index, wait);
        }
    }

    /// Does what is to be done; None: an answer is waited for.
    fn lead(&mut self, index: usize) -> Option<u64> {
        let now = self.monotonic(index);
        let replica = &mut self.replicas[index];
        if let Some(raise) = replica.world.raise_incarnation() {
            replica.leading.state = State::Campaigning;
            say!(self, "r{index}: raises the incarnation");
            self.trace.count("incarnations raised");
            self.call(index, Request::Commit(raise, None), Waiting::Lead);
            return None;
        }
        let leader = replica.world.leader.as_ref().map(|leader| (leader.value.replica, leader.revision));
        match leader {
            None => {
                replica.leading.led = None;
                let pause = campaign_pause(&replica.world, &Policy::default(), &address(index), now).as_millis() as u64;
                let vacant_since = *replica.leading.vacant_since.get_or_insert(self.now);
                let from = replica.leading.resigned_until.max(vacant_since + pause);
                if self.now < from {
                    return Some(from - self.now);
                }
                replica.leading.state = State::Campaigning;
                let leader = Leader { replica: replica.id };
                let txn = Txn::new().when(Compare::Absent(Key::Leader)).put(Key::Leader, encode(&leader));
                let request = Request::Commit(txn, replica.session);
                self.call(index, request, Waiting::Lead);
                return None;
            }
            Some((leader, _)) if leader != replica.id => {
                replica.leading.vacant_since = None;
                replica.leading.led = None;
                return Some(IDLE);
            }
            Some((_, revision)) if replica.leading.led != Some(revision) => {
                replica.leading.led = Some(revision);
                replica.leading.vacant_since = None;
                self.elected(index);
                if let Some(txn) = self.replicas[index].world.identify(self.etcd.identity()) {
                    self.replicas[index].leading.state = State::Campaigning;
                    self.replicas[index].leading.led = None;
                    self.call(index, Request::Commit(txn, None), Waiting::Lead);
                    return None;
                }
            }
            Some(_) => {}
        }
        let policy = self.policy();
        let world = &self.replicas[index].world;
        let plan = match self.mutation {
            Some(Mutation::TakeLeaseEarly) => plan(&all_fenced_by_epoch(world), &policy, now),
            _ => plan(world, &policy, now),
        };
        if self.mutation != Some(Mutation::TakeLeaseEarly) && self.rng.chance(2) {
            let world = world.clone();
            self.check_planning(&world, &policy, now, &plan);
        }
        if !plan.revoke.is_empty() {
            let world = self.replicas[index].world.clone();
            self.check_taking_back(&world, &policy, &plan);
        }
        let forgets =
            self.mutation == Some(Mutation::ForgetRevoking) && std::mem::take(&mut self.replicas[index].leading.is_new);
        let swept = if forgets { forget_revoking(&self.replicas[index].world) } else { Vec::new() };
        if plan.is_empty() && swept.is_empty() {
            let idle = plan.again_at.map_or(IDLE, |at| at.since(now).as_millis() as u64);
            return Some(idle.clamp(1, IDLE));
        }
        for worker in &plan.expire {
            say!(self, "r{index}: expires {worker}");
            self.trace.count("workers expired");
        }
        if plan.resign {
            say!(self, "r{index}: resigns");
            self.trace.count("resignations");
            self.replicas[index].leading.resigned_until = self.now + RESIGNED;
        }
        let execution = Execution {
            txns: swept.into_iter().chain(plan.txns(&self.replicas[index].world)).collect(),
            chain: plan.grant_chain(&self.replicas[index].world),
            in_chain: false,
            last: None,
        };
        self.execute(index, Box::new(execution));
        None
    }

    fn elected(&mut self, index: usize) {
        let now = self.monotonic(index);
        say!(self, "r{index}: leads");
        self.trace.count("leaders elected");
        self.replicas[index].leading.is_new = true;
        if self.mutation != Some(Mutation::SkipSettling) {
            self.replicas[index].world.restart_timers(now);
        }
    }

    fn execute(&mut self, index: usize, mut execution: Box<Execution>) {
        let next = execution.txns.pop_front().or_else(|| {
            execution.in_chain = true;
            execution.chain.next_txn()
        });
        match next {
            Some(txn) => {
                let session = self.replicas[index].session;
                self.replicas[index].leading.state = State::Executing(execution);
                self.call(index, Request::Commit(txn, session), Waiting::Lead);
            }
            None => self.executed(index, execution.last),
        }
    }

    fn executed(&mut self, index: usize, last: Option<Revision>) {
        match last {
            Some(revision) => self.leader_reaches(index, revision),
            None => {
                self.replicas[index].leading.state = State::Pausing;
                self.leader_wakes_in(index, PAUSE);
            }
        }
    }

    fn leader_reaches(&mut self, index: usize, revision: Revision) {
        self.replicas[index].leading.state = State::Reaching(revision);
        self.leader_wakes_in(index, CATCH_UP);
        self.leader_progress(index);
    }

    pub(super) fn leader_answered(&mut self, index: usize, answer: Answer) {
        match std::mem::take(&mut self.replicas[index].leading.state) {
            State::Campaigning => match committed(&answer) {
                Some(revision) => self.leader_reaches(index, revision),
                None => self.leader_wakes_in(index, IDLE),
            },
            State::Executing(mut execution) => match answer {
                Answer::Outcome(Outcome::Committed(revision)) => {
                    execution.last = Some(revision);
                    if execution.in_chain {
                        execution.chain.committed(revision);
                    }
                    self.execute(index, execution);
                }
                Answer::Outcome(Outcome::Refused) => {
                    self.trace.count("planned transactions refused");
                    match execution.in_chain {
                        true => self.executed(index, execution.last),
                        false => self.execute(index, execution),
                    }
                }
                _ => {
                    self.replicas[index].leading.state = State::Pausing;
                    self.leader_wakes_in(index, PAUSE * 11);
                }
            },
            other => self.replicas[index].leading.state = other,
        }
    }
}

fn all_fenced_by_epoch(world: &World) -> World {
    let mut world = world.clone();
    world.owners.values_mut().for_each(|owner| owner.value.fence_class = FenceClass::Transactional);
    world
}

fn forget_revoking(world: &World) -> Vec<Txn> {
    let revoking = world.owners.iter().filter(|(_, owner)| owner.value.state == GrantState::Revoking);
    revoking
        .map(|(unit, owner)| {
            let key = Key::Owner(*unit);
            Txn::new().when(Compare::Unchanged(key.clone(), owner.revision)).delete(key)
        })
        .collect()
}
