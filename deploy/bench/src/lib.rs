//! Benchmarks against Kafka Connect and kcat.
