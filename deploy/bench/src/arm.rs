//! The arms of a comparison: what copies.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::ValueEnum;
use deploy_e2e::{
    ControlPlane, ControlPlaneOptions, Etcd, Kafka, KafkaConnect, Process, Rest, Spec, Usage, Worker, WorkerOptions,
    kcat_program,
};

use crate::measure::{Destination, Measured, watch};
use crate::sample::Sample;

/// A copying system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arm {
    /// Ferry: a control plane and one worker.
    Ferry,
    /// Kafka Connect: one worker with 1 GB of heap.
    Connect,
    /// kcat: librdkafka with nothing around it.
    Kcat,
}

impl Arm {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ferry => "ferry",
            Self::Connect => "connect",
            Self::Kcat => "kcat",
        }
    }
}

/// An arm that is up and idle.
pub(crate) enum Running {
    Ferry(Box<FerryProcesses>),
    Connect(Box<KafkaConnect>),
    Kcat,
}

/// Ferry's processes; killed in this order.
pub(crate) struct FerryProcesses {
    worker: Worker,
    control_plane: ControlPlane,
    _etcd: Etcd,
}

impl Running {
    pub(crate) fn start(arm: Arm, kafka: &Kafka) -> Result<Self> {
        match arm {
            Arm::Ferry => {
                let etcd = Etcd::start()?;
                let control_plane =
                    ControlPlane::start(&ControlPlaneOptions::new(&etcd.endpoint(), &kafka.bootstrap()))?;
                let worker = Worker::start(&WorkerOptions::new(&control_plane.worker_endpoint()))?;
                Ok(Self::Ferry(Box::new(FerryProcesses { worker, control_plane, _etcd: etcd })))
            }
            Arm::Connect => Ok(Self::Connect(Box::new(KafkaConnect::start(&kafka.bootstrap())?))),
            Arm::Kcat => Ok(Self::Kcat),
        }
    }

    /// Copies the sample to a new topic.
    pub(crate) fn fill_topic(&mut self, kafka: &Kafka, sample: &Sample, topic: &str) -> Result<Measured> {
        let destination = Destination::Topic { kafka, name: topic.to_owned(), records: sample.lines };
        let file = sample.path.to_string_lossy();
        let measured = match self.worker()? {
            Some((rest, worker)) => {
                let config =
                    [("connector.class", "FileStreamSource"), ("tasks.max", "1"), ("file", &*file), ("topic", topic)];
                connector(rest, worker, topic, &config, &destination)?
            }
            None => {
                let spec = kcat(kafka, &sample.path)
                    .args(["-P", "-t", topic, "-X", "enable.idempotence=true", "-X", "acks=all", "-l"])
                    .arg(&*file);
                program(spec, &destination)?
            }
        };
        let records = kafka.kcat().end_offset(topic, 0)?;
        ensure!(records == sample.lines, "{topic} has {records} records instead of {}", sample.lines);
        Ok(measured)
    }

    /// Copies a topic that holds the sample to a new file.
    pub(crate) fn fill_file(&mut self, kafka: &Kafka, sample: &Sample, topic: &str, file: &Path) -> Result<Measured> {
        let destination = Destination::File { path: file.to_owned(), bytes: sample.bytes };
        let path = file.to_string_lossy();
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let measured = match self.worker()? {
            Some((rest, worker)) => {
                let config =
                    [("connector.class", "FileStreamSink"), ("tasks.max", "1"), ("file", &*path), ("topics", topic)];
                connector(rest, worker, &name, &config, &destination)?
            }
            None => {
                let spec = kcat(kafka, file).args(["-C", "-t", topic, "-o", "beginning", "-e", "-q"]);
                program(spec.env("OUTPUT", &path), &destination)?
            }
        };
        sample.compare(file)?;
        Ok(measured)
    }

    /// The REST API and the process that copies; none where each copy is a process of its own.
    fn worker(&mut self) -> Result<Option<(Rest, &mut Process)>> {
        Ok(match self {
            Self::Ferry(ferry) => Some((ferry.control_plane.rest()?, ferry.worker.process())),
            Self::Connect(connect) => Some((connect.rest().clone(), connect.process())),
            Self::Kcat => None,
        })
    }
}

/// Creates a connector, watches its copy, and deletes it.
fn connector(
    rest: Rest,
    worker: &mut Process,
    name: &str,
    config: &[(&str, &str)],
    destination: &Destination<'_>,
) -> Result<Measured> {
    worker.reset_peak_memory()?;
    let before = worker.usage()?;
    let started = Instant::now();
    rest.put_config(name, config)?;
    let measured = watch(destination, started, before, || {
        ensure!(worker.is_running()?, "the worker ended:\n{}", worker.log());
        worker.usage()
    });
    let measured = measured.map_err(|error| match rest.status(name) {
        Ok(status) => error.context(format!("the status of {name} is {status}")),
        Err(_) => error,
    })?;
    rest.delete(name)?;
    Ok(measured)
}

/// Starts a program, and watches its copy.
fn program(spec: Spec, destination: &Destination<'_>) -> Result<Measured> {
    let started = Instant::now();
    let mut process = Process::start(spec)?;
    let measured = watch(destination, started, Usage::default(), || process.usage())?;
    // It has all been copied by now; what it still does is say goodbye.
    let (status, at_end) = process.usage_at_end(Duration::from_secs(30))?;
    ensure!(status.success(), "kcat failed:\n{}", process.log());
    Ok(Measured { usage: Usage { cpu: at_end.cpu, ..measured.usage }, ..measured })
}

/// kcat, its data going to the file that the variable OUTPUT names; `beside` is where its log goes.
fn kcat(kafka: &Kafka, beside: &Path) -> Spec {
    Spec::new("kcat", "sh", beside.parent().unwrap_or(Path::new("/"))).args([
        "-c",
        "exec \"$0\" \"$@\" > \"${OUTPUT:-/dev/null}\"",
        kcat_program(),
        "-b",
        &kafka.bootstrap(),
    ])
}
