//! Record headers, from and to librdkafka's lists.

use std::ffi::CStr;
use std::ptr;

use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t as Code;

use super::native::{bytes, error};
use crate::BrokerError;

/// A header list for a record to produce, owned by the caller; null where there are none.
pub(super) fn native_headers(headers: &[(&str, Option<&[u8]>)]) -> Result<*mut sys::rd_kafka_headers_t, BrokerError> {
    if headers.is_empty() {
        return Ok(ptr::null_mut());
    }
    // SAFETY: a fresh list; names and values are copied with their sizes; destroyed here if one is refused.
    unsafe {
        let list = sys::rd_kafka_headers_new(headers.len());
        for (name, value) in headers {
            let (value, size) = value.map_or((ptr::null(), 0), |value| (value.as_ptr(), value.len()));
            let code =
                sys::rd_kafka_header_add(list, name.as_ptr().cast(), name.len() as isize, value.cast(), size as isize);
            if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                sys::rd_kafka_headers_destroy(list);
                return Err(error("adding a header", code));
            }
        }
        Ok(list)
    }
}

/// Reads all headers of a fetched message.
pub(super) fn each_header(message: *const sys::rd_kafka_message_t, mut visit: impl FnMut(&[u8], Option<&[u8]>)) {
    let mut headers = ptr::null_mut();
    // SAFETY: the message is live; the list belongs to it.
    if unsafe { sys::rd_kafka_message_headers(message, &mut headers) } != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
        return;
    }
    for index in 0.. {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: all three are written on success and valid while the message is.
        unsafe {
            if sys::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut size)
                != Code::RD_KAFKA_RESP_ERR_NO_ERROR
            {
                return;
            }
            visit(CStr::from_ptr(name).to_bytes(), bytes(value, size));
        }
    }
}
