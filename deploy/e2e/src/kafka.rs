//! A single Kafka broker.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::kcat::Kcat;
use crate::places::local_script;
use crate::ports::free_port;
use crate::process::{Process, Spec};

const READY: &str = "Kafka Server started";
/// A cold JVM on a busy machine of two cores.
const READY_LIMIT: Duration = Duration::from_secs(90);

/// Apache Kafka on loopback with a data folder of its own, removed at the end; topics are created when first used, with
/// one partition. The jars are those in `FERRY_KAFKA_LIBS`, or those that `deploy/local/install` fetched.
pub struct Kafka {
    process: Process,
    port: u16,
    folder: TempDir,
}

impl Kafka {
    /// Starts one with 512 MB of heap at most, and waits until it serves.
    pub fn start() -> Result<Self> {
        Self::start_with_heap("-Xms128m -Xmx512m")
    }

    /// As [`Kafka::start`], with these JVM flags for the heap.
    pub fn start_with_heap(heap: &str) -> Result<Self> {
        let folder = TempDir::with_prefix("ferry-kafka-")?;
        let port = free_port();
        let spec = Spec::new("kafka", local_script("run-kafka"), folder.path())
            .arg(folder.path().join("data"))
            .arg(port.to_string())
            .arg(free_port().to_string())
            .env("KAFKA_HEAP_OPTS", heap);
        let process = Process::start_ready(spec, READY, READY_LIMIT)?;
        Ok(Self { process, port, folder })
    }

    /// What clients call `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A client.
    pub fn kcat(&self) -> Kcat {
        Kcat::new(&self.bootstrap())
    }

    /// The folder in which the broker keeps a partition's log.
    pub fn partition_folder(&self, topic: &str, partition: u32) -> PathBuf {
        self.folder.path().join("data/log").join(format!("{topic}-{partition}"))
    }

    /// The process, to pause or kill.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts it again (killed before, if it still runs) on the same data and ports, and waits until it serves.
    pub fn restart(&mut self) -> Result<()> {
        self.process.restart()?;
        self.process.wait_for_line(READY, READY_LIMIT)?;
        Ok(())
    }
}
