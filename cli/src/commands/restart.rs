//! `ferry restart connector NAME` and `ferry restart task NAME/N`.

use crate::{
    args::{Arguments, Restart},
    client::Client,
    commands::outcome_of,
    failure::Failure,
    output::Output,
};
use proto::v1::{RestartConnectorRequest, RestartTaskRequest};

pub(crate) async fn run(arguments: &Arguments, what: &Restart, output: &mut Output<'_>) -> Result<(), Failure> {
    let mut client = Client::connect(arguments).await?;
    let outcome = match what {
        Restart::Connector { name, tasks, only_failed } => {
            let request = RestartConnectorRequest {
                name: client.connector(name),
                include_tasks: *tasks,
                only_failed: *only_failed,
                ..Default::default()
            };
            client.connectors.restart_connector(request).await?;
            outcome_of("connector", name, "restarted")
        }
        Restart::Task { task: (name, number) } => {
            let request = RestartTaskRequest { name: client.connector(name), task: *number, ..Default::default() };
            client.connectors.restart_task(request).await?;
            outcome_of("task", &format!("{name}/{number}"), "restarted")
        }
    };
    output.done(&[outcome])
}
