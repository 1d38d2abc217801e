use clap::{Args, ValueEnum};

use super::key_value;

/// Flags of `calve compact`.
#[derive(Debug, Args)]
pub(crate) struct CompactFlags {
    /// The table, as `db.table`
    pub(crate) table: String,
    /// How rows are put into files [default: binpack]
    #[arg(long, value_name = "HOW")]
    pub(crate) strategy: Option<StrategyFlag>,
    /// Look only at files that may have rows of which this SQL condition is true; they are rewritten whole
    #[arg(long = "where", value_name = "SQL")]
    pub(crate) condition: Option<String>,
    /// How large files should be: option `target-file-size-bytes`
    #[arg(long, value_name = "SIZE")]
    pub(crate) target_file_size: Option<String>,
    /// So many files of a partition are worth rewriting: option `min-input-files` [default: 5]
    #[arg(long, value_name = "N")]
    pub(crate) min_input_files: Option<usize>,
    /// Commit groups as they come, in up to ten commits: option `partial-progress.enabled`
    #[arg(long)]
    pub(crate) partial_progress: bool,
    /// An option of Spark's `rewrite_data_files` (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) option: Vec<(String, String)>,
}

/// How rows are put into files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StrategyFlag {
    /// In the order that they have.
    Binpack,
}
