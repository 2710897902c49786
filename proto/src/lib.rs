//! Ferry's gRPC definitions and the Rust code generated from them.
