//! A whole Ferry: etcd, Kafka, a control plane, workers, and a folder for files.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow};
use deploy_e2e::{ControlPlane, ControlPlaneOptions, Etcd, Ferry, Kafka, Worker, WorkerOptions, wait_for};
use serde_json::Value;
use tempfile::TempDir;

/// Long enough for a machine that does other things too; a healthy cluster needs a fraction.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// One cluster at a time: two cores are not enough for two.
static TURN: Mutex<()> = Mutex::new(());

pub(crate) struct Cluster {
    // Ended in this order.
    pub(crate) workers: Vec<Worker>,
    pub(crate) control_plane: ControlPlane,
    pub(crate) etcd: Etcd,
    pub(crate) kafka: Kafka,
    pub(crate) folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

pub(crate) fn turn() -> MutexGuard<'static, ()> {
    // A test that failed has ended its processes all the same.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster {
    pub(crate) fn start(workers: usize) -> Result<Cluster> {
        Self::start_with(workers, &[])
    }

    /// With further worker properties.
    pub(crate) fn start_with(workers: usize, properties: &[(&str, &str)]) -> Result<Cluster> {
        let turn = turn();
        let (etcd, kafka) = (Etcd::start()?, Kafka::start()?);
        let mut options = ControlPlaneOptions::new(&etcd.endpoint(), &kafka.bootstrap());
        options.properties.push(("offset.flush.interval.ms".to_owned(), "1000".to_owned()));
        options.properties.extend(properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let control_plane = ControlPlane::start(&options)?;
        let mut cluster = Cluster {
            workers: Vec::new(),
            control_plane,
            etcd,
            kafka,
            folder: TempDir::with_prefix("ferry-e2e-")?,
            _turn: turn,
        };
        for _ in 0..workers {
            cluster.add_worker()?;
        }
        cluster.wait_for_workers(workers)?;
        Ok(cluster)
    }

    pub(crate) fn add_worker(&mut self) -> Result<()> {
        self.workers.push(Worker::start(&WorkerOptions::new(&self.control_plane.worker_endpoint()))?);
        Ok(())
    }

    pub(crate) fn wait_for_workers(&self, count: usize) -> Result<()> {
        let rest = self.control_plane.rest()?;
        wait_for(LIMIT, "all workers' sessions", || {
            // Plugins are known as soon as one worker is there; the CLI lists them all.
            let plugins = rest.get("/connector-plugins")?.body;
            let workers = self.cli()?.json(&["get", "workers"])?;
            let there = list(&workers).len() == count && !list(&plugins).is_empty();
            Ok(there.then_some(()))
        })
    }

    pub(crate) fn cli(&self) -> Result<Ferry> {
        self.control_plane.cli()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> Result<()> {
        Ok(fs::write(self.path(name), content)?)
    }

    pub(crate) fn append(&self, name: &str, content: &str) -> Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(name))?;
        Ok(file.write_all(content.as_bytes())?)
    }

    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>> {
        Ok(fs::read(self.path(name))?)
    }

    pub(crate) fn size(&self, name: &str) -> u64 {
        fs::metadata(self.path(name)).map_or(0, |metadata| metadata.len())
    }

    /// Applies a source `in` and a sink `out` over topic `lines`, files in.txt and out.txt.
    pub(crate) fn apply_copy(&self) -> Result<String> {
        let yaml = format!(
            "kind: Connector\nname: in\nconfig:\n  connector.class: FileStreamSource\n  tasks.max: 1\n  file: {}\n  \
             topic: lines\n---\nkind: Connector\nname: out\nconfig:\n  connector.class: \
             org.apache.kafka.connect.file.FileStreamSinkConnector\n  tasks.max: \"1\"\n  file: {}\n  topics: lines\n",
            self.text("in.txt"),
            self.text("out.txt"),
        );
        self.write("copy.yaml", &yaml)?;
        self.cli()?.succeed(&["apply", "-f", &self.text("copy.yaml")])
    }

    pub(crate) fn wait_running(&self, connectors: &[&str]) -> Result<()> {
        for connector in connectors {
            self.cli()?.succeed(&["wait", "connector", connector, "--for", "running", "--timeout", "60s"])?;
        }
        Ok(())
    }

    /// Waits until `out.txt` has the bytes of `in.txt`.
    pub(crate) fn wait_equal(&self) -> Result<()> {
        let wanted = self.size("in.txt");
        wait_for(LIMIT, "all bytes at the destination", || Ok((self.size("out.txt") >= wanted).then_some(())))?;
        let (source, target) = (self.read("in.txt")?, self.read("out.txt")?);
        match source == target {
            true => Ok(()),
            false => Err(anyhow!("out.txt ({} bytes) differs from in.txt ({} bytes)", target.len(), source.len())),
        }
    }

    /// The connector as `ferry get connector NAME -o json` prints it.
    pub(crate) fn connector(&self, name: &str) -> Result<Value> {
        let printed = self.cli()?.json(&["get", "connectors", name])?;
        Ok(list(&printed).first().cloned().unwrap_or(printed))
    }

    /// (state, worker's address, epoch) of a connector's task 0.
    pub(crate) fn task(&self, name: &str) -> Result<(String, String, String)> {
        let status = self.control_plane.rest()?.status(name)?;
        let connector = self.connector(name)?;
        let epoch = &connector["status"]["tasks"][0]["epoch"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok((
            text(&status["tasks"][0]["state"]),
            text(&status["tasks"][0]["worker_id"]),
            epoch.as_str().map(str::to_owned).ok_or_else(|| anyhow!("no epoch in {connector}"))?,
        ))
    }

    /// Index of the worker with this address.
    pub(crate) fn worker_at(&self, address: &str) -> Result<usize> {
        let found = self.workers.iter().position(|worker| worker.address() == address);
        found.ok_or_else(|| anyhow!("no worker has the address {address}"))
    }
}

/// A list, printed as an array or as an object that holds one.
pub(crate) fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        Value::Object(fields) => fields.values().find_map(|field| field.as_array().cloned()).unwrap_or_default(),
        _ => Vec::new(),
    }
}
