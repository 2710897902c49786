//! Resource names: `namespaces/{ns}`, `namespaces/{ns}/connectors/{id}`, `workers/{id}`. The last segment is the rest
//! of the text, because a connector's name may hold a slash.

use crate::service::{ServiceError, Violation};
use control_plane_core::ids::{ConnectorName, Generation, InvalidId, Namespace};

/// An error in one field.
pub(crate) fn invalid(field: &str, description: impl Into<String>) -> ServiceError {
    ServiceError::Invalid(vec![Violation { field: field.to_owned(), description: description.into() }])
}

/// Where a field's text names something.
pub(crate) fn connector(field: &str, text: &str) -> Result<(Namespace, ConnectorName), ServiceError> {
    let wrong = || invalid(field, format!("{text:?} is not of the form namespaces/NAMESPACE/connectors/CONNECTOR"));
    let rest = text.strip_prefix("namespaces/").ok_or_else(wrong)?;
    let (namespace, rest) = rest.split_once('/').ok_or_else(wrong)?;
    let name = rest.strip_prefix("connectors/").ok_or_else(wrong)?;
    Ok((id(field, Namespace::parse(namespace))?, id(field, ConnectorName::parse(name))?))
}

/// `namespaces/{ns}/connectors/{id}/revisions/{n}`.
pub(crate) fn revision(field: &str, text: &str) -> Result<(Namespace, ConnectorName, Generation), ServiceError> {
    let wrong = || {
        invalid(
            field,
            format!("{text:?} is not of the form namespaces/NAMESPACE/connectors/CONNECTOR/revisions/NUMBER"),
        )
    };
    let (parent, number) = text.rsplit_once("/revisions/").ok_or_else(wrong)?;
    let number = number.parse().ok().filter(|number| *number > 0).ok_or_else(wrong)?;
    let (namespace, name) = connector(field, parent)?;
    Ok((namespace, name, Generation(number)))
}

/// `namespaces/{ns}`.
pub(crate) fn namespace(field: &str, text: &str) -> Result<Namespace, ServiceError> {
    let name = text
        .strip_prefix("namespaces/")
        .ok_or_else(|| invalid(field, format!("{text:?} is not of the form namespaces/NAMESPACE")))?;
    id(field, Namespace::parse(name))
}

/// `namespaces/{ns}`, or None for `namespaces/-`.
pub(crate) fn namespace_or_all(field: &str, text: &str) -> Result<Option<Namespace>, ServiceError> {
    if text == "namespaces/-" {
        return Ok(None);
    }
    namespace(field, text).map(Some)
}

/// `workers/{id}` or `workers/{host:port}`: what follows the slash.
pub(crate) fn worker<'a>(field: &str, text: &'a str) -> Result<&'a str, ServiceError> {
    text.strip_prefix("workers/")
        .filter(|name| !name.is_empty())
        .ok_or_else(|| invalid(field, format!("{text:?} is not of the form workers/ID or workers/HOST:PORT")))
}

/// A connector's own name.
pub(crate) fn connector_id(field: &str, text: &str) -> Result<ConnectorName, ServiceError> {
    id(field, ConnectorName::parse(text))
}

/// The name of a connector on the wire.
pub(crate) fn connector_name(namespace: &Namespace, name: &ConnectorName) -> String {
    format!("namespaces/{namespace}/connectors/{name}")
}

fn id<T>(field: &str, parsed: Result<T, InvalidId>) -> Result<T, ServiceError> {
    parsed.map_err(|error| invalid(field, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_also_with_a_slash() {
        let (namespace, name) = connector("name", "namespaces/team-a/connectors/a/b c").unwrap();
        assert_eq!((namespace.as_str(), name.as_str()), ("team-a", "a/b c"));
        assert_eq!(connector_name(&namespace, &name), "namespaces/team-a/connectors/a/b c");
        let (_, name, number) = revision("name", "namespaces/a/connectors/c/revisions/1/revisions/20").unwrap();
        assert_eq!((name.as_str(), number), ("c/revisions/1", Generation(20)));
        assert_eq!(namespace_or_all("parent", "namespaces/-").unwrap(), None);
        assert_eq!(worker("name", "workers/h:1").unwrap(), "h:1");
    }

    #[test]
    fn wrong_names_say_which_field_and_what_is_right() {
        let text = |error: ServiceError| error.to_string();
        for wrong in
            ["", "c", "namespaces/a", "namespaces/a/tasks/c", "namespaces/a/connectors/", "namespaces/A/connectors/c"]
        {
            assert!(text(connector("name", wrong).unwrap_err()).starts_with("name: "), "{wrong}");
        }
        assert_eq!(
            text(namespace("parent", "default").unwrap_err()),
            "parent: \"default\" is not of the form namespaces/NAMESPACE"
        );
        assert!(text(namespace("parent", "namespaces/-x/").unwrap_err()).contains("1 to 63 characters"));
        assert!(worker("name", "workers/").is_err());
        for wrong in ["namespaces/a/connectors/c", "namespaces/a/connectors/c/revisions/0", "c/revisions/1"] {
            assert!(text(revision("name", wrong).unwrap_err()).starts_with("name: "), "{wrong}");
        }
    }
}
