//! Flags of `calve crawl`.

use clap::{Args, ValueEnum};

use super::key_value;
use super::xml::ReadingFlags;

/// Flags of `calve crawl`.
#[derive(Debug, Args)]
pub(crate) struct CrawlFlags {
    /// The folder
    #[arg(value_name = "LOCATION")]
    pub(crate) location: String,
    /// The table that the files are entered as, as `db.table`
    #[arg(long)]
    pub(crate) table: String,
    /// Bring an entry that is there up to date where its columns differ
    #[arg(long)]
    pub(crate) update: bool,
    /// What the files are [default: parquet]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<CrawlFormatFlag>,
    /// The type of a partition key, such as `year=int`, instead of the one found (repeatable)
    #[arg(long, value_name = "KEY=TYPE", value_parser = key_value)]
    pub(crate) partition_type: Vec<(String, String)>,
    /// The element of XML that is a row: a name, or a path from the root
    #[arg(long, value_name = "TAG")]
    pub(crate) row_tag: Option<String>,
    #[command(flatten)]
    pub(crate) reading: ReadingFlags,
}

/// What files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CrawlFormatFlag {
    /// Parquet files.
    Parquet,
    /// XML documents, compressed or not.
    Xml,
}
