//! The in-memory log reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::Cluster;
use crate::{BrokerError, LogReader, LogRecord, OnLogRecord};

#[derive(Default)]
struct Progress {
    positions: Mutex<Vec<usize>>,
    moved: Condvar,
    is_stopping: AtomicBool,
}

pub(super) struct MemoryLogReader {
    cluster: Arc<Cluster>,
    topic: String,
    progress: Arc<Progress>,
    thread: Option<JoinHandle<()>>,
}

impl MemoryLogReader {
    pub(super) fn new(cluster: Arc<Cluster>, topic: &str, mut on_record: OnLogRecord) -> Result<Self, BrokerError> {
        let Some(count) = cluster.state.lock().topics.get(topic).map(Vec::len) else {
            return Err(super::failed("looking a topic up", "UNKNOWN_TOPIC_OR_PART", false));
        };
        let progress = Arc::new(Progress { positions: Mutex::new(vec![0; count]), ..Progress::default() });
        let (reader, source, name) = (Arc::clone(&progress), Arc::clone(&cluster), topic.to_owned());
        let thread = std::thread::spawn(move || {
            let mut positions = vec![0; count];
            loop {
                let mut fresh = Vec::new();
                {
                    let mut state = source.state.lock();
                    loop {
                        if reader.is_stopping.load(Ordering::Acquire) {
                            return;
                        }
                        for (partition, log) in state.topics[&name].iter().enumerate() {
                            for (offset, record) in log.iter().enumerate().skip(positions[partition]) {
                                fresh.push((partition, offset, record.clone()));
                            }
                        }
                        if !fresh.is_empty() {
                            break;
                        }
                        source.appended.wait(&mut state);
                    }
                }
                for (partition, offset, record) in fresh {
                    let headers: Vec<(&str, Option<&[u8]>)> =
                        record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
                    on_record(LogRecord {
                        partition: partition as i32,
                        offset: offset as i64,
                        key: record.key.as_deref(),
                        value: record.value.as_deref(),
                        headers: &headers,
                    });
                    positions[partition] = offset + 1;
                }
                reader.positions.lock().clone_from(&positions);
                reader.moved.notify_all();
            }
        });
        Ok(Self { cluster, topic: topic.to_owned(), progress, thread: Some(thread) })
    }
}

impl LogReader for MemoryLogReader {
    fn partition_count(&self) -> i32 {
        self.progress.positions.lock().len() as i32
    }

    fn read_to_end(&self, deadline: Instant) -> Result<(), BrokerError> {
        let ends: Vec<usize> = self.cluster.state.lock().topics[&self.topic].iter().map(Vec::len).collect();
        let mut positions = self.progress.positions.lock();
        while positions.iter().zip(&ends).any(|(position, end)| position < end) {
            if self.progress.moved.wait_until(&mut positions, deadline).timed_out() {
                return Err(super::failed("reading a log to its end", "_TIMED_OUT", false));
            }
        }
        Ok(())
    }
}

impl Drop for MemoryLogReader {
    fn drop(&mut self) {
        {
            let _state = self.cluster.state.lock();
            self.progress.is_stopping.store(true, Ordering::Release);
        }
        self.cluster.appended.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
