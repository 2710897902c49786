//! Splits a stream of bytes into lines, straight in a batch's arena.
//!
//! A line ends with `\n`, `\r` or `\r\n`. What follows the last line end is held back until its end arrives; so is a `\r` at the very
//! end, whose `\n` may follow. Knows neither files nor threads.

use std::io;

use data_plane_connector_api::BatchLimits;
use data_plane_record::{Arena, Position, RecordBatch, Row, Span, Value, java_text};

/// Most bytes of one read.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;
const SMALLEST_CHUNK_BYTES: usize = 16 << 10;
/// Longest line; beyond it the task fails.
pub(crate) const LONGEST_LINE_BYTES: usize = 256 << 20;

/// Where bytes come from.
pub(crate) trait Input {
    /// Appends at most about `limit` bytes to the arena; an empty span is "nothing now".
    fn read_into(&mut self, arena: &mut Arena, limit: usize) -> io::Result<Span>;
}

impl<R: io::Read> Input for R {
    fn read_into(&mut self, arena: &mut Arena, limit: usize) -> io::Result<Span> {
        arena.read_from(self, limit)
    }
}

/// The state between polls.
#[derive(Debug)]
pub(crate) struct LineReader {
    /// Bytes read that no row holds yet.
    tail: Arena,
    /// How much of the tail is known to hold no complete line end.
    scanned: usize,
    /// Position in the stream of the tail's first byte.
    position: u64,
    /// Bytes of an average line so far, for the size of reads.
    average_line_bytes: usize,
}

impl LineReader {
    /// Starts at a position of the stream, with bytes already taken from there.
    pub(crate) fn new(position: u64, taken: &[u8]) -> Self {
        let mut tail = Arena::default();
        tail.push(taken);
        Self { tail, scanned: 0, position, average_line_bytes: 128 }
    }

    /// Bytes read beyond the last line.
    pub(crate) fn tail(&self) -> &[u8] {
        self.tail.as_slice()
    }

    /// Appends rows until a limit is reached or there is no input now. True means that there may be more right away.
    ///
    /// Rows go to the current run of the batch. Their offset is the position after the line end if `with_positions`.
    pub(crate) fn fill(
        &mut self,
        input: &mut impl Input,
        batch: &mut RecordBatch,
        limits: BatchLimits,
        template: &Row,
        with_positions: bool,
    ) -> io::Result<bool> {
        if self.tail.len() >= CHUNK_BYTES && self.scanned + 1 >= self.tail.len() {
            match self.grow_long_line(input)? {
                Growth::MayHaveEnded => {}
                Growth::GoesOn => return Ok(true),
                Growth::NothingNow => return Ok(false),
            }
        }
        let first_row = batch.len();
        let start = batch.arena.len();
        batch.arena.push(self.tail.as_slice());
        let mut splitter = Splitter {
            line_start: start,
            scanned: start + self.scanned,
            row_limit: first_row.saturating_add(limits.records.saturating_mul(2)),
            position_of_zero: self.position.wrapping_sub(start as u64),
            with_positions,
        };
        let outcome = loop {
            let full = splitter.split(batch, template);
            let (rows, bytes) = (batch.len() - first_row, batch.arena.len() - start);
            let enough = rows >= limits.records || bytes >= limits.bytes;
            if full || rows > 0 && enough || batch.arena.len() - splitter.line_start >= CHUNK_BYTES {
                break Ok(true);
            }
            let expected = limits.records.saturating_sub(rows).saturating_mul(self.average_line_bytes);
            let wanted = expected.clamp(SMALLEST_CHUNK_BYTES, CHUNK_BYTES);
            match input.read_into(&mut batch.arena, wanted) {
                Ok(span) if span.len == 0 => break Ok(false),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.position += (splitter.line_start - start) as u64;
        self.tail.clear();
        self.tail.push(&batch.arena.as_slice()[splitter.line_start..]);
        self.scanned = splitter.scanned - splitter.line_start;
        batch.arena.truncate(splitter.line_start);
        if let Some(average) = (splitter.line_start - start).checked_div(batch.len() - first_row) {
            self.average_line_bytes = average.max(1);
            replace_malformed(batch, start, first_row);
        }
        outcome
    }

    /// Reads on within a line that is longer than a chunk, without moving what is there.
    fn grow_long_line(&mut self, input: &mut impl Input) -> io::Result<Growth> {
        if self.tail.len() >= LONGEST_LINE_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the line at byte {} is longer than {LONGEST_LINE_BYTES} bytes", self.position),
            ));
        }
        if input.read_into(&mut self.tail, CHUNK_BYTES)?.len == 0 {
            return Ok(Growth::NothingNow);
        }
        if memchr::memchr2(b'\n', b'\r', &self.tail.as_slice()[self.scanned..]).is_some() {
            return Ok(Growth::MayHaveEnded);
        }
        self.scanned = self.tail.len();
        Ok(Growth::GoesOn)
    }
}

/// What a read within a long line found.
enum Growth {
    MayHaveEnded,
    GoesOn,
    NothingNow,
}

/// The place in the arena up to which lines were split.
struct Splitter {
    line_start: usize,
    scanned: usize,
    row_limit: usize,
    position_of_zero: u64,
    with_positions: bool,
}

impl Splitter {
    /// Makes rows of the complete lines in the arena. True if it stopped at the row limit.
    fn split(&mut self, batch: &mut RecordBatch, template: &Row) -> bool {
        let arena = std::mem::take(&mut batch.arena);
        let bytes = arena.as_slice();
        let from = self.scanned;
        let mut full = false;
        self.scanned = bytes.len();
        for at in memchr::memchr2_iter(b'\n', b'\r', &bytes[from..]) {
            let end = from + at;
            if end < self.line_start {
                continue;
            }
            let next = match (bytes[end], bytes.get(end + 1)) {
                (b'\r', None) => {
                    self.scanned = end;
                    break;
                }
                (b'\r', Some(b'\n')) => end + 2,
                _ => end + 1,
            };
            if batch.len() >= self.row_limit {
                self.scanned = end;
                full = true;
                break;
            }
            let span = Span { start: self.line_start as u32, len: (end - self.line_start) as u32 };
            let position = match self.with_positions {
                true => Position::SourceField(self.position_of_zero.wrapping_add(next as u64) as i64),
                false => Position::None,
            };
            batch.push_row(Row { value: Value::StringSpan(span), position, key: Value::Null, ..*template });
            self.line_start = next;
        }
        batch.arena = arena;
        full
    }
}

/// Replaces the values of rows that are not UTF-8. One check covers all rows where, as nearly always, there are none.
fn replace_malformed(batch: &mut RecordBatch, start: usize, first_row: usize) {
    if std::str::from_utf8(&batch.arena.as_slice()[start..]).is_ok() {
        return;
    }
    let parts = batch.parts_mut();
    for row in &mut parts.rows[first_row..] {
        if let Value::StringSpan(span) = row.value {
            let bytes = parts.arena.get(span);
            if std::str::from_utf8(bytes).is_err() {
                row.value = Value::String(java_text::decode_utf8(bytes).into());
            }
        }
    }
}

#[cfg(test)]
mod tests;
