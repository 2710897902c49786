//! [`LogReader`] on librdkafka's simple consumer: no group, so no group permissions are needed. One thread a reader.

use std::collections::BTreeMap;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t as Code;

use super::headers::each_header;
use super::native::{Client, PartitionList, Queue, Topic, bytes, check, error, millis, slice};
use crate::client_config::ClientKind;
use crate::{BrokerError, ClientConfig, LogReader, LogRecord, OnLogRecord};

const DEFAULTS: &[(&str, &str)] = &[
    ("auto.offset.reset", "earliest"),
    ("queued.max.messages.kbytes", "4096"),
    // The first request goes out with the few partitions that are known by then, and holds the others back that long.
    ("fetch.wait.max.ms", "100"),
    ("fetch.error.backoff.ms", "100"),
];

/// The reader must see where a partition ends, even behind compacted records. A batch call takes such an end for a record,
/// and librdkafka's own position moves one too far; it goes back to that position only where a partition is resumed after
/// a pause (seen with librdkafka 2: the next record is lost). Nothing is paused here; group members do without ends.
const FORCED: &[(&str, &str)] = &[("enable.partition.eof", "true"), ("enable.auto.commit", "false")];

/// How long a topic may stay unknown before we give up.
const TOPIC_TIMEOUT: Duration = Duration::from_secs(30);
const CHUNK: usize = 512;

/// What the thread tells the waiters.
#[derive(Default)]
struct Progress {
    /// The next offset to read, by partition.
    positions: BTreeMap<i32, i64>,
    failure: Option<BrokerError>,
}

struct Shared {
    progress: Mutex<Progress>,
    moved: Condvar,
    is_stopping: AtomicBool,
    partitions: i32,
    name: String,
    queue: Queue,
    topic: Topic,
    /// Reads; only kept so that it is dropped after what was made from it.
    _client: Client,
    /// Asks for ends. A request of the reading client would wait behind its fetch that waits for records.
    asking: Client,
}

pub(super) struct KafkaLogReader {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl KafkaLogReader {
    pub(super) fn new(config: &ClientConfig, name: &str, on_record: OnLogRecord) -> Result<Self, BrokerError> {
        let client = Client::new(config, ClientKind::Consumer, DEFAULTS, FORCED, 0)?;
        client.reach(TOPIC_TIMEOUT)?;
        let asking = Client::new(config, ClientKind::Consumer, DEFAULTS, FORCED, 0)?;
        let topic = client.topic(name)?;
        let partitions = known_partitions(&client, &topic)?;
        let queue = client.new_queue();
        for partition in 0..partitions {
            // SAFETY: all are live; the fetcher is stopped before the topic handle is dropped.
            let failed = unsafe {
                sys::rd_kafka_consume_start_queue(
                    topic.handle,
                    partition,
                    i64::from(sys::RD_KAFKA_OFFSET_BEGINNING),
                    queue.0,
                )
            };
            if failed != 0 {
                // SAFETY: reads the thread's last error.
                return Err(error("reading a log", unsafe { sys::rd_kafka_last_error() }));
            }
        }
        let shared = Arc::new(Shared {
            progress: Mutex::default(),
            moved: Condvar::new(),
            is_stopping: AtomicBool::new(false),
            partitions,
            name: name.to_owned(),
            queue,
            topic,
            _client: client,
            asking,
        });
        let reader = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("log-reader".to_owned())
            .spawn(move || follow(&reader, on_record))
            .map_err(|cause| BrokerError::Config { key: "threads".to_owned(), reason: cause.to_string() })?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl LogReader for KafkaLogReader {
    fn partition_count(&self) -> i32 {
        self.shared.partitions
    }

    fn read_to_end(&self, deadline: Instant) -> Result<(), BrokerError> {
        let shared = &*self.shared;
        let ends = end_offsets(&shared.asking, &shared.name, shared.partitions, deadline)?;
        let mut progress = shared.progress.lock();
        loop {
            if let Some(failure) = &progress.failure {
                return Err(failure.clone());
            }
            // An empty partition's end may be above zero: its end is reported as a position too.
            let is_read = |(partition, end): &(i32, i64)| {
                *end == 0 || progress.positions.get(partition).is_some_and(|position| position >= end)
            };
            if ends.iter().all(is_read) {
                return Ok(());
            }
            if shared.moved.wait_until(&mut progress, deadline).timed_out() {
                return Err(error("reading a log to its end", Code::RD_KAFKA_RESP_ERR__TIMED_OUT));
            }
        }
    }
}

impl Drop for KafkaLogReader {
    fn drop(&mut self) {
        self.shared.is_stopping.store(true, Ordering::Release);
        // SAFETY: the queue is live; this wakes the thread up.
        unsafe { sys::rd_kafka_queue_yield(self.shared.queue.0) };
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for partition in 0..self.shared.partitions {
            // SAFETY: started in `new`, stopped once.
            unsafe { sys::rd_kafka_consume_stop(self.shared.topic.handle, partition) };
        }
    }
}

fn known_partitions(client: &Client, topic: &Topic) -> Result<i32, BrokerError> {
    let deadline = Instant::now() + TOPIC_TIMEOUT;
    loop {
        let result = client.metadata_of(Some(topic), Duration::from_secs(5));
        let is_over = Instant::now() >= deadline;
        match result {
            Ok(Some(count)) if count > 0 => return Ok(count),
            Ok(_) if is_over => {
                return Err(error("looking a topic up", Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART));
            }
            Err(code) if is_over || !error("", code).retriable() => return Err(error("looking a topic up", code)),
            // A topic that was just created may not have its leaders yet.
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// The end of every partition, asked now: one request a broker.
fn end_offsets(
    client: &Client,
    topic: &str,
    partitions: i32,
    deadline: Instant,
) -> Result<Vec<(i32, i64)>, BrokerError> {
    const OPERATION: &str = "asking for a log's end";
    let latest = i64::from(sys::RD_KAFKA_OFFSET_END);
    let list = PartitionList::new((0..partitions as usize).map(|partition| (topic, partition as i32, latest)))?;
    let answers = client.new_queue();
    let left = deadline.saturating_duration_since(Instant::now());
    // SAFETY: all are live; the list is copied; options are destroyed after the request was queued.
    unsafe {
        let options =
            sys::rd_kafka_AdminOptions_new(client.handle(), sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, millis(left).max(1), ptr::null_mut(), 0);
        sys::rd_kafka_ListOffsets(client.handle(), list.0, options, answers.0);
        sys::rd_kafka_AdminOptions_destroy(options);
    }
    let Some(answer) = answers.poll(left) else {
        return Err(error(OPERATION, Code::RD_KAFKA_RESP_ERR__TIMED_OUT));
    };
    answer.result(OPERATION)?;
    let mut ends = Vec::with_capacity(partitions as usize);
    // SAFETY: the event is a ListOffsets result without error; infos are valid while it is.
    unsafe {
        let result = sys::rd_kafka_event_ListOffsets_result(answer.0);
        let mut count = 0;
        let infos = sys::rd_kafka_ListOffsets_result_infos(result, &mut count);
        for info in slice(infos, count) {
            let entry = &*sys::rd_kafka_ListOffsetsResultInfo_topic_partition(*info);
            check(OPERATION, entry.err)?;
            ends.push((entry.partition, entry.offset));
        }
    }
    Ok(ends)
}

fn follow(shared: &Shared, mut on_record: OnLogRecord) {
    let mut messages = [ptr::null_mut(); CHUNK];
    let mut was_busy = false;
    while !shared.is_stopping.load(Ordering::Acquire) {
        // A batch call waits until its batch is full: so wait for one message, then take what else is there.
        let (timeout_ms, wanted) = if was_busy { (0, CHUNK) } else { (1000, 1) };
        // SAFETY: the buffer holds CHUNK pointers.
        let count =
            unsafe { sys::rd_kafka_consume_batch_queue(shared.queue.0, timeout_ms, messages.as_mut_ptr(), wanted) };
        was_busy = count > 0;
        let mut moved = Vec::new();
        for message in &messages[..count.max(0) as usize] {
            // SAFETY: valid until destroyed, once, here.
            unsafe {
                let (code, partition, offset) = ((**message).err, (**message).partition, (**message).offset);
                match code {
                    Code::RD_KAFKA_RESP_ERR_NO_ERROR => {
                        hand_out(*message, &mut on_record);
                        moved.push((partition, offset + 1));
                    }
                    Code::RD_KAFKA_RESP_ERR__PARTITION_EOF => moved.push((partition, offset)),
                    code => fail(shared, code),
                }
                sys::rd_kafka_message_destroy(*message);
            }
        }
        if !moved.is_empty() {
            shared.progress.lock().positions.extend(moved);
            shared.moved.notify_all();
        }
    }
}

fn fail(shared: &Shared, code: Code) {
    let problem = error("reading a log", code);
    tracing::warn!(topic = shared.name, %problem, "reading a log");
    // A log whose topic is gone is not read on, though Kafka counts that among what passes.
    if !problem.retriable() || code == Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART {
        shared.progress.lock().failure = Some(problem);
        shared.moved.notify_all();
    }
}

/// # Safety
/// `message` is a live message.
unsafe fn hand_out(message: *mut sys::rd_kafka_message_t, on_record: &mut OnLogRecord) {
    let mut owned: Vec<(String, Option<Vec<u8>>)> = Vec::new();
    each_header(message, |name, value| {
        owned.push((String::from_utf8_lossy(name).into_owned(), value.map(<[u8]>::to_vec)));
    });
    let headers: Vec<(&str, Option<&[u8]>)> =
        owned.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
    // SAFETY: the caller's promise.
    let record = unsafe {
        LogRecord {
            partition: (*message).partition,
            offset: (*message).offset,
            key: bytes((*message).key, (*message).key_len),
            value: bytes((*message).payload, (*message).len),
            headers: &headers,
        }
    };
    on_record(record);
}
