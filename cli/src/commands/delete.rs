//! `ferry delete connector NAME…`.

use crate::{
    args::{Arguments, Connectors},
    client::Client,
    commands::for_each,
    failure::Failure,
    output::Output,
};
use proto::v1::DeleteConnectorRequest;

pub(crate) async fn run(arguments: &Arguments, what: &Connectors, output: &mut Output<'_>) -> Result<(), Failure> {
    let client = Client::connect(arguments).await?;
    let delete = async |mut client: Client, name: &str| {
        let request = DeleteConnectorRequest { name: client.connector(name), ..Default::default() };
        client.connectors.delete_connector(request).await.map(drop)
    };
    for_each(&client, what, output, "deleted", delete).await
}
