//! How much space the store has left, and what is still written to it.
//!
//! An etcd that has used up its quota refuses every write, grants and elections too. So what can wait stops before: the
//! rest of the space is for what keeps data flowing.

/// Of the quota, in percent: from here on space is low.
const LOW_PERCENT: u128 = 80;

/// The store's space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Size of its file. Space that was freed inside counts until a defragmentation, as it does for etcd's own quota.
    pub used_bytes: u64,
    /// What it may have.
    pub quota_bytes: u64,
    /// The store itself says that it takes no more: so until somebody takes that back.
    pub is_exhausted: bool,
}

/// What the space allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// Everything.
    #[default]
    Normal,
    /// No new connectors and configs, no histories and no statuses; targets, deletions, grants, elections and heartbeats
    /// are stored.
    Low,
    /// Nothing is stored: sessions run on, and nobody's units can be taken over.
    Full,
}

impl Space {
    /// What it allows.
    pub fn level(&self) -> Level {
        let (used, quota) = (u128::from(self.used_bytes), u128::from(self.quota_bytes));
        match used {
            _ if self.is_exhausted || used >= quota => Level::Full,
            _ if used * 100 >= quota * LOW_PERCENT => Level::Low,
            _ => Level::Normal,
        }
    }
}

impl Level {
    /// Whether connectors are created and configs changed, with their histories.
    pub fn takes_configs(self) -> bool {
        self == Level::Normal
    }

    /// Whether units' transitions are stored.
    pub fn takes_statuses(self) -> bool {
        self == Level::Normal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        let check = |used_bytes, is_exhausted, level| {
            assert_eq!(Space { used_bytes, quota_bytes: 1000, is_exhausted }.level(), level, "{used_bytes}");
        };
        check(0, false, Level::Normal);
        check(799, false, Level::Normal);
        check(800, false, Level::Low);
        check(999, false, Level::Low);
        check(1000, false, Level::Full);
        check(10, true, Level::Full);
        let unlimited = Space { used_bytes: u64::MAX / 2, quota_bytes: u64::MAX, is_exhausted: false };
        assert_eq!(unlimited.level(), Level::Normal);
        assert!(Level::Normal < Level::Low && Level::Low < Level::Full);
    }
}
