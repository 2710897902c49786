//! Source partitions and source offsets: small ordered maps, in the order in which the plugin wrote them.
//! The order is part of a partition's identity, since lookups in the offsets topic compare raw key bytes.

use std::ops::Deref;
use std::sync::Arc;

/// A value in a source partition or source offset. Connect allows primitives only; `Int` stands for all of Java's integer types.
#[derive(Clone, Debug)]
pub enum OffsetValue {
    /// Java's null.
    Null,
    /// boolean
    Boolean(bool),
    /// byte, short, int or long
    Int(i64),
    /// float: kept apart from double because its text form differs
    Float(f32),
    /// double
    Double(f64),
    /// String
    String(Arc<str>),
    /// byte[]
    Bytes(Arc<[u8]>),
}

impl OffsetValue {
    /// The integer held, if it is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        if let Self::Int(value) = self { Some(*value) } else { None }
    }

    /// The text held, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(value) = self { Some(value) } else { None }
    }
}

impl PartialEq for OffsetValue {
    /// Floats compare by their bits, so that equality is total.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Double(a), Self::Double(b)) => a.to_bits() == b.to_bits(),
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for OffsetValue {}

impl From<i64> for OffsetValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for OffsetValue {
    fn from(value: &str) -> Self {
        Self::String(value.into())
    }
}

impl From<bool> for OffsetValue {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

/// An ordered map from field name to value. Equality includes the order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OffsetMap {
    entries: Vec<(Arc<str>, OffsetValue)>,
}

impl OffsetMap {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The map with one more entry; an entry of the same name is replaced in place (as a Java `LinkedHashMap` does).
    #[must_use]
    pub fn with(mut self, name: impl Into<Arc<str>>, value: impl Into<OffsetValue>) -> Self {
        self.insert(name.into(), value.into());
        self
    }

    /// Adds an entry at the end, or replaces the value of the entry of that name in place.
    pub fn insert(&mut self, name: Arc<str>, value: OffsetValue) {
        match self.entries.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((name, value)),
        }
    }

    /// The value of a field; `None` if the field is absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OffsetValue> {
        self.entries.iter().find(|(known, _)| &**known == name).map(|(_, value)| value)
    }

    /// Entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &OffsetValue)> {
        self.entries.iter().map(|(name, value)| (name, value))
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// True when both hold the same entries in whatever order: the same *logical* partition, spelled differently or not.
    #[must_use]
    pub fn same_entries(&self, other: &Self) -> bool {
        self.len() == other.len() && self.entries.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

impl FromIterator<(Arc<str>, OffsetValue)> for OffsetMap {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, OffsetValue)>>(entries: I) -> Self {
        let mut map = Self::new();
        entries.into_iter().for_each(|(name, value)| map.insert(name, value));
        map
    }
}

/// Where in the source system a record came from, such as `{"filename":"in.txt"}`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SourcePartition(pub OffsetMap);

/// How far a source partition was read, such as `{"position":30}`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SourceOffset(pub OffsetMap);

impl Deref for SourcePartition {
    type Target = OffsetMap;
    fn deref(&self) -> &OffsetMap {
        &self.0
    }
}

impl Deref for SourceOffset {
    type Target = OffsetMap;
    fn deref(&self) -> &OffsetMap {
        &self.0
    }
}

impl From<OffsetMap> for SourcePartition {
    fn from(map: OffsetMap) -> Self {
        Self(map)
    }
}

impl From<OffsetMap> for SourceOffset {
    fn from(map: OffsetMap) -> Self {
        Self(map)
    }
}
