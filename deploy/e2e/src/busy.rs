//! A machine that is busy with other things.

use std::thread::available_parallelism;

use anyhow::Result;
use tempfile::TempDir;

use crate::process::{Process, Spec};

/// One process for each core that does nothing but turn, until this is dropped.
pub struct BusyCores {
    _processes: Vec<Process>,
    _folder: TempDir,
}

impl BusyCores {
    /// Starts them.
    pub fn start() -> Result<Self> {
        let folder = TempDir::with_prefix("ferry-busy-")?;
        let turn = |index| {
            let spec = Spec::new(&format!("busy-{index}"), "sh", folder.path());
            Process::start(spec.flag("-c", "while :; do :; done"))
        };
        let processes = (0..available_parallelism()?.get()).map(turn).collect::<Result<_>>()?;
        Ok(Self { _processes: processes, _folder: folder })
    }
}
