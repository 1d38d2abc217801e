use clap::Args;

use super::key_value;

/// Flags of `calve rewrite-deletes`.
#[derive(Debug, Args)]
pub(crate) struct RewriteDeletesFlags {
    /// The table, as `db.table`
    pub(crate) table: String,
    /// Only partitions that may have rows of which this is true
    #[arg(long = "where", value_name = "SQL")]
    pub(crate) condition: Option<String>,
    /// How large delete files should be: option `target-file-size-bytes`
    #[arg(long, value_name = "SIZE")]
    pub(crate) target_file_size: Option<String>,
    /// So many files of a partition are worth rewriting: option `min-input-files` [default: 5]
    #[arg(long, value_name = "N")]
    pub(crate) min_input_files: Option<usize>,
    /// An option of Spark's `rewrite_position_delete_files` (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) option: Vec<(String, String)>,
}
