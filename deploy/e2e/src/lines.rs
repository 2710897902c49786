//! Numbered lines: written to files at a steady rate, and counted again where they arrive.
//!
//! A line is `s<file> <number> <padding>`: it says by itself from which file it came and which it is.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

/// The pace of the writer: every file gets its lines so often.
const PACE: Duration = Duration::from_millis(10);

/// Appends numbered lines to files until it is told to end.
pub struct SteadyLines {
    written: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl SteadyLines {
    /// About `per_second` lines a second to each of these files, which are created.
    pub fn start(files: &[PathBuf], per_second: usize) -> Result<Self> {
        let open = |path: &PathBuf| OpenOptions::new().create(true).append(true).open(path);
        let files: Vec<File> = files.iter().map(open).collect::<Result<_, _>>().context("opening files for lines")?;
        let (written, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stopped) = (Arc::clone(&written), Arc::clone(&stop));
        let thread = thread::spawn(move || write(files, per_second, &count, &stopped));
        Ok(Self { written, stop, thread: Some(thread) })
    }

    /// Lines that each file has so far.
    pub fn written(&self) -> usize {
        self.written.load(Ordering::Acquire)
    }

    /// Ends; how many lines each file has.
    pub fn finish(mut self) -> Result<usize> {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| anyhow!("the writer of lines panicked"))??;
        }
        Ok(self.written())
    }
}

impl Drop for SteadyLines {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

fn write(mut files: Vec<File>, per_second: usize, written: &AtomicUsize, stopped: &AtomicBool) -> Result<()> {
    let begun = Instant::now();
    while !stopped.load(Ordering::Acquire) {
        let done = written.load(Ordering::Acquire);
        let due = ((begun.elapsed().as_secs_f64() * per_second as f64) as usize).max(done);
        for (index, file) in files.iter_mut().enumerate() {
            let block: String = (done..due).map(|number| numbered_line(index, number)).collect();
            file.write_all(block.as_bytes())?;
        }
        written.store(due, Ordering::Release);
        thread::park_timeout(PACE);
    }
    Ok(())
}

/// One line of a file, with its end.
pub fn numbered_line(file: usize, number: usize) -> String {
    format!("s{file} {number} zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich\n")
}

/// (file, number) of a line without its end; None if it is none of these lines.
pub fn parse_line(line: &str) -> Option<(usize, usize)> {
    let mut words = line.strip_prefix('s')?.splitn(3, ' ');
    let (file, number) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (numbered_line(file, number).trim_end() == line).then_some((file, number))
}

/// Which lines have arrived, how often.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    times: BTreeMap<usize, Vec<u32>>,
    /// What is no line of any file.
    pub foreign: Vec<String>,
}

impl Tally {
    /// Counts all lines of a text.
    pub fn of(text: &str) -> Self {
        let mut tally = Self::default();
        for line in text.lines() {
            tally.count(line);
        }
        tally
    }

    /// Counts a line.
    pub fn count(&mut self, line: &str) {
        let Some((file, number)) = parse_line(line) else { return self.foreign.push(line.to_owned()) };
        let times = self.times.entry(file).or_default();
        if times.len() <= number {
            times.resize(number + 1, 0);
        }
        times[number] += 1;
    }

    /// How many arrivals of this file's lines were repetitions.
    pub fn duplicates(&self, file: usize) -> u64 {
        let times = self.times.get(&file);
        times.into_iter().flatten().map(|times| u64::from(times.saturating_sub(1))).sum()
    }

    /// An error unless each of the first `lines` lines of the file has arrived, no others of it, and nothing foreign.
    pub fn is_whole(&self, file: usize, lines: usize) -> Result<()> {
        ensure!(self.foreign.is_empty(), "nobody wrote {:?} and {} more", self.foreign[0], self.foreign.len() - 1);
        let none = Vec::new();
        let times = self.times.get(&file).unwrap_or(&none);
        let missing: Vec<usize> =
            (0..lines).filter(|number| times.get(*number).copied().unwrap_or_default() == 0).collect();
        ensure!(
            missing.is_empty(),
            "{} of {lines} lines of s{file} are missing, the first is {}",
            missing.len(),
            missing[0]
        );
        ensure!(times.len() <= lines, "line {} of s{file} was never written", times.len() - 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_known_again_and_half_a_line_is_not() {
        let line = numbered_line(3, 17);
        assert_eq!(parse_line(line.trim_end()), Some((3, 17)));
        assert_eq!(parse_line(&line[..line.len() - 4]), None);
        assert_eq!(parse_line("s3"), None);
    }

    #[test]
    fn a_tally_finds_what_is_missing_twice_there_or_foreign() {
        let text: String = [0, 1, 1, 3].map(|number| numbered_line(0, number)).concat();
        let tally = Tally::of(&text);
        assert_eq!(tally.duplicates(0), 1);
        let error = tally.is_whole(0, 4).expect_err("2 is missing").to_string();
        assert!(error.contains("the first is 2"), "{error}");
        assert!(Tally::of(&numbered_line(0, 0)).is_whole(0, 1).is_ok());
        assert!(Tally::of(&numbered_line(0, 0)).is_whole(1, 1).is_err());
        assert!(Tally::of("x\n").is_whole(0, 0).is_err());
    }
}
