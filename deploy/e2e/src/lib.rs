//! The harness of the end-to-end tests and of the benchmarks: starts real Kafka, etcd, Kafka Connect and Ferry processes on
//! loopback, kills, stops and restarts them, and looks at what they did.
//!
//! Everything is blocking, and every wait has a deadline. A process is killed when its handle is dropped, and also when the
//! test process itself dies, however it dies. It knows nothing of Ferry's crates: it sees what a user sees.

mod arrivals;
mod busy;
mod control_plane;
mod etcd;
mod ferry;
mod kafka;
mod kafka_connect;
mod kcat;
mod lines;
mod places;
mod ports;
mod process;
mod replicas;
mod rest;
mod spread;
mod unread;
mod usage;
mod wait;
mod watchdog;
mod worker;

pub use arrivals::{Arrival, Arrivals};
pub use busy::BusyCores;
pub use control_plane::{ControlPlane, ControlPlaneOptions};
pub use etcd::{Etcd, EtcdCluster};
pub use ferry::{Ferry, Output};
pub use kafka::{Kafka, KafkaOptions};
pub use kafka_connect::KafkaConnect;
pub use kcat::{Kcat, Message};
pub use lines::{SteadyLines, Tally, numbered_line, parse_line};
pub use places::{binary, kcat_program};
pub use ports::free_port;
pub use process::{Process, Spec};
pub use replicas::Replicas;
pub use rest::{Answer, Rest};
pub use spread::Spread;
pub use usage::Usage;
pub use wait::{wait_for, wait_settled, wait_until};
pub use worker::{Worker, WorkerOptions};
