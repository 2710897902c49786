//! The data plane's process: session, supervisor, task runners.
