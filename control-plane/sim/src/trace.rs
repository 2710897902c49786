//! What happened, line by line: all of it for a replay, else the last lines; always a digest and counts.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

/// Lines kept where not all are.
const KEPT: usize = 80;

/// The trace of one run.
#[derive(Debug)]
pub struct Trace {
    keep_all: bool,
    lines: VecDeque<String>,
    digest: u64,
    counts: BTreeMap<&'static str, u64>,
}

impl Trace {
    /// An empty one.
    pub fn new(keep_all: bool) -> Trace {
        Trace { keep_all, lines: VecDeque::new(), digest: 0xCBF2_9CE4_8422_2325, counts: BTreeMap::new() }
    }

    /// Adds a line.
    pub fn line(&mut self, now: u64, text: fmt::Arguments<'_>) {
        let line = format!("{now:>6} {text}");
        for byte in line.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        if !self.keep_all && self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// Counts something.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_insert(0) += 1;
    }

    /// The lines kept, in order.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// A digest of every line ever added (FNV-1a).
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// What was counted.
    pub fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }
}
