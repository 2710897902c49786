//! The public gRPC services over the control plane's service trait.

pub mod service;
