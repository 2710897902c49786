//! `ferry describe connector NAME`.

use crate::{
    args::{Arguments, Describe, Format},
    client::Client,
    failure::Failure,
    output::{Output, describe, shapes, table::Table, time},
};

pub(crate) async fn run(
    arguments: &Arguments,
    Describe::Connector { name }: &Describe,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let connector = Client::connect(arguments).await?.get_connector(name).await?;
    if output.format == Format::Table {
        return Ok(describe::connector(output.writer(), &connector, &time::now())?);
    }
    output.show(Table::default, &shapes::connector(connector))
}
