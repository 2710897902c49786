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
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("FERRY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    match serve(Args::parse()).await {
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
