//! Kafka Connect's REST API over the control plane's service trait.
