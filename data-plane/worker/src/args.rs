//! The command line of `ferry-worker`; each flag has an environment variable.

use clap::Parser;
use std::net::SocketAddr;

/// A Ferry worker: leases planners and tasks from the control plane and runs them. It keeps no state of its own.
#[derive(Debug, Parser)]
#[command(name = "ferry-worker", version)]
pub struct Args {
    /// The control plane's worker listeners, comma-separated.
    #[arg(
        long,
        env = "FERRY_CONTROL_PLANE",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:7402",
        value_name = "URLS"
    )]
    pub control_plane: Vec<String>,
    /// Where /livez, /readyz and /metrics are served; users know the worker by this address. Port 0 takes a free one.
    #[arg(long, env = "FERRY_ADMIN_LISTEN", default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub admin_listen: SocketAddr,
    /// Shown to users in place of --admin-listen.
    #[arg(long, env = "FERRY_ADMIN_ADVERTISE", value_name = "HOST:PORT")]
    pub admin_advertise: Option<String>,
    /// A label for placement; may be repeated.
    #[arg(long, env = "FERRY_LABELS", value_delimiter = ',', value_name = "KEY=VALUE", value_parser = label)]
    pub label: Vec<(String, String)>,
    /// The pool that the worker belongs to.
    #[arg(long, env = "FERRY_POOL", default_value = "", value_name = "POOL")]
    pub pool: String,
    /// The zone that the worker stands in.
    #[arg(long, env = "FERRY_ZONE", default_value = "", value_name = "ZONE")]
    pub zone: String,
    /// Most planners and tasks that it takes; 0: no limit.
    #[arg(long, env = "FERRY_CAPACITY", default_value_t = 0, value_name = "UNITS")]
    pub capacity: u32,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label is KEY=VALUE, such as disk=fast".to_owned()),
    }
}
