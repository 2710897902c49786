//! Ferry's benchmarks: how fast and how cheaply it copies, beside Kafka Connect and beside kcat (librdkafka's own limit), on
//! one broker on this machine. Figures go to stdout, talk to stderr.

mod arm;
mod copy;
mod hollow;
mod measure;
mod report;
mod sample;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::copy::CopyArgs;
use crate::hollow::HollowArgs;

#[derive(Parser)]
#[command(about = "Benchmarks of Ferry, beside Kafka Connect and kcat")]
struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// A file to Kafka, and Kafka to a file, one task each.
    Copy(CopyArgs),
    /// A control plane and an etcd under hollow workers, as many as they carry.
    Hollow(HollowArgs),
}

fn main() -> Result<ExitCode> {
    let (report, is_sound) = match Args::parse().bench {
        Bench::Copy(args) => copy::run(&args).map(|outcome| (outcome.report, outcome.sound))?,
        Bench::Hollow(args) => (hollow::run(&args)?, true),
    };
    io::stdout().lock().write_all(report.as_bytes())?;
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
