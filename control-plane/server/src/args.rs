//! The command line of `ferry-control-plane`; each flag has an environment variable.

use crate::limits::Limits;
use clap::Parser;
use control_plane_store::etcd::DEFAULT_QUOTA_BYTES;
use std::{net::SocketAddr, path::PathBuf};

/// Ferry's control plane: stores connectors and assignments in etcd, and places tasks on workers.
#[derive(Debug, Parser)]
#[command(name = "ferry-control-plane", version)]
pub struct Args {
    /// Kafka Connect's distributed worker properties, unchanged.
    #[arg(long, env = "FERRY_CONFIG", value_name = "FILE")]
    pub config: PathBuf,
    /// etcd endpoints, comma-separated.
    #[arg(
        long,
        env = "FERRY_ETCD_ENDPOINTS",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:2379",
        value_name = "URLS"
    )]
    pub etcd: Vec<String>,
    /// What all keys in etcd begin with.
    #[arg(long, env = "FERRY_ETCD_PREFIX", default_value = "/ferry", value_name = "PREFIX")]
    pub etcd_prefix: String,
    /// How long etcd may take to be reached at the start, in seconds.
    #[arg(long, env = "FERRY_ETCD_TIMEOUT_S", default_value_t = 60, value_name = "SECONDS")]
    pub etcd_timeout_s: u64,
    /// etcd's --quota-backend-bytes, for an etcd before 3.6, which does not tell it.
    #[arg(
        long,
        env = "FERRY_ETCD_QUOTA_BYTES",
        default_value_t = DEFAULT_QUOTA_BYTES,
        value_name = "BYTES"
    )]
    pub etcd_quota_bytes: u64,
    /// Where users are served gRPC.
    #[arg(long, env = "FERRY_GRPC_LISTEN", default_value = "127.0.0.1:7400", value_name = "ADDRESS")]
    pub grpc_listen: SocketAddr,
    /// Where workers keep their sessions.
    #[arg(long, env = "FERRY_WORKER_LISTEN", default_value = "127.0.0.1:7402", value_name = "ADDRESS")]
    pub worker_listen: SocketAddr,
    /// Where workers reach --worker-listen, if that is not its address, such as http://cp-0.ferry:7402.
    #[arg(long, env = "FERRY_WORKER_ADVERTISE", value_name = "URL")]
    pub worker_advertise: Option<String>,
    /// Where Kafka Connect's REST API is served.
    #[arg(long, env = "FERRY_REST_LISTEN", default_value = "127.0.0.1:8083", value_name = "ADDRESS")]
    pub rest_listen: SocketAddr,
    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, env = "FERRY_ADMIN_LISTEN", default_value = "127.0.0.1:7401", value_name = "ADDRESS")]
    pub admin_listen: SocketAddr,
    /// What this replica takes on at a time.
    #[command(flatten, next_help_heading = "Limits")]
    pub limits: Limits,
}
