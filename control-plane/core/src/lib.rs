//! The control plane's decisions: what is stored, how it is keyed, and what to do next.
//!
//! Pure: no I/O, no clock (time comes as an argument), no randomness, no iteration over hash maps. The same code runs
//! in the server and in the simulator. It knows nothing of gRPC, of etcd's client or of Kafka.

pub mod audit;
pub mod beats;
pub mod connector;
pub mod election;
pub mod history;
pub mod ids;
pub mod incarnation;
pub mod keys;
pub mod lease;
pub mod placement;
pub mod plan;
pub mod policy;
pub mod report;
pub mod space;
pub mod status;
pub mod task;
pub mod time;
pub mod txn;
pub mod worker;
pub mod world;
