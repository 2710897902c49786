//! The one mapping from the service's errors to gRPC statuses. Every status carries a google.rpc.ErrorInfo of domain
//! "ferry" (AIP-193); what a caller did wrong in a field is a BadRequest violation.

use crate::service::{ServiceError, Violation};
use std::{collections::HashMap, time::Duration};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// ErrorInfo's domain.
pub const DOMAIN: &str = "ferry";

/// How long a client should wait before it asks an unavailable control plane again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The status of an error.
pub fn status(error: ServiceError) -> Status {
    let message = error.to_string();
    let mut details = ErrorDetails::new();
    let code = match error {
        ServiceError::NotFound { what, name } => {
            reason(&mut details, &format!("{}_NOT_FOUND", what.to_uppercase()), &[("name", &name)]);
            details.set_resource_info(what, name, "", message.clone());
            Code::NotFound
        }
        ServiceError::NoRevision { connector, revision, kept } => {
            let (oldest, newest) =
                kept.map(|(oldest, newest)| (oldest.to_string(), newest.to_string())).unwrap_or_default();
            let metadata = [("connector", connector.as_str()), ("oldest", &oldest), ("newest", &newest)];
            reason(&mut details, "REVISION_NOT_FOUND", &metadata);
            details.set_resource_info("ConnectorRevision", revision.to_string(), "", message.clone());
            Code::NotFound
        }
        ServiceError::AlreadyExists { name } => {
            reason(&mut details, "CONNECTOR_ALREADY_EXISTS", &[("name", &name)]);
            details.set_resource_info("Connector", name, "", message.clone());
            Code::AlreadyExists
        }
        ServiceError::Invalid(violations) => {
            reason(&mut details, "INVALID_REQUEST", &[]);
            details.set_bad_request(fields(violations));
            Code::InvalidArgument
        }
        ServiceError::InvalidConfig { message: _, violations } => {
            reason(&mut details, "INVALID_CONFIG", &[]);
            details.set_bad_request(fields(violations));
            Code::InvalidArgument
        }
        ServiceError::StaleEtag { given, current } => {
            reason(&mut details, "STALE_ETAG", &[("given", &given), ("current", &current)]);
            Code::Aborted
        }
        ServiceError::Contended => {
            reason(&mut details, "CONTENDED", &[]);
            Code::Aborted
        }
        ServiceError::FailedPrecondition(text) => {
            reason(&mut details, "FAILED_PRECONDITION", &[]);
            details.add_precondition_failure_violation("STATE", "", text);
            Code::FailedPrecondition
        }
        // Not UNAVAILABLE: clients retry that by themselves, and a worker with the plugin may never come.
        ServiceError::NoWorker(text) => {
            reason(&mut details, "NO_WORKER", &[]);
            details.add_precondition_failure_violation("WORKER", "workers", text);
            Code::FailedPrecondition
        }
        ServiceError::Timeout(_) => {
            reason(&mut details, "TIMEOUT", &[]);
            Code::DeadlineExceeded
        }
        ServiceError::TooLarge(_) => {
            reason(&mut details, "TOO_LARGE", &[]);
            Code::InvalidArgument
        }
        ServiceError::ResumeTooOld => {
            reason(&mut details, "RESUME_TOKEN_TOO_OLD", &[]);
            Code::OutOfRange
        }
        ServiceError::Unavailable(_) => {
            reason(&mut details, "UNAVAILABLE", &[]);
            details.set_retry_info(Some(RETRY_AFTER));
            Code::Unavailable
        }
        ServiceError::Overloaded(overload) => {
            let limit = overload.limit.to_string();
            reason(&mut details, overload.reason, &[("limit", &limit), ("flag", overload.flag)]);
            if overload.retry_after.is_some() {
                details.set_retry_info(overload.retry_after);
            }
            Code::ResourceExhausted
        }
        ServiceError::OutOfSpace(_) => {
            reason(&mut details, "STORE_OUT_OF_SPACE", &[]);
            Code::ResourceExhausted
        }
        ServiceError::Internal(_) => {
            reason(&mut details, "INTERNAL", &[]);
            Code::Internal
        }
    };
    Status::with_error_details(code, message, details)
}

fn reason(details: &mut ErrorDetails, reason: &str, metadata: &[(&str, &str)]) {
    let metadata: HashMap<String, String> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    details.set_error_info(reason, DOMAIN, metadata);
}

fn fields(violations: Vec<Violation>) -> Vec<FieldViolation> {
    violations.into_iter().map(|v| FieldViolation::new(v.field, v.description)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Overload;

    fn check(error: ServiceError, code: Code, reason: &str) -> ErrorDetails {
        let status = status(error);
        assert_eq!(status.code(), code);
        let details = status.get_error_details();
        let info = details.error_info().expect("ErrorInfo");
        assert_eq!((info.domain.as_str(), info.reason.as_str()), (DOMAIN, reason));
        details
    }

    #[test]
    fn every_error_has_its_code_and_reason() {
        let name = || "c".to_owned();
        check(ServiceError::NotFound { what: "Worker", name: name() }, Code::NotFound, "WORKER_NOT_FOUND");
        check(ServiceError::AlreadyExists { name: name() }, Code::AlreadyExists, "CONNECTOR_ALREADY_EXISTS");
        check(ServiceError::Contended, Code::Aborted, "CONTENDED");
        check(ServiceError::FailedPrecondition(name()), Code::FailedPrecondition, "FAILED_PRECONDITION");
        check(ServiceError::Timeout(name()), Code::DeadlineExceeded, "TIMEOUT");
        check(ServiceError::TooLarge(name()), Code::InvalidArgument, "TOO_LARGE");
        check(ServiceError::ResumeTooOld, Code::OutOfRange, "RESUME_TOKEN_TOO_OLD");
        check(ServiceError::Internal(name()), Code::Internal, "INTERNAL");

        check(ServiceError::OutOfSpace(name()), Code::ResourceExhausted, "STORE_OUT_OF_SPACE");
        let overload = Overload {
            reason: "TOO_MANY_CALLS",
            flag: "--max-calls",
            what: "calls are served at a time",
            limit: 7,
            retry_after: Some(RETRY_AFTER),
        };
        let error = ServiceError::Overloaded(overload.clone());
        assert_eq!(error.to_string(), "at most 7 calls are served at a time (--max-calls); try again in 1000 ms");
        let details = check(error, Code::ResourceExhausted, "TOO_MANY_CALLS");
        assert_eq!(details.error_info().unwrap().metadata["flag"], "--max-calls");
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(RETRY_AFTER));
        let for_good = ServiceError::Overloaded(Overload { retry_after: None, ..overload });
        let details = check(for_good, Code::ResourceExhausted, "TOO_MANY_CALLS");
        assert!(details.retry_info().is_none(), "the same would be refused again");

        let details = check(ServiceError::NoWorker(name()), Code::FailedPrecondition, "NO_WORKER");
        assert_eq!(details.precondition_failure().unwrap().violations[0].subject, "workers");
        let details = check(ServiceError::Unavailable(name()), Code::Unavailable, "UNAVAILABLE");
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(RETRY_AFTER));
        let dropped = ServiceError::NoRevision { connector: name(), revision: 2, kept: Some((3, 9)) };
        assert_eq!(dropped.to_string(), "connector c has no revision 2; 3 to 9 are kept");
        let details = check(dropped, Code::NotFound, "REVISION_NOT_FOUND");
        assert_eq!(details.error_info().unwrap().metadata["oldest"], "3");
        let stale = ServiceError::StaleEtag { given: "a".into(), current: "b".into() };
        let details = check(stale, Code::Aborted, "STALE_ETAG");
        assert_eq!(details.error_info().unwrap().metadata["current"], "b");
    }

    #[test]
    fn violations_name_their_fields() {
        let violations = vec![Violation { field: "config.file".into(), description: "missing".into() }];
        let invalid = ServiceError::InvalidConfig { message: "text".into(), violations: violations.clone() };
        let details = check(invalid, Code::InvalidArgument, "INVALID_CONFIG");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "config.file");
        check(ServiceError::Invalid(violations), Code::InvalidArgument, "INVALID_REQUEST");
    }
}
