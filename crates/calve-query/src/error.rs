use std::sync::Arc;

use calve_base::{Failure, Location, TableIdent};
use datafusion::error::DataFusionError;

/// What can go wrong while a table is queried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The query is wrong, or failed while it ran.
    #[error("{source}")]
    Query {
        /// DataFusion's own words.
        #[source]
        source: DataFusionError,
    },
    /// A data file could not be read.
    #[error("{location}: {source}")]
    File {
        /// The file.
        location: Location,
        /// What went wrong.
        #[source]
        source: Box<Self>,
    },
    /// A column of a file cannot be read as the table's.
    #[error("column `{column}`: {problem}")]
    Column {
        /// The path of the column, its names joined by dots.
        column: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The columns of a lake's files do not fit together.
    #[error("{location}: {source}")]
    Schema {
        /// The file, or the lake.
        location: Location,
        /// What does not fit.
        #[source]
        source: Arc<calve_parquet::Error>,
    },
    /// A lake's columns have no form in Arrow.
    #[error("{location}: {source}")]
    Unreadable {
        /// The lake.
        location: Location,
        /// What has none.
        #[source]
        source: iceberg::Error,
    },
    /// A file of text, Avro or ORC is not what it should be, or not read.
    #[error("{location}: {problem}")]
    Text {
        /// The file, or the lake.
        location: Location,
        /// What is wrong with it.
        problem: String,
    },
    /// A footer could not be read.
    #[error(transparent)]
    Footer(#[from] calve_lake::footer::FooterError),
    /// A lake could not be listed.
    #[error(transparent)]
    Lake(#[from] calve_lake::Error),
    /// A table's metadata contradicts itself, or asks for something that is not supported.
    #[error("table {ident}: {problem}")]
    Table {
        /// The table.
        ident: TableIdent,
        /// What is wrong with it.
        problem: String,
    },
    /// A manifest or another piece of metadata could not be read.
    #[error("table {ident}: {source}")]
    Metadata {
        /// The table.
        ident: TableIdent,
        /// What went wrong.
        #[source]
        source: iceberg::Error,
    },
    /// A snapshot is not there, or its manifests cannot be read.
    #[error(transparent)]
    Snapshot(#[from] calve_table::Error),
    /// A value in a query's version clause is wrong.
    #[error("`{text}` is no {expected}")]
    Version {
        /// What was written.
        text: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] calve_catalog::Error),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] calve_storage::Error),
    /// A location is wrong.
    #[error(transparent)]
    Location(#[from] calve_base::LocationError),
}

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Failure for Error {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Catalog(error) => error.is_retryable(),
            Self::Storage(error) => error.is_retryable(),
            Self::Lake(error) => error.is_retryable(),
            Self::Snapshot(error) => error.is_retryable(),
            Self::Footer(error) => error.is_retryable(),
            Self::File { source, .. } => source.is_retryable(),
            _ => false,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Catalog(error) => error.hint(),
            Self::Storage(error) => error.hint(),
            Self::Lake(error) => error.hint(),
            Self::Footer(error) => error.hint(),
            Self::Snapshot(calve_table::Error::NoSnapshot { ident, .. }) => Some(format!(
                "list its versions with `SELECT * FROM {ident}.refs` and `SELECT * FROM {ident}.snapshots`"
            )),
            Self::Snapshot(error) => error.hint(),
            Self::Schema { source, .. } => source.hint(),
            Self::File { source, .. } => source.hint(),
            _ => None,
        }
    }
}

impl From<DataFusionError> for Error {
    /// Takes out calve's own error where DataFusion carries one.
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(inner) => Self::Query {
                    source: DataFusionError::External(inner),
                },
            },
            DataFusionError::Context(_, inner) if carries_own(&inner) => Self::from(*inner),
            source => Self::Query { source },
        }
    }
}

fn carries_own(error: &DataFusionError) -> bool {
    match error {
        DataFusionError::External(inner) => inner.is::<Error>(),
        DataFusionError::Context(_, inner) => carries_own(inner),
        _ => false,
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        match error {
            Error::Query { source } => source,
            error => Self::External(Box::new(error)),
        }
    }
}
