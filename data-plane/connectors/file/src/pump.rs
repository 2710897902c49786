//! Reads what can only be read by waiting (stdin, pipes, devices) on a thread, so that polls never wait.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use data_plane_record::{Arena, Span};

use crate::lines::Input;

const PIECE_BYTES: usize = 64 << 10;
/// Pieces read ahead: at most 1 MiB waits.
const PIECES_AHEAD: usize = 16;
const PAUSE_AT_END: Duration = Duration::from_millis(100);

/// Pieces of a stream, in order. The thread behind it ends when this is dropped, at its next piece.
#[derive(Debug)]
pub(crate) struct Pump {
    pieces: Receiver<io::Result<Vec<u8>>>,
    ended: bool,
}

impl Pump {
    /// Starts to read. `open` runs on the thread, since opening a pipe waits too. `endless` streams are read on after their
    /// end, as a pipe's next writer may come.
    pub(crate) fn start<R: Read>(
        open: impl FnOnce() -> io::Result<R> + Send + 'static,
        endless: bool,
        wake: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, pieces) = sync_channel(PIECES_AHEAD);
        std::thread::Builder::new().name("file-source-pump".to_owned()).spawn(move || {
            if let Err(error) = pump(open, endless, &sender, &wake) {
                // Nobody listens when the task has ended; then the error does not matter.
                let _ = sender.send(Err(error));
                wake();
            }
        })?;
        Ok(Self { pieces, ended: false })
    }

    /// Whether the stream has ended and all of it was taken.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }
}

fn pump<R: Read>(
    open: impl FnOnce() -> io::Result<R>,
    endless: bool,
    sender: &SyncSender<io::Result<Vec<u8>>>,
    wake: &impl Fn(),
) -> io::Result<()> {
    let mut reader = open()?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match reader.read(&mut piece) {
            // An empty piece asks only whether somebody still listens.
            Ok(0) if endless => {
                std::thread::sleep(PAUSE_AT_END);
                if sender.send(Ok(Vec::new())).is_err() {
                    return Ok(());
                }
            }
            Ok(0) => return Ok(()),
            Ok(read) => {
                if sender.send(Ok(piece[..read].to_vec())).is_err() {
                    return Ok(());
                }
                wake();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Input for &mut Pump {
    fn read_into(&mut self, arena: &mut Arena, limit: usize) -> io::Result<Span> {
        let start = arena.len();
        while arena.len() - start < limit {
            match self.pieces.try_recv() {
                Ok(piece) => {
                    arena.push(&piece?);
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.ended = true;
                    break;
                }
            }
        }
        Ok(Span { start: start as u32, len: (arena.len() - start) as u32 })
    }
}

/// The process's stdin: one pump for all tasks, one after the other, with what the last one took but did not use.
#[derive(Debug, Default)]
pub(crate) struct Stdin {
    pub(crate) pump: Option<Pump>,
    pub(crate) unused: Vec<u8>,
}

/// Stdin exists once in a process, and a thread that waits for it cannot be ended; hence the one static here.
pub(crate) fn with_stdin<T>(act: impl FnOnce(&mut Stdin) -> T) -> T {
    static STDIN: OnceLock<Mutex<Stdin>> = OnceLock::new();
    act(&mut STDIN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner))
}
