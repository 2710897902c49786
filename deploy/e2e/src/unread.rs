//! A pipe for a process's output that somebody reads at first, and then nobody: full, and open.

use std::fs::File;
use std::io::{self, BufRead, BufReader, PipeWriter, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// More than any pipe holds.
const FLOOD_BYTES: usize = 4 << 20;

/// Keeps the reading end open, unread. Dropped, the pipe is broken.
pub(crate) struct Unread {
    _release: Sender<()>,
}

impl Unread {
    /// What is written to the pipe goes to `log` up to the first line with `last`; then the pipe is filled up.
    pub(crate) fn after(last: &str, log: File) -> io::Result<(Self, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        let (release, released) = channel();
        let (flood, last) = (writer.try_clone()?, last.to_owned());
        thread::spawn(move || {
            let mut lines = BufReader::new(reader);
            if copy_up_to(&last, &mut lines, log).is_err() {
                return;
            }
            thread::spawn(move || fill(flood));
            hold(lines, &released);
        });
        Ok((Self { _release: release }, writer))
    }
}

fn copy_up_to(last: &str, lines: &mut impl BufRead, mut log: File) -> io::Result<()> {
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        log.write_all(line.as_bytes())?;
        if line.contains(last) {
            return Ok(());
        }
    }
}

/// Waits until the pipe breaks, by which it ends.
fn fill(mut pipe: PipeWriter) {
    let _ = pipe.write_all(&vec![b'.'; FLOOD_BYTES]);
}

/// Until the other end of the channel is gone.
fn hold(_pipe: impl BufRead, released: &Receiver<()>) {
    let _ = released.recv();
}
