//! The control plane's process: it follows the store, leads if nobody else does, keeps the workers' sessions and serves
//! users. Decisions are made in `control-plane-core`; this crate carries them out.

pub mod admin;
pub mod args;
pub mod cache;
pub mod clock;
pub mod control;
pub mod documents;
pub mod hub;
pub mod leader;
pub mod limits;
pub mod progress;
pub mod properties;
pub mod reports;
pub mod run;
pub mod session;
pub mod sessions;
pub mod space;
pub mod view;
