//! Deliberate faults in the simulated shells, each a rule of the protocol left out: the harness must notice each.

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// The worker does not close its gates at its deadline.
    SkipSelfFence,
    /// A replica acknowledges heartbeats when they come, before they are stored.
    AckBeforeCommit,
    /// The leader takes the lease as shorter than workers do.
    ShortLease,
    /// The leader takes LEASE units over as early as those that are fenced by epoch.
    TakeLeaseEarly,
    /// A transactional producer initialises before its grant is confirmed.
    WarmUpJoins,
    /// A new leader frees what is being revoked, without the worker's word.
    ForgetRevoking,
    /// Readers of offsets take the last record of a key, whatever its epoch.
    IgnoreEpochOfOffsets,
    /// The end of an older grant frees the present one.
    IgnoreEpochOfEnds,
    /// A unit polls before a heartbeat sent after its grant is acknowledged.
    RunUnconfirmed,
    /// A new leader, and one that got the store back, counts silences from before.
    SkipSettling,
    /// A worker takes silence for a refused connection.
    ExtendOnSilence,
    /// Offsets are committed of what was handed over, acknowledged or not.
    CommitUnacknowledged,
    /// A deleted connector leaves nothing that its namesake would wait for.
    ForgetDeleted,
    /// A report that comes late, through another replica, counts as the latest.
    IgnoreOrderOfReports,
    /// A replica answers HOLD only where the store refuses what it is given, not where it takes long.
    WaitForTheStore,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Mutation; 15] = [
        Mutation::SkipSelfFence,
        Mutation::AckBeforeCommit,
        Mutation::ShortLease,
        Mutation::TakeLeaseEarly,
        Mutation::WarmUpJoins,
        Mutation::ForgetRevoking,
        Mutation::IgnoreEpochOfOffsets,
        Mutation::IgnoreEpochOfEnds,
        Mutation::RunUnconfirmed,
        Mutation::SkipSettling,
        Mutation::ExtendOnSilence,
        Mutation::CommitUnacknowledged,
        Mutation::ForgetDeleted,
        Mutation::IgnoreOrderOfReports,
        Mutation::WaitForTheStore,
    ];
}
