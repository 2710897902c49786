//! Leads, if nobody else does: plans, and stores what was planned.

use crate::{cache::Cache, clock::Clock};
use control_plane_core::{
    election::campaign_pause,
    ids::{ReplicaId, Revision, WorkerId},
    keys::{Key, encode},
    plan::{GrantChain, plan},
    policy::Policy,
    time::Monotonic,
    txn::{Compare, Txn},
    worker::Leader,
};
use control_plane_store::{Outcome, Store, StoreError};
use std::{sync::Arc, time::Duration};
use tokio::{
    task::block_in_place,
    time::{sleep, timeout},
};

/// Pause after a refused or failed transaction, so that the view can catch up.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest time between two looks at an unchanged world.
const IDLE: Duration = Duration::from_secs(1);

/// How often the store is compacted.
const COMPACTION: Duration = Duration::from_secs(300);

/// The last compaction, and what the next one takes.
#[derive(Default)]
struct Compaction {
    at: Monotonic,
    revision: Option<Revision>,
}

/// How long a replica that has resigned leaves the lead to others.
const RESIGNED: Duration = Duration::from_secs(2);

/// What the loop remembers between its steps.
#[derive(Debug, Default)]
struct Tenure {
    /// The revision of the election that this replica won and has begun to act upon.
    led: Option<Revision>,
    quiet: Option<Quiet>,
    /// It has resigned, and does not campaign before that.
    resigned_until: Monotonic,
    /// Since when nobody leads: others that can do more are left some time.
    vacant_since: Option<Monotonic>,
    /// Takeovers are limited, because many workers are lost.
    is_limited: bool,
}

/// A plan as it is stored: the world that it was made of is not needed any more.
struct Orders {
    expire: Vec<WorkerId>,
    txns: Vec<Txn>,
    grants: GrantChain,
}

/// A world in which nothing was to be done, and until when that holds unless it changes: heartbeats only put things off.
#[derive(Debug)]
struct Quiet {
    structure: u64,
    until: Monotonic,
}

/// The leading loop of a replica.
pub struct LeaderLoop {
    /// The store.
    pub store: Arc<dyn Store>,
    /// What is known of it.
    pub cache: Cache,
    /// The clock.
    pub clock: Clock,
    /// Who we are.
    pub replica: ReplicaId,
    /// Where workers reach us.
    pub address: String,
    /// The numbers.
    pub policy: Policy,
}

impl LeaderLoop {
    /// Runs for ever.
    pub async fn run(self) {
        let mut progress = self.cache.subscribe();
        let mut tenure = Tenure::default();
        let mut compaction = Compaction::default();
        loop {
            progress.borrow_and_update();
            let wait = if self.cache.progress().live { self.step(&mut tenure).await } else { IDLE };
            if tenure.led.is_some() {
                self.compact(&mut compaction).await;
            }
            if timeout(wait, progress.changed()).await.is_ok_and(|changed| changed.is_err()) {
                return;
            }
        }
    }

    /// Does what is to be done; says how long nothing will be, if nothing changes.
    async fn step(&self, tenure: &mut Tenure) -> Duration {
        let raise = self.cache.world().raise_incarnation();
        if let Some(txn) = raise {
            return self.raise_incarnation(txn).await;
        }
        let leader = self.cache.world().leader.clone();
        match leader {
            None => {
                tenure.led = None;
                let now = self.clock.now();
                let pause = campaign_pause(&self.cache.world(), &self.policy, &self.address, now);
                let vacant_since = *tenure.vacant_since.get_or_insert(now);
                let from = tenure.resigned_until.max(vacant_since + pause);
                if now < from {
                    return from.since(now);
                }
                self.campaign().await;
                return IDLE;
            }
            Some(leader) if leader.value.replica != self.replica => {
                tenure.vacant_since = None;
                tenure.led = None;
                return IDLE;
            }
            Some(leader) if tenure.led != Some(leader.revision) => {
                tracing::info!(replica = %self.replica, "leads");
                tenure.vacant_since = None;
                tenure.led = Some(leader.revision);
                tenure.quiet = None;
                self.cache.write().world().restart_timers(self.clock.now());
                if let Err(error) = self.identify().await {
                    tracing::warn!(%error, "which store this is cannot be told");
                    tenure.led = None;
                    return PAUSE * 10;
                }
                return Duration::ZERO;
            }
            Some(_) => {}
        }
        let mass_loss = self.cache.world().mass_loss.is_some();
        if std::mem::replace(&mut tenure.is_limited, mass_loss) != mass_loss {
            match mass_loss {
                true => tracing::warn!("many workers are lost together: their units are taken over at a limited rate"),
                false => tracing::info!("takeovers are not limited any more"),
            }
        }
        let orders = {
            let world = self.cache.world();
            let now = self.clock.now();
            if let Some(known) =
                tenure.quiet.as_ref().filter(|known| known.structure == world.structure && now < known.until)
            {
                return known.until.since(now).max(Duration::from_millis(1));
            }
            // A large world takes a while: the other tasks of this thread go on elsewhere meanwhile.
            let plan = block_in_place(|| plan(&world, &self.policy, now));
            if plan.is_empty() {
                let idle = plan.again_at.map_or(IDLE, |at| at.since(now)).clamp(Duration::from_millis(1), IDLE);
                tenure.quiet = Some(Quiet { structure: world.structure, until: now + idle });
                return idle;
            }
            tenure.quiet = None;
            if plan.resign {
                tracing::warn!("resigns: silent workers count on another replica, which can expire them");
                tenure.resigned_until = now + RESIGNED;
            }
            block_in_place(|| Orders { txns: plan.txns(&world), grants: plan.grant_chain(&world), expire: plan.expire })
        };
        match self.execute(orders).await {
            Ok(Some(revision)) => {
                // Planning again before the view has caught up would decide the same things.
                self.cache.reach_or_go_on(revision).await;
                Duration::ZERO
            }
            Ok(None) => {
                sleep(PAUSE).await;
                Duration::ZERO
            }
            Err(error) => {
                tracing::warn!(%error, "a plan could not be stored");
                sleep(PAUSE * 10).await;
                PAUSE
            }
        }
    }

    /// Every five minutes, what was overwritten more than five minutes ago.
    async fn compact(&self, compaction: &mut Compaction) {
        let now = self.clock.now();
        if now.since(compaction.at) < COMPACTION {
            return;
        }
        if let Some(before) = compaction.revision
            && let Err(error) = self.store.compact(before).await
        {
            tracing::warn!(%error, "the store could not be compacted");
        }
        *compaction = Compaction { at: now, revision: Some(self.cache.progress().revision) };
    }

    /// Before anything is granted: is this the store that the last leader wrote to?
    async fn identify(&self) -> Result<(), StoreError> {
        let (identity, _) = self.store.present().await?;
        let (txn, before) = {
            let world = self.cache.world();
            (world.identify(identity), world.incarnation())
        };
        let Some(txn) = txn else { return Ok(()) };
        let Outcome::Committed(revision) = self.store.commit(txn).await? else {
            return Err(StoreError::Unavailable("another leader was faster".to_owned()));
        };
        self.cache.reach(revision).await?;
        if self.cache.world().incarnation() > before {
            tracing::error!(
                "the store is another one than before: the incarnation is raised, and all workers start over"
            );
        }
        Ok(())
    }

    /// The store has forgotten grants: every epoch from now on is above all that were.
    async fn raise_incarnation(&self, txn: Txn) -> Duration {
        match self.store.commit(txn).await {
            Ok(Outcome::Committed(revision)) => {
                tracing::error!(
                    "the store has forgotten grants: the incarnation is raised, and all workers start over"
                );
                self.cache.reach_or_go_on(revision).await;
            }
            Ok(Outcome::Refused) => sleep(PAUSE).await,
            Err(error) => {
                tracing::warn!(%error, "the incarnation could not be raised");
                sleep(PAUSE * 10).await;
            }
        }
        Duration::ZERO
    }

    async fn campaign(&self) {
        let leader = Leader { replica: self.replica };
        let txn = Txn::new().when(Compare::Absent(Key::Leader)).put(Key::Leader, encode(&leader));
        match self.store.commit(txn).await {
            Ok(Outcome::Committed(revision)) => {
                self.cache.reach_or_go_on(revision).await;
            }
            Ok(Outcome::Refused) => {}
            Err(error) => tracing::debug!(%error, "the election was not reached"),
        }
    }

    /// Gives the revision of the last transaction that was committed.
    async fn execute(&self, mut orders: Orders) -> Result<Option<Revision>, StoreError> {
        for worker in &orders.expire {
            tracing::warn!(%worker, "the worker's lease has ended");
        }
        let mut last = None;
        for txn in orders.txns {
            if let Outcome::Committed(revision) = self.store.commit(txn).await? {
                last = last.max(Some(revision));
            }
        }
        while let Some(txn) = orders.grants.next_txn() {
            match self.store.commit(txn).await? {
                Outcome::Committed(revision) => {
                    orders.grants.committed(revision);
                    last = last.max(Some(revision));
                }
                Outcome::Refused => break,
            }
        }
        Ok(last)
    }
}
