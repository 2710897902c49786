//! What a source task may ask of its runner.

use std::sync::Arc;

use data_plane_connector_api::{
    BatchLimits, Config, OffsetReader, PluginMetrics, SourceTaskContext, TransactionContext,
};
use tokio::sync::Notify;

use crate::secrets::LiveConfig;

/// About what a poll should append: small enough to stay in the processor's caches until it is produced.
const LIMITS: BatchLimits = BatchLimits { records: 4096, bytes: 512 << 10 };

/// Metrics that no listener shows.
pub(super) struct UnpublishedMetrics;

impl PluginMetrics for UnpublishedMetrics {
    fn set_gauge(&self, _: &str, _: f64) {}
    fn add_counter(&self, _: &str, _: u64) {}
}

pub(super) struct SourceContext {
    pub(super) config: LiveConfig,
    pub(super) reader: Arc<dyn OffsetReader>,
    pub(super) wake: Arc<Notify>,
}

impl SourceTaskContext for SourceContext {
    fn config(&self) -> Config {
        self.config.now()
    }

    fn offset_reader(&self) -> Arc<dyn OffsetReader> {
        Arc::clone(&self.reader)
    }

    fn transaction_context(&self) -> Option<Arc<dyn TransactionContext>> {
        None
    }

    fn limits(&self) -> BatchLimits {
        LIMITS
    }

    fn wake(&self) {
        self.wake.notify_one();
    }

    fn metrics(&self) -> Arc<dyn PluginMetrics> {
        Arc::new(UnpublishedMetrics)
    }
}
