//! Timing one copy by watching its destination grow, which costs the copier nothing.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use deploy_e2e::{Kafka, Usage};

/// Between two looks at the destination.
const INTERVAL: Duration = Duration::from_millis(5);
/// A destination that has not grown for this long may be complete: then the records are counted.
const QUIET: Duration = Duration::from_millis(250);
/// No copy takes longer.
const LIMIT: Duration = Duration::from_secs(900);

/// Where a copy goes.
pub(crate) enum Destination<'a> {
    /// Partition 0 of a topic of a broker on this machine: complete with this many records.
    Topic { kafka: &'a Kafka, name: String, records: u64 },
    /// A file: complete with this many bytes.
    File { path: PathBuf, bytes: u64 },
}

impl Destination<'_> {
    /// Bytes there now.
    fn size(&self) -> u64 {
        match self {
            Self::Topic { kafka, name, .. } => {
                let folder = fs::read_dir(kafka.partition_folder(name, 0));
                let files = folder.into_iter().flatten().flatten();
                let segments = files.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
                segments.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
            }
            Self::File { path, .. } => fs::metadata(path).map_or(0, |data| data.len()),
        }
    }

    /// Whether all is there. For a topic this asks the broker.
    fn is_complete(&self) -> Result<bool> {
        match self {
            Self::Topic { kafka, name, records } => Ok(kafka.kcat().end_offset(name, 0)? >= *records),
            Self::File { path, bytes } => Ok(fs::metadata(path).is_ok_and(|data| data.len() >= *bytes)),
        }
    }
}

/// What one copy took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// From the order to copy to the last record at the destination.
    pub(crate) total: Duration,
    /// From the first record at the destination to the last.
    pub(crate) net: Duration,
    /// CPU time and peak memory of the copying process.
    pub(crate) usage: Usage,
}

/// Watches `destination` until it is complete. `started` is when the copy was ordered, `before` what the process had used by
/// then, and `usage` tells what it has used, or that it is gone.
pub(crate) fn watch(
    destination: &Destination<'_>,
    started: Instant,
    before: Usage,
    mut usage: impl FnMut() -> Result<Usage>,
) -> Result<Measured> {
    let mut first = None;
    let mut last = started;
    let mut size = 0;
    let mut peak_rss_bytes = 0;
    let mut asked = started;
    loop {
        let now = Instant::now();
        let grown = destination.size();
        if grown > size {
            first.get_or_insert(now);
            (size, last) = (grown, now);
        }
        let used = usage()?;
        peak_rss_bytes = used.peak_rss_bytes.max(peak_rss_bytes);
        let quiet = now.duration_since(last) >= QUIET && now.duration_since(asked) >= QUIET;
        if let (Some(first), true) = (first, quiet) {
            asked = now;
            if destination.is_complete()? {
                let usage = Usage { peak_rss_bytes, ..used - before };
                return Ok(Measured { total: last - started, net: last - first, usage });
            }
        }
        if started.elapsed() > LIMIT {
            bail!("the copy was not complete after {} s; {size} bytes have arrived", LIMIT.as_secs());
        }
        sleep(INTERVAL);
    }
}
