//! Who owns a unit, under which epoch, and how its old owner is fenced.

use crate::{
    ids::{Epoch, WorkerId},
    task::UnitDigest,
};
use serde::{Deserialize, Serialize};

/// How a unit's old owner is kept from doing harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FenceClass {
    /// Taken over only after an acknowledged stop or after expiry.
    Lease,
    /// The target refuses writes under an older epoch.
    TargetEpoch,
    /// Kafka transactions fence.
    Transactional,
}

/// State of a grant. Free is the absence of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GrantState {
    /// The worker may run it.
    Granted,
    /// Still owned; the worker is asked to stop it and to say so.
    Revoking,
}

/// Key `owners/<uid>/<unit>`. Tiny: it is what guarded writes compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The holder.
    pub worker: WorkerId,
    /// The fencing token.
    pub epoch: Epoch,
    /// Whether it is being taken back.
    pub state: GrantState,
    /// How the holder would be fenced.
    pub fence_class: FenceClass,
    /// What was granted.
    pub digest: UnitDigest,
}
