//! [`Admin`] on librdkafka.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::time::Duration;

use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t as Code;

use super::native::{Client, c_string, check, error, millis, slice, text};
use crate::{Admin, BrokerError, NewTopic};

/// librdkafka takes no longer timeout for an administrative request: an hour.
const MAX_TIMEOUT_MS: i32 = 3_600_000;

pub(super) struct KafkaAdmin {
    client: Client,
}

impl KafkaAdmin {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Admin for KafkaAdmin {
    fn ensure_topic(&mut self, topic: &NewTopic, timeout: Duration) -> Result<bool, BrokerError> {
        const OPERATION: &str = "creating a topic";
        topic.check()?;
        let request = NativeTopic::new(topic)?;
        let answers = self.client.new_queue();
        let mut requests = [request.0];
        // SAFETY: all are live; the request is copied before the call returns.
        unsafe {
            let options = sys::rd_kafka_AdminOptions_new(
                self.client.handle(),
                sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS,
            );
            let limit_ms = millis(timeout).clamp(1, MAX_TIMEOUT_MS);
            sys::rd_kafka_AdminOptions_set_request_timeout(options, limit_ms, ptr::null_mut(), 0);
            // The broker answers when the topic is there, or when this time is over.
            sys::rd_kafka_AdminOptions_set_operation_timeout(options, limit_ms, ptr::null_mut(), 0);
            sys::rd_kafka_CreateTopics(self.client.handle(), requests.as_mut_ptr(), 1, options, answers.0);
            sys::rd_kafka_AdminOptions_destroy(options);
        }
        let Some(answer) = answers.poll(timeout) else {
            return Err(error(OPERATION, Code::RD_KAFKA_RESP_ERR__TIMED_OUT));
        };
        answer.result(OPERATION)?;
        // SAFETY: the event is a CreateTopics result without error; results are valid while it is.
        let (code, reason) = unsafe {
            let result = sys::rd_kafka_event_CreateTopics_result(answer.0);
            let mut count = 0;
            let results = slice(sys::rd_kafka_CreateTopics_result_topics(result, &mut count), count);
            let Some(first) = results.first() else { return Ok(true) };
            (sys::rd_kafka_topic_result_error(*first), text(sys::rd_kafka_topic_result_error_string(*first)))
        };
        match code {
            Code::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(true),
            Code::RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS => Ok(false),
            code => Err(match error(OPERATION, code) {
                BrokerError::Kafka { operation, code, message, retriable, fatal } => {
                    let detail = if reason.is_empty() { message } else { reason };
                    let message = format!("topic {:?}: {detail}", topic.name);
                    BrokerError::Kafka { operation, code, message, retriable, fatal }
                }
                other => other,
            }),
        }
    }

    fn partition_count(&mut self, topic: &str, timeout: Duration) -> Result<Option<i32>, BrokerError> {
        let handle = self.client.topic(topic)?;
        self.client.metadata_of(Some(&handle), timeout).map_err(|code| error("looking a topic up", code))
    }

    fn cluster_id(&mut self, timeout: Duration) -> Result<String, BrokerError> {
        // SAFETY: the client is live; a non-null string is ours to free.
        let id = unsafe { sys::rd_kafka_clusterid(self.client.handle(), millis(timeout)) };
        if id.is_null() {
            return Err(error("asking for the cluster id", Code::RD_KAFKA_RESP_ERR__TIMED_OUT));
        }
        let copy = text(id);
        // SAFETY: as above, freed once.
        unsafe { sys::rd_kafka_mem_free(self.client.handle(), id.cast::<c_void>()) };
        Ok(copy)
    }
}

struct NativeTopic(*mut sys::rd_kafka_NewTopic_t);

impl NativeTopic {
    fn new(topic: &NewTopic) -> Result<Self, BrokerError> {
        let name = c_string("topic", &topic.name)?;
        let mut message = [0 as c_char; 512];
        // SAFETY: all pointers are valid for the call; the object is destroyed on drop.
        let native = unsafe {
            sys::rd_kafka_NewTopic_new(
                name.as_ptr(),
                topic.partitions,
                topic.replication_factor,
                message.as_mut_ptr(),
                message.len(),
            )
        };
        if native.is_null() {
            return Err(BrokerError::Config { key: format!("topic {}", topic.name), reason: text(message.as_ptr()) });
        }
        let native = Self(native);
        for (key, value) in &topic.configs {
            let (c_key, c_value) = (c_string(key, key)?, c_string(key, value)?);
            // SAFETY: all are live; both strings are copied.
            check("setting a topic's config", unsafe {
                sys::rd_kafka_NewTopic_set_config(native.0, c_key.as_ptr(), c_value.as_ptr())
            })?;
        }
        Ok(native)
    }
}

impl Drop for NativeTopic {
    fn drop(&mut self) {
        // SAFETY: ours, once.
        unsafe { sys::rd_kafka_NewTopic_destroy(self.0) }
    }
}
