//! A batch of records: rows, grouped in runs that share topic, schemas and source partition.

mod open;

use std::sync::Arc;

pub use open::{OpenRecord, Side};

use crate::arena::{Arena, Span};
use crate::offset_map::{SourceOffset, SourcePartition};
use crate::schema::Schema;
use crate::value::Value;

/// [`Row::timestamp`] of a record without one.
pub const NO_TIMESTAMP: i64 = i64::MIN;

/// Where a sink's record was consumed, before any transform (KIP-793). The offset is in [`Position::Kafka`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
}

/// What the rows of a run share. Tasks keep one per partition and pass it by reference with each row.
#[derive(Clone, Debug, Default)]
pub struct RunHead {
    /// The record's topic.
    pub topic: Arc<str>,
    /// Schema of the keys; `None` is schemaless.
    pub key_schema: Option<Arc<Schema>>,
    /// Schema of the values; `None` is schemaless.
    pub value_schema: Option<Arc<Schema>>,
    /// Source records: the source partition.
    pub source_partition: Option<Arc<SourcePartition>>,
    /// Source records with [`Position::SourceField`]: the offset's only field, such as `position`.
    pub offset_field: Option<Arc<str>>,
    /// Sink records: the topic partition consumed.
    pub origin: Option<Origin>,
}

impl RunHead {
    /// Whether rows under both heads may share a run: schemas by pointer, the rest by pointer first, then by value.
    fn continues(&self, other: &Self) -> bool {
        same_text(&self.topic, &other.topic)
            && same_pointer(self.key_schema.as_ref(), other.key_schema.as_ref())
            && same_pointer(self.value_schema.as_ref(), other.value_schema.as_ref())
            && self.same_place(other)
    }

    /// Whether source partition, offset field and origin are the same.
    fn same_place(&self, other: &Self) -> bool {
        (match (&self.source_partition, &other.source_partition) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a == b,
            (None, None) => true,
            _ => false,
        }) && match (&self.offset_field, &other.offset_field) {
            (Some(a), Some(b)) => same_text(a, b),
            (None, None) => true,
            _ => false,
        } && match (&self.origin, &other.origin) {
            (Some(a), Some(b)) => a.partition == b.partition && same_text(&a.topic, &b.topic),
            (None, None) => true,
            _ => false,
        }
    }
}

fn same_text(a: &Arc<str>, b: &Arc<str>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

fn same_pointer<T>(a: Option<&Arc<T>>, b: Option<&Arc<T>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

/// Consecutive rows with one head. A run reaches to the next run's first row.
#[derive(Clone, Debug)]
pub struct Run {
    /// Index of its first row.
    pub first_row: usize,
    /// What its rows share.
    pub head: RunHead,
}

/// A record's place in its source or in Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Position {
    /// None given.
    #[default]
    None,
    /// Sink records: the offset in [`RunHead::origin`].
    Kafka(i64),
    /// Source records whose offset has the single integer field [`RunHead::offset_field`].
    SourceField(i64),
    /// Source records with any other offset: see [`RecordBatch::push_source_offset`].
    SourceMap(u32),
}

/// Kafka's timestamp types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "Kafka's own names")]
pub enum TimestampType {
    #[default]
    NoTimestampType,
    CreateTime,
    LogAppendTime,
}

/// One record. Take [`Row::new`] and set what differs.
#[derive(Clone, Debug)]
pub struct Row {
    /// The key.
    pub key: Value,
    /// The value.
    pub value: Value,
    /// Milliseconds since the epoch, or [`NO_TIMESTAMP`].
    pub timestamp: i64,
    /// Where it comes from.
    pub position: Position,
    /// The Kafka partition to write to (source) or the one read from (sink); negative is none.
    pub kafka_partition: i32,
    /// Its headers.
    pub headers: Headers,
    /// Sink records: the timestamp's type.
    pub timestamp_type: TimestampType,
}

const _: () = assert!(size_of::<Row>() <= 96);

impl Row {
    /// A record with neither timestamp, partition nor headers.
    #[must_use]
    pub fn new(key: Value, value: Value, position: Position) -> Self {
        Self {
            key,
            value,
            timestamp: NO_TIMESTAMP,
            position,
            kafka_partition: -1,
            headers: Headers::NONE,
            timestamp_type: TimestampType::NoTimestampType,
        }
    }

    /// The timestamp, if there is one.
    #[must_use]
    pub fn timestamp_ms(&self) -> Option<i64> {
        (self.timestamp != NO_TIMESTAMP).then_some(self.timestamp)
    }

    /// The Kafka partition, if there is one.
    #[must_use]
    pub fn partition(&self) -> Option<i32> {
        (self.kafka_partition >= 0).then_some(self.kafka_partition)
    }
}

/// A row's headers: a range of the batch's header table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Headers {
    start: u32,
    len: u32,
}

impl Headers {
    /// No headers.
    pub const NONE: Self = Self { start: 0, len: 0 };

    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The headers' range in [`BatchParts::headers`].
    #[must_use]
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

/// One header of a record. Keys may repeat.
#[derive(Clone, Debug)]
pub struct Header {
    /// The key, as text in the batch's arena.
    pub key: Span,
    /// Schema of the value.
    pub schema: Option<Arc<Schema>>,
    /// The value.
    pub value: Value,
}

/// The fields of a batch, borrowed apart, for stages that read rows while they append to the arena.
#[derive(Debug)]
pub struct BatchParts<'a> {
    /// The arena.
    pub arena: &'a mut Arena,
    /// The runs.
    pub runs: &'a [Run],
    /// The rows.
    pub rows: &'a mut [Row],
    /// All headers; see [`Headers::range`].
    pub headers: &'a [Header],
}

/// Records in order, with the bytes they point at. Meant to be cleared and filled again.
#[derive(Clone, Debug, Default)]
pub struct RecordBatch {
    /// Text and bytes of all rows.
    pub arena: Arena,
    runs: Vec<Run>,
    rows: Vec<Row>,
    headers: Vec<Header>,
    source_offsets: Vec<SourceOffset>,
}

impl RecordBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes sure that the next rows belong to a run of `head`. Clones it only when a new run starts.
    pub fn begin_run(&mut self, head: &RunHead) {
        let first_row = self.rows.len();
        match self.runs.last_mut() {
            Some(last) if last.head.continues(head) => {}
            Some(last) if last.first_row == first_row => last.head = head.clone(),
            _ => self.runs.push(Run { first_row, head: head.clone() }),
        }
    }

    /// Appends a row to the current run.
    ///
    /// # Panics
    /// If no run was begun since the last [`RecordBatch::clear`].
    pub fn push_row(&mut self, row: Row) {
        assert!(!self.runs.is_empty(), "begin_run comes before push_row");
        self.rows.push(row);
    }

    /// [`RecordBatch::begin_run`] and [`RecordBatch::push_row`] in one.
    pub fn push(&mut self, head: &RunHead, row: Row) {
        self.begin_run(head);
        self.rows.push(row);
    }

    /// Adds headers for a row that is about to be pushed.
    ///
    /// # Panics
    /// If the batch holds more than `u32::MAX` headers.
    pub fn push_headers(&mut self, headers: impl IntoIterator<Item = Header>) -> Headers {
        let start = self.headers.len();
        self.headers.extend(headers);
        assert!(u32::try_from(self.headers.len()).is_ok(), "too many headers in a batch");
        Headers { start: start as u32, len: (self.headers.len() - start) as u32 }
    }

    /// Keeps a source offset that is not a single integer, for a row that is about to be pushed.
    pub fn push_source_offset(&mut self, offset: SourceOffset) -> Position {
        self.source_offsets.push(offset);
        Position::SourceMap(self.source_offsets.len() as u32 - 1)
    }

    /// Each run's head with its rows.
    pub fn runs(&self) -> impl Iterator<Item = (&RunHead, &[Row])> {
        self.runs.iter().enumerate().filter_map(|(index, run)| {
            let end = self.runs.get(index + 1).map_or(self.rows.len(), |next| next.first_row);
            (end > run.first_row).then(|| (&run.head, &self.rows[run.first_row..end]))
        })
    }

    /// The head of the run that a row belongs to (a binary search: for errors and acks, not for every record).
    #[must_use]
    pub fn head_of(&self, row: usize) -> Option<&RunHead> {
        let after = self.runs.partition_point(|run| run.first_row <= row);
        (row < self.rows.len()).then(|| &self.runs[after - 1].head)
    }

    /// All rows.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// All rows, to be changed in place.
    pub fn rows_mut(&mut self) -> &mut [Row] {
        &mut self.rows
    }

    /// The headers of a row.
    #[must_use]
    pub fn headers(&self, headers: Headers) -> &[Header] {
        &self.headers[headers.range()]
    }

    /// A row's source offset as a map; `None` for sink records and records without one.
    #[must_use]
    pub fn source_offset(&self, head: &RunHead, position: Position) -> Option<SourceOffset> {
        match position {
            Position::SourceField(value) => {
                let field = head.offset_field.clone()?;
                Some(SourceOffset([(field, value.into())].into_iter().collect()))
            }
            Position::SourceMap(index) => self.source_offsets.get(index as usize).cloned(),
            Position::None | Position::Kafka(_) => None,
        }
    }

    /// Keeps the rows that `keep` says, in order, and drops the others. Headers and text of dropped rows stay in memory.
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let old = std::mem::take(&mut self.runs);
        let mut firsts = old.iter().map(|run| run.first_row).skip(1).chain([usize::MAX]);
        let mut ends = firsts.next().unwrap_or(usize::MAX);
        let mut heads = old.iter().map(|run| &run.head);
        let mut head = heads.next();
        let (mut at, mut kept, mut is_new) = (0, 0, true);
        let mut runs: Vec<Run> = Vec::with_capacity(old.len());
        self.rows.retain(|_| {
            while at >= ends {
                ends = firsts.next().unwrap_or(usize::MAX);
                head = heads.next();
                is_new = true;
            }
            let is_kept = keep(at);
            at += 1;
            if is_kept {
                if let (true, Some(head)) = (std::mem::take(&mut is_new), head)
                    && !runs.last().is_some_and(|last| last.head.continues(head))
                {
                    runs.push(Run { first_row: kept, head: head.clone() });
                }
                kept += 1;
            }
            is_kept
        });
        self.runs = runs;
    }

    /// The batch's fields, borrowed apart.
    pub fn parts_mut(&mut self) -> BatchParts<'_> {
        BatchParts { arena: &mut self.arena, runs: &self.runs, rows: &mut self.rows, headers: &self.headers }
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True when there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Empties the batch, keeps its memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.runs.clear();
        self.rows.clear();
        self.headers.clear();
        self.source_offsets.clear();
    }

    /// Bytes held, for memory budgets: arena and rows; values boxed outside of the arena are not counted.
    #[must_use]
    pub fn approx_bytes(&self) -> usize {
        self.arena.len() + self.rows.len() * size_of::<Row>() + self.headers.len() * size_of::<Header>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset_map::OffsetMap;

    fn head(topic: &str, file: &str) -> RunHead {
        RunHead {
            topic: topic.into(),
            value_schema: Some(Schema::string().clone()),
            source_partition: Some(Arc::new(SourcePartition(OffsetMap::new().with("filename", file)))),
            offset_field: Some("position".into()),
            ..RunHead::default()
        }
    }

    #[test]
    fn equal_heads_share_a_run_and_others_start_one() {
        let mut batch = RecordBatch::new();
        for (topic, file) in [("t", "a"), ("t", "a"), ("t", "b"), ("u", "b"), ("u", "b")] {
            let span = batch.arena.push(file.as_bytes());
            batch.push(&head(topic, file), Row::new(Value::Null, Value::StringSpan(span), Position::SourceField(7)));
        }
        let lengths: Vec<_> = batch.runs().map(|(head, rows)| (&*head.topic, rows.len())).collect();
        assert_eq!(lengths, [("t", 2), ("t", 1), ("u", 2)]);
        assert_eq!(&*batch.head_of(3).expect("row 3").topic, "u");
        assert!(batch.head_of(5).is_none());
        let (head, rows) = batch.runs().next().expect("a run");
        let offset = batch.source_offset(head, rows[0].position).expect("an offset");
        assert_eq!(offset.get("position"), Some(&7.into()));
        batch.clear();
        assert_eq!((batch.len(), batch.runs().count()), (0, 0));
    }

    #[test]
    fn dropped_rows_leave_runs_whole() {
        let mut batch = RecordBatch::new();
        for (index, topic) in ["t", "t", "u", "t", "t", "v"].into_iter().enumerate() {
            batch.push(&head(topic, "a"), Row::new(Value::Null, Value::Int64(index as i64), Position::None));
        }
        batch.retain(|row| row != 1 && row != 2 && row != 3);
        let runs = |batch: &RecordBatch| {
            let values = |rows: &[Row]| rows.iter().filter_map(|row| row.value.as_int()).collect::<Vec<_>>();
            batch.runs().map(|(head, rows)| (head.topic.to_string(), values(rows))).collect::<Vec<_>>()
        };
        assert_eq!(runs(&batch), [("t".to_owned(), vec![0, 4]), ("v".to_owned(), vec![5])]);
        assert_eq!(batch.head_of(2).map(|head| &*head.topic), Some("v"));
        batch.retain(|_| false);
        assert!(batch.is_empty() && batch.runs().next().is_none() && batch.head_of(0).is_none());
    }

    #[test]
    fn an_empty_run_is_replaced_by_the_next() {
        let mut batch = RecordBatch::new();
        batch.begin_run(&head("t", "a"));
        batch.begin_run(&head("u", "a"));
        batch.push_row(Row::new(Value::Null, Value::Null, Position::None));
        assert_eq!(batch.runs().map(|(head, _)| head.topic.to_string()).collect::<Vec<_>>(), ["u"]);
    }

    #[test]
    fn headers_and_offset_maps_are_found_again() {
        let mut batch = RecordBatch::new();
        let key = batch.arena.push(b"h");
        let headers = batch.push_headers([Header { key, schema: None, value: Value::Int64(1) }]);
        let position = batch.push_source_offset(SourceOffset(OffsetMap::new().with("a", 1).with("b", "x")));
        batch.push(&head("t", "a"), Row { headers, ..Row::new(Value::Null, Value::Null, position) });
        let row = &batch.rows()[0];
        assert_eq!(batch.headers(row.headers)[0].value, Value::Int64(1));
        let offset = batch.source_offset(batch.head_of(0).expect("a head"), row.position).expect("an offset");
        assert_eq!(offset.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["a", "b"]);
    }
}
