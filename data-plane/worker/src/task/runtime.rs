//! What all units of a worker share: plugins, the way to Kafka, offset stores by settings.

use std::sync::Arc;
use std::time::Duration;

use data_plane_broker::{Broker, BrokerError};
use data_plane_connector_api::{ConnectError, Plugins};
use tokio::sync::Mutex;

use super::blocking::Abandoned;
use super::offset_store::{FileOffsetStore, KafkaOffsetStore, OffsetStore};
use super::settings::{OffsetStorage, WorkerSettings};

/// How long a client may take to find its broker.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Offset stores kept open at most while nobody uses them.
const MAX_IDLE_STORES: usize = 8;

/// Threads in plugin calls of severed units that may exist before further units are refused.
pub(super) const MAX_ABANDONED: usize = 64;

/// Shared by all units of a worker.
pub struct Runtime {
    pub(super) plugins: Arc<Plugins>,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) abandoned: Abandoned,
    stores: Mutex<Vec<(Arc<WorkerSettings>, Arc<dyn OffsetStore>)>>,
}

impl Runtime {
    /// A runtime with these plugins, on this way to Kafka.
    pub fn new(plugins: Arc<Plugins>, broker: Arc<dyn Broker>) -> Arc<Self> {
        Arc::new(Self { plugins, broker, abandoned: Abandoned::default(), stores: Mutex::default() })
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
        // Held while a store is opened, so that it is opened once. The wait is bounded by the client's timeouts.
        let mut stores = self.stores.lock().await;
        let is_same = |known: &WorkerSettings| {
            known.offset_storage == settings.offset_storage && known.internal_clients() == settings.internal_clients()
        };
        if let Some((_, store)) = stores.iter().find(|(known, _)| is_same(known)) {
            return Ok(Arc::clone(store));
        }
        while stores.len() >= MAX_IDLE_STORES {
            let Some(idle) = stores.iter().position(|(_, store)| Arc::strong_count(store) == 1) else { break };
            super::blocking::release(stores.swap_remove(idle));
        }
        let (broker, wanted) = (Arc::clone(&self.broker), Arc::clone(settings));
        let opened = tokio::task::spawn_blocking(move || open_store(&*broker, &wanted)).await;
        let store = opened.map_err(|_| ConnectError::retriable("the worker is shutting down"))??;
        stores.push((Arc::clone(settings), Arc::clone(&store)));
        Ok(store)
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
