//! A single Kafka broker.

use std::fs;
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

/// What a broker has besides its listener for everybody.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// The JVM's flags for the heap.
    pub heap: String,
    /// More listeners, each named after its protocol: `SSL`, `SASL_PLAINTEXT`, `SASL_SSL`.
    pub listeners: Vec<&'static str>,
    /// Broker properties that add to the usual ones or replace them.
    pub properties: Vec<(String, String)>,
    /// Names and passwords, without blanks, of users for SCRAM-SHA-512.
    pub scram_users: Vec<(&'static str, &'static str)>,
}

impl Default for KafkaOptions {
    /// 512 MB of heap at most, and nothing more.
    fn default() -> Self {
        let heap = "-Xms128m -Xmx512m".to_owned();
        Self { heap, listeners: Vec::new(), properties: Vec::new(), scram_users: Vec::new() }
    }
}

/// Apache Kafka on loopback with a data folder of its own, removed at the end; topics are created when first used, with
/// one partition. The jars are those in `FERRY_KAFKA_LIBS`, or those that `deploy/local/install` fetched.
pub struct Kafka {
    process: Process,
    port: u16,
    listeners: Vec<(&'static str, u16)>,
    folder: TempDir,
}

impl Kafka {
    /// Starts one with 512 MB of heap at most, and waits until it serves.
    pub fn start() -> Result<Self> {
        Self::start_with(&KafkaOptions::default())
    }

    /// As [`Kafka::start`], with these JVM flags for the heap.
    pub fn start_with_heap(heap: &str) -> Result<Self> {
        Self::start_with(&KafkaOptions { heap: heap.to_owned(), ..KafkaOptions::default() })
    }

    /// As [`Kafka::start`], with these options.
    pub fn start_with(options: &KafkaOptions) -> Result<Self> {
        let folder = TempDir::with_prefix("ferry-kafka-")?;
        let (port, controller_port) = (free_port(), free_port());
        let listeners: Vec<_> = options.listeners.iter().map(|protocol| (*protocol, free_port())).collect();
        let mut spec = Spec::new("kafka", local_script("run-kafka"), folder.path())
            .arg(folder.path().join("data"))
            .arg(port.to_string())
            .arg(controller_port.to_string())
            .env("KAFKA_HEAP_OPTS", &options.heap);
        if !listeners.is_empty() || !options.properties.is_empty() {
            let path = folder.path().join("more.properties");
            fs::write(&path, properties(options, port, controller_port, &listeners))?;
            spec = spec.env("KAFKA_MORE_PROPERTIES", &path.to_string_lossy());
        }
        let users: Vec<_> = options.scram_users.iter().map(|(name, password)| format!("{name}={password}")).collect();
        spec = spec.env("KAFKA_SCRAM_USERS", &users.join(" "));
        let process = Process::start_ready(spec, READY, READY_LIMIT)?;
        Ok(Self { process, port, listeners, folder })
    }

    /// What clients call `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The same for one of the other listeners.
    ///
    /// # Panics
    /// If the options did not name it.
    pub fn bootstrap_of(&self, protocol: &str) -> String {
        let listener = self.listeners.iter().find(|(name, _)| *name == protocol);
        format!("127.0.0.1:{}", listener.unwrap_or_else(|| panic!("no listener {protocol}")).1)
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

/// The options as properties.
fn properties(options: &KafkaOptions, port: u16, controller_port: u16, listeners: &[(&str, u16)]) -> String {
    let address = |(name, port): &(&str, u16)| format!("{name}://127.0.0.1:{port}");
    let mut all = vec![("PLAINTEXT", port)];
    all.extend(listeners);
    let advertised: Vec<_> = all.iter().map(address).collect();
    let protocols: Vec<_> = all.iter().map(|(name, _)| format!("{name}:{name}")).collect();
    let mut text = format!(
        "listeners={0},CONTROLLER://127.0.0.1:{controller_port}\nadvertised.listeners={0}\n\
         listener.security.protocol.map={1},CONTROLLER:PLAINTEXT\n",
        advertised.join(","),
        protocols.join(",")
    );
    for (key, value) in &options.properties {
        text.push_str(&format!("{key}={value}\n"));
    }
    text
}
