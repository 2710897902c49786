//! `ferry-control-plane`: the control plane on etcd.

use anyhow::Context;
use clap::Parser;
use control_plane_server::{
    args::Args,
    properties,
    run::{Listen, run},
};
use control_plane_store::etcd::EtcdStore;
use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use tracing_appender::non_blocking::NonBlockingBuilder;
use tracing_subscriber::EnvFilter;

/// How long threads that hang in a plugin or in a system call may hold the process up at its end.
const LAST_PATIENCE: Duration = Duration::from_secs(1);
/// Lines of the log that may wait for whoever reads standard error. More are dropped: a reader that does not read stops no
/// heartbeat.
const LOG_LINES: usize = 10_000;

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("FERRY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    // Dropped at the end, it writes what waits.
    let (log, _log) = NonBlockingBuilder::default().buffered_lines_limit(LOG_LINES).finish(std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(log).init();
    let result = tokio::runtime::Runtime::new().context("the runtime cannot be started").and_then(|runtime| {
        let result = runtime.block_on(serve(Args::parse()));
        runtime.shutdown_timeout(LAST_PATIENCE);
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; the exit code says it too.
            let _ = writeln!(std::io::stderr(), "ferry-control-plane: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let settings = properties::distributed(&args.config)?;
    let patience = Duration::from_secs(args.etcd_timeout_s);
    let store = EtcdStore::connect(&args.etcd, &args.etcd_prefix, patience).await?;
    let store = store.with_quota(args.etcd_quota_bytes);
    let listen = Listen {
        grpc: args.grpc_listen,
        workers: args.worker_listen,
        workers_advertised: args.worker_advertise,
        rest: args.rest_listen,
        admin: args.admin_listen,
    };
    let stop = CancellationToken::new();
    let signalled = stop.clone();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("SIGTERM cannot be handled")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        signalled.cancel();
    });
    run(Arc::new(store), settings, listen, args.limits, stop, |listening| {
        // Whoever waits for the line reads it; nobody else is hurt by its loss.
        let _ = writeln!(
            std::io::stdout(),
            "ferry-control-plane {} ready: grpc {}, workers {}, rest {}, admin {}",
            listening.replica,
            listening.grpc,
            listening.workers,
            listening.rest,
            listening.admin
        );
    })
    .await
}
