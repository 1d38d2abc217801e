use calve_base::{Failure, Location, LocationError};

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
    /// The store refused access.
    #[error("{location}: access denied")]
    AccessDenied {
        /// What was asked for.
        location: Location,
        /// The store's own words.
        #[source]
        source: object_store::Error,
    },
    /// An object that was to be new is there already.
    #[error("{location}: already exists")]
    AlreadyExists {
        /// What was to be written.
        location: Location,
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
        source: object_store::Error,
    },
}

/// What a storage call returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Failure for Error {
    fn hint(&self) -> Option<String> {
        None
    }
}
