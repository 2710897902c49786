//! Tables without borders, whose columns stay where they are when rows come later.

use crate::output::time::{age, text};
use comfy_table::{ColumnConstraint, Width, presets::NOTHING};
use prost_types::Timestamp;
use proto::v1;

/// Rows under a header.
#[derive(Debug, Default)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    widths: Vec<usize>,
}

impl Table {
    pub(super) fn new(header: &[&'static str]) -> Self {
        Table { header: header.to_vec(), rows: Vec::new(), widths: header.iter().map(|text| text.len()).collect() }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = (*width).max(cell.chars().count());
        }
        self.rows.push(cells);
    }

    /// The text, without a newline at the end.
    pub(crate) fn render(&self, with_header: bool) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING);
        if with_header {
            table.set_header(&self.header);
        }
        table.add_rows(&self.rows);
        for (index, width) in self.widths.iter().enumerate() {
            if let Some(column) = table.column_mut(index) {
                column.set_padding((0, 3));
                // The padding counts.
                let width = u16::try_from(width + 3).unwrap_or(u16::MAX);
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
            }
        }
        table.trim_fmt()
    }

    /// One more row alone, below what was printed.
    pub(crate) fn later(&mut self, rows: Table) -> String {
        self.rows.clear();
        rows.rows.into_iter().for_each(|cells| self.row(cells));
        self.render(false)
    }
}

/// NAME TYPE STATE TASKS WORKER AGE NOTE, after NAMESPACE if that is asked for.
pub(crate) fn connectors(connectors: &[v1::Connector], with_namespace: bool, now: &Timestamp) -> Table {
    let columns = ["NAMESPACE", "NAME", "TYPE", "STATE", "TASKS", "WORKER", "AGE", "NOTE"];
    let skip = usize::from(!with_namespace);
    let mut table = Table::new(&columns[skip..]);
    for connector in connectors {
        let (namespace, name) = split_name(&connector.name);
        let running = connector.tasks.iter().filter(|task| task.state() == v1::UnitState::Running).count();
        let worker = connector.planner.as_ref().map_or("", |planner| planner.worker.as_str());
        let cells = [
            namespace.to_owned(),
            name.to_owned(),
            connector.r#type.clone(),
            connector_state(connector).to_owned(),
            format!("{running}/{}", connector.tasks.len()),
            or_dash(worker),
            age(connector.create_time.as_ref(), now),
            note(connector, now),
        ];
        table.row(cells.into_iter().skip(skip).collect());
    }
    table
}

pub(crate) fn workers(workers: &[v1::Worker], now: &Timestamp) -> Table {
    let mut table = Table::new(&["NAME", "STATE", "UNITS", "POOL", "ZONE", "VERSION", "AGE", "ID"]);
    for worker in workers {
        table.row(vec![
            worker.address.clone(),
            worker_state(worker.state()).to_owned(),
            worker.units.to_string(),
            or_dash(&worker.pool),
            or_dash(&worker.zone),
            or_dash(&worker.version),
            age(worker.start_time.as_ref(), now),
            worker.name.strip_prefix("workers/").unwrap_or(&worker.name).to_owned(),
        ]);
    }
    table
}

pub(crate) fn plugins(plugins: &[v1::Plugin]) -> Table {
    let mut table = Table::new(&["CLASS", "KIND", "VERSION", "WORKERS", "ALIASES"]);
    for plugin in plugins {
        table.row(vec![
            plugin.class.clone(),
            plugin.kind.clone(),
            or_dash(&plugin.version),
            plugin.workers.to_string(),
            or_dash(&plugin.aliases.join(",")),
        ]);
    }
    table
}

/// `namespaces/{ns}/connectors/{name}` in two.
pub(crate) fn split_name(name: &str) -> (&str, &str) {
    let parts = name.strip_prefix("namespaces/").and_then(|rest| rest.split_once("/connectors/"));
    parts.unwrap_or(("", name))
}

/// A connector with a failed part shows that, whatever its planner's state.
pub(crate) fn connector_state(connector: &v1::Connector) -> &'static str {
    let planner = connector.planner.as_ref();
    let failed = |unit: &v1::UnitStatus| unit.state() == v1::UnitState::Failed;
    if connector.tasks.iter().any(failed) {
        return unit_state(v1::UnitState::Failed);
    }
    unit_state(planner.map_or(v1::UnitState::Unspecified, v1::UnitStatus::state))
}

pub(crate) fn unit_state(state: v1::UnitState) -> &'static str {
    match state {
        v1::UnitState::Unspecified => "-",
        v1::UnitState::Unassigned => "UNASSIGNED",
        v1::UnitState::Starting => "STARTING",
        v1::UnitState::Running => "RUNNING",
        v1::UnitState::Paused => "PAUSED",
        v1::UnitState::Stopped => "STOPPED",
        v1::UnitState::Failed => "FAILED",
        v1::UnitState::Restarting => "RESTARTING",
        v1::UnitState::Unknown => "UNKNOWN",
        v1::UnitState::StopBlocked => "STOP_BLOCKED",
    }
}

/// The state, and what is amiss with it.
pub(crate) fn unit_state_at_length(unit: &v1::UnitStatus) -> String {
    let state = unit_state(unit.state());
    let since =
        |since: &Option<Timestamp>| since.as_ref().map_or_else(String::new, |at| format!(" since {}", text(at)));
    match (&unit.stalled, &unit.stop_blocked) {
        (_, Some(blocked)) => format!("{state} ({}{})", within(&blocked.place), since(&blocked.since)),
        (Some(stalled), None) => format!("{state} (stalled {}{})", within(&stalled.place), since(&stalled.since)),
        (None, None) => state.to_owned(),
    }
}

/// A call is one word.
fn within(place: &str) -> String {
    if place.contains(' ') { place.to_owned() } else { format!("in {place}") }
}

/// What is amiss with a connector, in a few words: its first unit that cannot end, stands still, or was restarted.
fn note(connector: &v1::Connector, now: &Timestamp) -> String {
    let units = || connector.planner.iter().chain(&connector.tasks);
    let of = |unit: &v1::UnitStatus, text: String| match unit.task {
        None => format!("connector {text}"),
        Some(task) => format!("task {task} {text}"),
    };
    let since = |since: &Option<Timestamp>| age(since.as_ref(), now);
    let blocked = units().find_map(|unit| {
        let blocked = unit.stop_blocked.as_ref()?;
        Some(of(unit, format!("does not stop, {} for {}", within(&blocked.place), since(&blocked.since))))
    });
    let stalled = units().find_map(|unit| {
        let stalled = unit.stalled.as_ref()?;
        Some(of(unit, format!("stalled {} for {}", within(&stalled.place), since(&stalled.since))))
    });
    let restarted = units().filter(|unit| unit.restarts > 0).max_by_key(|unit| unit.restarts).map(|unit| {
        let times = if unit.restarts == 1 { "once".to_owned() } else { format!("{} times", unit.restarts) };
        let last = unit.recent_failures.last().map(|last| format!(", last: {}", first_words(&last.message)));
        of(unit, format!("restarted {times}{}", last.unwrap_or_default()))
    });
    blocked.or(stalled).or(restarted).unwrap_or_default()
}

/// The beginning of a text, on one line.
fn first_words(text: &str) -> String {
    const CHARS: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

pub(crate) fn worker_state(state: v1::WorkerState) -> &'static str {
    match state {
        v1::WorkerState::Unspecified => "-",
        v1::WorkerState::Ready => "READY",
        v1::WorkerState::Cordoned => "CORDONED",
        v1::WorkerState::Draining => "DRAINING",
        v1::WorkerState::Expired => "EXPIRED",
        v1::WorkerState::Unknown => "UNKNOWN",
    }
}

pub(super) fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}
