use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Int96Flag, RecursiveFlag, key_value};

/// Flags of `calve assess`.
#[derive(Debug, Args)]
pub(crate) struct AssessFlags {
    /// A folder, a file, or `glue:db.table`
    pub(crate) source: String,
    /// The table that the recommended commands make, as `db.table`
    #[arg(long)]
    pub(crate) table: Option<String>,
    /// `html` makes one page that needs nothing else
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<AssessFormatFlag>,
    /// A file for what `--format` says; the report is printed, too
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// A file that keeps what was counted: while the source lists as it did, no footer is read again
    #[arg(long, value_name = "FILE")]
    pub(crate) cache: Option<String>,
    /// Below which size a file counts as small; 128 MiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) target_file_size: Option<String>,
    /// What requests cost, in dollars, instead of the list prices of us-east-1: `list`, `put` and
    /// `get` a thousand, `glue` a million, `athena` a terabyte (repeatable)
    #[arg(long, value_name = "WHAT=DOLLARS", value_parser = key_value)]
    pub(crate) price: Vec<(String, String)>,
    /// Do not look whether other tables of the catalog lie over the same files
    #[arg(long)]
    pub(crate) no_catalog_check: bool,
    /// Assess only partitions with this value (repeatable); other folders are not even listed
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) partition_filter: Vec<(String, String)>,
    /// The type of a partition key, such as `year=int`, instead of the one found (repeatable)
    #[arg(long, value_name = "KEY=TYPE", value_parser = key_value)]
    pub(crate) partition_type: Vec<(String, String)>,
    /// What to do with folders that are no partition, below one
    #[arg(long, value_name = "HOW")]
    pub(crate) recursive: Option<RecursiveFlag>,
    /// How INT96 timestamps were meant when they were written
    #[arg(long, value_name = "AS")]
    pub(crate) int96: Option<Int96Flag>,
}

/// What the report looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AssessFormatFlag {
    /// As it is printed.
    Text,
    /// One HTML page.
    Html,
}
