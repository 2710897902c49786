//! Apache Kafka Connect, to compare Ferry with.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::places::local_script;
use crate::ports::free_port;
use crate::process::{Process, Spec};
use crate::rest::Rest;
use crate::wait::wait_until;

const READY_LIMIT: Duration = Duration::from_secs(120);

/// One distributed worker of Kafka Connect with 1 GB of heap and the file connectors, string converters by default.
pub struct KafkaConnect {
    process: Process,
    rest: Rest,
    _folder: TempDir,
}

impl KafkaConnect {
    /// Starts a worker and waits until its REST API answers (it joined its group and read its topics).
    pub fn start(bootstrap: &str) -> Result<Self> {
        let folder = TempDir::with_prefix("ferry-kafka-connect-")?;
        let port = free_port();
        let properties = folder.path().join("connect-distributed.properties");
        let listener = format!("listeners=HTTP://127.0.0.1:{port}\nrest.advertised.host.name=127.0.0.1\n");
        fs::write(&properties, worker_properties(bootstrap, "kafka-connect") + &listener)?;
        let spec = Spec::new("kafka-connect", local_script("run-connect"), folder.path())
            .arg(properties)
            .env("KAFKA_HEAP_OPTS", "-Xms256M -Xmx1G");
        let mut process = Process::start_ready(spec, "Kafka Connect started", READY_LIMIT)?;
        let rest = Rest::new(&format!("http://127.0.0.1:{port}"))?;
        wait_until(READY_LIMIT, "Kafka Connect's REST API", || {
            anyhow::ensure!(process.is_running()?, "it ended:\n{}", process.log());
            Ok(rest.get("/connectors")?.status == 200)
        })?;
        Ok(Self { process, rest, _folder: folder })
    }

    /// Its REST API.
    pub fn rest(&self) -> &Rest {
        &self.rest
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// `connect-distributed.properties` for one broker, with topics that carry `group`'s name.
pub(crate) fn worker_properties(bootstrap: &str, group: &str) -> String {
    format!(
        "bootstrap.servers={bootstrap}\n\
         group.id={group}\n\
         key.converter=org.apache.kafka.connect.storage.StringConverter\n\
         value.converter=org.apache.kafka.connect.storage.StringConverter\n\
         offset.storage.topic={group}-offsets\n\
         offset.storage.replication.factor=1\n\
         offset.storage.partitions=5\n\
         config.storage.topic={group}-configs\n\
         config.storage.replication.factor=1\n\
         status.storage.topic={group}-status\n\
         status.storage.replication.factor=1\n"
    )
}
