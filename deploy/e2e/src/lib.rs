//! End-to-end tests with real processes, and the harness that starts them.
