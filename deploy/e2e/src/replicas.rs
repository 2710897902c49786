//! Several replicas of Ferry's control plane on one etcd.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::control_plane::{ControlPlane, ControlPlaneOptions};
use crate::wait::wait_for;

/// Replicas that share one store. Any of them may be away: the process of each is reached through [`Replicas::get`].
pub struct Replicas {
    replicas: Vec<ControlPlane>,
}

impl Replicas {
    /// Starts so many, one after the other; all are ready.
    pub fn start(options: &ControlPlaneOptions, count: usize) -> Result<Self> {
        let replicas = (0..count).map(|_| ControlPlane::start(options)).collect::<Result<_>>()?;
        Ok(Self { replicas })
    }

    /// Where workers connect: all addresses.
    pub fn worker_endpoints(&self) -> Vec<String> {
        self.replicas.iter().map(ControlPlane::worker_endpoint).collect()
    }

    /// How many there are, also those that are away.
    pub fn count(&self) -> usize {
        self.replicas.len()
    }

    /// One replica.
    pub fn get(&mut self, index: usize) -> &mut ControlPlane {
        &mut self.replicas[index]
    }

    /// All of them.
    pub fn all(&self) -> &[ControlPlane] {
        &self.replicas
    }

    /// Waits until one says that it leads; which one. `except` is not asked.
    pub fn leader(&self, except: Option<usize>, limit: Duration) -> Result<usize> {
        wait_for(limit, "a leading replica", || {
            let leads = |index: &usize| Some(*index) != except && self.replicas[*index].leads().unwrap_or(false);
            Ok((0..self.replicas.len()).find(leads))
        })
    }

    /// As [`Replicas::leader`], and how long after `since` it was seen.
    pub fn leader_after(&self, since: Instant, except: usize, limit: Duration) -> Result<(usize, Duration)> {
        let leader = self.leader(Some(except), limit)?;
        Ok((leader, since.elapsed()))
    }
}
