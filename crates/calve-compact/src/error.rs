use calve_base::{Failure, Location};

/// What can go wrong while a table is compacted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The table could not be loaded.
    #[error(transparent)]
    Catalog(#[from] calve_catalog::Error),
    /// Manifests could not be read, or files or a commit not written.
    #[error(transparent)]
    Table(#[from] calve_table::Error),
    /// Files could not be read.
    #[error(transparent)]
    Query(#[from] calve_query::Error),
    /// A file could not be read, deleted or found.
    #[error(transparent)]
    Storage(#[from] calve_storage::Error),
    /// The name of a file is no location.
    #[error(transparent)]
    Location(#[from] calve_base::LocationError),
    /// An option that there is none of.
    #[error("there is no option `{name}`")]
    NoSuchOption {
        /// How it was called.
        name: String,
    },
    /// An option has a value that it cannot have.
    #[error("option {name}={value}: {problem}")]
    Option {
        /// The option.
        name: String,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Rows cannot be brought into the order that is asked for.
    #[error("the rows of {table} cannot be ordered: {problem}")]
    Strategy {
        /// The table.
        table: String,
        /// Why not.
        problem: String,
    },
    /// Other rows were written than the files have.
    #[error(
        "{table}: {read} rows of a group were read and {written} written, and its files have {expected}"
    )]
    Rows {
        /// The table.
        table: String,
        /// Rows that were read.
        read: u64,
        /// Rows that were written.
        written: u64,
        /// Rows that its files have by their manifests.
        expected: u64,
    },
    /// So many commits failed that the run ended.
    #[error("{failed} of {commits} commits failed, and no more than {limit} may: {last}")]
    TooManyFailures {
        /// Commits that failed.
        failed: usize,
        /// Commits that there were to be.
        commits: usize,
        /// How many may fail.
        limit: usize,
        /// Why the last one did.
        last: String,
    },
    /// A part of the work was stopped from outside.
    #[error("the run was stopped")]
    Stopped,
}

/// What this crate gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Failure for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Catalog(error) => error.hint(),
            Self::Table(error) => error.hint(),
            Self::Query(error) => error.hint(),
            Self::Storage(error) => error.hint(),
            Self::NoSuchOption { .. } => Some(format!(
                "the options are {}",
                crate::options::NAMES.join(", ")
            )),
            Self::TooManyFailures { .. } => Some(
                "run it again when fewer others write, or raise partial-progress.max-failed-commits"
                    .to_owned(),
            ),
            Self::Rows { .. } => Some(
                "nothing was committed; the table has a file whose manifest is wrong: `calve verify` tells more"
                    .to_owned(),
            ),
            Self::Location(_)
            | Self::Option { .. }
            | Self::Strategy { .. }
            | Self::Stopped => None,
        }
    }
}

/// The files of a group whose outcome nobody needs.
pub(crate) async fn delete_quietly(storage: &calve_storage::Storage, files: &[Location]) {
    for location in files {
        if let Err(error) = storage.delete(location).await {
            tracing::warn!(%location, %error, "a data file that is not needed could not be deleted");
        }
    }
}
