//! The Store trait, on etcd and on an embedded database.
