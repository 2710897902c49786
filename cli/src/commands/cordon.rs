//! `ferry cordon worker NAME`, `ferry uncordon worker NAME` and `ferry expire worker NAME`.

use crate::{
    args::{Arguments, Workers},
    client::Client,
    commands::outcome_of,
    failure::Failure,
    output::Output,
};
use proto::v1::{CordonWorkerRequest, ExpireWorkerRequest, UncordonWorkerRequest};

/// Which of the three.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verb {
    Cordon,
    Uncordon,
    Expire,
}

pub(crate) async fn run(
    arguments: &Arguments,
    verb: Verb,
    Workers::Worker { name }: &Workers,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let mut client = Client::connect(arguments).await?;
    let worker = format!("workers/{name}");
    let outcome = match verb {
        Verb::Cordon => {
            client.workers.cordon_worker(CordonWorkerRequest { name: worker, ..Default::default() }).await?;
            "cordoned"
        }
        Verb::Uncordon => {
            client.workers.uncordon_worker(UncordonWorkerRequest { name: worker, ..Default::default() }).await?;
            "uncordoned"
        }
        Verb::Expire => {
            client.workers.expire_worker(ExpireWorkerRequest { name: worker, ..Default::default() }).await?;
            "expired"
        }
    };
    output.done(&[outcome_of("worker", name, outcome)])
}
