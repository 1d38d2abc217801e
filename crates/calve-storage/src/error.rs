use std::error::Error as StdError;

use calve_base::{Failure, Location, LocationError};
use object_store::client::{HttpError, HttpErrorKind};

use crate::credentials::NoCredentials;

/// What can go wrong between calve and a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such object.
    #[error("{location}: not found")]
    NotFound {
        /// What was asked for.
        location: Location,
    },
    /// There is no such bucket.
    #[error("{location}: there is no bucket `{}`", location.bucket())]
    NoSuchBucket {
        /// What was asked for.
        location: Location,
    },
    /// The store refused access.
    #[error("{location}: access denied{}", code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
    AccessDenied {
        /// What was asked for.
        location: Location,
        /// The store's code for the reason, where it gave one.
        code: Option<String>,
        /// The store's own words.
        #[source]
        source: Box<object_store::Error>,
    },
    /// No credentials were found to sign a request with.
    #[error("{location}: no AWS credentials were found")]
    NoCredentials {
        /// What was asked for.
        location: Location,
        /// What each source of credentials said.
        #[source]
        source: Box<object_store::Error>,
    },
    /// No region is configured, and AWS's configuration names none.
    #[error("{location}: no AWS region is configured")]
    NoRegion {
        /// What was asked for.
        location: Location,
    },
    /// The bucket lies in another region than the requests were sent to.
    #[error("{location}: the bucket is not in region {used}")]
    WrongRegion {
        /// What was asked for.
        location: Location,
        /// The region that the requests were sent to.
        used: String,
        /// The bucket's region, where the store told.
        actual: Option<String>,
        /// The store's own words.
        #[source]
        source: Box<object_store::Error>,
    },
    /// An object that was to be new is there already.
    #[error("{location}: already exists")]
    AlreadyExists {
        /// What was to be written.
        location: Location,
    },
    /// The object ends before the bytes that were asked for.
    #[error("{location}: has no bytes {start} to {end}")]
    OutOfRange {
        /// What was asked for.
        location: Location,
        /// The first byte.
        start: u64,
        /// The byte after the last.
        end: u64,
    },
    /// The store did not answer in time, in spite of retries.
    #[error("{location}: no answer in time")]
    Timeout {
        /// What was asked for.
        location: Location,
        /// The client's own words.
        #[source]
        source: Box<object_store::Error>,
    },
    /// The store could not be reached, in spite of retries.
    #[error("{location}: the store cannot be reached")]
    Unreachable {
        /// What was asked for.
        location: Location,
        /// The client's own words.
        #[source]
        source: Box<object_store::Error>,
    },
    /// The store asked to slow down or failed inside, in spite of retries.
    #[error("{location}: the store is busy or failing{}", code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Unavailable {
        /// What was asked for.
        location: Location,
        /// The store's code for the reason, where it gave one.
        code: Option<String>,
        /// The store's own words.
        #[source]
        source: Box<object_store::Error>,
    },
    /// The key has a component `.` or `..`, which no HTTP client sends as it is.
    #[error("{location}: keys with a component `.` or `..` cannot be addressed")]
    UnsupportedKey {
        /// What was asked for.
        location: Location,
    },
    /// The bucket's name has characters that no bucket's name has.
    #[error("{location}: `{}` is no name of a bucket", location.bucket())]
    BucketName {
        /// What was asked for.
        location: Location,
    },
    /// A local file name is not UTF-8.
    #[error("{folder}: the name `{name}` is not UTF-8")]
    NotUnicode {
        /// The folder.
        folder: Location,
        /// The name, as far as it can be shown.
        name: String,
    },
    /// A local symbolic link leads to a folder that it lies in.
    #[error("{location}: the symbolic link leads to a folder above itself")]
    LinkLoop {
        /// The link.
        location: Location,
    },
    /// A local folder or file could not be read or written.
    #[error("{location}: {source}")]
    Local {
        /// What was asked for.
        location: Location,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// A property's value makes no sense.
    #[error("property {name} is `{value}`, expected {expected}")]
    Property {
        /// The property.
        name: &'static str,
        /// Its value.
        value: String,
        /// What its value may be.
        expected: &'static str,
    },
    /// A property makes no sense without another.
    #[error("property {given} is given without {missing}")]
    MissingProperty {
        /// The property that is there.
        given: &'static str,
        /// The property that is not.
        missing: &'static str,
    },
    /// The address itself is wrong.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// Any other failure of the store, after all retries.
    #[error("{location}: {source}")]
    Store {
        /// What was asked for.
        location: Location,
        /// The store's own words.
        #[source]
        source: Box<object_store::Error>,
    },
}

/// What a storage call returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Failure for Error {
    fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Timeout { .. } | Self::Unreachable { .. } | Self::Unavailable { .. }
        )
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoSuchBucket { .. } => {
                "check the bucket's name, and s3.endpoint if it is not on AWS".to_owned()
            }
            Self::AccessDenied { code, .. } => match code.as_deref() {
                Some("ExpiredToken" | "TokenRefreshRequired") => {
                    "renew the credentials: their session has ended".to_owned()
                }
                Some("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken") => {
                    "check s3.access-key-id and s3.secret-access-key, or the AWS profile".to_owned()
                }
                Some("RequestTimeTooSkewed") => "set this machine's clock".to_owned(),
                _ => "check that these credentials may do this, or set s3.anonymous=true for a \
                      public bucket"
                    .to_owned(),
            },
            Self::NoCredentials { .. } => {
                "set s3.access-key-id and s3.secret-access-key, or name a profile with \
                 s3.profile-name or AWS_PROFILE, or set s3.anonymous=true for a public bucket"
                    .to_owned()
            }
            Self::NoRegion { .. } => "set s3.region, client.region or AWS_REGION".to_owned(),
            Self::WrongRegion {
                actual: Some(region),
                ..
            } => format!("set s3.region={region}"),
            Self::WrongRegion { actual: None, .. } => {
                "set s3.region to the bucket's region".to_owned()
            }
            Self::Timeout { .. } | Self::Unreachable { .. } => {
                "check s3.endpoint and the network; s3.connect-timeout and s3.request-timeout \
                 say how long to wait"
                    .to_owned()
            }
            Self::Unavailable { .. } => {
                "use less concurrency, or try again later; s3.retry.num-retries says how often requests \
                 are repeated"
                    .to_owned()
            }
            Self::UnsupportedKey { .. } => {
                "copy the object to a key without such components".to_owned()
            }
            Self::Local { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                "check the permissions of the file and of the folders above it".to_owned()
            }
            Self::MissingProperty { missing, .. } => format!("set {missing}"),
            Self::Property { name, expected, .. } => format!("set {name} to {expected}"),
            _ => return None,
        };
        Some(hint)
    }
}

impl Error {
    /// Finds out what a store's error means for a location.
    pub(crate) fn from_store(location: &Location, source: object_store::Error) -> Self {
        let location = location.clone();
        if matches!(source, object_store::Error::AlreadyExists { .. }) {
            return Self::AlreadyExists { location };
        }
        if let Some(error) = find::<std::io::Error>(&source)
            && location.scheme() == calve_base::Scheme::File
        {
            return Self::from_io(
                &location,
                std::io::Error::new(error.kind(), error.to_string()),
            );
        }
        if find::<NoCredentials>(&source).is_some() {
            let source = Box::new(source);
            return Self::NoCredentials { location, source };
        }
        let answer = Answer::of(&source);
        if answer.is_elsewhere() {
            return Self::WrongRegion {
                location,
                used: String::new(),
                actual: answer.region,
                source: Box::new(source),
            };
        }
        let (code, status, source) = (answer.code, answer.status, Box::new(source));
        match (code.as_deref(), status) {
            (Some("NoSuchBucket"), _) => Self::NoSuchBucket { location },
            (_, Some(404)) => Self::NotFound { location },
            (Some("ExpiredToken" | "InvalidToken" | "TokenRefreshRequired"), _)
            | (_, Some(401 | 403)) => Self::AccessDenied {
                location,
                code,
                source,
            },
            (_, Some(408 | 429 | 500..)) => Self::Unavailable {
                location,
                code,
                source,
            },
            _ => Self::from_transport(location, source),
        }
    }

    /// Finds out what it means that there was no answer.
    fn from_transport(location: Location, source: Box<object_store::Error>) -> Self {
        match (find::<HttpError>(&*source).map(HttpError::kind), &*source) {
            (Some(HttpErrorKind::Timeout), _) => Self::Timeout { location, source },
            (
                Some(HttpErrorKind::Connect | HttpErrorKind::Request | HttpErrorKind::Interrupted),
                _,
            ) => Self::Unreachable { location, source },
            (_, object_store::Error::NotFound { .. }) => Self::NotFound { location },
            _ => Self::Store { location, source },
        }
    }

    /// Finds out what a local error means for a location.
    pub(crate) fn from_io(location: &Location, source: std::io::Error) -> Self {
        let location = location.clone();
        match source.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                Self::NotFound { location }
            }
            std::io::ErrorKind::AlreadyExists => Self::AlreadyExists { location },
            _ => Self::Local { location, source },
        }
    }

    /// Names the region that requests were sent to.
    pub(crate) fn sent_to(mut self, region: &str) -> Self {
        if let Self::WrongRegion { used, .. } = &mut self {
            region.clone_into(used);
        }
        self
    }
}

/// The first error of a type in a chain of sources.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        current = error.source();
    }
    None
}

/// What a server answered. `object_store` keeps its error types to itself and prints the status
/// and the body of the answer, so both are read from there.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    status: Option<u16>,
    code: Option<String>,
    region: Option<String>,
    bare_redirect: bool,
}

impl Answer {
    fn of(error: &object_store::Error) -> Self {
        Self::read(&error.to_string())
    }

    /// Whether the bucket is in another region than the one asked.
    fn is_elsewhere(&self) -> bool {
        self.bare_redirect
            || matches!(
                self.code.as_deref(),
                Some(
                    "PermanentRedirect"
                        | "TemporaryRedirect"
                        | "AuthorizationHeaderMalformed"
                        | "IllegalLocationConstraintException"
                )
            )
    }

    fn read(text: &str) -> Self {
        let element = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            let (value, _) = rest.split_once(&format!("</{name}>"))?;
            Some(value.to_owned())
        };
        Self {
            status: text
                .split_once("status code: ")
                .and_then(|(_, rest)| rest.get(..3))
                .and_then(|digits| digits.parse().ok()),
            code: element("Code"),
            region: element("Region"),
            bare_redirect: text.contains("redirect without LOCATION"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_from_what_is_printed() {
        let text = "Generic S3 error: Error performing GET http://h/b in 2ms - Server returned \
                    non-2xx status code: 400 Bad Request: <?xml version=\"1.0\"?><Error>\
                    <Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
        assert_eq!(
            Answer::read(text),
            Answer {
                status: Some(400),
                code: Some("AuthorizationHeaderMalformed".to_owned()),
                region: Some("eu-west-1".to_owned()),
                bare_redirect: false,
            }
        );
        assert_eq!(Answer::read("something else"), Answer::default());
    }
}
