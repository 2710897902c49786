//! The harness at work with real Kafka and etcd, and (in other files here) Ferry's end-to-end tests.

mod harness;
