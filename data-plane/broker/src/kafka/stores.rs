//! Key and trust stores: read here, and handed to librdkafka as PEM. What a store is, is seen from its content, as Java
//! sees it between JKS and PKCS12.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::pkcs12;
use crate::BrokerError;
use crate::client_config::pem::{self, Block};
use crate::client_config::{Store, Translated, jks};

/// The largest store that is read, in bytes.
const MAX_STORE_BYTES: u64 = 10 << 20;

const TRUST: &str = "ssl.truststore.location";
const KEY: &str = "ssl.keystore.location";

/// librdkafka's settings for the stores: name, value, and the user's key.
pub(super) fn settings(translated: &Translated) -> Result<Vec<(String, String, String)>, BrokerError> {
    let mut settings = Vec::new();
    let mut put = |name: &str, value, key: &str| settings.push((name.to_owned(), value, key.to_owned()));
    if let Some(store) = &translated.stores.trust {
        match store.location.is_dir() {
            // OpenSSL's folder of certificates, by their hashes.
            true => put("ssl.ca.location", store.location.display().to_string(), TRUST),
            false => {
                put("ssl.ca.pem", certificates(store).map_err(|reason| refused(TRUST, store, &reason))?, TRUST);
            }
        }
    }
    if let Some(store) = &translated.stores.key {
        let (key, chain) = identity(store).map_err(|reason| refused(KEY, store, &reason))?;
        put("ssl.key.pem", key, KEY);
        put("ssl.certificate.pem", chain, KEY);
    }
    Ok(settings)
}

fn refused(key: &str, store: &Store, reason: &str) -> BrokerError {
    BrokerError::Config { key: key.to_owned(), reason: format!("{}: {reason}", store.location.display()) }
}

enum Content {
    Jks(Vec<u8>),
    /// PEM, or PKCS12 made into it.
    Pem(Vec<Block>),
}

fn read(store: &Store) -> Result<Content, String> {
    let bytes = read_file(&store.location).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_STORE_BYTES {
        return Err(format!("is larger than {MAX_STORE_BYTES} bytes"));
    }
    if bytes.starts_with(&jks::MAGIC) {
        return Ok(Content::Jks(bytes));
    }
    // DER begins with a sequence.
    if bytes.first() != Some(&0x30) {
        let text = String::from_utf8_lossy(&bytes);
        return pem::blocks(&text).map(Content::Pem);
    }
    let Some(password) = &store.password else {
        return Err("is a PKCS12 store: its password is missing".to_owned());
    };
    pkcs12::blocks(&bytes, password).map(Content::Pem)
}

fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_STORE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The certificates of a trust store.
fn certificates(store: &Store) -> Result<String, String> {
    let blocks = match read(store)? {
        Content::Jks(bytes) => {
            jks::trusted_certificates(&bytes)?.into_iter().map(|der| Block::new("CERTIFICATE", der)).collect()
        }
        Content::Pem(blocks) => blocks,
    };
    pem::only(&blocks, "certificate", Block::is_certificate)
}

/// The private key of a key store, and its certificates, its own first.
fn identity(store: &Store) -> Result<(String, String), String> {
    let blocks = match read(store)? {
        Content::Jks(_) => {
            return Err(format!(
                "is a JKS store, whose keys cannot be read: convert it with keytool -importkeystore -srckeystore {0} \
                 -destkeystore {0}.p12 -deststoretype PKCS12",
                store.location.display()
            ));
        }
        Content::Pem(blocks) => blocks,
    };
    let key = pem::only(&blocks, "private key", Block::is_key)?;
    Ok((key, pem::only(&blocks, "certificate", Block::is_certificate)?))
}
