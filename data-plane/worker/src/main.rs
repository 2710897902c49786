//! `ferry-worker`: a stateless worker of the data plane.

use anyhow::Context;
use clap::Parser;
use data_plane_worker::{
    args::Args,
    run::{Options, run},
};
use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
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
            let _ = writeln!(std::io::stderr(), "ferry-worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let options = Options {
        control_planes: args.control_plane,
        admin_listen: args.admin_listen,
        admin_advertise: args.admin_advertise,
        pool: args.pool,
        zone: args.zone,
        labels: args.label.into_iter().collect(),
        capacity: args.capacity,
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
    run(options, stop, |id, admin| {
        // Whoever waits for the line reads it; nobody else is hurt by its loss.
        let _ = writeln!(std::io::stdout(), "ferry-worker {id} ready: admin {admin}");
    })
    .await
}
