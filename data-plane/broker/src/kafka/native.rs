//! Owned forms of librdkafka's handles, and conversions. Everything here is about pointers; nothing about tasks.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t as Code;
use tokio::sync::Notify;

use super::failure::{LastFailure, failed_security, on_log};
use super::stores;
use crate::client_config::{ClientKind, translate};
use crate::{BrokerError, ClientConfig, TopicPartition, java_errors};

/// What all clients start from: Java's pace of reconnecting (librdkafka's goes up to 10 seconds), quiet idle closes.
const DEFAULTS: &[(&str, &str)] = &[
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "1000"),
    ("socket.keepalive.enable", "true"),
    ("log.connection.close", "false"),
];

/// The longest single wait for an answer while a client is reaching its brokers.
const MAX_REACH_WAIT: Duration = Duration::from_secs(8);

/// A client instance; destroyed on drop, after everything that was made from it (fields are dropped in order).
pub(super) struct Client {
    handle: *mut sys::rd_kafka_t,
    bootstrap_servers: String,
    /// librdkafka's logger writes to it until the client is destroyed.
    last_failure: Arc<LastFailure>,
}

// SAFETY: librdkafka's client handle may be used from any thread, concurrently.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    /// Makes a client. `defaults` yield to the user's settings, `forced` do not; both are librdkafka's names.
    pub(super) fn new(
        config: &ClientConfig,
        kind: ClientKind,
        defaults: &[(&str, &str)],
        forced: &[(&str, &str)],
        events: i32,
    ) -> Result<Self, BrokerError> {
        let bootstrap_servers = config.get("bootstrap.servers").unwrap_or_default().trim().to_owned();
        if bootstrap_servers.is_empty() {
            return Err(BrokerError::Config {
                key: "bootstrap.servers".to_owned(),
                reason: "is missing: give a comma-separated list of host:port".to_owned(),
            });
        }
        let translated = translate(config, kind)?;
        for (key, reason) in &translated.ignored {
            tracing::debug!(key, reason, "client setting ignored");
        }
        let mut settings = stores::settings(&translated)?;
        settings.extend(translated.settings);
        let native = NativeConfig::new();
        for (name, value) in DEFAULTS.iter().chain(defaults) {
            native.set(name, value, name)?;
        }
        for (name, value, key) in &settings {
            native.set(name, value, key)?;
        }
        for (name, value) in forced {
            native.set(name, value, name)?;
        }
        let last_failure = Arc::new(LastFailure::default());
        let handle =
            native.into_client(kind, events, &last_failure).map_err(|problem| in_users_keys(problem, &settings))?;
        Ok(Self { handle, bootstrap_servers, last_failure })
    }

    pub(super) fn handle(&self) -> *mut sys::rd_kafka_t {
        self.handle
    }

    /// Waits until a broker has answered a metadata request.
    ///
    /// # Errors
    /// At once where login or encryption failed, else when the time is over; either names the cause.
    pub(super) fn reach(&self, timeout: Duration) -> Result<(), BrokerError> {
        let deadline = Instant::now() + timeout;
        // Short calls first, to notice a failed login between them; longer ones for brokers that are far away.
        let mut wait = Duration::from_millis(250);
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).min(wait);
            wait = (wait * 2).min(MAX_REACH_WAIT);
            let code = match self.metadata_of(None, left) {
                Ok(_) => return Ok(()),
                Err(code) => code,
            };
            let failure = self.last_failure.text();
            if let Some(code) = failed_security(&failure) {
                return Err(BrokerError::Kafka {
                    operation: "connecting",
                    code: name(code),
                    message: failure,
                    retriable: false,
                    fatal: false,
                });
            }
            if !is_connectivity(code) {
                return Err(error("connecting", code));
            }
            if Instant::now() >= deadline {
                return Err(BrokerError::Unreachable {
                    bootstrap_servers: self.bootstrap_servers.clone(),
                    waited_ms: timeout.as_millis() as u64,
                    cause: if failure.is_empty() { describe(code) } else { failure },
                });
            }
        }
    }

    /// The names of all topics that the client may see.
    pub(super) fn topic_names(&self, timeout: Duration) -> Result<Vec<String>, Code> {
        let mut metadata: *const sys::rd_kafka_metadata = ptr::null();
        // SAFETY: the handle is live; `metadata` is written on success and destroyed below.
        let code = unsafe { sys::rd_kafka_metadata(self.handle, 1, ptr::null_mut(), &mut metadata, millis(timeout)) };
        if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(code);
        }
        // SAFETY: `metadata` is valid until destroyed; `topics` holds `topic_cnt` entries with C strings as names.
        unsafe {
            let topics = slice((*metadata).topics, (*metadata).topic_cnt as usize);
            let names = topics.iter().map(|topic| text(topic.topic)).collect();
            sys::rd_kafka_metadata_destroy(metadata);
            Ok(names)
        }
    }

    /// The number of partitions of `topic`; `None` where there is none. Without a topic, asks for the brokers only.
    pub(super) fn metadata_of(&self, topic: Option<&Topic>, timeout: Duration) -> Result<Option<i32>, Code> {
        let mut metadata: *const sys::rd_kafka_metadata = ptr::null();
        let only = topic.map_or(ptr::null_mut(), |topic| topic.handle);
        // SAFETY: the handles are live; `metadata` is written on success and destroyed below.
        let code = unsafe { sys::rd_kafka_metadata(self.handle, 0, only, &mut metadata, millis(timeout)) };
        if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(code);
        }
        let mut found = Ok(None);
        // SAFETY: `metadata` is valid until destroyed; `topics` holds `topic_cnt` entries.
        unsafe {
            let topics = slice((*metadata).topics, (*metadata).topic_cnt as usize);
            if let (Some(entry), true) = (topics.first(), topic.is_some()) {
                found = match entry.err {
                    Code::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(Some(entry.partition_cnt)),
                    Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART | Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC => Ok(None),
                    other => Err(other),
                };
            }
            sys::rd_kafka_metadata_destroy(metadata);
        }
        found
    }

    /// Looks a topic up.
    pub(super) fn topic(&self, name: &str) -> Result<Topic, BrokerError> {
        let name = c_string("topic", name)?;
        // SAFETY: the client is live, the name is a C string, no configuration is passed.
        let handle = unsafe { sys::rd_kafka_topic_new(self.handle, name.as_ptr(), ptr::null_mut()) };
        match handle.is_null() {
            // SAFETY: reads the thread's last error.
            true => Err(error("opening a topic", unsafe { sys::rd_kafka_last_error() })),
            false => Ok(Topic { handle }),
        }
    }

    /// A new, empty event queue.
    pub(super) fn new_queue(&self) -> Queue {
        // SAFETY: the client is live; the queue is destroyed on drop.
        Queue(unsafe { sys::rd_kafka_queue_new(self.handle) })
    }

    /// The client's main queue.
    pub(super) fn main_queue(&self) -> Queue {
        // SAFETY: as above.
        Queue(unsafe { sys::rd_kafka_queue_get_main(self.handle) })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: the last use of the handle; queues and topics were dropped before.
        unsafe { sys::rd_kafka_destroy_flags(self.handle, sys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) }
    }
}

/// Names the key that the user wrote, where librdkafka speaks of a setting that comes of it.
fn in_users_keys(problem: BrokerError, settings: &[(String, String, String)]) -> BrokerError {
    match problem {
        BrokerError::Config { key, reason } => {
            let named = settings.iter().filter(|(name, _, _)| reason.contains(name.as_str()));
            let named = named.max_by_key(|(name, _, _)| name.len());
            BrokerError::Config { key: named.map_or(key, |(_, _, written)| written.clone()), reason }
        }
        other => other,
    }
}

struct NativeConfig(*mut sys::rd_kafka_conf_t);

impl NativeConfig {
    fn new() -> Self {
        // SAFETY: makes a fresh object.
        Self(unsafe { sys::rd_kafka_conf_new() })
    }

    fn set(&self, name: &str, value: &str, key: &str) -> Result<(), BrokerError> {
        let mut message = [0 as c_char; 512];
        let (c_name, c_value) = (c_string(key, name)?, c_string(key, value)?);
        // SAFETY: all pointers are valid for the call; the buffer's size is passed.
        let result = unsafe {
            sys::rd_kafka_conf_set(self.0, c_name.as_ptr(), c_value.as_ptr(), message.as_mut_ptr(), message.len())
        };
        match result {
            sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => Ok(()),
            _ => Err(BrokerError::Config { key: key.to_owned(), reason: text(message.as_ptr()) }),
        }
    }

    /// `last_failure` must live as long as the client.
    fn into_client(
        self,
        kind: ClientKind,
        events: i32,
        last_failure: &Arc<LastFailure>,
    ) -> Result<*mut sys::rd_kafka_t, BrokerError> {
        let mut message = [0 as c_char; 512];
        let kind = match kind {
            ClientKind::Producer => sys::rd_kafka_type_t::RD_KAFKA_PRODUCER,
            // Only consumers can ask for a topic without creating it by the asking.
            ClientKind::Admin | ClientKind::Consumer => sys::rd_kafka_type_t::RD_KAFKA_CONSUMER,
        };
        // SAFETY: the configuration is live; on success librdkafka owns it, on failure our drop destroys it.
        let handle = unsafe {
            sys::rd_kafka_conf_set_opaque(self.0, Arc::as_ptr(last_failure).cast::<c_void>().cast_mut());
            sys::rd_kafka_conf_set_log_cb(self.0, Some(on_log));
            sys::rd_kafka_conf_set_events(self.0, events | sys::RD_KAFKA_EVENT_ERROR);
            // Tokens are renewed by librdkafka's own thread, whether or not somebody polls.
            sys::rd_kafka_conf_enable_sasl_queue(self.0, 1);
            sys::rd_kafka_new(kind, self.0, message.as_mut_ptr(), message.len())
        };
        if handle.is_null() {
            return Err(BrokerError::Config { key: "client".to_owned(), reason: text(message.as_ptr()) });
        }
        std::mem::forget(self);
        // SAFETY: the client is live.
        let problem = unsafe { sys::rd_kafka_sasl_background_callbacks_enable(handle) };
        match take_error("renewing tokens in the background", problem) {
            // The login needs no tokens.
            Ok(()) | Err(BrokerError::Kafka { code: "_NOT_CONFIGURED", .. }) => Ok(handle),
            Err(problem) => {
                // SAFETY: nobody else has the client yet.
                unsafe { sys::rd_kafka_destroy(handle) };
                Err(problem)
            }
        }
    }
}

impl Drop for NativeConfig {
    fn drop(&mut self) {
        // SAFETY: still ours: `into_client` forgets `self` once librdkafka owns it.
        unsafe { sys::rd_kafka_conf_destroy(self.0) }
    }
}

/// A topic handle of one client.
pub(super) struct Topic {
    pub(super) handle: *mut sys::rd_kafka_topic_t,
}

// SAFETY: topic handles are reference-counted and locked inside librdkafka.
unsafe impl Send for Topic {}
// SAFETY: as above.
unsafe impl Sync for Topic {}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: gives our reference back, once.
        unsafe { sys::rd_kafka_topic_destroy(self.handle) }
    }
}

/// A reference to one of a client's queues.
pub(super) struct Queue(pub(super) *mut sys::rd_kafka_queue_t);

// SAFETY: queues are reference-counted and locked inside librdkafka.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Queue {
    /// Waits for one event.
    pub(super) fn poll(&self, timeout: Duration) -> Option<Event> {
        // SAFETY: the queue is live; the event is destroyed on drop.
        let event = unsafe { sys::rd_kafka_queue_poll(self.0, millis(timeout)) };
        (!event.is_null()).then_some(Event(event))
    }

    /// Notifies `waker` when the queue stops being empty. `waker` must live as long as the client: see [`wake`].
    pub(super) fn notify(&self, waker: &Arc<Notify>) {
        let opaque = Arc::as_ptr(waker).cast::<c_void>().cast_mut();
        // SAFETY: the callers keep `waker` in the same struct as the client, declared after it, so it outlives it.
        unsafe { sys::rd_kafka_queue_cb_event_enable(self.0, Some(wake), opaque) }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: gives our reference back, once.
        unsafe { sys::rd_kafka_queue_destroy(self.0) }
    }
}

unsafe extern "C" fn wake(_: *mut sys::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: `Queue::notify` passed a pointer into an Arc that outlives the client.
    unsafe { &*opaque.cast::<Notify>() }.notify_one();
}

/// Something that a queue handed out.
pub(super) struct Event(pub(super) *mut sys::rd_kafka_event_t);

impl Event {
    pub(super) fn kind(&self) -> i32 {
        // SAFETY: the event is live.
        unsafe { sys::rd_kafka_event_type(self.0) }
    }

    pub(super) fn code(&self) -> Code {
        // SAFETY: as above.
        unsafe { sys::rd_kafka_event_error(self.0) }
    }

    /// The event's error, if it carries one.
    pub(super) fn result(&self, operation: &'static str) -> Result<(), BrokerError> {
        let code = self.code();
        if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Ok(());
        }
        // SAFETY: the event is live; the string belongs to it.
        let (message, fatal) = unsafe {
            (text(sys::rd_kafka_event_error_string(self.0)), sys::rd_kafka_event_error_is_fatal(self.0) != 0)
        };
        Err(BrokerError::Kafka { operation, code: name(code), message, retriable: is_retriable(code), fatal })
    }

    pub(super) fn partitions(&self) -> Vec<TopicPartition> {
        // SAFETY: the list belongs to the event; null for events without one.
        let list = unsafe { sys::rd_kafka_event_topic_partition_list(self.0) };
        if list.is_null() {
            return Vec::new();
        }
        // SAFETY: the list is valid while the event is.
        unsafe { slice((*list).elems, (*list).cnt as usize) }
            .iter()
            .map(|entry| TopicPartition::new(text(entry.topic), entry.partition))
            .collect()
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: ours, once.
        unsafe { sys::rd_kafka_event_destroy(self.0) }
    }
}

/// A list of partitions, each with an offset.
pub(super) struct PartitionList(pub(super) *mut sys::rd_kafka_topic_partition_list_t);

impl PartitionList {
    pub(super) fn new<'a>(entries: impl ExactSizeIterator<Item = (&'a str, i32, i64)>) -> Result<Self, BrokerError> {
        // SAFETY: makes a fresh list, destroyed on drop.
        let list = Self(unsafe { sys::rd_kafka_topic_partition_list_new(entries.len() as c_int) });
        for (topic, partition, offset) in entries {
            let topic = c_string("topic", topic)?;
            // SAFETY: the list is live; the name is copied; the returned entry is valid until the next change.
            unsafe { (*sys::rd_kafka_topic_partition_list_add(list.0, topic.as_ptr(), partition)).offset = offset }
        }
        Ok(list)
    }

    pub(super) fn entries(&self) -> &[sys::rd_kafka_topic_partition_t] {
        // SAFETY: the list is live and holds `cnt` entries.
        unsafe { slice((*self.0).elems, (*self.0).cnt as usize) }
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: ours, once.
        unsafe { sys::rd_kafka_topic_partition_list_destroy(self.0) }
    }
}

/// Takes an error object over, if there is one.
pub(super) fn take_error(operation: &'static str, object: *mut sys::rd_kafka_error_t) -> Result<(), BrokerError> {
    if object.is_null() {
        return Ok(());
    }
    // SAFETY: a non-null error object is ours to read and destroy, once.
    unsafe {
        let code = sys::rd_kafka_error_code(object);
        let error = BrokerError::Kafka {
            operation,
            code: name(code),
            message: text(sys::rd_kafka_error_string(object)),
            retriable: sys::rd_kafka_error_is_retriable(object) != 0 || is_retriable(code),
            fatal: sys::rd_kafka_error_is_fatal(object) != 0,
        };
        sys::rd_kafka_error_destroy(object);
        Err(error)
    }
}

/// An error from a bare code.
pub(super) fn error(operation: &'static str, code: Code) -> BrokerError {
    BrokerError::Kafka {
        operation,
        code: name(code),
        message: describe(code),
        retriable: is_retriable(code),
        fatal: code == Code::RD_KAFKA_RESP_ERR__FATAL,
    }
}

/// Ok, or an error from a bare code.
pub(super) fn check(operation: &'static str, code: Code) -> Result<(), BrokerError> {
    match code {
        Code::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(error(operation, code)),
    }
}

pub(super) fn name(code: Code) -> &'static str {
    // SAFETY: gives a static string for every code.
    unsafe { CStr::from_ptr(sys::rd_kafka_err2name(code)) }.to_str().unwrap_or("UNKNOWN")
}

pub(super) fn describe(code: Code) -> String {
    // SAFETY: gives a static or thread-local string, copied at once.
    text(unsafe { sys::rd_kafka_err2str(code) })
}

pub(super) fn is_connectivity(code: Code) -> bool {
    matches!(
        code,
        Code::RD_KAFKA_RESP_ERR__TRANSPORT
            | Code::RD_KAFKA_RESP_ERR__TIMED_OUT
            | Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN
            | Code::RD_KAFKA_RESP_ERR__RESOLVE
    )
}

fn is_retriable(code: Code) -> bool {
    is_connectivity(code)
        || matches!(
            code,
            Code::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT
                | Code::RD_KAFKA_RESP_ERR__WAIT_COORD
                // Java gives the call up and joins the group again; librdkafka joins by itself.
                | Code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS
        )
        || java_errors::of(name(code)).is_some_and(|(_, retriable)| retriable)
}

/// A C string, or an error that names what holds a zero byte.
pub(super) fn c_string(key: &str, value: &str) -> Result<CString, BrokerError> {
    CString::new(value)
        .map_err(|_| BrokerError::Config { key: key.to_owned(), reason: "must not hold a zero byte".to_owned() })
}

/// Copies a C string; null is empty.
pub(super) fn text(pointer: *const c_char) -> String {
    match pointer.is_null() {
        true => String::new(),
        // SAFETY: librdkafka's strings are terminated and valid for the time of the call.
        false => unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned(),
    }
}

/// A C array as a slice; null is empty.
///
/// # Safety
/// A non-null `pointer` holds `length` values that live for `'a`.
pub(super) unsafe fn slice<'a, T>(pointer: *const T, length: usize) -> &'a [T] {
    match pointer.is_null() || length == 0 {
        true => &[],
        // SAFETY: the caller's promise.
        false => unsafe { std::slice::from_raw_parts(pointer, length) },
    }
}

/// Bytes behind a pointer; `None` for null.
///
/// # Safety
/// As for [`slice`].
pub(super) unsafe fn bytes<'a>(pointer: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!pointer.is_null()).then(|| unsafe { slice(pointer.cast::<u8>(), length) })
}

/// A timeout as librdkafka takes it.
pub(super) fn millis(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX)
}
