//! The source partitions that a task has produced for, and offsets within them, kept small while they are in flight.

use std::collections::HashMap;
use std::sync::Arc;

use data_plane_connector_api::ConnectError;
use data_plane_core::acks::{Acks, PartitionId};
use data_plane_core::offsets;
use data_plane_record::{OffsetMap, SourceOffset, SourcePartition};

/// A source offset of a record in flight.
#[derive(Debug, Clone)]
pub(super) enum Mark {
    /// A single integer; the field's name is known to the partition under this number.
    Field { field: u16, value: i64 },
    /// Anything else.
    Map(Box<SourceOffset>),
}

struct Known {
    /// `None`: records that have no source partition. Their offsets are not kept.
    partition: Option<Arc<SourcePartition>>,
    key: Vec<u8>,
    fields: Vec<Arc<str>>,
}

/// All partitions of a task, by number.
pub(super) struct SourcePartitions {
    connector: String,
    known: Vec<Known>,
    by_key: HashMap<Vec<u8>, PartitionId>,
    latest: Option<(Option<Arc<SourcePartition>>, PartitionId)>,
}

impl SourcePartitions {
    pub(super) fn new(connector: &str) -> Self {
        Self { connector: connector.to_owned(), known: Vec::new(), by_key: HashMap::new(), latest: None }
    }

    /// The number of a run's partition. Partitions are the same if their keys in the offsets topic are.
    pub(super) fn number(
        &mut self,
        partition: Option<&Arc<SourcePartition>>,
        acks: &mut Acks<Mark>,
    ) -> Result<PartitionId, ConnectError> {
        if let Some((latest, number)) = &self.latest {
            let is_same = match (latest, partition) {
                (Some(latest), Some(partition)) => Arc::ptr_eq(latest, partition),
                (None, None) => true,
                _ => false,
            };
            if is_same {
                return Ok(*number);
            }
        }
        let key = offsets::key_bytes(&self.connector, partition.map(|partition| &partition.0));
        let number = match self.by_key.get(&key) {
            Some(number) => *number,
            None => {
                let number = acks.add_partition().map_err(|error| ConnectError::connect(error.to_string()))?;
                self.by_key.insert(key.clone(), number);
                self.known.push(Known { partition: partition.cloned(), key, fields: Vec::new() });
                number
            }
        };
        self.latest = Some((partition.cloned(), number));
        Ok(number)
    }

    /// The number of an offset field's name.
    pub(super) fn field(&mut self, number: PartitionId, name: Option<&Arc<str>>) -> Result<u16, ConnectError> {
        let Some(name) = name else { return Ok(u16::MAX) };
        let fields = &mut self.known[number.index()].fields;
        let index = fields.iter().position(|known| known == name).unwrap_or_else(|| {
            fields.push(Arc::clone(name));
            fields.len() - 1
        });
        let too_many = || ConnectError::connect("a source partition's offsets use more than 65534 field names");
        u16::try_from(index).ok().filter(|index| *index != u16::MAX).ok_or_else(too_many)
    }

    pub(super) fn source_partition(&self, number: PartitionId) -> Option<Arc<SourcePartition>> {
        self.known[number.index()].partition.clone()
    }

    /// The whole offset of a mark.
    pub(super) fn source_offset(&self, number: PartitionId, mark: &Mark) -> SourceOffset {
        match mark {
            Mark::Map(offset) => (**offset).clone(),
            Mark::Field { field, value } => match self.known[number.index()].fields.get(usize::from(*field)) {
                Some(name) => SourceOffset(OffsetMap::new().with(Arc::clone(name), *value)),
                None => SourceOffset::default(),
            },
        }
    }

    /// The partition's key in the offsets topic; `None` if its offsets are not kept.
    pub(super) fn key(&self, number: PartitionId) -> Option<&[u8]> {
        let known = &self.known[number.index()];
        known.partition.as_ref().map(|_| known.key.as_slice())
    }

    /// The partition as JSON, as the key holds it after the connector's name.
    pub(super) fn json(&self, number: PartitionId) -> String {
        let known = &self.known[number.index()];
        let prefix = offsets::key_bytes(&self.connector, None).len() - "null]".len();
        String::from_utf8_lossy(&known.key[prefix..known.key.len() - 1]).into_owned()
    }

    /// Which record it is, for people: partition and offset as the offsets topic has them.
    pub(super) fn describe(&self, number: PartitionId, mark: Option<&Mark>) -> String {
        let offset = mark.map(|mark| offsets::value_bytes(&self.source_offset(number, mark)));
        let offset = offset.map_or_else(|| "null".into(), |json| String::from_utf8_lossy(&json).into_owned());
        format!("{{partition={}, offset={offset}}}", self.json(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_numbered_by_their_keys() {
        let mut acks = Acks::new();
        let mut partitions = SourcePartitions::new("c");
        let partition = |name: &str| Arc::new(SourcePartition(OffsetMap::new().with("filename", name)));
        let first = partitions.number(Some(&partition("a")), &mut acks).unwrap();
        let second = partitions.number(Some(&partition("b")), &mut acks).unwrap();
        assert_ne!(first, second);
        assert_eq!(partitions.number(Some(&partition("a")), &mut acks).unwrap(), first);
        assert_eq!(partitions.json(first), r#"{"filename":"a"}"#);
        assert_eq!(partitions.key(second), Some(&br#"["c",{"filename":"b"}]"#[..]));
        let field = partitions.field(first, Some(&"position".into())).unwrap();
        let offset = partitions.source_offset(first, &Mark::Field { field, value: 30 });
        assert_eq!(offsets::value_bytes(&offset), br#"{"position":30}"#);
        let described = partitions.describe(first, Some(&Mark::Field { field, value: 30 }));
        assert_eq!(described, r#"{partition={"filename":"a"}, offset={"position":30}}"#);
        let none = partitions.number(None, &mut acks).unwrap();
        assert_eq!(partitions.key(none), None);
        assert_eq!(partitions.describe(none, None), "{partition=null, offset=null}");
    }
}
