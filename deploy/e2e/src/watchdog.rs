//! Kills a process when the test process ends without doing so itself: by a panic that aborts, by Ctrl-C, by SIGKILL, or
//! because the handle lives in a `static`, which Rust never drops.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// A shell that reads from a pipe of which this process holds the only other end. A line means that all is well; the end
/// of the pipe means that this process is gone.
pub(crate) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// Watches over the process group `group`, which its leader's pid names.
    pub(crate) fn over(group: u32) -> Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", "read -r line || kill -s KILL -- \"-$1\"", "watchdog", &group.to_string()])
            // A group of its own: Ctrl-C on the test run must not take the watchdog first.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the watchdog shell")?;
        Ok(Self { shell })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // A shell that is gone already has nothing left to guard.
        if let Some(mut pipe) = self.shell.stdin.take() {
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.shell.wait();
    }
}
