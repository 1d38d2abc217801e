//! What Glue's failures mean.

use aws_sdk_glue::config::http::HttpResponse;
use aws_sdk_glue::error::{ProvideErrorMetadata, SdkError};

use crate::Error;
use crate::backend::MoveError;
use crate::error::Cause;

/// A failure in Glue's own words.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
struct Answer {
    code: String,
    message: String,
}

/// What a failure is about, whatever the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    NotFound,
    Exists,
    Concurrent,
    AccessDenied,
    Busy,
    /// The service failed, or its answer did not arrive: the request may have been carried out.
    Unavailable,
    /// The request was not sent: there are no credentials.
    NoCredentials,
    Other,
}

/// A failed request, understood.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) kind: Kind,
    source: Cause,
}

impl Failed {
    pub(super) fn new<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let SdkError::ServiceError(service) = &error else {
            let kind = match &error {
                SdkError::ConstructionFailure(_) => Kind::Other,
                other if lacks_credentials(other) => Kind::NoCredentials,
                _ => Kind::Unavailable,
            };
            return Self {
                kind,
                source: error.into(),
            };
        };
        let status = service.raw().status().as_u16();
        let code = service.err().code().unwrap_or_default().to_owned();
        let message = service.err().message().unwrap_or("no message").to_owned();
        Self {
            kind: kind(&code, status),
            source: Answer { code, message }.into(),
        }
    }

    pub(super) fn into_error(self, catalog: &str, action: String) -> Error {
        let catalog = catalog.to_owned();
        let source = self.source;
        match self.kind {
            Kind::NoCredentials => Error::NoCredentials { catalog, source },
            Kind::AccessDenied => Error::AccessDenied {
                catalog,
                action,
                source,
            },
            Kind::Busy | Kind::Concurrent => Error::Busy {
                catalog,
                action,
                source,
            },
            Kind::Unavailable => Error::Unavailable {
                catalog,
                action,
                source,
            },
            Kind::NotFound | Kind::Exists | Kind::Other => Error::Refused {
                catalog,
                action,
                source,
            },
        }
    }

    /// For a request that moves a pointer.
    pub(super) fn into_move_error(self, catalog: &str, action: String) -> MoveError {
        match self.kind {
            Kind::Unavailable => MoveError::Unclear(self.source),
            _ => MoveError::Refused(self.into_error(catalog, action)),
        }
    }
}

fn kind(code: &str, status: u16) -> Kind {
    match code {
        "EntityNotFoundException" => Kind::NotFound,
        "AlreadyExistsException" => Kind::Exists,
        "ConcurrentModificationException" => Kind::Concurrent,
        "AccessDeniedException"
        | "AccessDenied"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "NotAuthorized"
        | "OptInRequired" => Kind::AccessDenied,
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "ConcurrentRunsExceededException"
        | "SlowDown"
        | "ResourceNotReadyException"
        | "FederationSourceRetryableException" => Kind::Busy,
        "InternalServiceException"
        | "InternalFailure"
        | "InternalServerException"
        | "OperationTimeoutException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "RequestTimeout" => Kind::Unavailable,
        _ if status == 429 => Kind::Busy,
        _ if status >= 500 => Kind::Unavailable,
        _ => Kind::Other,
    }
}

/// Whether the chain of causes ends where credentials were looked for.
fn lacks_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if current.is::<aws_credential_types::provider::error::CredentialsError>() {
            return true;
        }
        cause = current.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_understood() {
        for (code, status, expected) in [
            ("EntityNotFoundException", 400, Kind::NotFound),
            ("AlreadyExistsException", 400, Kind::Exists),
            ("ConcurrentModificationException", 400, Kind::Concurrent),
            ("AccessDeniedException", 400, Kind::AccessDenied),
            ("ExpiredTokenException", 400, Kind::AccessDenied),
            ("ThrottlingException", 400, Kind::Busy),
            ("", 429, Kind::Busy),
            ("InternalServiceException", 500, Kind::Unavailable),
            ("OperationTimeoutException", 400, Kind::Unavailable),
            ("", 503, Kind::Unavailable),
            ("InvalidInputException", 400, Kind::Other),
        ] {
            assert_eq!(kind(code, status), expected, "{code} {status}");
        }
    }
}
