//! `ferry drain worker NAME`.

use crate::{
    args::{Arguments, Workers},
    client::Client,
    commands::outcome_of,
    failure::Failure,
    output::Output,
};
use proto::v1::DrainWorkerRequest;

pub(crate) async fn run(
    arguments: &Arguments,
    Workers::Worker { name }: &Workers,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let mut client = Client::connect(arguments).await?;
    let request = DrainWorkerRequest { name: format!("workers/{name}"), ..Default::default() };
    client.workers.drain_worker(request).await?;
    output.done(&[outcome_of("worker", name, "draining")])
}
