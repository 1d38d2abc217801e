use std::path::PathBuf;
use std::time::Duration;

use arrow::error::ArrowError;
use calve_base::{Failure, TableIdent};
use datafusion::error::DataFusionError;

/// What can go wrong while two tables are compared. That they differ is no error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The table, or a source that is a table, could not be loaded.
    #[error(transparent)]
    Catalog(#[from] calve_catalog::Error),
    /// The source could not be opened.
    #[error(transparent)]
    Lake(#[from] calve_lake::Error),
    /// One of the sides could not be planned.
    #[error("cannot read {side}: {source}")]
    Read {
        /// Which one: a location, or a table's name.
        side: String,
        /// What went wrong.
        #[source]
        source: calve_query::Error,
    },
    /// The session for the queries could not be made.
    #[error("cannot start a query session: {source}")]
    Session {
        /// What went wrong.
        #[source]
        source: calve_query::Error,
    },
    /// Rows are to be grouped or filtered by a column that a side lacks.
    #[error("{side} has no column `{column}` to tell partitions by")]
    NoSuchKey {
        /// Which side.
        side: String,
        /// The column.
        column: String,
    },
    /// A partition filter's value is not of the type of its column.
    #[error("partition filter `{column}={value}` on {side}: {source}")]
    Filter {
        /// Which side.
        side: String,
        /// The column.
        column: String,
        /// The value, as it was given.
        value: String,
        /// Why it is none.
        #[source]
        source: DataFusionError,
    },
    /// Rows are to be matched by a column that the sides do not share.
    #[error("source and table have no column `{column}` in common to match rows by")]
    NoSuchRowKey {
        /// The column.
        column: String,
    },
    /// A part of the rows is asked for that is none.
    #[error("{fraction} is no part of the rows")]
    Sample {
        /// What was asked for.
        fraction: f64,
    },
    /// Rows that differ could not be stored.
    #[error("the rows that differ cannot be written: {source}")]
    Differences {
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The table has no such snapshot.
    #[error("table {table} has no snapshot {snapshot_id}")]
    NoSuchSnapshot {
        /// The table.
        table: TableIdent,
        /// What was asked for.
        snapshot_id: i64,
    },
    /// Another reader needs Python, which does not start.
    #[error("cannot start {}: {source}", python.display())]
    NoPython {
        /// The interpreter.
        python: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Another reader needs a Python package that is not there.
    #[error("{} has no package `{package}`, which {reader} needs", python.display())]
    NoPackage {
        /// Which reader.
        reader: &'static str,
        /// What pip is to install.
        requirement: &'static str,
        /// The interpreter.
        python: PathBuf,
        /// The package.
        package: String,
    },
    /// Another reader cannot read the table.
    #[error("{reader} cannot read the table: {problem}")]
    Reader {
        /// Which reader.
        reader: &'static str,
        /// In its own words.
        problem: String,
    },
    /// Another reader took too long, and was ended.
    #[error("{reader} took longer than {} s, and was ended", timeout.as_secs())]
    ReaderTimeout {
        /// Which reader.
        reader: &'static str,
        /// How long it might have taken.
        timeout: Duration,
    },
    /// What another reader answered is no stream of Arrow's.
    #[error("{reader} answered what is no Arrow stream")]
    ReaderAnswer {
        /// Which reader.
        reader: &'static str,
        /// What is wrong with it.
        #[source]
        source: Option<ArrowError>,
    },
    /// What another reader answered is no value of the column.
    #[error("query {query_id} of {reader} answered what cannot be compared: {value}")]
    ReaderValue {
        /// Which reader.
        reader: &'static str,
        /// The query.
        query_id: String,
        /// The answer.
        value: String,
    },
    /// Another reader answers less than what is asked for.
    #[error("{reader} cannot be asked for {wanted}")]
    ReaderAbility {
        /// Which reader.
        reader: &'static str,
        /// What was asked for.
        wanted: &'static str,
    },
    /// Another engine did not run the query.
    #[error(transparent)]
    Engine(#[from] calve_engines::Error),
}

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Failure for Error {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Catalog(error) => error.is_retryable(),
            Self::Lake(error) => error.is_retryable(),
            Self::Read { source, .. } | Self::Session { source } => source.is_retryable(),
            Self::Engine(error) => error.is_retryable(),
            _ => false,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Catalog(error) => error.hint(),
            Self::Lake(error) => error.hint(),
            Self::Read { source, .. } | Self::Session { source } => source.hint(),
            Self::NoSuchSnapshot { table, .. } => {
                Some(format!("list them with `SELECT * FROM {table}.snapshots`"))
            }
            Self::Engine(error) => error.hint(),
            Self::NoPython { .. } => {
                Some("install Python 3.10 or newer, or name its interpreter".to_owned())
            }
            Self::NoPackage {
                requirement,
                python,
                ..
            } => {
                let python = python.display();
                Some(format!(
                    "{python} -m pip install {}",
                    shell_words(requirement)
                ))
            }
            Self::ReaderTimeout { .. } => Some("give it more time".to_owned()),
            Self::ReaderAbility { .. } => Some(
                "it counts and sums: use the levels counts or aggregates, on all rows".to_owned(),
            ),
            Self::Sample { .. } => {
                Some("give a number above 0 and up to 1, such as 0.01".to_owned())
            }
            _ => None,
        }
    }
}

/// Packages as a shell takes them: brackets would be a pattern.
fn shell_words(packages: &str) -> String {
    let quoted = |package: &str| {
        if package.contains('[') {
            format!("'{package}'")
        } else {
            package.to_owned()
        }
    };
    packages
        .split(' ')
        .map(quoted)
        .collect::<Vec<_>>()
        .join(" ")
}
