//! Where the rows of a batch go: producer's topics, source partitions, and how far the batch has been handed over.

use std::sync::Arc;
use std::time::Instant;

use data_plane_broker::{Producer, TopicHandle};
use data_plane_connector_api::{ConnectError, Outcome};
use data_plane_core::acks::{Acks, PartitionId};
use data_plane_record::{Position, RecordBatch, Row};

use super::partitions::{Mark, SourcePartitions};
use super::topics::TopicCreation;
use crate::task::runtime::broker_error;

/// What the rows of a run share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    /// `None` where no row of the run is produced.
    pub(super) topic: Option<TopicHandle>,
    pub(super) source: PartitionId,
    field: u16,
    end: usize,
}

/// One batch being handed over.
#[derive(Default)]
pub(super) struct Sending {
    routes: Vec<Route>,
    route: usize,
    next: usize,
    end: usize,
    /// Names of the topics that this task has produced to, by the producer's handle.
    topics: Vec<Option<Arc<str>>>,
    /// Runs mostly repeat a topic.
    latest: Option<(TopicHandle, Arc<str>)>,
}

impl Sending {
    /// Finds, or creates, the topics of the rows that are produced, and the numbers of their source partitions. `rows` is how many
    /// rows are handed over. False when the time was over first: it is called again then, and goes on.
    ///
    /// # Errors
    /// When a topic is neither there nor can be created. It may be called again, and goes on.
    pub(super) fn begin(
        &mut self,
        batch: &RecordBatch,
        (outcomes, rows): (&[Outcome], usize),
        producer: &mut dyn Producer,
        creation: &mut TopicCreation,
        (partitions, acks): (&mut SourcePartitions, &mut Acks<Mark>),
        until: Instant,
    ) -> Result<bool, ConnectError> {
        let mut first = self.routes.last().map_or(0, |route| route.end);
        for (head, run) in batch.runs().skip(self.routes.len()) {
            if first >= rows {
                break;
            }
            let end = first + run.len();
            let source = partitions.number(head.source_partition.as_ref(), acks)?;
            let field = partitions.field(source, head.offset_field.as_ref())?;
            let is_produced = outcomes[first..end.min(rows)].iter().any(Outcome::is_ok);
            let topic = if is_produced { Some(self.topic_handle(&head.topic, producer, creation)?) } else { None };
            self.routes.push(Route { topic, source, field, end });
            first = end;
            if creation.has_asked() && Instant::now() >= until {
                return Ok(false);
            }
        }
        creation.rest();
        self.end = rows;
        Ok(true)
    }

    fn topic_handle(
        &mut self,
        name: &Arc<str>,
        producer: &mut dyn Producer,
        creation: &mut TopicCreation,
    ) -> Result<TopicHandle, ConnectError> {
        if let Some((handle, _)) = self.latest.as_ref().filter(|(_, latest)| latest == name) {
            return Ok(*handle);
        }
        creation.ensure(name)?;
        let failed = |error| broker_error(&format!("Opening topic {name} failed"), &error);
        let handle = producer.topic(name).map_err(failed)?;
        if self.topics.len() <= handle.index() {
            self.topics.resize(handle.index() + 1, None);
        }
        self.topics[handle.index()].get_or_insert_with(|| Arc::clone(name));
        self.latest = Some((handle, Arc::clone(name)));
        Ok(handle)
    }

    /// The name of a topic that was produced to.
    pub(super) fn topic(&self, handle: TopicHandle) -> Option<&Arc<str>> {
        self.topics.get(handle.index())?.as_ref()
    }

    /// Whether a row is left.
    pub(super) fn has_next(&self) -> bool {
        self.next < self.end
    }

    /// The next row and its route; the same again until [`Sending::advance`].
    pub(super) fn next(&mut self) -> Option<(usize, Route)> {
        if !self.has_next() {
            return None;
        }
        while self.routes.get(self.route).is_some_and(|route| route.end <= self.next) {
            self.route += 1;
        }
        Some((self.next, *self.routes.get(self.route)?))
    }

    /// The next row was handed over.
    pub(super) fn advance(&mut self) {
        self.next += 1;
    }

    /// Nothing more of this batch is handed over.
    pub(super) fn cut(&mut self) {
        self.end = self.next;
    }

    /// Forgets the batch, keeps memory and topics.
    pub(super) fn clear(&mut self) {
        self.routes.clear();
        (self.route, self.next, self.end) = (0, 0, 0);
    }
}

impl Route {
    /// A row's source offset, in its small form.
    pub(super) fn mark(&self, batch: &RecordBatch, at: usize, row: &Row) -> Option<Mark> {
        match row.position {
            Position::SourceField(value) => {
                (self.field != u16::MAX).then_some(Mark::Field { field: self.field, value })
            }
            Position::SourceMap(_) => {
                let offset = batch.head_of(at).and_then(|head| batch.source_offset(head, row.position));
                offset.map(|offset| Mark::Map(Box::new(offset)))
            }
            Position::None | Position::Kafka(_) => None,
        }
    }
}
