//! PKCS12 stores as PEM, by the OpenSSL that librdkafka uses. librdkafka itself reads no trust stores of that kind, and
//! leaves a key store's chain out.

use std::ffi::{CStr, CString, c_char, c_long};
use std::ptr;

use openssl_sys as ssl;

use crate::client_config::pem::{self, Block};

/// A store's private key and its certificate, if it has one, then all other certificates.
///
/// # Errors
/// If it is no such store, or the password does not open it.
pub(super) fn blocks(store: &[u8], password: &str) -> Result<Vec<Block>, String> {
    let password = CString::new(password).map_err(|_| "has a password with a zero byte".to_owned())?;
    let length = c_long::try_from(store.len()).map_err(|error| error.to_string())?;
    let mut parts = Parts { key: ptr::null_mut(), own: ptr::null_mut(), others: ptr::null_mut() };
    let mut start = store.as_ptr();
    // SAFETY: `start` and `length` are the store's; the object that is made of it is freed here, once.
    let is_read = unsafe {
        ssl::ERR_clear_error();
        let archive = ssl::d2i_PKCS12(ptr::null_mut(), &mut start, length);
        if archive.is_null() {
            return Err(format!("is neither PEM nor PKCS12 ({})", last_error()));
        }
        // SAFETY: all are valid; what it writes is ours and freed with `parts`.
        let is_read =
            ssl::PKCS12_parse(archive, password.as_ptr(), &mut parts.key, &mut parts.own, &mut parts.others) == 1;
        ssl::PKCS12_free(archive);
        is_read
    };
    if !is_read {
        return Err(format!("cannot be opened: is its password right? ({})", last_error()));
    }
    pem::blocks(&parts.to_pem()?)
}

/// What a store holds; each may be null.
struct Parts {
    key: *mut ssl::EVP_PKEY,
    own: *mut ssl::X509,
    others: *mut ssl::stack_st_X509,
}

impl Parts {
    fn to_pem(&self) -> Result<String, String> {
        let text = Text::new();
        let mut is_written = true;
        // SAFETY: pointers that are not null are live; the key is written without a cipher, so no callback is asked.
        unsafe {
            if !self.key.is_null() {
                let none = ptr::null_mut();
                let code =
                    ssl::PEM_write_bio_PKCS8PrivateKey(text.0, self.key, ptr::null(), ptr::null_mut(), 0, None, none);
                is_written &= code == 1;
            }
            if !self.own.is_null() {
                is_written &= ssl::PEM_write_bio_X509(text.0, self.own) == 1;
            }
            let others = self.others.cast::<ssl::OPENSSL_STACK>();
            let count = if others.is_null() { 0 } else { ssl::OPENSSL_sk_num(others) };
            for index in 0..count {
                let other = ssl::OPENSSL_sk_value(others, index).cast::<ssl::X509>();
                is_written &= ssl::PEM_write_bio_X509(text.0, other) == 1;
            }
        }
        match is_written {
            true => Ok(text.take()),
            false => Err(format!("holds what cannot be written as PEM ({})", last_error())),
        }
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // SAFETY: ours, once; freeing null does nothing.
        unsafe {
            ssl::EVP_PKEY_free(self.key);
            ssl::X509_free(self.own);
            let others = self.others.cast::<ssl::OPENSSL_STACK>();
            if !others.is_null() {
                while ssl::OPENSSL_sk_num(others) > 0 {
                    ssl::X509_free(ssl::OPENSSL_sk_pop(others).cast());
                }
                ssl::OPENSSL_sk_free(others);
            }
        }
    }
}

/// A text that OpenSSL writes to.
struct Text(*mut ssl::BIO);

impl Text {
    fn new() -> Self {
        // SAFETY: makes a fresh object, freed on drop. Null only without memory; writing to it fails then.
        Self(unsafe { ssl::BIO_new(ssl::BIO_s_mem()) })
    }

    fn take(&self) -> String {
        let mut start: *mut c_char = ptr::null_mut();
        // SAFETY: the object is live; it tells where its bytes are.
        let length = unsafe { ssl::BIO_get_mem_data(self.0, &mut start) };
        if start.is_null() || length <= 0 {
            return String::new();
        }
        // SAFETY: that many bytes lie there until the object is changed or freed.
        let bytes = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length as usize) };
        String::from_utf8_lossy(bytes).into_owned()
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        // SAFETY: ours, once.
        unsafe { ssl::BIO_free_all(self.0) }
    }
}

/// Why OpenSSL's last call on this thread failed.
fn last_error() -> String {
    // SAFETY: the reason is a static string, or null.
    unsafe {
        let reason = ssl::ERR_reason_error_string(ssl::ERR_get_error());
        match reason.is_null() {
            true => "no reason given".to_owned(),
            false => CStr::from_ptr(reason).to_string_lossy().into_owned(),
        }
    }
}
