//! [`Producer`] on librdkafka: `rd_kafka_produceva` with cached topic handles, delivery reports as events.

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t as Code;
use sys::rd_kafka_vtype_t as Field;
use tokio::sync::Notify;

use super::headers::native_headers;
use super::native::{Client, Event, Queue, Topic, error, take_error};
use crate::client_config::ClientKind;
use crate::{BrokerError, ClientConfig, Delivered, Delivery, ProduceError, ProduceRow, Producer, TopicHandle};

/// What Connect imposes, and limits: about 32 MB and 100,000 records wait in a client at most.
const DEFAULTS: &[(&str, &str)] = &[
    ("acks", "all"),
    ("enable.idempotence", "false"),
    ("max.in.flight.requests.per.connection", "1"),
    ("delivery.timeout.ms", "2147483647"),
    ("partitioner", "murmur2_random"),
    ("linger.ms", "5"),
    ("batch.size", "1000000"),
    // Java's max.request.size.
    ("message.max.bytes", "1048576"),
    ("batch.num.messages", "10000"),
    ("queue.buffering.max.kbytes", "32768"),
    ("queue.buffering.max.messages", "100000"),
    ("socket.nagle.disable", "true"),
];

pub(super) struct KafkaProducer {
    topics: Vec<Topic>,
    handles: HashMap<String, TopicHandle>,
    queue: Queue,
    in_flight: usize,
    client: Client,
    waker: Arc<Notify>,
}

impl KafkaProducer {
    pub(super) fn new(config: &ClientConfig) -> Result<Self, BrokerError> {
        let client = Client::new(config, ClientKind::Producer, DEFAULTS, &[], sys::RD_KAFKA_EVENT_DR)?;
        let queue = client.main_queue();
        let waker = Arc::new(Notify::new());
        queue.notify(&waker);
        Ok(Self { topics: Vec::new(), handles: HashMap::new(), queue, in_flight: 0, client, waker })
    }

    fn take_reports(&mut self, event: &Event, out: &mut Vec<Delivery>) {
        loop {
            // SAFETY: the event is live; the message belongs to it.
            let message = unsafe { sys::rd_kafka_event_message_next(event.0) };
            if message.is_null() {
                return;
            }
            // SAFETY: non-null and valid until the event is destroyed.
            let message = unsafe { &*message };
            let result = match message.err {
                Code::RD_KAFKA_RESP_ERR_NO_ERROR => {
                    Ok(Delivered { partition: message.partition, offset: message.offset })
                }
                code => Err(Box::new(error("producing a record", code))),
            };
            self.in_flight -= 1;
            out.push(Delivery { opaque: message._private as usize as u64, result });
        }
    }
}

impl Producer for KafkaProducer {
    fn connect(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.client.reach(timeout)
    }

    fn topic(&mut self, name: &str) -> Result<TopicHandle, BrokerError> {
        if let Some(handle) = self.handles.get(name) {
            return Ok(*handle);
        }
        let handle = TopicHandle(self.topics.len() as u32);
        self.topics.push(self.client.topic(name)?);
        self.handles.insert(name.to_owned(), handle);
        Ok(handle)
    }

    fn produce(&mut self, row: &ProduceRow<'_>) -> Result<(), ProduceError> {
        let mut fields = FieldList::new();
        fields.push(Field::RD_KAFKA_VTYPE_RKT).u.rkt = self.topics[row.topic.0 as usize].handle;
        fields.push(Field::RD_KAFKA_VTYPE_PARTITION).u.i32_ = row.partition.unwrap_or(-1);
        fields.push(Field::RD_KAFKA_VTYPE_MSGFLAGS).u.i = sys::RD_KAFKA_MSG_F_COPY;
        fields.push(Field::RD_KAFKA_VTYPE_OPAQUE).u.ptr = row.opaque as usize as *mut c_void;
        if let Some(timestamp) = row.timestamp {
            fields.push(Field::RD_KAFKA_VTYPE_TIMESTAMP).u.i64_ = timestamp;
        }
        if let Some(value) = row.value {
            fields.push(Field::RD_KAFKA_VTYPE_VALUE).u.mem = memory(value);
        }
        if let Some(key) = row.key {
            fields.push(Field::RD_KAFKA_VTYPE_KEY).u.mem = memory(key);
        }
        let headers = native_headers(row.headers)?;
        if !headers.is_null() {
            fields.push(Field::RD_KAFKA_VTYPE_HEADERS).u.headers = headers;
        }
        // SAFETY: every field's union member is the one that its type names; bytes are copied (F_COPY; keys always)
        // before the call returns; the topic handle lives in `self`. Headers are taken over on success only.
        let problem = unsafe { sys::rd_kafka_produceva(self.client.handle(), fields.list.as_ptr(), fields.length) };
        if problem.is_null() {
            self.in_flight += 1;
            return Ok(());
        }
        // SAFETY: on failure the headers (or null) are still ours, and the error is ours to read.
        let full = unsafe {
            if !headers.is_null() {
                sys::rd_kafka_headers_destroy(headers);
            }
            sys::rd_kafka_error_code(problem) == Code::RD_KAFKA_RESP_ERR__QUEUE_FULL
        };
        match (take_error("producing a record", problem), full) {
            (_, true) => Err(ProduceError::QueueFull),
            (Err(problem), false) => Err(ProduceError::Failed(problem)),
            (Ok(()), false) => Ok(()),
        }
    }

    fn poll(&mut self, timeout: Duration, out: &mut Vec<Delivery>) -> Result<(), BrokerError> {
        let mut wait = timeout;
        while let Some(event) = self.queue.poll(wait) {
            wait = Duration::ZERO;
            match event.kind() {
                sys::RD_KAFKA_EVENT_DR => self.take_reports(&event, out),
                sys::RD_KAFKA_EVENT_ERROR => match event.result("producing") {
                    Err(problem @ BrokerError::Kafka { fatal: true, .. }) => return Err(problem),
                    Err(problem) => tracing::info!(%problem, "the producer goes on by itself"),
                    Ok(()) => {}
                },
                _ => {}
            }
        }
        Ok(())
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn flush(&mut self, timeout: Duration, out: &mut Vec<Delivery>) -> Result<bool, BrokerError> {
        let deadline = Instant::now() + timeout;
        while self.in_flight > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            // SAFETY: the client is live; for this millisecond the senders do not wait for linger.ms.
            unsafe { sys::rd_kafka_flush(self.client.handle(), 1) };
            self.poll(left.min(Duration::from_millis(50)), out)?;
            if left.is_zero() {
                break;
            }
        }
        Ok(self.in_flight == 0)
    }

    fn purge(&mut self) {
        let flags = sys::RD_KAFKA_PURGE_F_QUEUE | sys::RD_KAFKA_PURGE_F_INFLIGHT;
        // SAFETY: the client is live.
        let code = unsafe { sys::rd_kafka_purge(self.client.handle(), flags) };
        if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            tracing::warn!(?code, "purging a producer failed");
        }
    }

    fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.waker)
    }
}

impl Drop for KafkaProducer {
    fn drop(&mut self) {
        self.purge();
    }
}

struct FieldList {
    list: [sys::rd_kafka_vu_t; 8],
    length: usize,
}

impl FieldList {
    fn new() -> Self {
        let end = sys::rd_kafka_vu_t {
            vtype: Field::RD_KAFKA_VTYPE_END,
            u: sys::rd_kafka_vu_s__bindgen_ty_1 { ptr: ptr::null_mut() },
        };
        Self { list: [end; 8], length: 0 }
    }

    fn push(&mut self, field: Field) -> &mut sys::rd_kafka_vu_t {
        let entry = &mut self.list[self.length];
        entry.vtype = field;
        self.length += 1;
        entry
    }
}

/// Bytes as librdkafka takes them: an empty slice keeps a non-null pointer, for null means absent.
fn memory(bytes: &[u8]) -> sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
    sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr: bytes.as_ptr().cast_mut().cast(), size: bytes.len() }
}
