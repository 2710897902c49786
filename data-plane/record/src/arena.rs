//! The append-only buffer that holds the text and bytes of one batch.

use std::io::{self, Read};

/// A slice of an [`Arena`]: 8 bytes, no lifetime. Only meaningful together with the arena that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Span {
    /// The part of this span from `from` on, `len` bytes long (both counted within the span).
    ///
    /// # Panics
    /// If the part does not lie within the span.
    #[must_use]
    pub fn slice(self, from: usize, len: usize) -> Self {
        assert!(from + len <= self.len as usize, "part {from}+{len} outside a span of {}", self.len);
        Self { start: self.start + from as u32, len: len as u32 }
    }
}

/// An append-only byte buffer of at most 4 GiB. Spans stay valid until [`Arena::clear`].
#[derive(Debug, Default, Clone)]
pub struct Arena {
    bytes: Vec<u8>,
}

impl Arena {
    /// The most bytes that an arena holds.
    pub const LIMIT_BYTES: usize = u32::MAX as usize;

    /// An empty arena with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity) }
    }

    /// Bytes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True when nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes that fit before a reallocation.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Forgets all spans, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Gives memory back beyond `capacity` bytes.
    pub fn shrink_to(&mut self, capacity: usize) {
        self.bytes.shrink_to(capacity);
    }

    /// Appends a copy of `bytes`.
    ///
    /// # Panics
    /// If the arena would exceed [`Arena::LIMIT_BYTES`]; batch limits keep far below it.
    pub fn push(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len();
        assert!(bytes.len() <= Self::LIMIT_BYTES - start, "arena is full");
        self.bytes.extend_from_slice(bytes);
        Span { start: start as u32, len: bytes.len() as u32 }
    }

    /// Reads once from `reader`, at most `limit` bytes, straight into the arena. An empty span is the end of the stream.
    ///
    /// # Errors
    /// Those of the reader; the arena is then unchanged.
    pub fn read_from(&mut self, reader: &mut impl Read, limit: usize) -> io::Result<Span> {
        let start = self.bytes.len();
        self.bytes.resize(start + limit.min(Self::LIMIT_BYTES - start), 0);
        let outcome = reader.read(&mut self.bytes[start..]);
        let read = *outcome.as_ref().unwrap_or(&0);
        self.bytes.truncate(start + read);
        outcome.map(|_| Span { start: start as u32, len: read as u32 })
    }

    /// Drops everything after the first `len` bytes. Spans beyond it become invalid.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// The bytes of a span.
    ///
    /// # Panics
    /// If the span was not made by this arena since its last `clear`.
    #[must_use]
    pub fn get(&self, span: Span) -> &[u8] {
        &self.bytes[span.start as usize..span.start as usize + span.len as usize]
    }

    /// The span of bytes that were taken from this arena; `None` if they lie elsewhere or are none.
    #[must_use]
    pub fn span_of(&self, part: &[u8]) -> Option<Span> {
        let start = part.as_ptr().addr().checked_sub(self.bytes.as_ptr().addr())?;
        let is_within = !part.is_empty() && start < self.bytes.len() && part.len() <= self.bytes.len() - start;
        is_within.then_some(Span { start: start as u32, len: part.len() as u32 })
    }

    /// All bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_outlive_growth_and_clear_keeps_capacity() {
        let mut arena = Arena::default();
        let first = arena.push(b"one");
        let second = arena.read_from(&mut &b"two and more"[..], 3).expect("reads");
        assert_eq!((arena.get(first), arena.get(second)), (&b"one"[..], &b"two"[..]));
        assert_eq!(arena.get(second.slice(1, 2)), b"wo");
        assert_eq!(arena.span_of(&arena.get(second)[1..]), Some(second.slice(1, 2)));
        assert_eq!([&b"two"[..], &arena.get(first)[..0]].map(|other| arena.span_of(other)), [None, None]);
        let capacity = arena.capacity();
        arena.clear();
        assert!(arena.is_empty() && arena.capacity() == capacity);
    }
}
