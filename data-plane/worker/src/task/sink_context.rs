//! What a sink task may ask of its runner; asked for during a call, done after it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use data_plane_connector_api::{Config, ErrantRecordReporter, PluginMetrics, SinkTaskContext, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::secrets::LiveConfig;

use super::source_context::UnpublishedMetrics;

/// What was asked for and not done yet.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) offsets: BTreeMap<TopicPartition, i64>,
    /// True is pause.
    pub(super) pauses: BTreeMap<TopicPartition, bool>,
    pub(super) wants_commit: bool,
    pub(super) retry_timeout: Option<Duration>,
}

pub(super) struct SinkContext {
    pub(super) config: LiveConfig,
    pub(super) epoch: (u32, u64),
    pub(super) wishes: Mutex<Wishes>,
    pub(super) assignment: Mutex<Vec<TopicPartition>>,
    pub(super) wake: Arc<Notify>,
    pub(super) reporter: Option<Arc<dyn ErrantRecordReporter>>,
}

impl SinkContext {
    fn wish(&self, change: impl FnOnce(&mut Wishes)) {
        change(&mut self.wishes.lock());
        self.wake.notify_one();
    }
}

impl SinkTaskContext for SinkContext {
    fn config(&self) -> Config {
        self.config.now()
    }

    fn set_offsets(&self, offsets: &BTreeMap<TopicPartition, i64>) {
        self.wish(|wishes| {
            wishes.offsets.extend(offsets.iter().map(|(partition, offset)| (partition.clone(), *offset)))
        });
    }

    fn set_retry_timeout(&self, timeout: Duration) {
        self.wish(|wishes| wishes.retry_timeout = Some(timeout));
    }

    fn assignment(&self) -> Vec<TopicPartition> {
        self.assignment.lock().clone()
    }

    fn pause(&self, partitions: &[TopicPartition]) {
        self.wish(|wishes| wishes.pauses.extend(partitions.iter().map(|partition| (partition.clone(), true))));
    }

    fn resume(&self, partitions: &[TopicPartition]) {
        self.wish(|wishes| wishes.pauses.extend(partitions.iter().map(|partition| (partition.clone(), false))));
    }

    fn request_commit(&self) {
        self.wish(|wishes| wishes.wants_commit = true);
    }

    fn errant_record_reporter(&self) -> Option<Arc<dyn ErrantRecordReporter>> {
        self.reporter.clone()
    }

    fn epoch(&self) -> (u64, u64) {
        (u64::from(self.epoch.0), self.epoch.1)
    }

    fn metrics(&self) -> Arc<dyn PluginMetrics> {
        Arc::new(UnpublishedMetrics)
    }
}
