use std::ffi::OsString;
use std::path::PathBuf;

use calve::base::{Failure, IdentError, LocationError};

/// What can be wrong with flags, variables and the configuration file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The process has no usable working directory.
    #[error("the working directory cannot be read")]
    WorkingDirectory {
        #[source]
        source: std::io::Error,
    },
    /// The working directory's name is not text.
    #[error("the name of the working directory is not UTF-8: {name:?}")]
    NotUtf8 { name: OsString },
    /// The configuration file cannot be read.
    #[error("the configuration cannot be read")]
    Unreadable {
        #[source]
        source: std::io::Error,
    },
    /// The configuration file is not TOML.
    #[error("{} is not valid TOML", path.display())]
    Syntax {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The configuration file says something that means nothing.
    #[error("{}: `{key}`: {problem}", path.display())]
    Key {
        path: PathBuf,
        key: String,
        problem: String,
    },
    /// No catalog of that name is configured.
    #[error("catalog `{name}` is not configured")]
    UnknownCatalog { name: String, known: Vec<String> },
    /// A value means nothing where it stands.
    #[error("{place}: `{text}` is not {expected}")]
    Value {
        place: String,
        text: String,
        expected: &'static str,
    },
    /// The source is an Iceberg table.
    #[error("{text}: an Iceberg table is no source of files to add")]
    IcebergSource { text: String },
    /// A hint of a column's type, or the like, means nothing.
    #[error(transparent)]
    Xml(Box<calve::xml::Error>),
    /// A text is no list of partition fields.
    #[error("--partition-by: {0}")]
    PartitionBy(#[from] calve::migrate::PartitionByError),
    /// Nothing says which element is a row.
    #[error("--row-tag is missing: it says which element is a row")]
    NoRowTag,
    /// A text is no list of sort fields.
    #[error("--sort-by: {0}")]
    SortBy(#[from] calve::migrate::SortByError),
    /// A text is no list of columns.
    #[error("--z-order: {0}")]
    ZOrder(calve::migrate::SortByError),
    /// Nothing says which columns rows lie near to each other by.
    #[error("--z-order is missing: it says which columns the curve goes through")]
    NoZOrder,
    /// A text is no way to cut batches.
    #[error("--batch-by: {0}")]
    BatchBy(#[from] calve::migrate::ctas::BatchByError),
    /// A text is no time zone.
    #[error("--int96-zone: {0}")]
    Int96Zone(#[from] calve::query::Int96ZoneError),
    /// A flag that would do nothing.
    #[error("{flag} has no effect here: {reason}")]
    Useless {
        flag: &'static str,
        reason: &'static str,
    },
    /// A text is no location.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// A text is no table name.
    #[error(transparent)]
    Ident(#[from] IdentError),
}

impl From<calve::xml::Error> for Error {
    fn from(error: calve::xml::Error) -> Self {
        Self::Xml(Box::new(error))
    }
}

impl Failure for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Xml(error) => error.hint(),
            Self::UnknownCatalog { name, known } => {
                let others = if known.is_empty() {
                    String::new()
                } else {
                    format!("; configured are {}", known.join(", "))
                };
                Some(format!(
                    "add a section [catalog.{name}] to calve.toml, or give its `type` or `uri` with \
                     --set{others}"
                ))
            }
            Self::Key { .. } => Some(
                "known keys are default-catalog, concurrency, memory, spill-dir, and sections \
                 [catalog.NAME] with Iceberg's property names"
                    .to_owned(),
            ),
            Self::IcebergSource { .. } => Some(
                "name a folder of Parquet files, or a Hive-style table as glue:db.table".to_owned(),
            ),
            Self::Useless { flag, .. } => Some(format!("leave out {flag}")),
            _ => None,
        }
    }
}
