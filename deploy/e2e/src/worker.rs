//! Ferry's worker.

use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::places::binary;
use crate::ports::free_port;
use crate::process::{Process, Spec};
use crate::rest::Rest;

const READY_LIMIT: Duration = Duration::from_secs(30);

/// What a worker is started with.
#[derive(Clone, Debug, Default)]
pub struct WorkerOptions {
    /// The control plane's replicas.
    pub control_planes: Vec<String>,
    /// Labels, as `key=value`.
    pub labels: Vec<String>,
    /// More arguments.
    pub args: Vec<String>,
    /// More variables.
    pub env: Vec<(String, String)>,
    /// Once it is ready, its output goes to a pipe that is full and that nobody reads.
    pub is_unread: bool,
}

impl WorkerOptions {
    /// A worker of the control plane at this endpoint.
    pub fn new(control_plane: &str) -> Self {
        Self { control_planes: vec![control_plane.to_owned()], ..Self::default() }
    }
}

/// One `ferry-worker`.
pub struct Worker {
    process: Process,
    id: String,
    admin_port: u16,
    _folder: TempDir,
}

impl Worker {
    /// Starts a worker and waits until it says that it is ready.
    pub fn start(options: &WorkerOptions) -> Result<Self> {
        let folder = TempDir::with_prefix("ferry-worker-")?;
        let admin_port = free_port();
        let mut spec = Spec::new("ferry-worker", binary("ferry-worker")?, folder.path())
            .flag("--control-plane", options.control_planes.join(","))
            .flag("--admin-listen", format!("127.0.0.1:{admin_port}"));
        for label in &options.labels {
            spec = spec.flag("--label", label);
        }
        spec.args.extend(options.args.iter().map(Into::into));
        spec.env.extend(options.env.iter().cloned());
        spec.unread_after = options.is_unread.then(|| " ready".to_owned());
        let mut process = Process::start(spec)?;
        let id = ready_id(&mut process)?;
        Ok(Self { process, id, admin_port, _folder: folder })
    }

    /// The id that it gave itself at its last start.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `/livez`, `/readyz` and `/metrics`.
    pub fn admin(&self) -> Result<Rest> {
        Rest::new(&format!("http://127.0.0.1:{}", self.admin_port))
    }

    /// host:port of its admin listener: how users know it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.admin_port)
    }

    /// The process, to pause or kill.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts it again (killed before, if it still runs): a new worker with a new id on the same admin port.
    pub fn restart(&mut self) -> Result<()> {
        self.process.restart()?;
        self.id = ready_id(&mut self.process)?;
        Ok(())
    }
}

/// Waits for `ferry-worker <id> ready: …`. The id is what stands before ` ready`; empty if nothing does.
fn ready_id(process: &mut Process) -> Result<String> {
    let line = process.wait_for_line(" ready", READY_LIMIT)?;
    Ok(id_of(&line).to_owned())
}

fn id_of(line: &str) -> &str {
    line.split(" ready").next().unwrap_or_default().rsplit(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::id_of;

    #[test]
    fn the_id_stands_before_ready() {
        assert_eq!(id_of("ferry-worker 1f3c-22 ready: admin 127.0.0.1:41233"), "1f3c-22");
    }
}
