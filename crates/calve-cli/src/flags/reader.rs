use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Flags of `calve verify` about who reads the table.
#[derive(Debug, Default, Args)]
pub(crate) struct ReaderFlags {
    /// Who reads the table, in place of calve; the source is read by calve
    #[arg(long, value_name = "READER")]
    pub(crate) reader: Option<ReaderFlag>,
    /// With `--reader pyiceberg` or `duckdb`: the Python that has the package, instead of `python3`
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Option<PathBuf>,
    /// With `--reader`: after how long a pass over the table is ended, such as `30m`
    #[arg(long, value_name = "DURATION")]
    pub(crate) reader_timeout: Option<String>,
    /// With `--reader athena`: the workgroup, instead of `primary` or the property `athena.workgroup`
    #[arg(long, value_name = "NAME")]
    pub(crate) athena_workgroup: Option<String>,
    /// With `--reader athena`: where it writes results, instead of the workgroup's place or the property
    /// `athena.output-location`
    #[arg(long, value_name = "LOCATION")]
    pub(crate) athena_output: Option<String>,
    /// With `--reader athena`: the database that holds the table, where Athena calls it otherwise
    #[arg(long, value_name = "NAME")]
    pub(crate) athena_database: Option<String>,
}

/// Who reads the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReaderFlag {
    /// The Python package pyiceberg, with pyarrow.
    #[value(name = "pyiceberg")]
    PyIceberg,
    /// The Python package duckdb, with its Iceberg extension.
    #[value(name = "duckdb")]
    DuckDb,
    /// Amazon Athena, which counts and sums itself.
    Athena,
}
