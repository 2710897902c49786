//! One file per verb; this one only chooses.

mod apply;
mod completions;
mod cordon;
mod delete;
mod describe;
mod dev;
mod drain;
mod get;
mod history;
mod restart;
mod rollback;
mod standalone;
mod target;
mod validate;
mod wait;

use crate::{
    args::{Arguments, Command, Connectors},
    client::Client,
    failure::Failure,
    output::Output,
};
use std::future::Future;

pub(crate) async fn run(arguments: &Arguments, mut output: Output<'_>) -> Result<(), Failure> {
    let output = &mut output;
    match &arguments.command {
        Command::Apply(options) => apply::run(arguments, options, output).await,
        Command::Get(what) => get::run(arguments, what, output).await,
        Command::Describe(what) => describe::run(arguments, what, output).await,
        Command::History(what) => history::run(arguments, what, output).await,
        Command::Rollback(what) => rollback::run(arguments, what, output).await,
        Command::Delete(what) => delete::run(arguments, what, output).await,
        Command::Pause(what) => target::run(arguments, target::Verb::Pause, what, output).await,
        Command::Resume(what) => target::run(arguments, target::Verb::Resume, what, output).await,
        Command::Stop(what) => target::run(arguments, target::Verb::Stop, what, output).await,
        Command::Restart(what) => restart::run(arguments, what, output).await,
        Command::Cordon(what) => cordon::run(arguments, cordon::Verb::Cordon, what, output).await,
        Command::Uncordon(what) => cordon::run(arguments, cordon::Verb::Uncordon, what, output).await,
        Command::Expire(what) => cordon::run(arguments, cordon::Verb::Expire, what, output).await,
        Command::Drain(what) => drain::run(arguments, what, output).await,
        Command::Validate(options) => validate::run(arguments, options, output).await,
        Command::Wait(what) => wait::run(arguments, what, output).await,
        Command::Standalone(options) => standalone::run(options, output).await,
        Command::Dev(options) => dev::run(options, output).await,
        Command::Completions { shell } => completions::run(*shell, output),
    }
}

/// The same for each name, also after one failed.
async fn for_each<'a, F>(
    client: &Client,
    Connectors::Connector { names }: &'a Connectors,
    output: &mut Output<'_>,
    outcome: &str,
    act: impl Fn(Client, &'a str) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), tonic::Status>>,
{
    let (mut outcomes, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match act(client.clone(), name).await {
            Ok(()) => outcomes.push(outcome_of("connector", name, outcome)),
            Err(status) => failures.push(Failure::from(status).about(&format!("connector/{name}"))),
        }
    }
    output.done(&outcomes)?;
    Failure::all(failures)
}

fn outcome_of(kind: &'static str, name: &str, outcome: &str) -> crate::output::shapes::Outcome {
    crate::output::shapes::Outcome { kind, name: name.to_owned(), outcome: outcome.to_owned(), dry_run: false }
}
