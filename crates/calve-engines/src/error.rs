use std::time::Duration;

use calve_base::Failure;

/// What a failure came from.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong with work that runs elsewhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The properties do not tell how the service is reached.
    #[error(transparent)]
    Properties(#[from] calve_catalog::Error),
    /// The caller has no right to it, or is not known.
    #[error("{engine} refuses access: {action}: {source}")]
    AccessDenied {
        /// Which engine.
        engine: &'static str,
        /// What was to be done.
        action: &'static str,
        /// What the service said.
        #[source]
        source: Cause,
    },
    /// The service will not do it.
    #[error("{engine} refuses: {action}: {source}")]
    Refused {
        /// Which engine.
        engine: &'static str,
        /// What was to be done.
        action: &'static str,
        /// What the service said.
        #[source]
        source: Cause,
    },
    /// The service was not reached, or had no time.
    #[error("{engine} does not answer: {action}: {source}")]
    Unavailable {
        /// Which engine.
        engine: &'static str,
        /// What was to be done.
        action: &'static str,
        /// What went wrong.
        #[source]
        source: Cause,
    },
    /// The query ran, and failed.
    #[error("query {query_id} failed in {engine}: {reason}")]
    Failed {
        /// Which engine.
        engine: &'static str,
        /// The query.
        query_id: String,
        /// Why, in the engine's words.
        reason: String,
        /// Whether it may run well another time.
        is_retryable: bool,
    },
    /// Somebody else ended the query.
    #[error("query {query_id} was cancelled in {engine}")]
    Cancelled {
        /// Which engine.
        engine: &'static str,
        /// The query.
        query_id: String,
    },
    /// The query took too long, and was cancelled.
    #[error("query {query_id} took longer than {} s in {engine}, and was cancelled", timeout.as_secs())]
    Timeout {
        /// Which engine.
        engine: &'static str,
        /// The query.
        query_id: String,
        /// How long it might have taken.
        timeout: Duration,
    },
}

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Failure for Error {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Properties(error) => error.is_retryable(),
            Self::Unavailable { .. } => true,
            Self::Failed { is_retryable, .. } => *is_retryable,
            _ => false,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Properties(error) => return error.hint(),
            Self::AccessDenied { engine, .. } => format!(
                "check the credentials, and that they may use {engine}, the catalog's tables and the bucket of its results"
            ),
            Self::Refused { .. } => {
                "a workgroup without an output location needs one to be given".to_owned()
            }
            Self::Unavailable { .. } => {
                "check the network and the endpoint, and try again".to_owned()
            }
            Self::Timeout { .. } => "give it more time".to_owned(),
            Self::Failed { .. } | Self::Cancelled { .. } => return None,
        })
    }
}
