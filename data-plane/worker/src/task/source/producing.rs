//! Handing a batch to the producer, row by row; rows that are left out get their dead letters here.

use std::sync::Arc;

use data_plane_broker::{Delivery, ProduceError, ProduceRow};
use data_plane_connector_api::{ConnectError, Outcome};
use data_plane_core::acks::Ticket;

use super::sending::Route;
use super::settling::letter_failed;
use super::{FATAL_LETTER, SourceUnit};

/// Rows produced under one passage of the gate.
const CHUNK: usize = 256;

impl SourceUnit {
    /// Hands rows over until all are, or the buffer is full (false).
    pub(super) fn produce(&mut self) -> Result<bool, ConnectError> {
        let gate = Arc::clone(&self.gate);
        while self.sending.has_next() {
            let handed = gate.pass(|| self.produce_chunk());
            // The task is told outside of the gate, whose closing waits for nobody.
            self.complete_left_out()?;
            match handed {
                Some(Ok(true)) => {}
                Some(result) => return result,
                None => return Err(ConnectError::retriable("the task's lease has ended")),
            }
        }
        self.batch.clear();
        self.sending.clear();
        Ok(true)
    }

    fn produce_chunk(&mut self) -> Result<bool, ConnectError> {
        for _ in 0..CHUNK {
            let Some((at, route)) = self.sending.next() else { break };
            let (Outcome::Ok, Some(topic)) = (&self.pipeline.outcomes()[at], route.topic) else {
                if !self.leave_out(at, route)? {
                    return Ok(false);
                }
                self.sending.advance();
                continue;
            };
            let row = &self.batch.rows()[at];
            let mark = route.mark(&self.batch, at, row);
            let ticket = self.ticket.take().unwrap_or_else(|| self.acks.send(route.source, mark));
            let wire = &self.pipeline.rows()[at];
            let arena = &self.batch.arena;
            let headers: Vec<(&str, Option<&[u8]>)> = self
                .pipeline
                .headers(wire)
                .iter()
                .map(|(name, value)| {
                    let name = std::str::from_utf8(arena.get(*name)).unwrap_or_default();
                    (name, value.map(|span| arena.get(span)))
                })
                .collect();
            let bytes = wire.key.map_or(0, |span| span.len) + wire.value.map_or(0, |span| span.len);
            let produced = self.producer.produce(&ProduceRow {
                topic,
                partition: row.partition(),
                timestamp: row.timestamp_ms(),
                key: wire.key.map(|span| arena.get(span)),
                value: wire.value.map(|span| arena.get(span)),
                headers: &headers,
                opaque: ticket.0,
            });
            match produced {
                Ok(()) => {}
                Err(ProduceError::QueueFull) => {
                    self.ticket = Some(ticket);
                    return Ok(false);
                }
                // Refused at once: reported like one that the broker refused.
                Err(ProduceError::Failed(error)) => {
                    self.deliveries.push(Delivery { opaque: ticket.0, result: Err(Box::new(error)) });
                }
            }
            self.dead_letters.remember(ticket, at);
            self.bytes += u64::from(bytes);
            if self.wants_record_acks {
                self.topic_of.insert(ticket.0, topic);
            }
            self.sending.advance();
        }
        Ok(true)
    }

    /// A row that is not produced: filtered, or failed. False when the buffer has no room for its dead letter.
    fn leave_out(&mut self, at: usize, route: Route) -> Result<bool, ConnectError> {
        let mark = route.mark(&self.batch, at, &self.batch.rows()[at]);
        let Outcome::Failed(failure) = &self.pipeline.outcomes()[at] else {
            let ticket = self.acks.send(route.source, mark);
            self.left_out.push(ticket);
            return Ok(true);
        };
        let mut failure = (**failure).clone();
        failure.cause = self.context.config.masks().error(failure.cause);
        let verdict = self.pipeline.policy().judge(&failure);
        let record = self.partitions.describe(route.source, mark.as_ref());
        // A record that fails the task keeps its place: it comes again after a restart.
        let ticket = match &verdict {
            Ok(()) => self.ticket.take().unwrap_or_else(|| self.acks.send(route.source, mark)),
            Err(_) => FATAL_LETTER,
        };
        let letter = self.dead_letters.letter_of_row(at, &failure);
        match self.dead_letters.send(&letter, ticket, &mut *self.producer) {
            Ok(()) => {}
            Err(ProduceError::QueueFull) => {
                self.ticket = verdict.is_ok().then_some(ticket);
                return Ok(false);
            }
            Err(ProduceError::Failed(error)) => {
                self.pipeline.counts.dead_letter_failures += 1;
                self.sending.cut();
                return Err(letter_failed(&error, self.dead_letters.topic_name(), &record));
            }
        }
        self.note(&failure, letter.is_some(), &record);
        match verdict {
            Ok(()) => {
                self.pipeline.counts.skipped += 1;
                if letter.is_none() {
                    self.left_out.push(ticket);
                }
                Ok(true)
            }
            Err(mut error) => {
                self.sending.cut();
                error.message = format!("{} (record {record})", error.message);
                Err(error)
            }
        }
    }

    /// Hands over the dead letters of records that Kafka did not take, until all are, or the buffer is full (false).
    pub(super) fn send_letters(&mut self) -> Result<bool, ConnectError> {
        while let Some((ticket, failure)) = self.dead_letters.next_waiting() {
            let letter = self.dead_letters.letter_of_record(ticket, &failure);
            let record = self.describe(ticket);
            let gate = Arc::clone(&self.gate);
            match gate.pass(|| self.dead_letters.send(&letter, ticket, &mut *self.producer)) {
                None => return Err(ConnectError::retriable("the task's lease has ended")),
                Some(Err(ProduceError::QueueFull)) => return Ok(false),
                Some(Err(ProduceError::Failed(error))) => {
                    self.pipeline.counts.dead_letter_failures += 1;
                    return Err(letter_failed(&error, self.dead_letters.topic_name(), &record));
                }
                Some(Ok(())) => {}
            }
            self.dead_letters.forget_waiting();
            self.note(&failure, letter.is_some(), &record);
            self.pipeline.counts.skipped += 1;
            if letter.is_none() {
                self.complete(ticket)?;
            }
        }
        Ok(true)
    }

    fn complete_left_out(&mut self) -> Result<(), ConnectError> {
        let mut left_out: Vec<Ticket> = std::mem::take(&mut self.left_out);
        self.behind += left_out.len();
        let done = left_out.drain(..).try_for_each(|ticket| self.complete(ticket));
        self.left_out = left_out;
        done
    }
}
