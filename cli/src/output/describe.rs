//! All about one connector, for people.

use super::{
    table::{connector_state, split_name, unit_state_at_length},
    time::{age, text},
};
use prost_types::Timestamp;
use proto::v1;
use std::io::{self, Write};

/// Writes it.
pub(crate) fn connector(out: &mut dyn Write, connector: &v1::Connector, now: &Timestamp) -> io::Result<()> {
    let (namespace, name) = split_name(&connector.name);
    let mut field = |label: &str, value: &str| writeln!(out, "{:<14}{value}", format!("{label}:"));
    field("Name", name)?;
    field("Namespace", namespace)?;
    field("Uid", &connector.uid)?;
    field("Type", &connector.r#type)?;
    field("Target state", connector.target_state().as_str_name().trim_start_matches("TARGET_STATE_"))?;
    field("State", connector_state(connector))?;
    field("Created", &time(connector.create_time.as_ref(), now))?;
    field("Updated", &time(connector.update_time.as_ref(), now))?;
    field("Generation", &format!("config {}, target {}", connector.config_generation, connector.target_generation))?;
    field("Etag", &connector.etag)?;
    if let Some(planner) = &connector.planner {
        writeln!(out, "Connector:")?;
        unit(out, planner, now)?;
    }
    match connector.tasks.as_slice() {
        [] => writeln!(out, "Tasks:        none")?,
        tasks => {
            for task in tasks {
                writeln!(out, "Task {}:", task.task())?;
                unit(out, task, now)?;
            }
        }
    }
    writeln!(out, "Config:")?;
    connector.config.iter().try_for_each(|(key, value)| writeln!(out, "  {key} = {value}"))
}

fn unit(out: &mut dyn Write, unit: &v1::UnitStatus, now: &Timestamp) -> io::Result<()> {
    let mut field = |label: &str, value: &str| match label {
        "" => writeln!(out, "  {:<12}{value}", ""),
        label => writeln!(out, "  {:<12}{value}", format!("{label}:")),
    };
    field("State", &unit_state_at_length(unit))?;
    if let Some(since) = &unit.unknown_since {
        field("Silent", &time(Some(since), now))?;
    }
    field("Since", &time(unit.since.as_ref(), now))?;
    match unit.worker.as_str() {
        "" => field("Worker", "none")?,
        worker => field("Worker", &format!("{worker} (id {}, epoch {})", unit.worker_id, unit.epoch))?,
    }
    if !unit.version.is_empty() {
        field("Version", &unit.version)?;
    }
    if unit.task.is_some() {
        field("Records", &unit.records.to_string())?;
    }
    for position in &unit.positions {
        field("Position", &format!("{} -> {}", position.partition, position.offset))?;
    }
    if unit.restarts > 0 {
        field("Restarts", &unit.restarts.to_string())?;
    }
    if let Some(next) = &unit.next_attempt {
        field("Next try", &text(next))?;
    }
    for (number, failure) in unit.recent_failures.iter().rev().enumerate() {
        let label = if number == 0 { "Failures" } else { "" };
        field(label, &format!("{} {}: {}", time(failure.time.as_ref(), now), failure.class, failure.message))?;
    }
    if let Some(error) = &unit.error {
        field("Error", &format!("{}: {}", error.class, error.message))?;
        error.causes.iter().try_for_each(|cause| field("", &format!("caused by: {cause}")))?;
        error.trace.lines().try_for_each(|line| field("", line))?;
    }
    Ok(())
}

fn time(at: Option<&Timestamp>, now: &Timestamp) -> String {
    match at {
        Some(at) => format!("{} ({} ago)", text(at), age(Some(at), now)),
        None => "-".to_owned(),
    }
}
