//! Ferry's control plane.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::ferry::Ferry;
use crate::kafka_connect::worker_properties;
use crate::places::binary;
use crate::ports::free_port;
use crate::process::{Process, Spec};
use crate::rest::Rest;

const READY_LIMIT: Duration = Duration::from_secs(30);
/// One that is asked for its metrics answers at once, or is away.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);

/// What a control plane is started with.
#[derive(Clone, Debug)]
pub struct ControlPlaneOptions {
    /// etcd's URL.
    pub etcd: String,
    /// The keys' prefix in etcd: replicas of one control plane share it.
    pub etcd_prefix: String,
    /// `bootstrap.servers` of the workers' settings.
    pub bootstrap: String,
    /// `group.id`, and the beginning of the internal topics' names.
    pub group: String,
    /// More lines for `connect-distributed.properties`; a later one wins.
    pub properties: Vec<(String, String)>,
    /// More arguments.
    pub args: Vec<String>,
}

impl ControlPlaneOptions {
    /// The usual: prefix `/ferry`, group `ferry`, string converters.
    pub fn new(etcd: &str, bootstrap: &str) -> Self {
        Self {
            etcd: etcd.to_owned(),
            etcd_prefix: "/ferry".to_owned(),
            bootstrap: bootstrap.to_owned(),
            group: "ferry".to_owned(),
            properties: Vec::new(),
            args: Vec::new(),
        }
    }
}

/// One replica of `ferry-control-plane`.
pub struct ControlPlane {
    process: Process,
    grpc_port: u16,
    worker_port: u16,
    rest_port: u16,
    admin_port: u16,
    _folder: TempDir,
}

impl ControlPlane {
    /// Starts a replica and waits until it says that it is ready.
    pub fn start(options: &ControlPlaneOptions) -> Result<Self> {
        let folder = TempDir::with_prefix("ferry-control-plane-")?;
        let properties = folder.path().join("connect-distributed.properties");
        let more: String = options.properties.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        fs::write(&properties, worker_properties(&options.bootstrap, &options.group) + &more)?;
        let [grpc_port, worker_port, rest_port, admin_port] = [(); 4].map(|()| free_port());
        let mut spec = Spec::new("ferry-control-plane", binary("ferry-control-plane")?, folder.path())
            .flag("--config", properties)
            .flag("--etcd", &options.etcd)
            .flag("--etcd-prefix", &options.etcd_prefix)
            .flag("--grpc-listen", format!("127.0.0.1:{grpc_port}"))
            .flag("--worker-listen", format!("127.0.0.1:{worker_port}"))
            .flag("--rest-listen", format!("127.0.0.1:{rest_port}"))
            .flag("--admin-listen", format!("127.0.0.1:{admin_port}"));
        spec.args.extend(options.args.iter().map(Into::into));
        let process = Process::start_ready(spec, "ready", READY_LIMIT)?;
        Ok(Self { process, grpc_port, worker_port, rest_port, admin_port, _folder: folder })
    }

    /// Where workers connect.
    pub fn worker_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.worker_port)
    }

    /// Where gRPC users connect.
    pub fn grpc_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc_port)
    }

    /// Kafka Connect's REST API of this replica.
    pub fn rest(&self) -> Result<Rest> {
        Rest::new(&format!("http://127.0.0.1:{}", self.rest_port))
    }

    /// `/livez`, `/readyz` and `/metrics` of this replica.
    pub fn admin(&self) -> Result<Rest> {
        Rest::new(&format!("http://127.0.0.1:{}", self.admin_port))
    }

    /// Whether it says that it leads; an error if it says nothing within a moment.
    pub fn leads(&self) -> Result<bool> {
        let admin = Rest::impatient(&format!("http://127.0.0.1:{}", self.admin_port), ANSWER_LIMIT)?;
        Ok(admin.metric("ferry_control_plane_leader")? > 0.0)
    }

    /// The CLI, pointed at this replica.
    pub fn cli(&self) -> Result<Ferry> {
        Ferry::new(&self.grpc_endpoint())
    }

    /// The process, to pause or kill.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts it again (killed before, if it still runs) on the same ports, and waits until it is ready.
    pub fn restart(&mut self) -> Result<()> {
        self.process.restart()?;
        self.process.wait_for_line("ready", READY_LIMIT)?;
        Ok(())
    }
}
