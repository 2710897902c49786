//! The data plane's process: sessions with the control plane, the supervisor of units, and the runners.

pub mod admin;
pub mod args;
pub mod clock;
pub mod guard;
pub mod pipeline;
pub mod plugins;
pub mod run;
pub mod secrets;
pub mod session;
pub mod supervisor;
pub mod task;
pub mod unit_policy;
pub mod validate;
pub mod wire;
