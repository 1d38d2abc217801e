use calve_base::{Failure, Location, LocationError, TableIdent};

/// What can go wrong while a table is written or its metadata is read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The parts of a new table do not fit together.
    #[error("{location}: the metadata of the new table is not valid: {source}")]
    NewTable {
        /// Where the table was to be.
        location: Location,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// A manifest list holds something else.
    #[error("{location} cannot be read as a manifest list")]
    ManifestList {
        /// The file.
        location: Location,
        /// Why not.
        #[source]
        source: iceberg::Error,
    },
    /// A table does not own its files, so they are not deleted with it.
    #[error("table {ident} does not own its files (gc.enabled=false), so they cannot be purged")]
    FilesNotOwned {
        /// The table.
        ident: TableIdent,
    },
    /// The metadata of a table names a file in a way that means nothing.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] calve_catalog::Error),
    /// Iceberg's own rules are broken.
    #[error(transparent)]
    Iceberg(#[from] iceberg::Error),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] calve_storage::Error),
}

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Failure for Error {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Catalog(error) => error.is_retryable(),
            Self::Storage(error) => error.is_retryable(),
            _ => false,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Catalog(error) => error.hint(),
            Self::Storage(error) => error.hint(),
            Self::FilesNotOwned { .. } => {
                Some("drop the table without purging it: its files stay where they are".to_owned())
            }
            _ => None,
        }
    }
}
