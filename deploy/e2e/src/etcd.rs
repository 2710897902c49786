//! A single etcd server.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::places::local_script;
use crate::ports::free_port;
use crate::process::{Process, Spec};

const READY: &str = "ready to serve client requests";
const READY_LIMIT: Duration = Duration::from_secs(30);

/// etcd on loopback with a data folder of its own, removed at the end. The program is `FERRY_ETCD`, or the one that
/// `deploy/local/install` made.
pub struct Etcd {
    process: Process,
    port: u16,
    folder: TempDir,
}

impl Etcd {
    /// Starts one and waits until it serves.
    pub fn start() -> Result<Self> {
        let folder = TempDir::with_prefix("ferry-etcd-")?;
        let port = free_port();
        let process = Process::start_ready(spec(folder.path(), port), READY, READY_LIMIT)?;
        Ok(Self { process, port, folder })
    }

    /// Its client URL.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The process, to pause or kill.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Whether a text is anywhere in what it has written to disk, its log included.
    pub fn has_stored(&self, text: &str) -> Result<bool> {
        holds(&self.folder.path().join("data"), text.as_bytes())
    }

    /// Starts it again (killed before, if it still runs) on the same data and ports, and waits until it serves.
    pub fn restart(&mut self) -> Result<()> {
        self.process.restart()?;
        self.process.wait_for_line(READY, READY_LIMIT)?;
        Ok(())
    }
}

fn holds(folder: &Path, text: &[u8]) -> Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_there = match path.is_dir() {
            true => holds(&path, text)?,
            false => std::fs::read(&path)?.windows(text.len()).any(|window| window == text),
        };
        if is_there {
            return Ok(true);
        }
    }
    Ok(false)
}

fn spec(folder: &Path, port: u16) -> Spec {
    Spec::new("etcd", local_script("run-etcd"), folder)
        .arg(folder.join("data"))
        .arg(port.to_string())
        .arg(free_port().to_string())
}
