//! The harness at work with real Kafka and etcd, and Ferry's end-to-end tests: what the README promises, shown on real
//! processes.

mod cluster;
mod copies;
mod errors;
mod harness;
mod interfaces;
mod kills;
mod mistakes;
mod security;
mod standalone;
