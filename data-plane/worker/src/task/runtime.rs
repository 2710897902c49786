//! What all units of a worker share: plugins, the way to Kafka, offset stores by settings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use data_plane_broker::{Broker, BrokerError};
use data_plane_connector_api::{ConnectError, Plugins};
use tokio::sync::Mutex;

use super::blocking::Abandoned;
use super::counters::Counters;
use super::gate::Deadline;
use super::offset_store::{FileOffsetStore, KafkaOffsetStore, OffsetStore};
use super::settings::{OffsetStorage, WorkerSettings};

/// How long a client may take to find its broker.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Offset stores kept open at most while nobody uses them.
const MAX_IDLE_STORES: usize = 8;

/// Threads in plugin calls of severed units that may exist before further units are refused.
pub(super) const MAX_ABANDONED: usize = 64;

/// A store, and the settings that it was opened by.
type OpenStore = (Arc<WorkerSettings>, Arc<dyn OffsetStore>);

#[derive(Default)]
struct Stores {
    open: Vec<OpenStore>,
    /// The latest failure to open one: it answers all who were waiting for it.
    failed: Option<(Arc<WorkerSettings>, Instant, ConnectError)>,
}

fn is_same_store(one: &WorkerSettings, other: &WorkerSettings) -> bool {
    one.offset_storage == other.offset_storage && one.internal_clients() == other.internal_clients()
}

/// Shared by all units of a worker.
pub struct Runtime {
    pub(super) plugins: Arc<Plugins>,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) abandoned: Abandoned,
    pub(super) deadline: Deadline,
    /// What the tasks have done.
    pub counters: Counters,
    stores: Mutex<Stores>,
}

impl Runtime {
    /// A runtime with these plugins, on this way to Kafka, whose units hand nothing over after the deadline.
    pub fn new(plugins: Arc<Plugins>, broker: Arc<dyn Broker>, deadline: Deadline) -> Arc<Self> {
        Arc::new(Self {
            plugins,
            broker,
            deadline,
            abandoned: Abandoned::default(),
            counters: Counters::default(),
            stores: Mutex::default(),
        })
    }

    /// Version of the connector plugin that this class or alias names; empty if there is none.
    pub fn connector_version(&self, class: &str) -> String {
        self.plugins.find_connector(class).map(|plugin| plugin.version.clone()).unwrap_or_default()
    }

    /// Threads left behind in plugin calls of severed units.
    pub fn abandoned_threads(&self) -> usize {
        self.abandoned.count()
    }

    /// The store of source offsets of a cluster: opened once, shared by all tasks with equal settings.
    ///
    /// # Errors
    /// When the topic cannot be created or read, or the file cannot be read.
    pub async fn offset_store(&self, settings: &Arc<WorkerSettings>) -> Result<Arc<dyn OffsetStore>, ConnectError> {
        let asked = Instant::now();
        // Held while a store is opened, so that it is opened once. The wait is bounded by the client's timeouts.
        let mut stores = self.stores.lock().await;
        if let Some((_, store)) = stores.open.iter().find(|(known, _)| is_same_store(known, settings)) {
            return Ok(Arc::clone(store));
        }
        if let Some((known, when, error)) = &stores.failed
            && *when >= asked
            && is_same_store(known, settings)
        {
            return Err(error.clone());
        }
        while stores.open.len() >= MAX_IDLE_STORES {
            let Some(idle) = stores.open.iter().position(|(_, store)| Arc::strong_count(store) == 1) else { break };
            super::blocking::release(stores.open.swap_remove(idle));
        }
        let (broker, wanted) = (Arc::clone(&self.broker), Arc::clone(settings));
        let opened = tokio::task::spawn_blocking(move || open_store(&*broker, &wanted)).await;
        match opened.map_err(|_| ConnectError::retriable("the worker is shutting down"))? {
            Ok(store) => {
                stores.open.push((Arc::clone(settings), Arc::clone(&store)));
                Ok(store)
            }
            Err(error) => {
                stores.failed = Some((Arc::clone(settings), Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}

fn open_store(broker: &dyn Broker, settings: &WorkerSettings) -> Result<Arc<dyn OffsetStore>, ConnectError> {
    match &settings.offset_storage {
        OffsetStorage::File(path) => Ok(Arc::new(FileOffsetStore::open(path)?)),
        OffsetStorage::Topic { name, partitions, replication_factor, configs } => {
            let clients = settings.internal_clients();
            Ok(Arc::new(KafkaOffsetStore::open(broker, &clients, name, *partitions, *replication_factor, configs)?))
        }
    }
}

/// A broker's error in Connect's words.
pub(super) fn broker_error(attempted: &str, error: &BrokerError) -> ConnectError {
    let wrapped =
        ConnectError::connect(format!("{attempted}: {error}")).caused_by(error.java_class(), error.to_string());
    ConnectError { retriable: error.retriable(), ..wrapped }
}
