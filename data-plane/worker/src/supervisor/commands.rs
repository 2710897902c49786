//! What a replica asks of the worker besides its units: answered beside the loop.

use crate::{
    validate::validate,
    wire::{self as convert, SettingsTable},
};
use data_plane_connector_api::Plugins;
use proto::worker_v1::{self as wire, session_request::Message as ToReplica};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Does it, and answers on the session that asked.
pub(super) fn carry_out(
    command: wire::Command,
    plugins: &Arc<Plugins>,
    settings: &SettingsTable,
    outbox: mpsc::Sender<wire::SessionRequest>,
) {
    let Some(wire::command::Command::Validate(request)) = command.command else { return };
    let settings = settings.get(&request.settings_id).and_then(|settings| settings.clone().ok());
    let plugins = plugins.clone();
    let id = command.id;
    tokio::spawn(async move {
        let checked =
            tokio::task::spawn_blocking(move || validate(&plugins, settings.as_deref(), &request.config)).await;
        let result = match checked {
            Ok(Ok(result)) => wire::command_result::Result::Validate(result),
            Ok(Err(error)) => wire::command_result::Result::Error(convert::wire_error(&error)),
            Err(error) => wire::command_result::Result::Error(wire::PluginError {
                class: "org.apache.kafka.connect.errors.ConnectException".to_owned(),
                message: format!("the connector failed while it validated its config: {error}"),
                ..wire::PluginError::default()
            }),
        };
        let result = wire::CommandResult { id, result: Some(result) };
        // The session may have gone; whoever asked asks another worker.
        let _ = outbox.send(wire::SessionRequest { message: Some(ToReplica::CommandResult(result)) }).await;
    });
}
