//! Revisions of a connector's config, for people and for programs.

use super::{
    table::{Table, or_dash, split_name},
    time::{age, text},
};
use prost_types::Timestamp;
use proto::v1::{ChangeKind, ConfigChange, ConnectorRevision};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// Most characters of a reason in a table.
const REASON_CHARS: usize = 60;

/// REVISION AGE AUTHOR CHANGES REASON; changes are keys, `-` where the revision before is no longer kept.
pub(crate) fn table(revisions: &[ConnectorRevision], now: &Timestamp) -> Table {
    let mut table = Table::new(&["REVISION", "AGE", "AUTHOR", "CHANGES", "REASON"]);
    for revision in revisions {
        let changes = if revision.previous_dropped { "-".to_owned() } else { revision.changes.len().to_string() };
        table.row(vec![
            revision.generation.to_string(),
            age(revision.create_time.as_ref(), now),
            or_dash(&revision.author),
            changes,
            or_dash(&shortened(&revision.reason)),
        ]);
    }
    table
}

fn shortened(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    match line.char_indices().nth(REASON_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if line.len() < reason.len() => format!("{line}…"),
        None => line.to_owned(),
    }
}

/// Writes all about one revision.
pub(crate) fn describe(out: &mut dyn Write, revision: &ConnectorRevision, now: &Timestamp) -> io::Result<()> {
    let time = revision.create_time.as_ref();
    let created = time.map_or("-".to_owned(), |at| format!("{} ({} ago)", text(at), age(Some(at), now)));
    writeln!(out, "Revision:     {}", revision.generation)?;
    writeln!(out, "Created:      {created}")?;
    writeln!(out, "Author:       {}", or_dash(&revision.author))?;
    writeln!(out, "Reason:       {}", or_dash(&revision.reason).replace('\n', "\n              "))?;
    writeln!(out, "Config:")?;
    revision.config.iter().try_for_each(|(key, value)| writeln!(out, "  {key} = {value}"))
}

/// A revision for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Revision {
    revision: u64,
    create_time: Option<String>,
    author: String,
    reason: String,
    previous_dropped: bool,
    changes: Vec<Change>,
}

/// One key that differs.
#[derive(Debug, Serialize)]
pub(crate) struct Change {
    key: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<String>,
}

/// A document that `ferry apply` accepts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    api_version: &'static str,
    kind: &'static str,
    name: String,
    config: BTreeMap<String, String>,
    status: Revision,
}

/// Without the config.
pub(crate) fn revision(revision: ConnectorRevision) -> Revision {
    Revision {
        revision: revision.generation,
        create_time: revision.create_time.as_ref().map(text),
        author: revision.author,
        reason: revision.reason,
        previous_dropped: revision.previous_dropped,
        changes: revision.changes.into_iter().map(change).collect(),
    }
}

/// With the config.
pub(crate) fn document(mut found: ConnectorRevision) -> Document {
    let parent = found.name.rsplit_once("/revisions/").map_or(found.name.as_str(), |(parent, _)| parent);
    Document {
        api_version: "ferry/v1",
        kind: "Connector",
        name: split_name(parent).1.to_owned(),
        config: std::mem::take(&mut found.config),
        status: revision(found),
    }
}

fn change(change: ConfigChange) -> Change {
    let kind = change.kind();
    let (old, new) = (Some(change.old_value), Some(change.new_value));
    let (kind, old, new) = match kind {
        ChangeKind::Added => ("added", None, new),
        ChangeKind::Removed => ("removed", old, None),
        ChangeKind::Changed | ChangeKind::Unspecified => ("changed", old, new),
    };
    Change { key: change.key, kind, old, new }
}

/// Two configs and what differs, for programs.
pub(crate) fn difference(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<Change> {
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    let one = |key: &String| {
        let (old, new) = (before.get(key).cloned(), after.get(key).cloned());
        let kind = match (&old, &new) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        Change { key: key.clone(), kind, old, new }
    };
    differing.map(one).collect()
}
