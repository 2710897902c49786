//! Each converter, transform and predicate by itself, then chains and whole pipelines: records a second, and allocations.
//!
//! An iteration treats [`records::ROWS`] records, so that allocations divided by it are those of a record; rates are of single
//! records. Values differ from row to row. What is read or written is freed within the measured part, but for transforms by
//! themselves.

mod converters;
mod pipelines;
mod records;
mod transforms;

use std::sync::LazyLock;

use data_plane_connector_api::{Config, Plugins};
use divan::AllocProfiler;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// Everything that a worker has built in.
static PLUGINS: LazyLock<Plugins> = LazyLock::new(data_plane_worker::plugins::built_in);

/// A config of literal keys and values.
fn config(lines: &[(&str, &str)]) -> Config {
    lines.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn main() {
    divan::main();
}
