//! The control plane's process: sessions, leader, reconciliation, listeners.
