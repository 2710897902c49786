//! `copy`: a file → Kafka → a file, each arm in turn on one broker.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;
use deploy_e2e::Kafka;
use tempfile::TempDir;

use crate::arm::{Arm, Running};
use crate::report::{Figures, Run, report};
use crate::sample::Sample;

/// Kafka's own start script gives its broker this much.
const BROKER_HEAP: &str = "-Xms1G -Xmx1G";

/// What to copy, by what, and how often.
#[derive(Args)]
pub(crate) struct CopyArgs {
    /// Records of one copy.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) lines: u64,
    /// Bytes of one record.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(12..=900_000))]
    pub(crate) line_bytes: u32,
    /// Who copies.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "ferry,connect,kcat")]
    pub(crate) arms: Vec<Arm>,
    /// Copies each way by each arm; the worker stays up between them, so that a JVM may warm up.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) runs: u32,
}

/// What the bench found.
pub(crate) struct Outcome {
    /// Figures, as text.
    pub(crate) report: String,
    /// Whether every copy was complete and equal to its original.
    pub(crate) sound: bool,
}

/// Runs it all.
pub(crate) fn run(args: &CopyArgs) -> Result<Outcome> {
    if args.arms.contains(&Arm::Ferry) {
        build_ferry()?;
    }
    let folder = TempDir::with_prefix("ferry-bench-")?;
    eprintln!("writing a sample of {} lines of {} bytes", args.lines, args.line_bytes);
    let sample = Sample::write(folder.path().join("sample.txt"), args.lines, usize::try_from(args.line_bytes)?)?;
    eprintln!("starting Kafka");
    let kafka = Kafka::start_with_heap(BROKER_HEAP)?;
    // Every arm reads the same topic; writing it also warms the broker up.
    Running::Kcat.fill_topic(&kafka, &sample, "sample").context("filling the topic to read from")?;

    let mut figures = Vec::new();
    let mut failures = Vec::new();
    for &arm in &args.arms {
        match copy_all(arm, args.runs, &kafka, &sample, folder.path()) {
            Ok(runs) => figures.push(Figures { arm, runs }),
            // The other arms' figures are still worth having.
            Err(error) => failures.push(format!("{}: {error:#}\n", arm.name())),
        }
    }
    let head = format!(
        "{} records of {} bytes, 1 partition, 1 task, {} cores shared with the broker\n",
        args.lines,
        args.line_bytes,
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    Ok(Outcome { report: head + &report(&figures, sample.lines) + &failures.concat(), sound: failures.is_empty() })
}

fn copy_all(arm: Arm, runs: u32, kafka: &Kafka, sample: &Sample, folder: &Path) -> Result<Vec<Run>> {
    eprintln!("starting {}", arm.name());
    let mut running = Running::start(arm, kafka)?;
    let mut done = Vec::new();
    for run in 1..=runs {
        eprintln!("{}: run {run} of {runs}, file to Kafka", arm.name());
        let to_kafka = running.fill_topic(kafka, sample, &format!("{}-{run}", arm.name())).context("file to Kafka")?;
        eprintln!("{}: run {run} of {runs}, Kafka to file", arm.name());
        let file = folder.join(format!("{}-out-{run}.txt", arm.name()));
        let to_file = running.fill_file(kafka, sample, "sample", &file).context("Kafka to file")?;
        std::fs::remove_file(&file)?;
        done.push(Run { to_kafka, to_file });
    }
    Ok(done)
}

/// Builds Ferry's programs in the profile of this one, unless `FERRY_BIN_DIR` says where they are.
fn build_ferry() -> Result<()> {
    if env::var_os("FERRY_BIN_DIR").is_some() {
        return Ok(());
    }
    eprintln!("building Ferry");
    let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    build.args(["build", "--bin", "ferry-control-plane", "--bin", "ferry-worker"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let status = build.status().context("running cargo build")?;
    ensure!(status.success(), "Ferry does not build (or leave it out: --arms connect,kcat)");
    Ok(())
}
