//! A control plane over real sockets: what it does when too much is asked of it, and with workers that are wrong.

mod callers;
mod sizes;
mod up;
mod workers;
