//! A control plane over real sockets: what it does when too much is asked of it, and with workers that are wrong.

mod callers;
mod early;
#[path = "../../../store/tests/it/etcd_process.rs"]
mod etcd_process;
mod sizes;
mod space;
mod up;
mod versions;
mod workers;
