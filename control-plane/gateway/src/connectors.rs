//! `/connectors`.

use crate::{
    answers,
    body::JsonBody,
    errors::RestError,
    routes::State,
    target::{Parameters, Target, flag},
};
use axum::{
    Json,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use control_plane_api::{
    caller,
    service::{ConfigChange, ConnectorView, CreateConnector, PageRequest, ServiceError, UpdateConnector},
};
use control_plane_core::{
    connector::{Config, TargetState},
    history::{Author, Reason},
    ids::{ConnectorName, Namespace},
};
use serde_json::{Map, Value, json};

/// The author of a change whose caller does not say who they are.
const AUTHOR: &str = "rest";

/// Who asks and why, for the history: the headers `Ferry-User` and `Ferry-Reason`.
fn caller(headers: &HeaderMap) -> Result<(Author, Reason), ServiceError> {
    let said = |name: &str| headers.get(name).map(|value| value.as_bytes());
    Ok((caller::author(said(caller::USER), AUTHOR)?, caller::reason(said(caller::REASON))?))
}

fn not_found(name: &str) -> String {
    format!("Connector {name} not found")
}

fn no_status(name: &str) -> String {
    format!("No status found for connector {name}")
}

async fn find(service: &State, target: &Target, missing: fn(&str) -> String) -> Result<ConnectorView, RestError> {
    let named = target.existing(missing)?;
    let found = service.get_connector(&named.namespace, &named.name).await;
    found.map_err(|error| RestError::or_missing(error, || missing(target.connector())))
}

/// Names, or with `expand` an object by name (KIP-465).
pub(crate) async fn list(service: State, target: Target, parameters: Parameters) -> Result<Response, RestError> {
    let expand: Vec<&str> =
        parameters.iter().filter(|(key, _)| key == "expand").map(|(_, value)| value.as_str()).collect();
    let (mut names, mut by_name) = (Vec::new(), Map::new());
    let mut page = PageRequest { size: 1000, token: String::new() };
    loop {
        let found = service.list_connectors(Some(&target.namespace), page.clone()).await?;
        for view in found.items {
            let name = view.connector.name.to_string();
            if expand.is_empty() {
                names.push(Value::String(name));
            } else {
                by_name.insert(name, expanded(&view, &expand));
            }
        }
        match found.next {
            Some(token) => page.token = token,
            None if expand.is_empty() => return Ok(Json(names).into_response()),
            None => return Ok(Json(by_name).into_response()),
        }
    }
}

fn expanded(view: &ConnectorView, expand: &[&str]) -> Value {
    let mut parts = Map::new();
    if expand.contains(&"status") {
        parts.insert("status".into(), json!(answers::state(view)));
    }
    if expand.contains(&"info") {
        parts.insert("info".into(), json!(answers::info(view)));
    }
    Value::Object(parts)
}

pub(crate) async fn create(
    service: State,
    target: Target,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, RestError> {
    let new = body.new_connector()?;
    check_name(&new.config, &new.name)?;
    let (author, reason) = caller(&headers)?;
    let create = CreateConnector {
        namespace: target.namespace,
        name: new_name(&new.name)?,
        config: new.config,
        target: new.target,
        request_id: None,
        validate_only: false,
        author,
        reason,
    };
    let view = service.create_connector(create).await?;
    Ok(created(&headers, &view))
}

pub(crate) async fn info(service: State, target: Target) -> Result<Json<answers::Info>, RestError> {
    Ok(Json(answers::info(&find(&service, &target, not_found).await?)))
}

pub(crate) async fn config(service: State, target: Target) -> Result<Json<Config>, RestError> {
    Ok(Json(find(&service, &target, not_found).await?.connector.config))
}

pub(crate) async fn put_config(
    service: State,
    target: Target,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, RestError> {
    let config = body.config()?;
    check_name(&config, target.connector())?;
    let name = new_name(target.connector())?;
    let update = update(target.namespace, name, ConfigChange::Replace(config), true, caller(&headers)?);
    match service.update_connector(update).await? {
        (view, true) => Ok(created(&headers, &view)),
        (view, false) => Ok(Json(answers::info(&view)).into_response()),
    }
}

/// KIP-477.
pub(crate) async fn patch_config(
    service: State,
    target: Target,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Json<answers::Info>, RestError> {
    let keys = body.patch()?;
    let named = target.existing(not_found)?;
    match keys.get("name") {
        Some(None) => {
            let error = "Missing required configuration \"name\" which has no default value.";
            return Err(RestError::invalid_config(error));
        }
        Some(Some(name)) if name != target.connector() => return Err(name_mismatch(name, target.connector())),
        _ => {}
    }
    let update = update(named.namespace, named.name, ConfigChange::Merge(keys), false, caller(&headers)?);
    let updated = service.update_connector(update).await;
    let (view, _) = updated.map_err(|error| RestError::or_missing(error, || not_found(target.connector())))?;
    Ok(Json(answers::info(&view)))
}

fn update(
    namespace: Namespace,
    name: ConnectorName,
    change: ConfigChange,
    allow_missing: bool,
    (author, reason): (Author, Reason),
) -> UpdateConnector {
    UpdateConnector {
        namespace,
        name,
        change,
        etag: None,
        allow_missing,
        validate_only: false,
        request_id: None,
        author,
        reason,
    }
}

pub(crate) async fn delete(service: State, target: Target) -> Result<StatusCode, RestError> {
    let named = target.existing(not_found)?;
    let deleted = service.delete_connector(named).await;
    deleted.map_err(|error| RestError::or_missing(error, || not_found(target.connector())))?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn status(service: State, target: Target) -> Result<Json<answers::State>, RestError> {
    Ok(Json(answers::state(&find(&service, &target, no_status).await?)))
}

pub(crate) async fn tasks(service: State, target: Target) -> Result<Json<Vec<answers::TaskInfo>>, RestError> {
    Ok(Json(answers::tasks(&find(&service, &target, not_found).await?)))
}

pub(crate) async fn task_status(service: State, target: Target) -> Result<Json<answers::Unit>, RestError> {
    let number = target.task()?;
    let missing = || RestError::new(StatusCode::NOT_FOUND, no_task_status(target.connector(), number));
    let named = target.existing(|name| no_task_status(name, number))?;
    let found = service.get_connector(&named.namespace, &named.name).await;
    let view = found.map_err(|error| RestError::or_missing(error, || no_task_status(target.connector(), number)))?;
    let unit = view.tasks.iter().find(|unit| unit.task.map(i64::from) == Some(number)).ok_or_else(missing)?;
    Ok(Json(answers::unit(unit)))
}

fn no_task_status(connector: &str, task: i64) -> String {
    format!("No status found for task {connector}-{task}")
}

pub(crate) async fn pause(service: State, target: Target) -> Result<StatusCode, RestError> {
    set_target(service, target, TargetState::Paused).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(crate) async fn resume(service: State, target: Target) -> Result<StatusCode, RestError> {
    set_target(service, target, TargetState::Running).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(crate) async fn stop(service: State, target: Target) -> Result<StatusCode, RestError> {
    set_target(service, target, TargetState::Stopped).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_target(service: State, target: Target, state: TargetState) -> Result<(), RestError> {
    let unknown = |name: &str| format!("Unknown connector {name}");
    let named = target.existing(unknown)?;
    let set = service.set_target(named, state).await;
    set.map_err(|error| RestError::or_missing(error, || unknown(target.connector())))?;
    Ok(())
}

/// KIP-745: without flags 204, with a flag 202 and the status.
pub(crate) async fn restart(service: State, target: Target, parameters: Parameters) -> Result<Response, RestError> {
    let include_tasks = flag(&parameters, "includeTasks", false);
    let only_failed = flag(&parameters, "onlyFailed", false);
    let unknown = |name: &str| format!("Unknown connector: {name}");
    let named = target.existing(unknown)?;
    let restarted = service.restart_connector(named, include_tasks, only_failed).await;
    let view = restarted.map_err(|error| RestError::or_missing(error, || unknown(target.connector())))?;
    if include_tasks || only_failed {
        return Ok((StatusCode::ACCEPTED, Json(answers::state(&view))).into_response());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) async fn restart_task(service: State, target: Target) -> Result<StatusCode, RestError> {
    let number = target.task()?;
    let connector = target.connector();
    let unknown_task = || RestError::new(StatusCode::NOT_FOUND, format!("Unknown task: {connector}-{number}"));
    let named = target.existing(|name| format!("Unknown connector: {name}"))?;
    let task = u32::try_from(number).map_err(|_| unknown_task())?;
    match service.restart_task(named, task).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(ServiceError::NotFound { what: "Task", .. }) => Err(unknown_task()),
        Err(error) => Err(RestError::or_missing(error, || format!("Unknown connector: {connector}"))),
    }
}

/// 201 with a Location that the client can use as it is.
fn created(headers: &HeaderMap, view: &ConnectorView) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let base = host.map(|host| format!("http://{host}")).unwrap_or_default();
    let namespace = match &view.connector.namespace {
        default if *default == Namespace::default() => String::new(),
        other => format!("/namespaces/{other}"),
    };
    let location = format!("{base}{namespace}/connectors/{}", path_segment(view.connector.name.as_str()));
    (StatusCode::CREATED, [(header::LOCATION, location)], Json(answers::info(view))).into_response()
}

/// Percent-encodes what RFC 3986 does not allow in a path segment.
fn path_segment(text: &str) -> String {
    let mut segment = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => segment.push(byte.into()),
            _ if b"-._~!$&'()*+,;=:@".contains(&byte) => segment.push(byte.into()),
            _ => segment.push_str(&format!("%{byte:02X}")),
        }
    }
    segment
}

fn check_name(config: &Config, name: &str) -> Result<(), RestError> {
    match config.get("name") {
        Some(other) if other != name => Err(name_mismatch(other, name)),
        _ => Ok(()),
    }
}

fn name_mismatch(given: &str, name: &str) -> RestError {
    RestError::bad_request(format!(
        "Connector name configuration ({given}) doesn't match connector name in the URL ({name})"
    ))
}

/// With Kafka Connect's texts where it has one.
fn new_name(text: &str) -> Result<ConnectorName, RestError> {
    ConnectorName::parse(text).map_err(|error| {
        let control: Vec<String> = text.chars().filter(|c| c.is_control()).map(|c| u32::from(c).to_string()).collect();
        if text.is_empty() {
            RestError::invalid_config("Invalid value  for configuration name: String may not be empty")
        } else if control.is_empty() {
            RestError::invalid_config(&error.to_string())
        } else {
            RestError::invalid_config(&format!(
                "Invalid value {text} for configuration name: String may not contain control sequences but had the \
                 following ASCII chars: {}",
                control.join(", ")
            ))
        }
    })
}
