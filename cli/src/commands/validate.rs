//! `ferry validate -f FILE`.

use crate::{
    args::{Arguments, Validate},
    client::Client,
    commands::outcome_of,
    documents,
    failure::Failure,
    output::Output,
};
use proto::v1::ValidateConfigRequest;

pub(crate) async fn run(arguments: &Arguments, options: &Validate, output: &mut Output<'_>) -> Result<(), Failure> {
    let documents = documents::load(&options.files)?;
    let mut client = Client::connect(arguments).await?;
    let (mut outcomes, mut failures) = (Vec::new(), Vec::new());
    for document in documents {
        let about = format!("connector/{}", document.name);
        let mut config = document.config;
        config.insert("name".to_owned(), document.name.clone());
        match client.plugins.validate_config(ValidateConfigRequest { plugin: String::new(), config }).await {
            Ok(answer) => {
                let values = answer.into_inner().configs.into_iter().filter_map(|info| info.value);
                let errors = values.flat_map(|value| {
                    let name = value.name;
                    value.errors.into_iter().map(move |error| format!("config.{name}: {error}"))
                });
                let errors: Vec<String> = errors.collect();
                if errors.is_empty() {
                    outcomes.push(outcome_of("connector", &document.name, "valid"));
                } else {
                    failures.push(Failure::caller(errors).about(&about));
                }
            }
            Err(status) => failures.push(Failure::from(status).about(&about)),
        }
    }
    output.done(&outcomes)?;
    Failure::all(failures)
}
