//! Numbered lines as they arrive in topics, each with its moment: what a reader of the data sees of a failure.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::lines::{Tally, parse_line};
use crate::places::kcat_program;
use crate::wait::{wait_for, wait_until};
use crate::watchdog::Watchdog;

/// A line that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When it was read here.
    pub at: Instant,
    /// The file that it was written to.
    pub file: usize,
    /// Which line of the file.
    pub number: usize,
}

/// Follows topics from their beginning for as long as it lives: one kcat a topic.
pub struct Arrivals {
    readers: Vec<Reader>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// By the file's number.
    files: Vec<Vec<Arrival>>,
    tally: Tally,
}

impl Arrivals {
    /// Begins to follow; the topics must be there.
    pub fn follow(bootstrap: &str, topics: &[&str]) -> Result<Self> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let follow = |topic: &&str| Reader::start(bootstrap, topic, Arc::clone(&seen));
        let readers = topics.iter().map(follow).collect::<Result<_>>()?;
        Ok(Self { readers, seen })
    }

    /// What has arrived of a file so far, in order.
    pub fn of(&self, file: usize) -> Vec<Arrival> {
        self.read(|seen| seen.files.get(file).cloned().unwrap_or_default())
    }

    /// How much has arrived of a file so far.
    pub fn count(&self, file: usize) -> usize {
        self.read(|seen| seen.files.get(file).map_or(0, Vec::len))
    }

    /// What has arrived so far, counted.
    pub fn tally(&self) -> Tally {
        self.read(|seen| seen.tally.clone())
    }

    /// Waits until something of the file has arrived that was not there when this was called.
    pub fn wait_flowing(&self, file: usize, limit: Duration) -> Result<()> {
        let before = self.count(file);
        wait_until(limit, &format!("more lines of s{file} in the topic"), || Ok(self.count(file) > before))
    }

    /// Waits until this line of the file has arrived.
    pub fn wait_for_line(&self, file: usize, number: usize, limit: Duration) -> Result<()> {
        wait_until(limit, &format!("line {number} of s{file} in the topic"), || {
            // The newest are the likeliest.
            Ok(self.read(|seen| {
                seen.files.get(file).is_some_and(|all| all.iter().rev().any(|arrival| arrival.number == number))
            }))
        })
    }

    /// The longest time in which nothing of the file arrived, between `since` and now.
    pub fn longest_gap(&self, file: usize, since: Instant) -> Duration {
        self.read(|seen| longest_gap(seen.files.get(file).map_or(&[], Vec::as_slice), since, Instant::now()))
    }

    /// Waits for the end of the silence that followed `killed`: how long after that moment the first line of the file
    /// came that was preceded by at least `silence`.
    pub fn wait_after_silence(
        &self,
        file: usize,
        killed: Instant,
        silence: Duration,
        limit: Duration,
    ) -> Result<Duration> {
        wait_for(limit, &format!("lines of s{file} after a silence"), || {
            Ok(self.read(|seen| after_silence(seen.files.get(file).map_or(&[], Vec::as_slice), killed, silence)))
        })
    }

    fn read<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An error if a kcat has ended.
    pub fn check(&mut self) -> Result<()> {
        for reader in &mut self.readers {
            if let Some(status) = reader.kcat.try_wait()? {
                bail!("kcat has ended: {status}");
            }
        }
        Ok(())
    }
}

fn longest_gap(arrivals: &[Arrival], since: Instant, until: Instant) -> Duration {
    let from = arrivals.partition_point(|arrival| arrival.at <= since);
    let mut before = since;
    let mut longest = Duration::ZERO;
    for at in arrivals[from..].iter().map(|arrival| arrival.at).chain([until]) {
        longest = longest.max(at.saturating_duration_since(before));
        before = at;
    }
    longest
}

fn after_silence(arrivals: &[Arrival], killed: Instant, silence: Duration) -> Option<Duration> {
    let from = arrivals.partition_point(|arrival| arrival.at <= killed);
    let mut before = killed;
    for arrival in &arrivals[from..] {
        if arrival.at.saturating_duration_since(before) >= silence {
            return Some(arrival.at.saturating_duration_since(killed));
        }
        before = arrival.at;
    }
    None
}

/// One kcat, and the thread that reads what it prints.
struct Reader {
    kcat: Child,
    _watchdog: Watchdog,
}

impl Reader {
    fn start(bootstrap: &str, topic: &str, seen: Arc<Mutex<Seen>>) -> Result<Self> {
        let mut kcat = Command::new(kcat_program())
            .args(["-b", bootstrap, "-C", "-t", topic, "-o", "beginning", "-u", "-q", "-f", "%s\n"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("starting kcat (deploy/local/install installs it)")?;
        let watchdog = Watchdog::over(kcat.id())?;
        let output = kcat.stdout.take().context("kcat without an output")?;
        thread::spawn(move || read(output, &seen));
        Ok(Self { kcat, _watchdog: watchdog })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Gone already, or the watchdog's to end.
        let _ = self.kcat.kill();
        let _ = self.kcat.wait();
    }
}

fn read(output: impl Read, seen: &Mutex<Seen>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let at = Instant::now();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.tally.count(&line);
        if let Some((file, number)) = parse_line(&line) {
            if seen.files.len() <= file {
                seen.files.resize(file + 1, Vec::new());
            }
            seen.files[file].push(Arrival { at, file, number });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_silences_are_found() {
        let begin = Instant::now();
        let moment = |ms| begin + Duration::from_millis(ms);
        let arrivals = [10, 20, 120, 1620, 1630].map(|ms| Arrival { at: moment(ms), file: 0, number: 0 });
        assert_eq!(longest_gap(&arrivals, moment(15), moment(1640)), Duration::from_millis(1500));
        assert_eq!(longest_gap(&arrivals, moment(1620), moment(2000)), Duration::from_millis(370), "up to now");
        assert_eq!(longest_gap(&[], moment(0), moment(7)), Duration::from_millis(7));
        let silence = Duration::from_millis(500);
        assert_eq!(after_silence(&arrivals, moment(100), silence), Some(Duration::from_millis(1520)));
        assert_eq!(after_silence(&arrivals, moment(1625), silence), None);
    }
}
