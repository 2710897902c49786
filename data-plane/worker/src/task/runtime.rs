//! What all units of a worker share: plugins, the way to Kafka, offset stores by settings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use data_plane_broker::{Broker, BrokerError};
use data_plane_connector_api::{ConnectError, Plugins};
use tokio::sync::Mutex;

use super::blocking::Abandoned;
use super::counters::Counters;
use super::gate::Deadline;
use super::offset_store::{FileOffsetStore, KafkaOffsetStore, OffsetStore, READ_TIMEOUT};
use super::settings::{OffsetStorage, WorkerSettings};

/// How long a client may take to find its broker.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Offset stores kept open at most while nobody uses them.
const MAX_IDLE_STORES: usize = 8;

/// Threads in plugin calls of severed units that may exist before further units are refused.
pub(super) const MAX_ABANDONED: usize = 64;

/// A cluster's store.
#[derive(Default)]
struct Slot {
    store: Option<Arc<dyn OffsetStore>>,
    /// The latest failure to open it for a unit: it answers all who were waiting for it.
    failed: Option<(Instant, ConnectError)>,
}

/// By the settings that it is opened by. Its lock is held while it is opened, so that it is opened once.
type Stores = Vec<(Arc<WorkerSettings>, Arc<Mutex<Slot>>)>;

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
    stores: parking_lot::Mutex<Stores>,
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
            stores: parking_lot::Mutex::default(),
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
        let slot = self.slot(settings);
        // The wait is bounded by the client's timeouts.
        let mut slot = slot.lock().await;
        if let Some((when, error)) = &slot.failed
            && *when >= asked
        {
            return Err(error.clone());
        }
        let opened = self.open(settings, &mut slot).await;
        slot.failed = opened.as_ref().err().map(|error| (Instant::now(), error.clone()));
        opened
    }

    /// Opens stores, and reads them to their ends, before a unit needs them: one after the other, as many as are kept
    /// open while nobody uses them. What fails is opened when a unit needs it.
    pub async fn warm_up(&self, all: Vec<Arc<WorkerSettings>>) {
        for settings in all.iter().take(MAX_IDLE_STORES) {
            let slot = self.slot(settings);
            let opened = self.open(settings, &mut *slot.lock().await).await;
            let read = match opened {
                Ok(store) => {
                    let read = move || store.read_to_end(Instant::now() + READ_TIMEOUT);
                    tokio::task::spawn_blocking(read).await.unwrap_or(Ok(()))
                }
                Err(error) => Err(error),
            };
            match read {
                Ok(()) => tracing::debug!(settings = %settings.id, "the offsets store is open"),
                Err(error) => {
                    tracing::info!(settings = %settings.id, %error, "the offsets store is opened when it is needed")
                }
            }
        }
    }

    async fn open(
        &self,
        settings: &Arc<WorkerSettings>,
        slot: &mut Slot,
    ) -> Result<Arc<dyn OffsetStore>, ConnectError> {
        if let Some(store) = &slot.store {
            return Ok(Arc::clone(store));
        }
        let (broker, wanted) = (Arc::clone(&self.broker), Arc::clone(settings));
        let opened = tokio::task::spawn_blocking(move || open_store(&*broker, &wanted)).await;
        let store = opened.map_err(|_| ConnectError::retriable("the worker is shutting down"))??;
        slot.store = Some(Arc::clone(&store));
        Ok(store)
    }

    fn slot(&self, settings: &Arc<WorkerSettings>) -> Arc<Mutex<Slot>> {
        let mut stores = self.stores.lock();
        if let Some((_, slot)) = stores.iter().find(|(known, _)| is_same_store(known, settings)) {
            return Arc::clone(slot);
        }
        // Nobody else has an idle one, or its store.
        let is_idle = |slot: &Arc<Mutex<Slot>>| {
            let store = slot.try_lock().ok().map(|slot| slot.store.as_ref().map_or(1, Arc::strong_count));
            Arc::strong_count(slot) == 1 && store == Some(1)
        };
        while stores.len() >= MAX_IDLE_STORES {
            let Some(idle) = stores.iter().position(|(_, slot)| is_idle(slot)) else { break };
            super::blocking::release(stores.swap_remove(idle));
        }
        let slot = Arc::<Mutex<Slot>>::default();
        stores.push((Arc::clone(settings), Arc::clone(&slot)));
        slot
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
