//! Line splitting against a plain reference, under every way in which bytes may arrive.

use super::*;
use data_plane_record::{RunHead, SourcePartition};
use std::sync::Arc;

const NO_LIMITS: BatchLimits = BatchLimits { records: 1_000_000, bytes: 1 << 30 };

/// Gives bytes in pieces of the sizes named, then nothing.
struct Pieces<'a> {
    bytes: &'a [u8],
    sizes: Vec<usize>,
}

impl io::Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes.pop().unwrap_or(0).min(self.bytes.len()).min(buffer.len());
        buffer[..size].copy_from_slice(&self.bytes[..size]);
        self.bytes = &self.bytes[size..];
        Ok(size)
    }
}

fn begin(batch: &mut RecordBatch) {
    let partition = Some(Arc::new(SourcePartition::default()));
    batch.begin_run(&RunHead { source_partition: partition, ..RunHead::default() });
}

fn template() -> Row {
    Row::new(Value::Null, Value::Null, Position::None)
}

fn rows(batch: &RecordBatch) -> Vec<(String, i64)> {
    let read = |row: &Row| match row.position {
        Position::SourceField(position) => (row.value.as_str(&batch.arena).expect("text").to_owned(), position),
        other => panic!("position {other:?}"),
    };
    batch.rows().iter().map(read).collect()
}

/// Lines and the positions after them, the slow way.
fn reference(bytes: &[u8]) -> Vec<(String, i64)> {
    let (mut lines, mut line, mut at) = (Vec::new(), Vec::new(), 0);
    while at < bytes.len() {
        let end = match (bytes[at], bytes.get(at + 1)) {
            (b'\r', None) => break,
            (b'\r', Some(b'\n')) => 2,
            (b'\r' | b'\n', _) => 1,
            (byte, _) => {
                line.push(byte);
                at += 1;
                continue;
            }
        };
        at += end;
        lines.push((String::from_utf8_lossy(&line).into_owned(), at as i64));
        line.clear();
    }
    lines
}

fn next_random(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

#[test]
fn lines_are_the_same_however_the_bytes_arrive() {
    let alphabet: [&[u8]; 8] = [b"\n", b"\r", b"\r\n", b"a", b"bc", "ü".as_bytes(), "😀".as_bytes(), b"\xff"];
    for seed in 0..2_000 {
        let mut state = seed;
        let length = next_random(&mut state) % 60;
        let bytes: Vec<u8> =
            (0..length).flat_map(|_| alphabet[next_random(&mut state) % alphabet.len()].to_vec()).collect();
        let sizes = (0..200).map(|_| next_random(&mut state) % 5).collect();
        let limits = BatchLimits { records: 1 + next_random(&mut state) % 5, bytes: 1 + next_random(&mut state) % 20 };
        let mut input = Pieces { bytes: &bytes, sizes };
        let mut lines = LineReader::new(0, &[]);
        let mut found = Vec::new();
        let mut batch = RecordBatch::new();
        for _ in 0..400 {
            batch.clear();
            begin(&mut batch);
            lines.fill(&mut input, &mut batch, limits, &template(), true).expect("reads");
            assert!(batch.len() <= limits.records * 2);
            found.extend(rows(&batch));
        }
        assert_eq!(found, reference(&bytes), "seed {seed}: {bytes:?}");
        let consumed = found.last().map_or(0, |(_, position)| *position as usize);
        assert_eq!(lines.tail(), &bytes[consumed..], "seed {seed}");
    }
}

#[test]
fn a_trailing_return_waits_for_the_next_byte() {
    let mut lines = LineReader::new(10, &[]);
    let mut batch = RecordBatch::new();
    begin(&mut batch);
    lines.fill(&mut &b"one\r"[..], &mut batch, NO_LIMITS, &template(), true).expect("reads");
    assert!(batch.is_empty());
    lines.fill(&mut &b"\ntwo\rthree"[..], &mut batch, NO_LIMITS, &template(), true).expect("reads");
    assert_eq!(rows(&batch), [("one".to_owned(), 15), ("two".to_owned(), 19)]);
}

#[test]
fn lines_longer_than_a_chunk_arrive_whole() {
    let length = 5 * CHUNK_BYTES + 17;
    let mut bytes = vec![b'x'; length];
    bytes.extend_from_slice(b"\nshort\n");
    let mut input = &bytes[..];
    let mut lines = LineReader::new(0, &[]);
    let mut batch = RecordBatch::new();
    let mut polls = 0;
    while batch.len() < 2 {
        begin(&mut batch);
        let limits = BatchLimits { records: 10, bytes: 1000 };
        lines.fill(&mut input, &mut batch, limits, &template(), true).expect("reads");
        polls += 1;
        assert!(polls < 20, "no progress");
    }
    let found = rows(&batch);
    assert_eq!((found[0].0.len(), found[0].1), (length, length as i64 + 1));
    assert_eq!(found[1].0, "short");
}

#[test]
fn rows_before_others_in_a_batch_stay() {
    let mut batch = RecordBatch::new();
    let kept = batch.arena.push(b"kept");
    begin(&mut batch);
    batch.push_row(Row::new(Value::Null, Value::StringSpan(kept), Position::SourceField(0)));
    let mut lines = LineReader::new(0, b"in hand, ");
    lines.fill(&mut &b"read\n"[..], &mut batch, NO_LIMITS, &template(), true).expect("reads");
    assert_eq!(rows(&batch), [("kept".to_owned(), 0), ("in hand, read".to_owned(), 14)]);
}
