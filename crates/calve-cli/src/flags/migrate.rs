use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Int96Flag, LevelFlag, OnUnsafeFlag, key_value};

/// Flags of `calve snapshot`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotFlags {
    /// A folder, a file, or `glue:db.table`
    pub(crate) source: String,
    /// The table that is made, as `db.table`
    #[arg(long)]
    pub(crate) table: String,
    /// The table's own folder, outside of the source
    #[arg(long)]
    pub(crate) location: Option<String>,
    /// A property of the table (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) property: Vec<(String, String)>,
    /// What to do with files that some engines read wrongly where they lie
    #[arg(long, value_name = "HOW")]
    pub(crate) on_unsafe: Option<OnUnsafeFlag>,
    /// How INT96 timestamps were meant when they were written
    #[arg(long, value_name = "AS")]
    pub(crate) int96: Option<Int96Flag>,
}

/// Flags of `calve migrate`.
#[derive(Debug, Args)]
pub(crate) struct MigrateFlags {
    /// The entry, as `glue:db.table`
    pub(crate) source: String,
    /// Where the table keeps its metadata and its later files, instead of in the source's folder
    #[arg(long)]
    pub(crate) location: Option<String>,
    /// A property of the table (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) property: Vec<(String, String)>,
    /// The name of the copy of the old entry, as `db.table`, instead of the source's with `_backup_`
    #[arg(long, value_name = "TABLE", conflicts_with = "drop_backup")]
    pub(crate) backup_name: Option<String>,
    /// Keep no copy of the old entry in the catalog; the undo record has it all the same
    #[arg(long)]
    pub(crate) drop_backup: bool,
    /// How closely the new table is compared with the source before it takes its place
    #[arg(long, value_name = "LEVEL")]
    pub(crate) verify: Option<ProofFlag>,
    /// What to do with files that some engines read wrongly where they lie
    #[arg(long, value_name = "HOW")]
    pub(crate) on_unsafe: Option<OnUnsafeFlag>,
    /// How INT96 timestamps were meant when they were written
    #[arg(long, value_name = "AS")]
    pub(crate) int96: Option<Int96Flag>,
}

/// How closely a new table is compared with its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProofFlag {
    /// Only the sums of files and rows, as footers and manifests have them.
    None,
    /// Rows, by partition.
    Counts,
    /// Rows, nulls, smallest and largest values, sums and hashes of every column, by partition.
    Aggregates,
}

/// Flags of `calve swap`.
#[derive(Debug, Args)]
pub(crate) struct SwapFlags {
    /// The name that changes its table, as `db.table`
    pub(crate) old: String,
    /// The table that takes the name, and loses its own
    pub(crate) new: String,
    /// What the old table is called afterwards, instead of its name with `_backup_`
    #[arg(long, value_name = "TABLE")]
    pub(crate) backup_name: Option<String>,
}

/// Flags of `calve rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackFlags {
    /// The migration's id, as its report and `calve show TABLE --migrations` have it
    pub(crate) migration_id: String,
    /// Undo it though others have committed to the table since; their rows are then no longer seen
    #[arg(long)]
    pub(crate) force: bool,
}

/// Flags of `calve report`.
#[derive(Debug, Args)]
pub(crate) struct ReportFlags {
    /// The migration's id, as its report and `calve show TABLE --migrations` have it
    pub(crate) migration_id: String,
    /// A file for the page; the facts are printed, too
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// How closely source and table are compared for it
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "counts",
        conflicts_with = "no_verify"
    )]
    pub(crate) level: LevelFlag,
    /// Compare nothing: no data file is opened
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// What requests cost, in dollars, instead of the list prices of us-east-1: `list`, `put` and
    /// `get` a thousand, `glue` a million, `athena` a terabyte (repeatable)
    #[arg(long, value_name = "WHAT=DOLLARS", value_parser = key_value)]
    pub(crate) price: Vec<(String, String)>,
}

/// Flags of `calve finalize`.
#[derive(Debug, Args)]
pub(crate) struct FinalizeFlags {
    /// The migration's id, as its report and `calve show TABLE --migrations` have it
    pub(crate) migration_id: String,
    /// Also take the copy of the old entry out of the catalog
    #[arg(long)]
    pub(crate) drop_backup: bool,
    /// Leave `gc.enabled` as it is: others still read the files
    #[arg(long)]
    pub(crate) keep_gc: bool,
}
