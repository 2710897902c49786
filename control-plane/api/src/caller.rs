//! Who asks, and why: what callers say of themselves in metadata (gRPC) or headers (REST). Nobody checks it yet.

use crate::service::{ServiceError, Violation};
use control_plane_core::history::{Author, InvalidNote, Reason};

/// The metadata or header that names the caller.
pub const USER: &str = "ferry-user";
/// The header that gives a reason; gRPC requests have a field for it.
pub const REASON: &str = "ferry-reason";

/// The caller as said in [`USER`], or `otherwise`.
///
/// # Errors
/// What was said cannot be kept.
pub fn author(said: Option<&[u8]>, otherwise: &str) -> Result<Author, ServiceError> {
    let author = said.map_or(Ok(Author::default()), |said| Author::parse(&text(USER, said)?).map_err(wrong(USER)))?;
    if author.as_str().is_empty() { Author::parse(otherwise).map_err(wrong(USER)) } else { Ok(author) }
}

/// The reason as said in [`REASON`].
///
/// # Errors
/// What was said cannot be kept.
pub fn reason(said: Option<&[u8]>) -> Result<Reason, ServiceError> {
    said.map_or(Ok(Reason::default()), |said| Reason::parse(&text(REASON, said)?).map_err(wrong(REASON)))
}

fn text(field: &str, said: &[u8]) -> Result<String, ServiceError> {
    String::from_utf8(said.to_vec()).map_err(|_| invalid(field, "it is not UTF-8".to_owned()))
}

/// An error in one field.
pub(crate) fn wrong(field: &str) -> impl Fn(InvalidNote) -> ServiceError {
    move |error| invalid(field, error.to_string())
}

fn invalid(field: &str, description: String) -> ServiceError {
    ServiceError::Invalid(vec![Violation { field: field.to_owned(), description }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_name_themselves_or_are_named() {
        assert_eq!(author(Some("zoë@host".as_bytes()), "rest").unwrap().as_str(), "zoë@host");
        assert_eq!(author(Some(b" "), "rest").unwrap().as_str(), "rest");
        assert_eq!(author(None, "rest").unwrap().as_str(), "rest");
        assert_eq!(author(Some(&[0xff]), "rest").unwrap_err().to_string(), "ferry-user: it is not UTF-8");
        let long = author(Some("x".repeat(300).as_bytes()), "rest").unwrap_err().to_string();
        assert_eq!(long, "ferry-user: it has 300 characters; give at most 256");
        assert_eq!(reason(None).unwrap().as_str(), "");
        assert!(reason(Some(b"a\x1bb")).is_err());
    }
}
