//! `ferry apply -f FILE`: connectors become what files say. Everything is checked, also by the control plane, before
//! the first change is made.

use crate::{
    args::{Apply, Arguments},
    client::Client,
    commands::target::{self, Verb},
    documents::{self, Document, Target},
    failure::Failure,
    output::{Output, shapes::Outcome},
};
use proto::v1;
use tonic::{Code, Status};
use uuid::Uuid;

pub(crate) async fn run(arguments: &Arguments, options: &Apply, output: &mut Output<'_>) -> Result<(), Failure> {
    let documents = documents::load(&options.files)?;
    let mut client = Client::connect(arguments).await?;
    let reason = options.reason.as_deref().unwrap_or_default();
    if options.dry_run || documents.len() > 1 {
        let (outcomes, failures) = apply_all(&mut client, &documents, reason, true).await;
        Failure::all(failures)?;
        if options.dry_run {
            return output.done(&outcomes);
        }
    }
    let (outcomes, failures) = apply_all(&mut client, &documents, reason, false).await;
    output.done(&outcomes)?;
    Failure::all(failures)
}

async fn apply_all(
    client: &mut Client,
    documents: &[Document],
    reason: &str,
    dry_run: bool,
) -> (Vec<Outcome>, Vec<Failure>) {
    let (mut outcomes, mut failures) = (Vec::new(), Vec::new());
    for document in documents {
        match apply(client, document, reason, dry_run).await {
            Ok(outcome) => {
                let (name, outcome) = (document.name.clone(), outcome.to_owned());
                outcomes.push(Outcome { kind: "connector", name, outcome, dry_run });
            }
            Err(status) => failures.push(Failure::from(status).about(&format!("connector/{}", document.name))),
        }
    }
    (outcomes, failures)
}

async fn apply(
    client: &mut Client,
    document: &Document,
    reason: &str,
    validate_only: bool,
) -> Result<&'static str, Status> {
    let stored = match client.get_connector(&document.name).await {
        Ok(stored) => stored,
        Err(status) if status.code() == Code::NotFound => {
            create(client, document, reason, validate_only).await?;
            return Ok("created");
        }
        Err(status) => return Err(status),
    };
    let mut config = document.config.clone();
    config.insert("name".to_owned(), document.name.clone());
    let verb = document.target.filter(|target| wire(*target) != stored.target_state()).map(verb);
    let mut etag = stored.etag.clone();
    let changed = config != stored.config;
    if changed {
        let connector = v1::Connector { name: client.connector(&document.name), config, etag, ..Default::default() };
        let request = v1::UpdateConnectorRequest {
            connector: Some(connector),
            validate_only,
            reason: reason.to_owned(),
            ..Default::default()
        };
        let answer = client.connectors.update_connector(request).await?.into_inner();
        // What was only checked has not changed the stored etag.
        etag = if validate_only { stored.etag } else { answer.connector.unwrap_or_default().etag };
    }
    if let Some(verb) = verb {
        target::set(client, verb, &document.name, &etag, validate_only).await?;
    }
    Ok(if changed || verb.is_some() { "configured" } else { "unchanged" })
}

async fn create(client: &mut Client, document: &Document, reason: &str, validate_only: bool) -> Result<(), Status> {
    let target_state = document.target.map_or(v1::TargetState::Unspecified, wire).into();
    let request = v1::CreateConnectorRequest {
        parent: client.parent(),
        connector_id: document.name.clone(),
        connector: Some(v1::Connector { config: document.config.clone(), target_state, ..Default::default() }),
        request_id: Uuid::new_v4().to_string(),
        validate_only,
        reason: reason.to_owned(),
    };
    client.connectors.create_connector(request).await.map(drop)
}

fn wire(target: Target) -> v1::TargetState {
    match target {
        Target::Running => v1::TargetState::Running,
        Target::Paused => v1::TargetState::Paused,
        Target::Stopped => v1::TargetState::Stopped,
    }
}

fn verb(target: Target) -> Verb {
    match target {
        Target::Running => Verb::Resume,
        Target::Paused => Verb::Pause,
        Target::Stopped => Verb::Stop,
    }
}
