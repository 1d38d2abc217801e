//! Other engines that read the table in calve's stead.

mod athena;
mod process;
mod python;
mod sql;
mod table;

use std::time::Duration;

pub(crate) use athena::AthenaQuery;
pub use athena::AthenaReader;
pub use python::{PythonPackage, PythonReader};
pub(crate) use table::ForeignTable;

/// How long a reader may take for one pass over the table, unless told otherwise.
pub const DEFAULT_READER_TIMEOUT: Duration = Duration::from_hours(1);

/// Another engine than calve's own, to read the table.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Reader {
    /// A Python package that hands over the rows, which are counted, summed and hashed here.
    Python(PythonReader),
    /// Amazon Athena, which counts and sums itself.
    Athena(AthenaReader),
}

/// Who read the table.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ReadBy {
    /// What it is called: `pyiceberg`, `duckdb` or `athena`.
    pub name: String,
    /// Its version, where it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Under which id Athena keeps the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_id: Option<String>,
    /// How many bytes Athena read, which is what it charges for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scanned_bytes: Option<u64>,
}

impl ReadBy {
    /// Reads `name version`.
    fn parse(text: &str) -> Self {
        let (name, version) = text.split_once(' ').unwrap_or((text, ""));
        Self {
            name: name.to_owned(),
            version: (!version.is_empty()).then(|| version.to_owned()),
            query_id: None,
            scanned_bytes: None,
        }
    }
}
