//! Ferry's gRPC definitions: `ferry.v1` for users, `ferry.worker.v1` for workers.
//!
//! The code in `gen/` is made from the `.proto` files by `cargo test -p proto` with `FERRY_UPDATE=1`, and the same
//! test fails when it is stale. Nothing here knows what the messages mean.

/// The public API.
pub mod ferry {
    /// Version 1 of the public API.
    #[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
    #[rustfmt::skip]
    pub mod v1 {
        include!("gen/ferry.v1.rs");
    }
    /// What workers and replicas say to each other.
    pub mod worker {
        /// Version 1 of the worker session.
        #[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
        #[rustfmt::skip]
        pub mod v1 {
            include!("gen/ferry.worker.v1.rs");
        }
    }
}

pub use ferry::{v1, worker::v1 as worker_v1};

/// All file descriptors, encoded as a `google.protobuf.FileDescriptorSet`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/descriptors.bin");
