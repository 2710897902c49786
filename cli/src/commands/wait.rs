//! `ferry wait connector NAME --for STATE`.

use crate::{
    args::{Arguments, Goal, Wait},
    client::Client,
    commands::outcome_of,
    failure::{Failure, Kind},
    output::{Output, table::unit_state_at_length},
};
use proto::v1::{self, UnitState};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::Code;

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(100);

pub(crate) async fn run(
    arguments: &Arguments,
    Wait::Connector { name, state, timeout }: &Wait,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let deadline = Instant::now() + *timeout;
    let mut client = Client::connect(arguments).await?;
    let mut last = "nothing was heard of it".to_owned();
    loop {
        match timeout_at(deadline, client.get_connector(name)).await {
            Ok(Ok(connector)) if reached(&connector, *state) => {
                return output.done(&[outcome_of("connector", name, word(*state))]);
            }
            Ok(Ok(connector)) => last = summary(&connector),
            // The control plane may be restarting.
            Ok(Err(status)) if status.code() == Code::Unavailable => last = status.message().to_owned(),
            Ok(Err(status)) => return Err(status.into()),
            Err(_elapsed) => {}
        }
        if Instant::now() + PERIOD >= deadline {
            let text = format!("connector/{name} is not {} after {} s: {last}", word(*state), timeout.as_secs_f64());
            return Err(Failure::new(Kind::Runtime, text));
        }
        sleep(PERIOD).await;
    }
}

fn word(goal: Goal) -> &'static str {
    match goal {
        Goal::Running => "running",
        Goal::Paused => "paused",
        Goal::Stopped => "stopped",
    }
}

fn reached(connector: &v1::Connector, goal: Goal) -> bool {
    let planner = connector.planner.as_ref().map_or(UnitState::Unspecified, v1::UnitStatus::state);
    let all = |state| connector.tasks.iter().all(|task| task.state() == state);
    match goal {
        Goal::Running => planner == UnitState::Running && !connector.tasks.is_empty() && all(UnitState::Running),
        Goal::Paused => planner == UnitState::Paused && all(UnitState::Paused),
        Goal::Stopped => planner == UnitState::Stopped && connector.tasks.is_empty(),
    }
}

/// Each unit's state, and why it failed.
fn summary(connector: &v1::Connector) -> String {
    let units = connector.planner.iter().chain(&connector.tasks).map(|unit| {
        let name = unit.task.map_or("connector".to_owned(), |number| format!("task {number}"));
        let error = unit.error.as_ref().map(|error| format!(" ({}: {})", error.class, error.message));
        format!("{name} {}{}", unit_state_at_length(unit), error.unwrap_or_default())
    });
    let mut units: Vec<String> = units.collect();
    if connector.tasks.is_empty() {
        units.push("no tasks".to_owned());
    }
    units.join(", ")
}
