//! What a process used of the machine, read from `/proc`.

use std::fs;
use std::ops::Sub;
use std::time::Duration;

use anyhow::{Context, Result};

/// Resources used since a process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user and kernel mode, of the process and of its children that have ended.
    pub cpu: Duration,
    /// Peak resident memory of the process, in bytes (`VmHWM`); 0 once it has ended.
    pub peak_rss_bytes: u64,
}

impl Usage {
    /// Reads the usage of `pid`, which may also be a process that has ended and is not waited for yet.
    pub fn of(pid: u32) -> Result<Self> {
        let stat =
            fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("reading /proc/{pid}/stat"))?;
        let ticks = cpu_ticks(&stat).with_context(|| format!("/proc/{pid}/stat has an unknown form"))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        Ok(Self { cpu: ticks_to_duration(ticks), peak_rss_bytes: peak_rss_bytes(&status) })
    }

    /// Whether `pid` has ended (and is perhaps not waited for yet).
    pub(crate) fn has_ended(pid: u32) -> bool {
        fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| fields(&stat).next() == Some("Z"))
    }
}

impl Sub for Usage {
    type Output = Self;

    /// CPU time since `earlier`; the peak memory stays that of `self`.
    fn sub(self, earlier: Self) -> Self {
        Self { cpu: self.cpu.saturating_sub(earlier.cpu), ..self }
    }
}

/// The fields after the command's name, which stands in brackets and may hold anything: the first one is the state.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace()
}

/// utime + stime + cutime + cstime: fields 14 to 17 of proc(5), of which the state is the third.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let times: Vec<u64> = fields(stat).skip(11).take(4).map_while(|field| field.parse().ok()).collect();
    (times.len() == 4).then(|| times.iter().sum())
}

fn ticks_to_duration(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn peak_rss_bytes(status: &str) -> u64 {
    let kilobytes =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 0 10 20 0 0 100 20 3 4 20 0 5 0 99";
        assert_eq!(cpu_ticks(stat), Some(127));
        assert_eq!(cpu_ticks("7 (x) S 1"), None);
    }

    #[test]
    fn the_peak_is_in_bytes() {
        assert_eq!(peak_rss_bytes("Name:\tx\nVmHWM:\t    2048 kB\n"), 2 * 1024 * 1024);
        assert_eq!(peak_rss_bytes(""), 0);
    }

    #[test]
    fn this_process_used_something() {
        let usage = Usage::of(std::process::id()).expect("own usage");
        assert!(usage.peak_rss_bytes > 0);
        assert!(!Usage::has_ended(std::process::id()));
    }
}
