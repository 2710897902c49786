//! One record of a batch, open for change: what transforms work on.

use std::sync::Arc;

use super::{Header, Headers, NO_TIMESTAMP, Position, RecordBatch, Row, Run, RunHead, same_pointer, same_text};
use crate::arena::Arena;
use crate::schema::Schema;
use crate::value::Value;

/// Which half of a record: transforms exist for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Side {
    Key,
    Value,
}

/// A record of a batch, open for change. What is not set stays shared with its run.
#[derive(Debug)]
pub struct OpenRecord<'a> {
    /// The batch's text and bytes.
    pub arena: &'a mut Arena,
    row: &'a mut Row,
    head: &'a RunHead,
    table: &'a mut Vec<Header>,
    changed: Changed,
}

/// What a record no longer shares with its run.
#[derive(Debug, Default)]
struct Changed {
    topic: Option<Arc<str>>,
    key_schema: Option<Option<Arc<Schema>>>,
    value_schema: Option<Option<Arc<Schema>>>,
}

impl OpenRecord<'_> {
    /// The record's topic.
    #[must_use]
    pub fn topic(&self) -> &Arc<str> {
        self.changed.topic.as_ref().unwrap_or(&self.head.topic)
    }

    /// The record's topic as a text value of the batch.
    pub fn topic_value(&mut self) -> Value {
        let topic = self.changed.topic.as_ref().unwrap_or(&self.head.topic);
        Value::StringSpan(self.arena.push(topic.as_bytes()))
    }

    /// Sends the record to another topic.
    pub fn set_topic(&mut self, topic: Arc<str>) {
        self.changed.topic = Some(topic);
    }

    /// Schema of the key or of the value; `None` is schemaless.
    #[must_use]
    pub fn schema(&self, side: Side) -> Option<&Arc<Schema>> {
        let (changed, shared) = match side {
            Side::Key => (&self.changed.key_schema, &self.head.key_schema),
            Side::Value => (&self.changed.value_schema, &self.head.value_schema),
        };
        changed.as_ref().unwrap_or(shared).as_ref()
    }

    /// The key or the value.
    #[must_use]
    pub fn value(&self, side: Side) -> &Value {
        match side {
            Side::Key => &self.row.key,
            Side::Value => &self.row.value,
        }
    }

    /// The key or the value, to be changed in place under the schema that it has.
    pub fn value_mut(&mut self, side: Side) -> &mut Value {
        match side {
            Side::Key => &mut self.row.key,
            Side::Value => &mut self.row.value,
        }
    }

    /// Replaces the key or the value together with its schema.
    pub fn set(&mut self, side: Side, schema: Option<Arc<Schema>>, value: Value) {
        let changed = match side {
            Side::Key => &mut self.changed.key_schema,
            Side::Value => &mut self.changed.value_schema,
        };
        *changed = Some(schema);
        *self.value_mut(side) = value;
    }

    /// The Kafka partition to write to (source) or read from (sink), if there is one.
    #[must_use]
    pub fn kafka_partition(&self) -> Option<i32> {
        self.row.partition()
    }

    /// Milliseconds since the epoch, if there is a timestamp.
    #[must_use]
    pub fn timestamp(&self) -> Option<i64> {
        self.row.timestamp_ms()
    }

    /// Sets or removes the timestamp, in milliseconds since the epoch.
    pub fn set_timestamp(&mut self, timestamp: Option<i64>) {
        self.row.timestamp = timestamp.unwrap_or(NO_TIMESTAMP);
    }

    /// The offset at which a sink's record was consumed; `None` for source records.
    #[must_use]
    pub fn kafka_offset(&self) -> Option<i64> {
        if let Position::Kafka(offset) = self.row.position { Some(offset) } else { None }
    }

    /// The record's headers in order; keys may repeat.
    #[must_use]
    pub fn headers(&self) -> &[Header] {
        &self.table[self.row.headers.range()]
    }

    /// The text of a header's key; invalid UTF-8 reads as empty.
    #[must_use]
    pub fn header_key(&self, header: &Header) -> &str {
        std::str::from_utf8(self.arena.get(header.key)).unwrap_or_default()
    }

    /// Replaces all headers.
    ///
    /// # Panics
    /// If the batch would hold more than `u32::MAX` headers.
    pub fn set_headers(&mut self, headers: impl IntoIterator<Item = Header>) {
        let start = self.table.len();
        self.table.extend(headers);
        assert!(u32::try_from(self.table.len()).is_ok(), "too many headers in a batch");
        self.row.headers = Headers { start: start as u32, len: (self.table.len() - start) as u32 };
    }

    /// Appends a header.
    ///
    /// # Panics
    /// As [`OpenRecord::set_headers`].
    pub fn add_header(&mut self, key: &str, schema: Option<Arc<Schema>>, value: Value) {
        let key = self.arena.push(key.as_bytes());
        let range = self.row.headers.range();
        // Only a row whose headers end the table can grow in place.
        if range.end != self.table.len() {
            let start = self.table.len();
            self.table.extend_from_within(range);
            self.row.headers = Headers { start: start as u32, len: (self.table.len() - start) as u32 };
        }
        self.table.push(Header { key, schema, value });
        assert!(u32::try_from(self.table.len()).is_ok(), "too many headers in a batch");
        self.row.headers.len += 1;
    }
}

impl RecordBatch {
    /// Opens each row in turn for change, then groups the rows in runs anew. Number and order of rows stay. `change` gets the row's index.
    pub fn rewrite(&mut self, mut change: impl FnMut(usize, &mut OpenRecord<'_>)) {
        let old = std::mem::take(&mut self.runs);
        let mut runs: Vec<Run> = Vec::with_capacity(old.len());
        for (index, run) in old.iter().enumerate() {
            let end = old.get(index + 1).map_or(self.rows.len(), |next| next.first_row);
            for at in run.first_row..end {
                let mut record = OpenRecord {
                    arena: &mut self.arena,
                    row: &mut self.rows[at],
                    head: &run.head,
                    table: &mut self.headers,
                    changed: Changed::default(),
                };
                change(at, &mut record);
                let changed = record.changed;
                let is_first = at == run.first_row;
                if !runs.last().is_some_and(|last| changed.continues(&run.head, &last.head, is_first)) {
                    runs.push(Run { first_row: at, head: changed.into_head(&run.head) });
                }
            }
        }
        self.runs = runs;
    }
}

impl Changed {
    /// Whether a row with these changes to `own` belongs to the run of `last`. What transforms cannot change is compared
    /// only where the old runs change.
    fn continues(&self, own: &RunHead, last: &RunHead, is_first: bool) -> bool {
        let topic = self.topic.as_ref().unwrap_or(&own.topic);
        let key_schema = self.key_schema.as_ref().unwrap_or(&own.key_schema);
        let value_schema = self.value_schema.as_ref().unwrap_or(&own.value_schema);
        same_text(topic, &last.topic)
            && same_pointer(key_schema.as_ref(), last.key_schema.as_ref())
            && same_pointer(value_schema.as_ref(), last.value_schema.as_ref())
            && (!is_first || own.same_place(last))
    }

    fn into_head(self, own: &RunHead) -> RunHead {
        RunHead {
            topic: self.topic.unwrap_or_else(|| Arc::clone(&own.topic)),
            key_schema: self.key_schema.unwrap_or_else(|| own.key_schema.clone()),
            value_schema: self.value_schema.unwrap_or_else(|| own.value_schema.clone()),
            source_partition: own.source_partition.clone(),
            offset_field: own.offset_field.clone(),
            origin: own.origin.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(topics: &[&str]) -> RecordBatch {
        let mut batch = RecordBatch::new();
        for (index, topic) in topics.iter().enumerate() {
            let head = RunHead { topic: (*topic).into(), ..RunHead::default() };
            batch.push(&head, Row::new(Value::Null, Value::Int64(index as i64), Position::Kafka(index as i64)));
        }
        batch
    }

    fn lengths(batch: &RecordBatch) -> Vec<(String, usize)> {
        batch.runs().map(|(head, rows)| (head.topic.to_string(), rows.len())).collect()
    }

    #[test]
    fn runs_split_and_join_as_rows_change() {
        let mut batch = batch(&["a", "a", "b", "b"]);
        batch.rewrite(|index, record| {
            if index == 1 {
                record.set_topic("b".into());
                assert_eq!(record.topic_value().as_str(record.arena), Some("b"));
            }
        });
        assert_eq!(lengths(&batch), [("a".to_owned(), 1), ("b".to_owned(), 3)]);
        let schema = Schema::string();
        batch.rewrite(|index, record| record.set(Side::Value, Some(Arc::clone(schema)), Value::Int8(index as i8)));
        assert_eq!(lengths(&batch), [("a".to_owned(), 1), ("b".to_owned(), 3)]);
        assert!(batch.runs().all(|(head, _)| head.value_schema.is_some() && head.key_schema.is_none()));
        batch.rewrite(|index, record| {
            if index == 2 {
                record.set(Side::Value, None, Value::Null);
            }
        });
        assert_eq!(batch.runs().count(), 4);
        assert_eq!(batch.rows()[3].value, Value::Int8(3));
    }

    #[test]
    fn headers_are_replaced_and_appended_without_touching_other_rows() {
        let mut batch = batch(&["a", "a"]);
        batch.rewrite(|_, record| {
            record.add_header("h", None, Value::Int8(1));
            record.add_header("h", None, Value::Int8(2));
        });
        batch.rewrite(|index, record| {
            if index == 0 {
                record.add_header("x", None, Value::Int8(3));
                assert_eq!(record.header_key(&record.headers()[2]), "x");
            } else {
                record.set_headers([]);
            }
        });
        let of = |row: usize| {
            let headers = batch.headers(batch.rows()[row].headers);
            headers.iter().map(|header| header.value.clone()).collect::<Vec<_>>()
        };
        assert_eq!(of(0), [Value::Int8(1), Value::Int8(2), Value::Int8(3)]);
        assert!(of(1).is_empty());
    }
}
