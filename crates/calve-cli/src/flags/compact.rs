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
    /// Sort by these fields instead of the table's sort order, as `a, b desc nulls last, bucket(16, id)`, or by
    /// `zorder(a, b)`; implies `--strategy sort`
    #[arg(long, value_name = "FIELDS")]
    pub(crate) sort_by: Option<String>,
    /// The columns of a Z-order curve; implies `--strategy z-order`
    #[arg(long, value_name = "COLUMNS", conflicts_with = "sort_by")]
    pub(crate) z_order: Option<String>,
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
    /// Compact this branch instead of `main`
    #[arg(long, value_name = "NAME")]
    pub(crate) branch: Option<String>,
    /// Put an entry into the summary of the new snapshots (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) snapshot_property: Vec<(String, String)>,
    /// An option of Spark's `rewrite_data_files` (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) option: Vec<(String, String)>,
}

/// How rows are put into files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StrategyFlag {
    /// In the order that they have.
    Binpack,
    /// Sorted.
    Sort,
    /// Along a Z-order curve: rows that are near to each other in several columns go together.
    #[value(alias = "zorder")]
    ZOrder,
}
