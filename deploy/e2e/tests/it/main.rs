//! The harness at work with real Kafka and etcd, and Ferry's end-to-end tests: what the README promises, shown on real
//! processes.

mod chaos;
mod cluster;
mod copies;
mod errors;
mod failover;
mod fleet;
mod harness;
mod interfaces;
mod kills;
mod mistakes;
mod replicas;
mod restored;
mod rolling;
mod security;
mod standalone;
mod stored;
mod takeovers;
