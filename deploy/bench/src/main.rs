//! Ferry's benchmarks: how fast and how cheaply it copies, beside Kafka Connect and beside kcat (librdkafka's own limit), on
//! one broker on this machine. Figures go to stdout, talk to stderr.

mod arm;
mod copy;
mod measure;
mod report;
mod sample;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::copy::CopyArgs;

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
}

fn main() -> Result<ExitCode> {
    let Bench::Copy(args) = Args::parse().bench;
    let outcome = copy::run(&args)?;
    io::stdout().lock().write_all(outcome.report.as_bytes())?;
    Ok(if outcome.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
