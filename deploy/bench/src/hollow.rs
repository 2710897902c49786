//! `hollow`: how many workers and tasks one control plane and one etcd carry. The workers are hollow: real sessions over real gRPC,
//! which say that whatever they are given runs.

mod fleet;
mod worker;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use deploy_e2e::{ControlPlane, ControlPlaneOptions, Etcd, Usage};
use futures::stream::{self, StreamExt, TryStreamExt};
use proto::v1::connector_service_client::ConnectorServiceClient;
use proto::v1::{Connector, CreateConnectorRequest};
use tonic::transport::{Channel, Endpoint};

use self::fleet::Fleet;

/// How large the cluster is.
#[derive(Args)]
pub(crate) struct HollowArgs {
    /// Workers.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    workers: u32,
    /// Connectors.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connectors: u32,
    /// Tasks of each connector.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    tasks: u32,
    /// Connectors being created at a time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1000))]
    in_flight: u32,
    /// Workers that die, in percent.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=90))]
    deaths: u32,
    /// How long the steady state is measured, in seconds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    steady_s: u64,
}

/// The longest that a phase may take.
const LIMIT: Duration = Duration::from_secs(300);

/// A process that is measured.
struct Measured {
    name: &'static str,
    pid: u32,
    before: Usage,
}

impl Measured {
    fn new(name: &'static str, pid: u32) -> Result<Self> {
        Ok(Self { name, pid, before: Usage::of(pid)? })
    }

    /// CPU seconds since the last call, and the peak memory in MB.
    fn sample(&mut self) -> Result<(f64, u64)> {
        let now = Usage::of(self.pid)?;
        let used = (now - self.before).cpu.as_secs_f64();
        self.before = now;
        Ok((used, now.peak_rss_bytes >> 20))
    }
}

/// Runs it all; gives the report.
pub(crate) fn run(args: &HollowArgs) -> Result<String> {
    let mut etcd = Etcd::start()?;
    let mut control_plane = ControlPlane::start(&ControlPlaneOptions::new(&etcd.endpoint(), "127.0.0.1:9"))?;
    let mut measured =
        [Measured::new("control plane", control_plane.process().id())?, Measured::new("etcd", etcd.process().id())?];
    let endpoints = (control_plane.worker_endpoint(), control_plane.grpc_endpoint());
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(measure(args, &endpoints, &mut measured))
}

async fn measure(
    args: &HollowArgs,
    (workers, users): &(String, String),
    measured: &mut [Measured; 2],
) -> Result<String> {
    let mut report = String::new();
    let mut note = |phase: &str, took: Duration, more: &str, measured: &mut [Measured; 2]| -> Result<()> {
        let mut line = format!("{phase}: {:.2} s{more}", took.as_secs_f64());
        for process in measured {
            let (cpu, megabytes) = process.sample()?;
            write!(line, "; {} {cpu:.1} CPU-s, peak {megabytes} MB", process.name)?;
        }
        eprintln!("{line}");
        writeln!(report, "{line}")?;
        Ok(())
    };
    let fleet = Arc::new(Fleet::new(args.tasks as usize));
    let started = Instant::now();
    let mut hands: Vec<_> =
        (0..args.workers).map(|number| worker::start(workers.clone(), number, Arc::clone(&fleet))).collect();
    fleet.until("all workers' sessions", LIMIT, |fleet| fleet.sessions() >= args.workers as usize).await?;
    note(&format!("{} workers connected", args.workers), started.elapsed(), "", measured)?;

    let total = args.connectors as usize * args.tasks as usize;
    let channel = Endpoint::from_shared(users.clone())?.connect().await.context("connecting to the control plane")?;
    let started = Instant::now();
    let creating = stream::iter(0..args.connectors)
        .map(|number| create(channel.clone(), number, args.tasks, Arc::clone(&fleet)))
        .buffer_unordered(args.in_flight as usize)
        .try_collect::<Vec<()>>();
    creating.await?;
    let created = started.elapsed();
    fleet.until("all tasks running", LIMIT, |fleet| fleet.running() >= total).await?;
    let took = started.elapsed();
    let latencies = fleet.latencies();
    let more = format!(
        " ({} connectors accepted in {:.2} s; {:.0} tasks/s; create -> all tasks RUNNING p50 {:.2} s, p99 {:.2} s)",
        args.connectors,
        created.as_secs_f64(),
        total as f64 / took.as_secs_f64(),
        quantile(&latencies, 0.5).as_secs_f64(),
        quantile(&latencies, 0.99).as_secs_f64(),
    );
    note(&format!("{total} tasks placed from nothing"), took, &more, measured)?;

    let steady = Duration::from_secs(args.steady_s);
    // Not a wait for anything: the time over which use is measured.
    tokio::time::sleep(steady).await;
    note("steady state", steady, "", measured)?;

    let dying = (args.workers * args.deaths / 100) as usize;
    let lost = fleet.forget(0..dying as u32);
    hands.drain(..dying).for_each(|hand| hand.abort());
    let started = Instant::now();
    fleet.until("the tasks of the dead running again", LIMIT, |fleet| fleet.running() >= total).await?;
    note(&format!("{dying} workers died, their {lost} tasks running elsewhere"), started.elapsed(), "", measured)?;
    hands.iter().for_each(tokio::task::JoinHandle::abort);
    ensure!(fleet.twice() == 0, "{} tasks were given to a second worker while the first was alive", fleet.twice());
    Ok(report)
}

async fn create(channel: Channel, number: u32, tasks: u32, fleet: Arc<Fleet>) -> Result<()> {
    let name = format!("hollow-{number:06}");
    let config: BTreeMap<_, _> = [
        ("connector.class", worker::CLASS.to_owned()),
        ("tasks.max", tasks.to_string()),
        ("topic", "hollow".to_owned()),
        ("file", format!("/var/log/hollow-{number}.log")),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    let request = CreateConnectorRequest {
        parent: "namespaces/default".to_owned(),
        connector_id: name.clone(),
        connector: Some(Connector { config: config.into_iter().collect(), ..Connector::default() }),
        ..CreateConnectorRequest::default()
    };
    fleet.created(&name);
    let answer = ConnectorServiceClient::new(channel).create_connector(request).await;
    answer.map(drop).with_context(|| format!("creating {name}"))
}

fn quantile(sorted: &[Duration], part: f64) -> Duration {
    let at = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).copied().unwrap_or_default()
}
